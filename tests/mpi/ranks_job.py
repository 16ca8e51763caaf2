"""What all ranks of MPI do for test_ranks.py: mpiexec -n 3 python ranks_job.py TESTS; the first rank prints JSON.

At the end the last rank fails, outside of any run, while the others wait for its sums.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
from mpi4py import MPI

import opty
from opty.data import feed as feeds
from opty.data.lazy_frames import LazyFrames

sys.path.insert(0, sys.argv[1])
from small_scans import scan

COMM = MPI.COMM_WORLD
opty.arrays.ranks._SPIN = 0.0  # three ranks on two cores: who waits sleeps
MACHINE = {"device": "cpu", "threads": 1, "seed": 3}
DOUBLE = MACHINE | {"dtype": "complex128"}
VARYING = "Object() * Probe(modes=2, variable=2)"
CASES = {
    "AP": ("AP() ** 4", {}),
    "AP on whole pixels": ("AP() ** 4", {"fractional": False, "mask": 3}),
    "DM, 11 views": ("DM() ** 4", {"views": 11, "modes": 2}),
    "RAAR, masked": ("RAAR() ** 4", {"mask": 2}),
    "ML": ("ML() ** 5", {"modes": 2, "mask": 3}),
    "ML, smooth": ("ML(smooth=0.1) ** 5", {"fractional": False}),
    "background, intensities": ("(BackgroundUpdate() * IntensityUpdate() * AP()) ** 4", {"background": True}),
    "schedules and rules": (
        "ScaleObjProbe() * Misfit() * Orthogonalise() * DM() ** 3 * (Every(2, ClampObj(hi=1.2)) * AP()) ** "
        "Until(tol=1e-9, max_turns=5)",
        {"modes": 2},
    ),
    "a user's operator": ("(LightOfViews(share=0.5) * AP()) ** 3", {}),
    "two slices": ("ML() ** 2 * AP() ** 2", {"fractional": False, "model": "Slices(2, spacing=1e-6)"}),
    "LSQML": ("LSQML(batch=5) ** 3", {"modes": 2, "mask": 2}),
    "LSQML, background": ("(BackgroundUpdate() * LSQML(batch=4)) ** 3", {"background": True, "fractional": False}),
    "PIE": (
        "Sweep(ObjMomentum(0.5, 4) * ProbeUpdate(step=0.5) * ObjUpdate(alpha=0.3) * FourierProject(), batch=4, "
        "order='scan') ** 3",
        {"mask": 3},
    ),
    "Anderson": ("(Anderson(3) * LSQML(batch=4, momentum=0.0)) ** 5", {}),
    "PIE, scheduled": (
        "Sweep(After(2, ProbeUpdate(step=0.5)) * ObjUpdate(alpha=0.3) * FourierProject(), batch=4, "
        "order='compact') ** 4",
        {},
    ),
    "LSQML, two views": ("LSQML(batch=5) ** 2", {"views": 2}),
    "two views": ("DM() ** 3 * ML() ** 2", {"views": 2}),
    "one view": ("(PosCorrect() * AP()) ** 3 * LSQML(batch=2)", {"views": 1}),
    "intensities, LSQML": ("(IntensityUpdate() * LSQML(batch=4)) ** 3", {"background": True}),
    "positions": ("CheckPositions() * (PosCorrect(search_every=3) * AP()) ** 12", {"wrong": 1.0, "views": 18}),
    "positions, LSQML": (
        "ComparePositions(AP() ** 2) * (PosCorrect(search_every=2, hold=0.0) * LSQML(batch=6)) ** 4",
        {"wrong": 1.0, "views": 18},
    ),
    "positions, Adam": (
        "(PosLimit(2.0) * PosModel(strength=0.2) * PosSearch(4) * PosCorrectAdam(weights='coverage') * AP()) ** 3",
        {"wrong": 1.0},
    ),
    "positions, weights of views": ("(PosCorrectAnneal(2.0, trials=2, weights='trust') * DM()) ** 3", {"wrong": 1.0}),
    "views held out": ("HoldOut(AP() ** 2) * AP() ** 2", {"wrong": 1.0, "views": 24, "span": 30}),
    "tries": (
        "BestOf((PosCorrect(search_every=3, hold=0.0) * AP()) ** 3, tries=2) * AP() ** 2",
        {"wrong": 1.0, "views": 18},
    ),
    "coarse": ("Coarse(2, (PosCorrect() * LSQML(batch=4)) ** 2) * AP()", {"wrong": 1.0, "n": 32}),
    "a probe that varies, AP": ("Orthogonalise() * ScaleObjProbe() * AP() ** 7", {"model": f"{VARYING}"}),
    "a probe that varies, ML": ("ML() ** 7", {"model": VARYING}),
    "a probe that varies, PIE": (
        "Sweep(ProbeUpdate(step=0.5) * ObjUpdate(alpha=0.3) * FourierProject(), batch=4, order='scan') ** 7",
        {"model": VARYING, "fractional": False},
    ),
    "a probe that varies, LSQML": ("LSQML(batch=4) ** 7", {"model": VARYING}),
    "slices and their distance": (
        "(Refine('spacing') * AP()) ** 2 * (Refine('spacing') * PosCorrect() * LSQML(batch=4)) ** 2",
        {"model": "Slices(2, spacing=1e-6)"},
    ),
    "distance": ("(Refine('distance') * LSQML(batch=4)) ** 12", {"geometry": True}),
    "stage that moves": ("(Refine('travel') * AP()) ** 2 * LSQML(batch=4) ** 2", {"model": "FlyScan(2)"}),
    "blur, wavelengths": (
        "LSQML(batch=4) ** 2 * ML() ** 2",
        {"model": "Blur(0.5) * FarField() * Wavelengths((1, 1.02)) * Object()"},
    ),
    "a user's steps": ("(MeanOfRows() * AP()) ** 2 * MiddleOfScan() * LSQML(batch=5)", {}),
    "a user's live step": (
        "Sweep(LiveOfUser() * LSQUpdate() * FourierProject(), batch=4, order='compact') ** 2",
        {},
    ),
}
OWN = (opty.Leaf("trust_of_view", "view", scale=0), opty.Leaf("light_of_scan", "row col", grid="window", scale=0))


class LightOfViews(opty.ViewOperator, reads="waves", slots=OWN):
    """Keep the power of each view's waves, and the sum over all views of their modulus squared; knows of no ranks."""

    share: float = 1.0

    def begin(self, s):
        s.create("trust_of_view")
        s.create("light_of_scan")

    def apply(self, s, b):
        power = (abs(b.waves) ** 2).sum(axis=1)
        s.trust_of_view[b.selection] = self.share * power.sum(axis=(1, 2))
        s.light_of_scan += power.sum(axis=0)


class MemoOverViews(opty.ViewOperator, reads="waves", slots=opty.Leaf("memo_total", "1", scale=0)):
    """Gather in a memo what other ranks do not see; must be refused."""

    def begin(self, s):
        s.memo["sum"] = s.xp.zeros(())

    def apply(self, s, b):
        s.memo["sum"] += (abs(b.waves) ** 2).sum()

    def finish(self, s):
        pass


class MeanOfRows(opty.ViewOperator, reads="waves", slots=opty.Leaf("rows_of_views", "view", scale=0)):
    """Take the mean over all views at the end of a sweep; knows of no ranks."""

    def begin(self, s):
        s.create("rows_of_views")

    def apply(self, s, b):
        s.rows_of_views[b.selection] = abs(b.waves).sum(axis=(1, 2, 3))

    def finish(self, s):
        s.record("rows", s.rows_of_views.mean())


class RowsTooEarly(MeanOfRows):
    """Look at rows of views before the sweep; must be refused."""

    def begin(self, s):
        super().begin(s)
        s.memo["before"] = s.rows_of_views.sum()


class MiddleOfScan(opty.Operator, reads="positions", writes="positions"):
    """Draw all positions towards their mean; knows of no ranks."""

    def apply(self, s):
        s.positions -= 0.01 * (s.positions - s.positions.mean(axis=0))


class ImagesOfViews(opty.Operator, reads="kept_waves", writes="obj"):
    """Look at an image of each view outside of a sweep; must be refused."""

    def apply(self, s):
        s.obj *= abs(s.kept_waves).mean()


LIVE = opty.Leaf("change_of_view", "view", scale=0)


class LiveOfUser(opty.ViewOperator, reads="delta obj", writes="obj", slots=LIVE):
    """Change the object from batch to batch, with memory of each view and of the sweep; knows of no ranks."""

    def begin(self, s):
        s.create("change_of_view")
        s.memo["sum"] = 0.0

    def apply(self, s, b):
        change = abs(b.delta).sum(axis=(1, 2, 3))
        s.obj *= 1 + 1e-9 * change.sum()
        s.change_of_view[b.selection] += change
        s.memo["sum"] += float(change.sum())

    def finish(self, s):
        s.record("live", s.memo["sum"] + s.change_of_view.sum())


class MovesInSweep(opty.ViewOperator, reads="delta positions", writes="positions"):
    """Move positions from batch to batch; must be refused beside PIE."""

    def apply(self, s, b):
        s.positions[b.selection] += 0.01


class OnRank(opty.Operator, writes="obj"):
    """Do something in iteration 2 on rank 1 alone."""

    what: str
    over_ranks = True

    def apply(self, s):
        if s.iteration != 2 or COMM.rank != 1:
            return
        if self.what == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        elif self.what == "spoil":
            s.obj *= np.nan
        else:
            raise KeyError("a fault of rank 1")


def far(a, b):
    scale = np.abs(b).max() if np.size(b) else 1.0
    return float(np.abs(np.asarray(a) - np.asarray(b)).max() / (scale or 1.0)) if np.size(b) else 0.0


def sleep_until_all_are_here():
    """Let the others wait for rank 0 without taking its cores: in a barrier of MPI's they would spin."""
    request = COMM.Ibarrier()
    while not request.Test():
        time.sleep(0.002)


def equal(text, options):
    """Return how far the ranks end from one process, by what is compared."""
    model = {"model": options.pop("model")} if "model" in options else {}
    metres, wrong = options.pop("geometry", bool(model)), options.pop("wrong", 0)
    data, recipe = scan(**options), opty.parse(text)
    if wrong:
        away = wrong * np.random.default_rng(5).normal(size=data.positions.shape)
        data = data.replace(positions=np.maximum(data.positions + away, 0))
    if metres:
        pixel = 1e-10 / (data.n * 1e-5)
        data = data.replace(geometry=opty.Geometry(1e-10, 1.0, 1e-5), positions=data.positions * pixel)
    p = opty.PtychoState(data, **DOUBLE, **model).replace(arrays={"trust": np.linspace(0.5, 1, data.views)})
    q = recipe * p.over(COMM)
    bits = COMM.gather((q.obj.tobytes(), q.probe.tobytes(), q.iteration), root=0)
    whole = q.gather()
    if COMM.rank:
        sleep_until_all_are_here()
        return None
    p = recipe * p
    sleep_until_all_are_here()
    found = {name: far(whole.numpy(name), p.numpy(name)) for name in p._live.leaves}
    found |= {f"history of {name}": far(whole.history[name], p.history[name]) for name in p.history}
    found["ranks that differ"] = len(set(bits)) - 1
    found["what else"] = float(whole.recipe != p.recipe or whole.iteration != p.iteration)
    return found


def said(recipe, p):
    """Return what a run raises, by rank: class, message, iteration of the state that it carries."""
    try:
        (opty.parse(recipe) if isinstance(recipe, str) else recipe) * p
    except (Exception, KeyboardInterrupt) as error:
        state = getattr(error, "state", None)
        return type(error).__name__, str(error), None if state is None else state.iteration
    return "nothing", "", None


def started(comm=COMM):
    return opty.PtychoState(scan(), comm=comm, **MACHINE)


out = {"equal": {name: equal(text, dict(options)) for name, (text, options) in CASES.items()}}
refused = [
    "MemoOverViews() * AP()",
    "RowsTooEarly() * AP()",
    "ImagesOfViews() * DM()",
    "Sweep(MovesInSweep() * ObjUpdate() * FourierProject(), batch=4)",
]
out["refused"] = {text: said(text, opty.PtychoState(scan(), comm=COMM.Dup(), **MACHINE)) for text in refused}
out["interrupt"] = COMM.gather(said("(OnRank('interrupt') * AP()) ** 5", started()))
out["spoil"] = COMM.gather(said("(OnRank('spoil') * AP()) ** 5", started()))
out["fail"] = COMM.gather(said("(OnRank('fail') * AP()) ** 5", started()))

# A scan that grows: the first rank sees the views come.
feeds.EVERY = 0.0


class Arriving:
    """Views that come in four parts."""

    name = "a test"

    def __init__(self, data):
        self.parts = [data.part(slice(*some), stays=False) for some in ((0, 8), (8, 15), (15, 16), (16, 24))]

    @property
    def over(self):
        return not self.parts

    def poll(self):
        return self.parts.pop(0) if self.parts else None

    def close(self):
        pass


def followed(comm):
    arriving = Arriving(scan(views=24, fractional=False, span=30))
    data = feeds.Feed(arriving.poll(), arriving, 5.0).data if comm is None or comm.rank == 0 else None
    if comm is not None:
        sent = comm.bcast(data)
        data = data if comm.rank == 0 else sent
    p = opty.PtychoState(data, **DOUBLE)
    recipe = opty.parse("(Follow() * PosCorrectAdam() * LSQML(batch=4)) ** 3 * (Follow() * DM()) ** 2")
    return recipe * (p if comm is None else p.over(comm))


q = followed(COMM)
views = COMM.gather(len(q._live.leaves["positions"]))
whole = q.gather()
if COMM.rank == 0:
    p = followed(None)
    out["follow"] = {name: far(whole.numpy(name), p.numpy(name)) for name in ("obj", "probe", "positions")}
    out["followed"] = [whole.iteration, p.iteration, views, [int(v) for v in whole.history["views"]], whole.data.views]
sleep_until_all_are_here()

# PIE deals each batch evenly to the ranks: nearly the same as one process with batches of as many views.
true = scan(views=30, fractional=False)
q = (opty.rPIE(alpha=0.3) ** 80 * opty.PtychoState(true, comm=COMM, **MACHINE)).gather()
if COMM.rank == 0:
    p = opty.rPIE(alpha=0.3, batch=3) ** 80 * opty.PtychoState(true, **MACHINE)
    out["pie"] = [opty.analysis.errors(one)["object"] for one in (q, p)]
sleep_until_all_are_here()

# Each rank reads the frames of its own views.
opty.save("scan.cxi", scan(views=10)) if COMM.rank == 0 else None
COMM.Barrier()
lazy = opty.load("scan.cxi", comm=COMM)
read, plain = set(), LazyFrames.read


def watched(frames, choice):
    if len(frames) == 10:
        read.update(np.arange(10)[choice].tolist())
    return plain(frames, choice)


LazyFrames.read = watched
q = opty.parse("AP() ** 4") * opty.PtychoState(lazy, comm=COMM, **MACHINE)
LazyFrames.read = plain
out["read"] = COMM.gather(sorted(read))
q.save("ranks.h5")
half = (opty.parse("Save('half.h5', every=2) * DM()") ** 4) * opty.PtychoState(lazy, comm=COMM, **MACHINE)
half.save("whole.h5")
out["misfit"] = COMM.gather(opty.misfit(q))
try:
    q.positions  # noqa: B018
except ValueError as error:
    out["positions"] = str(error)
try:
    opty.analysis.errors(opty.PtychoState(true, comm=COMM, **MACHINE))
except ValueError as error:
    out["analysis"] = str(error)
ranks = q._live.ranks
before = ranks.calls, ranks.bytes
q = opty.parse("AP() ** 2") * q
out["cost"] = (ranks.calls - before[0], ranks.bytes - before[1], q.obj.nbytes, q.probe.nbytes)
if COMM.rank == 0:
    print(json.dumps(out), flush=True)
COMM.Barrier()
if COMM.rank == COMM.size - 1:
    Path("failed_at").write_text(str(time.time()))
    raise ZeroDivisionError("the last rank fails")
opty.misfit(q)

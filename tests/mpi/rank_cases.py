"""Recipes that ranks of MPI run beside one process, and how far the two come apart."""

import time

import numpy as np
from mpi4py import MPI
from small_scans import scan

import opty
from opty.data.parts import chosen

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
    "LBFGS": ("LBFGS() ** 5", {"modes": 2, "mask": 3}),
    "ML, smooth": ("ML(smooth=0.1) ** 5", {"fractional": False}),
    "background, intensities": ("(BackgroundUpdate() * IntensityUpdate() * AP()) ** 4", {"background": True}),
    "schedules and rules": (
        "ScaleObjProbe() * Misfit() * Orthogonalise() * DM() ** 3 * (Every(2, ClampObj(hi=1.2)) * AP()) ** "
        "Until(tol=1e-9, max_turns=5)",
        {"modes": 2},
    ),
    "vortices": ("(AP() * RemoveVortices() * Winds()) ** 2 * AP()", {"fractional": False}),
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
    "LSQML, rows of views": ("LSQML(batch=5) ** 4", {"modes": 2, "views": 25, "span": 50, "along": 0}),
    "LSQML, columns of views": (
        "LSQML(batch=5) ** 4",
        {"fractional": False, "views": 25, "span": 50, "along": 1},
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
    "positions, Anneal, LSQML": (
        "(PosCorrectAnneal(16.0, trials=6) * LSQML(batch=6)) ** 4",
        {"wrong": 1.0, "views": 25, "span": 50, "along": 0},
    ),
    "positions, Adam": (
        "(PosLimit(2.0) * PosModel(strength=0.2) * PosSearch(4) * PosCorrectAdam(weights='coverage') * AP()) ** 3",
        {"wrong": 1.0},
    ),
    "positions, weights of views": ("(PosCorrectAnneal(2.0, trials=2, weights='trust') * DM()) ** 3", {"wrong": 1.0}),
    "positions, stretched": ("(PosStretch() * PosCorrect(wait=False) * AP()) ** 6", {"wrong": 1.0, "views": 18}),
    "views held out": ("HoldOut(AP() ** 2) * AP() ** 2", {"wrong": 1.0, "views": 24, "span": 30}),
    "tries": (
        "BestOf((PosCorrect(search_every=3, hold=0.0) * AP()) ** 3, tries=2) * AP() ** 2",
        {"wrong": 1.0, "views": 18},
    ),
    "coarse": ("Coarse(2, (PosCorrect() * LSQML(batch=4)) ** 2) * AP()", {"wrong": 1.0, "n": 32}),
    "a probe that varies, AP": ("Orthogonalise() * ScaleObjProbe() * AP() ** 7", {"model": f"{VARYING}"}),
    "a probe that varies, ML": ("ML() ** 7", {"model": VARYING}),
    "a probe that varies, LBFGS": ("LBFGS() ** 7", {"model": VARYING}),
    "a probe that varies, PIE": (
        "Sweep(ProbeUpdate(step=0.5) * ObjUpdate(alpha=0.3) * FourierProject(), batch=4, order='scan') ** 7",
        {"model": VARYING, "fractional": False},
    ),
    "a probe that varies, LSQML": ("LSQML(batch=4) ** 7", {"model": VARYING}),
    "modes begun anew": (
        "RestartModes((PosCorrect(search_every=3, hold=0.0) * AP()) ** 3, turns=2) * AP() ** 2",
        {"modes": 2},
    ),
    "states of the object": (
        "CheckPositions() * OrthogonaliseStates() * DM() ** 2 * AP() ** 2 * ML() ** 2 * LSQML(batch=4) ** 2",
        {"model": "Object(states=2) * Probe(modes=2)", "views": 18},
    ),
    "several scans": ("AP() ** 3 * ML() ** 3 * LSQML(batch=4) ** 3", {"model": "Object() * Probe(scans=(5, 7))"}),
    "slices and their distance": (
        "(Refine('spacing') * AP()) ** 2 * (Refine('spacing') * PosCorrect() * LSQML(batch=4)) ** 2",
        {"model": "Slices(2, spacing=1e-6)"},
    ),
    "distance": ("(Refine('distance') * LSQML(batch=4)) ** 12", {"geometry": True}),
    "distance, near field": ("(Refine('distance') * LSQML(batch=4)) ** 11", {"geometry": "near", "views": 18}),
    "distance, near field, PIE in the order of the scan": (
        "(Refine('distance') * Sweep(ProbeUpdate(step=0.5) * ObjUpdate(alpha=0.3) * FourierProject(), batch=4, "
        "order='scan')) ** 11",
        {"geometry": "near", "views": 18},
    ),
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
    "a user's live step on the whole object": (
        "Sweep(DimsInSweep() * LSQUpdate() * FourierProject(), batch=5, order='uniform') ** 3",
        {"views": 25, "span": 50, "along": 0},
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


class MeanOfRows(opty.ViewOperator, reads="waves", slots=opty.Leaf("rows_of_views", "view", scale=0)):
    """Take the mean over all views at the end of a sweep; knows of no ranks."""

    def begin(self, s):
        s.create("rows_of_views")

    def apply(self, s, b):
        s.rows_of_views[b.selection] = abs(b.waves).sum(axis=(1, 2, 3))

    def finish(self, s):
        s.record("rows", s.rows_of_views.mean())


class Winds(opty.Operator, reads="obj", writes="obj"):
    """Put a pair of vortices into the middle of the object."""

    over_ranks = True

    def apply(self, s):
        rows, columns = np.indices(s.object_shape) - np.array(s.object_shape)[:, None, None] // 2 + 0.5
        s.obj *= np.exp(1j * np.angle(((rows + 3) + 1j * (columns + 4)) * ((rows - 3) - 1j * (columns - 3))))


class MiddleOfScan(opty.Operator, reads="positions", writes="positions"):
    """Draw all positions towards their mean; knows of no ranks."""

    def apply(self, s):
        s.positions -= 0.01 * (s.positions - s.positions.mean(axis=0))


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


class DimsInSweep(opty.ViewOperator, reads="delta obj", writes="obj"):
    """Change the object from batch to batch by what all of it is, with sums of its own."""

    over_ranks = True
    sums_batches = True

    def apply(self, s, b):
        change = float(s.total(s.xp.asarray(abs(b.delta).sum() if b.size else 0.0)))
        s.obj *= 1 - 1e-6 * change * float(abs(s.obj).mean())


def far(a, b):
    scale = np.abs(b).max() if np.size(b) else 1.0
    return float(np.abs(np.asarray(a) - np.asarray(b)).max() / (scale or 1.0)) if np.size(b) else 0.0


def sleep_until_all_are_here():
    """Let the others wait for rank 0 without taking its cores: in a barrier of MPI's they would spin."""
    request = COMM.Ibarrier()
    while not request.Test():
        time.sleep(0.002)


def equal(text, options, device="cpu"):
    """Return how far the ranks end from one process on the CPU, by what is compared."""
    model = {"model": options.pop("model")} if "model" in options else {}
    metres, wrong = options.pop("geometry", bool(model)), options.pop("wrong", 0)
    along = options.pop("along", None)
    data, recipe = scan(**options), opty.parse(text)
    if along is not None:  # so that the ranks have strips of the object
        data = chosen(data, np.argsort(data.positions[:, along]))
    if wrong:
        away = wrong * np.random.default_rng(5).normal(size=data.positions.shape)
        data = data.replace(positions=np.maximum(data.positions + away, 0))
    if metres:
        pixel = 1e-10 / (data.n * 1e-5)
        geometry = opty.Geometry(1e-10, 1.0, 1e-5)
        if metres == "near":
            geometry = opty.Geometry(1e-10, 5 * pixel**2 / 1e-10, pixel, propagation="near")
        data = data.replace(geometry=geometry, positions=data.positions * pixel)
    p = opty.PtychoState(data, **DOUBLE, **model).replace(arrays={"trust": np.linspace(0.5, 1, data.views)})
    q = recipe * p.to(device).over(COMM)
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

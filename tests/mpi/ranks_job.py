"""What all ranks of MPI do for test_ranks.py: mpiexec -n 3 python ranks_job.py TESTS; the first rank prints JSON.

At the end the last rank fails, outside of any run, while the others wait for its sums.
"""

import json
import os
import signal
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

import opty
from opty.arrays import ranks as ranks_module
from opty.data import feed as feeds
from opty.data.lazy_frames import LazyFrames
from opty.data.parts import chosen
from opty.live import server as servers
from opty.runtime.shared_object import SharedObject, size_of

sys.path.insert(0, sys.argv[1])
from rank_cases import CASES, COMM, DOUBLE, MACHINE, MeanOfRows, equal, far, sleep_until_all_are_here
from small_scans import scan


class MemoOverViews(opty.ViewOperator, reads="waves", slots=opty.Leaf("memo_total", "1", scale=0)):
    """Gather in a memo what other ranks do not see; must be refused."""

    def begin(self, s):
        s.memo["sum"] = s.xp.zeros(())

    def apply(self, s, b):
        s.memo["sum"] += (abs(b.waves) ** 2).sum()

    def finish(self, s):
        pass


class RowsTooEarly(MeanOfRows):
    """Look at rows of views before the sweep; must be refused."""

    def begin(self, s):
        super().begin(s)
        s.memo["before"] = s.rows_of_views.sum()


class ImagesOfViews(opty.Operator, reads="kept_waves", writes="obj"):
    """Look at an image of each view outside of a sweep; must be refused."""

    def apply(self, s):
        s.obj *= abs(s.kept_waves).mean()


class MovesInSweep(opty.ViewOperator, reads="delta positions", writes="positions"):
    """Move positions from batch to batch; must be refused beside PIE."""

    def apply(self, s, b):
        s.positions[b.selection] += 0.01


class Strays(opty.Operator, writes="positions"):
    """Put two views outside of the frame, of which the first in the scan is the first of its rank."""

    def apply(self, s):
        if s.iteration == 1:
            s.positions[8:10] = [[900.0, 5.0], [5.0, 950.0]]


class FailsOnLastRank(opty.ViewOperator, reads="delta"):
    """Fail at the first batch of the last of three ranks."""

    def apply(self, s, b):
        if COMM.rank == 2:
            raise KeyError("a fault of the last rank")


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
out["stray"] = COMM.gather(said("(Strays() * AP()) ** 3", started()))
try:
    opty.parse("Sweep(ObjUpdate() * FailsOnLastRank() * FourierProject(), batch=3, order='scan')") * started(COMM.Dup())
except Exception as error:
    out["notes"] = COMM.gather(getattr(error, "__notes__", []))
out["interrupt"] = COMM.gather(said("(OnRank('interrupt') * AP()) ** 5", started()))
out["spoil"] = COMM.gather(said("(OnRank('spoil') * AP()) ** 5", started()))
before = len(ranks_module._left)
out["fail"] = COMM.gather(said("(OnRank('fail') * AP()) ** 5", started()))
out["left"] = COMM.gather(len(ranks_module._left) - before)

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

# The first rank serves a page, to which all give their part.
q = opty.parse("(Serve(port=0) * AP()) ** 4") * started(COMM.Dup())
pages = COMM.gather(len(servers._servers))
if COMM.rank == 0:
    seen = servers._servers[0].board.snapshot
    out["served"] = [pages, seen.iteration, far(seen.obj, q.obj), list(seen.positions.shape)]

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
strip = scan(views=25, span=50)
strip = chosen(strip, np.argsort(strip.positions[:, 0]))
q = opty.LSQML(batch=5) * opty.PtychoState(strip, **DOUBLE).over(COMM)
store, before = q._live, q._live.ranks.bytes
corners = np.rint(strip.positions_px + store.origin).astype(int)
box = SharedObject(store, [corners[a:b] for a, b in pairwise(store.ranks.starts(25).tolist())]).box
q = opty.LSQML(batch=5) * q
out["shared"] = (q._live.ranks.bytes - before, 5, size_of(box), q.obj.size, q.obj.nbytes, q.probe.nbytes)
if COMM.rank == 0:
    print(json.dumps(out), flush=True)
COMM.Barrier()
if COMM.rank == COMM.size - 1:
    Path("failed_at").write_text(str(time.time()))
    raise ZeroDivisionError("the last rank fails")
opty.misfit(q)

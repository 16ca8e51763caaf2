"""One case, measured: seconds of a sweep, of its bare Fourier transforms turn by turn with it, and bytes held."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

import opty
from benchmarks import scans
from benchmarks.bare import Bare, counted, timed, waiter
from opty.runtime.batch_size import batch_size
from opty.runtime.memory_estimate import footprint
from opty.runtime.nodes import SweepNode, walk
from opty.runtime.plan import plan
from opty.runtime.program import program_of

TURN = 0.2  # seconds that a turn of the engine or of the transforms takes at least, by repeating shorter ones
ROOT = Path(__file__).resolve().parents[1]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def in_a_process(*args, **options) -> dict:
    """Return what ``measured`` does, called in a process of its own, with one thread for linear algebra.

    Memory is told apart from that of other cases, and nothing is left over from them.
    """
    call = f"measured(*json.loads({json.dumps(args)!r}), **json.loads({json.dumps(options)!r}))"
    code = f"import json; from benchmarks.sweep import measured; print(json.dumps({call}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | ONE_THREAD,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def measured(
    folder: str,
    recipe: str,
    subpixel: bool,
    device: str,
    threads: int,
    repeat: int = 5,
    turn: float = TURN,
    model: str = "",
) -> dict:
    """Return the measurements of a recipe on the scan in a folder, with a model where one is given.

    A first sweep compiles what is compiled, on a small scan. The second, on the scan itself, tells the memory and the
    transforms. Then engine and transforms take turns, ``repeat`` each, and the median of each is what counts: of CPU
    seconds where models are compared with one thread, which other processes disturb less.
    """
    warnings.simplefilter("ignore", opty.MisfitWarning)  # turns go on where the last one ended, past convergence
    op, options = opty.parse(recipe), dict(device=device, threads=threads)
    options |= dict(model=model)
    _compile(op, subpixel, **options)
    memory = Memory(device)
    p = scans.start(scans.load(Path(folder)), subpixel, **options)
    found = _planned(op, p)
    with counted(device) as transforms:
        q = op * p
    found["resident_bytes"] = memory.peak()
    clock = time.process_time if model and device == "cpu" and threads == 1 else time.perf_counter
    bare, engine = Bare(transforms, device, threads, clock), Engine(op, q, waiter(device), clock)
    times = [max(1, math.ceil(turn / work.seconds())) for work in (engine, bare)]
    taken = np.array(
        [[work.seconds(count) for work, count in zip((engine, bare), times, strict=True)] for _ in range(repeat)]
    )
    found |= _summary(*taken.T, found["views"])
    images = sum(count * transform.images for transform, count in transforms.items())
    found |= dict(transforms=images, per_view_and_mode=images / (found["views"] * found["modes"]), bare_way=bare.way)
    return found


def _compile(op: opty.Operator, subpixel: bool, **options) -> None:
    small = scans.simulated(scans.Scan("compile", (3, 3), 16, 2))
    op * scans.start(small, subpixel, **options)


def _planned(op: opty.Operator, p: opty.PtychoState) -> dict:
    """Return the sizes of a case and what ``explain`` says of its memory."""
    groups, store = plan(op), p._live
    sizes = [batch_size(node, store) for node in walk(groups) if isinstance(node, SweepNode)]
    return dict(
        views=p.data.views,
        n=p.data.n,
        modes=len(p.probe),
        batch=max(sizes),
        batches=sum(math.ceil(p.data.views / size) for size in sizes),
        told_bytes=footprint(store, program_of(op, store)).total,
    )


def _summary(engine: np.ndarray, bare: np.ndarray, views: int) -> dict:
    """Return medians, and between what the turns of the engine lay [s a sweep]."""
    seconds, bare_seconds = float(np.median(engine)), float(np.median(bare))
    return dict(
        seconds=seconds,
        fastest=float(engine.min()),
        slowest=float(engine.max()),
        bare_seconds=bare_seconds,
        ratio=seconds / bare_seconds,
        views_per_second=views / seconds,
    )


class Engine:
    """A recipe that goes on from where it was, turn by turn; the state that it starts from is given away."""

    def __init__(self, op: opty.Operator, p: opty.PtychoState, wait, clock=time.perf_counter):
        self.op, self.p, self.wait, self.clock = op, p, wait, clock

    def seconds(self, times: int = 1) -> float:
        """Return the seconds of a sweep, the mean of so many in one run."""
        return timed(lambda: self._run(times), self.wait, clock=self.clock) / times

    def _run(self, times: int) -> None:
        self.p = self.op**times * self.p.donate()


class Memory:
    """Bytes that a process came to hold since this was made: its resident memory, or CuPy's pool on a GPU."""

    def __init__(self, device: str):
        self.device = device
        if device == "gpu":
            import cupy

            self.pool = cupy.get_default_memory_pool()
            self.pool.free_all_blocks()
        else:
            _forget_peak()
        self.before = self._held()

    def peak(self) -> int | None:
        """Return the most that was held in between; None where the system does not tell."""
        held = self._held()
        return None if held is None else held - self.before

    def _held(self) -> int | None:
        if self.device == "gpu":
            return self.pool.total_bytes()  # what it took from the device, of which it gave nothing back
        try:
            lines = Path("/proc/self/status").read_text().splitlines()
        except OSError:
            return None
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _forget_peak() -> None:
    """Let Linux count the peak of resident memory anew from here; elsewhere none is told."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return

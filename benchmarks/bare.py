"""The Fourier transforms of a sweep, and nothing else: counted while the engine runs, then timed alone.

On the CPU they are scipy.fft's, in place, and each kind is done in the fastest of the ways that the same number of
threads allows; on a GPU cuFFT's, batched, with a plan, without the scaling that an engine can leave to others, and
where there are many of them captured in a graph, as the engine's are. Transforms of opty's own count as what they take
the place of.
"""

from __future__ import annotations

import functools
import importlib
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from unittest import mock

import numpy as np

LIBRARIES = {"cpu": "scipy.fft", "gpu": "cupyx.scipy.fft"}
_NAMES = ("fft2", "ifft2", "fftn", "ifftn")


def waiter(device: str) -> Callable[[], None]:
    """Return the function that waits until a device has done what was asked of it: a CPU has when a call returns."""
    if device == "cpu":
        return lambda: None
    import cupy

    return cupy.cuda.Device().synchronize


def timed(work: Callable[[], object], wait: Callable[[], None], times: int = 1, clock=time.perf_counter) -> float:
    """Return the seconds that some work takes, the mean of so many times."""
    wait()
    begun = clock()
    for _ in range(times):
        work()
    wait()
    return (clock() - begun) / times


@dataclass(frozen=True)
class Transform:
    """A call of the library: the array's shape and type, the direction, and whether a worker thread called."""

    shape: tuple[int, ...]
    dtype: str
    inverse: bool
    pooled: bool

    @property
    def images(self) -> int:
        """Two-dimensional transforms in it."""
        return prod(self.shape[:-2])


@contextmanager
def counted(device: str) -> Iterator[Counter]:
    """Count the calls of the Fourier transforms that a backend makes while the block runs.

    They are caught where the library's attributes are looked up, so a backend has to call ``scipy.fft.fft2(...)`` and
    not a name that it imported from there; on a GPU also where fused steps make their plans, and where they launch
    transforms of their own. Nothing is replayed meanwhile.
    """
    library, calls, main = importlib.import_module(LIBRARIES[device]), [], threading.current_thread()

    def caught(name: str) -> Callable:
        original = getattr(library, name)

        def call(a, *args, **options):
            pooled = threading.current_thread() is not main
            calls.append(Transform(tuple(a.shape), a.dtype.name, name.startswith("i"), pooled))
            return original(a, *args, **options)

        return call

    found: Counter = Counter()
    with mock.patch.multiple(library, **{name: caught(name) for name in _NAMES}), _planned(device, calls):
        yield found
    shared = {replace(call, pooled=True) for call in calls if call.pooled}
    # The main thread takes part in what the workers do: its calls are of the same kind.
    found.update(max(call, replace(call, pooled=True), key=shared.__contains__) for call in calls)


class _Plan:
    """A plan of cuFFT's that notes what it transforms."""

    def __init__(self, plan, calls: list[Transform]):
        self.plan, self.calls = plan, calls

    def fft(self, a, out, direction: int) -> None:
        self.calls.append(Transform(tuple(a.shape), a.dtype.name, direction > 0, False))
        self.plan.fft(a, out, direction)


@contextmanager
def _planned(device: str, calls: list[Transform]) -> Iterator[None]:
    if device == "cpu":
        from opty.kernels import numpy_backend

        with mock.patch.object(numpy_backend, "_C2C", None, create=True):  # small arrays go past scipy.fft
            yield
        return
    from opty.kernels import gpu_base
    from opty.kernels.fft.pipeline import FourierPipeline
    from opty.runtime import graph_replay

    make, forward, inverse = gpu_base.get_fft_plan, FourierPipeline.forward, FourierPipeline.inverse

    def noted(launch: Callable, backwards: bool) -> Callable:
        def call(self, waves, *args, **options):
            calls.append(Transform(tuple(waves.shape), waves.dtype.name, backwards, False))
            return launch(self, waves, *args, **options)

        return call

    with (
        mock.patch.object(gpu_base, "get_fft_plan", lambda *args, **options: _Plan(make(*args, **options), calls)),
        mock.patch.multiple(FourierPipeline, forward=noted(forward, False), inverse=noted(inverse, True)),
        mock.patch.object(graph_replay, "FEW", sys.maxsize),
    ):
        yield


class Bare:
    """The transforms that were counted, ready to be timed.

    ``way`` : in words, how those were done that take most of the time.
    """

    def __init__(self, found: Counter, device: str, threads: int, clock=time.perf_counter):
        if not found:
            raise ValueError(f"no Fourier transform went through {LIBRARIES[device]}: nothing to compare with")
        self.threads, self.pool, self.clock = threads, ThreadPoolExecutor(threads), clock
        self.synchronize = waiter(device)
        ways_of = self._ways_gpu if device == "gpu" else self._ways_cpu
        chosen = [self._fastest(ways_of(transform, count)) for transform, count in found.items()]
        self.way = max(chosen, key=_seconds)[1]
        self.runs = [run for _, _, run in chosen]

    def seconds(self, times: int = 1) -> float:
        """Return the seconds that all of them take, the mean of so many times."""
        return timed(lambda: [run() for run in self.runs], self.synchronize, times, self.clock)

    def _fastest(self, ways: dict[str, Callable]) -> tuple[float, str, Callable]:
        """Return seconds, words and function of the way that took the least of three turns."""
        found = [
            (min(timed(run, self.synchronize, clock=self.clock) for _ in range(3)), words, run)
            for words, run in ways.items()
        ]
        return min(found, key=_seconds)

    def _ways_cpu(self, transform: Transform, count: int) -> dict[str, Callable]:
        """Return the ways to do a transform ``count`` times: alone, SciPy's workers, chunks or calls side by side."""
        a, library = _noise(transform, np), importlib.import_module("scipy.fft")
        one = functools.partial(getattr(library, _name(transform)), norm="ortho", overwrite_x=True)
        ways = {"one thread": lambda: [one(a) for _ in range(count)]}
        if self.threads == 1:
            return ways
        ways["SciPy's workers"] = lambda: [one(a, workers=self.threads) for _ in range(count)]
        if transform.images >= self.threads:
            parts = np.array_split(a.reshape(-1, *a.shape[-2:]), self.threads)
            ways["a chunk a thread"] = lambda: [list(self.pool.map(one, parts)) for _ in range(count)]
        if transform.pooled:  # the engine works on several calls at once, and so may these
            arrays = [a.copy() for _ in range(self.threads)]
            shares = [len(range(k, count, self.threads)) for k in range(self.threads)]
            side = lambda b, share: [one(b) for _ in range(share)]  # noqa: E731 - a name for one line
            ways["calls side by side"] = lambda: list(self.pool.map(side, arrays, shares))
        return ways

    def _ways_gpu(self, transform: Transform, count: int) -> dict[str, Callable]:
        """Return the one way on a GPU: a plan for the whole batch, in place, and nothing is scaled."""
        import cupy
        from cupy.cuda import cufft
        from cupyx.scipy.fft import get_fft_plan

        from opty.kernels.cupy_backend import captured
        from opty.runtime import graph_replay as replay

        a = _noise(transform, cupy).reshape(-1, *transform.shape[-2:])
        plan, direction = (
            get_fft_plan(a, axes=(1, 2)),
            cufft.CUFFT_INVERSE if transform.inverse else cufft.CUFFT_FORWARD,
        )
        plainly = lambda: [plan.fft(a, a, direction) for _ in range(count)]  # noqa: E731 - a name for one line
        if count <= replay.FEW:
            return {"cuFFT, a plan a batch": plainly}
        plainly()  # what a plan makes for itself it makes in its first call
        graph, kept = captured(plainly), (plan, a)  # a graph keeps nothing alive
        return {"cuFFT, a plan a batch, in a graph": lambda: (graph.launch(), kept)}


def _name(transform: Transform) -> str:
    return "ifft2" if transform.inverse else "fft2"


def _noise(transform: Transform, xp):
    """Return an array like the transform's, of noise: zeros may be faster than numbers."""
    image = np.random.default_rng(0).normal(size=(*transform.shape[-2:], 2)).view(complex)[..., 0]
    a = xp.empty(transform.shape, transform.dtype)
    a[...] = xp.asarray(image.astype(transform.dtype))
    return a


def _seconds(way: tuple[float, str, Callable]) -> float:
    return way[0]

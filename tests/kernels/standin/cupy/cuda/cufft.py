"""Plans of cuFFT, by SciPy: sums without a factor, in either direction."""

from __future__ import annotations

import weakref

import scipy.fft

from cupy import _capture
from cupy._ndarray import ndarray

CUFFT_FORWARD, CUFFT_INVERSE = -1, 1


class PlanNd:
    """A plan for complex transforms of arrays of one shape, over their last axes."""

    def __init__(self, shape: tuple, dtype, axes: int):
        _capture.refuse("the making of a plan")
        self.shape, self.dtype, self._axes = shape, dtype, tuple(range(-axes, 0))

    def fft(self, a: ndarray, out: ndarray, direction: int) -> None:
        """Transform ``a`` into ``out``, which may be the same."""
        if 0 in self.shape:
            raise RuntimeError("CUFFT_INVALID_PLAN")  # of no transforms: it can be made, and not be used
        for given in (a, out):
            # The driver would take any address: whatever lies there is transformed as if it had the plan's shape.
            if given.shape != self.shape or given.dtype != self.dtype or not given.flags.c_contiguous:
                raise AssertionError(f"a plan for {self.shape} {self.dtype} was given {given.shape} {given.dtype}")
        if not _capture.active():
            self._run(a, out, direction)
            return
        plan = weakref.ref(self)

        def run(*arguments):
            if plan() is None:
                raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS: a graph uses a plan that was destroyed")
            plan()._run(*arguments)

        _capture.record(run, (a, out, direction))

    def _run(self, a: ndarray, out: ndarray, direction: int) -> None:
        transform = {CUFFT_FORWARD: scipy.fft.fftn, CUFFT_INVERSE: scipy.fft.ifftn}[direction]
        norm = "backward" if direction == CUFFT_FORWARD else "forward"
        out._host[...] = transform(a._host, axes=self._axes, norm=norm)

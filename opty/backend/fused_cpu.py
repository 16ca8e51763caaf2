"""The fused steps of a sweep on the CPU: a batch in pieces that stay in a core's cache, spread over threads.

The same class stands in ``fused_gpu``, with kernels of its own. Results are the same bits for any number of threads.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from opty.backend.operands import Frames, Kept
from opty.backend.thread_pool import cut, share
from opty.physics.propagation import Propagator

_WORTH_SHARING = 1 << 18  # values: to wake a thread takes as long as to go through them once (measured)
PIECE = 1 << 20  # bytes of the waves that a thread works on at a time: they stay in its core's cache (measured)


@functools.cache
def loops() -> ModuleType:
    """Return the compiled loops, or where numba is not installed those of NumPy."""
    if find_spec("numba") is None:
        from opty.backend import plain

        return plain
    from opty.backend import loops

    return loops


class Fused:
    """What a batch goes through, with buffers that are kept from batch to batch.

    Arguments are those of ``plain``: obj (H, W), corners (B, 2), illum (B or 1, M, n, n), waves (B, M, n, n).
    ``deterministic`` concerns the GPU only: here each pixel adds its views in ascending order in any case.
    """

    def __init__(
        self,
        propagator: Propagator,
        probe_shape: tuple[int, int, int],
        dtype: Any,
        threads: int,
        deterministic: bool = False,
    ):
        self._do, self._propagator, self._threads = loops(), propagator, threads
        self._shape, self._dtype = probe_shape, np.dtype(dtype)
        self._fit = max(1, PIECE // (math.prod(probe_shape) * self._dtype.itemsize))
        self._alone, self._largest_batch, self._rows = False, 1, np.arange(0)
        self._within = 1  # threads within a transform, where a piece is the whole batch
        self._rooms: dict[str, np.ndarray] = {}
        self._sums: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._misfits: list[np.ndarray] = []

    def new_sweep(self, alone: bool, largest: int = 1) -> None:
        """Begin a sweep, of batches of ``largest`` views and fewer, for which room is made at once.

        ``alone`` : nobody keeps what a batch is given, and the next one may have the same memory. ``misfit`` counts
        from here.
        """
        self._alone, self._largest_batch = alone, largest
        self._misfits.clear()

    def misfit(self) -> float:
        """Return sum w (sqrt I - sqrt Ihat)^2 of all that went to the detector in this sweep, a real scalar."""
        return math.fsum(np.concatenate(self._misfits)) if self._misfits else 0.0

    def room(self, name: str, views: int, times: int = 1) -> np.ndarray:
        """Return room for so many times the waves of a batch (times B, M, n, n), of one use for each name."""
        if not self._alone:
            return np.empty((times * views, *self._shape), self._dtype)
        if name not in self._rooms or len(self._rooms[name]) < times * views:
            self._rooms.pop(name, None)  # or there would be two for a moment
            most = max(views, self._largest_batch) if views > 1 else 1  # one may be all that is ever asked for
            self._rooms[name] = np.empty((times * most, *self._shape), self._dtype)
        return self._rooms[name][: times * views]

    def rows(self, views: int) -> np.ndarray:
        """Return 0, 1, 2, ... (B,): where the views of a batch stand in an array of its own."""
        if len(self._rows) < views:
            self._rows = np.arange(views)
        return self._rows[:views]

    def sums(self, leaf: str, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Return canvases of zeros for "obj" or "probe", (L, H, W) complex and (H, W) real, that end as zeros again."""
        if leaf not in self._sums:
            real = self._dtype.type(0).real.dtype
            self._sums[leaf] = np.zeros(shape, self._dtype), np.zeros(shape[1:], real)
        return self._sums[leaf]

    def exit_waves(self, obj, corners, illum, waves) -> None:
        """waves_jm = illum_jm O_j."""
        self._do.exit_waves(obj, corners, illum, waves)

    def shifted(self, probe, fraction, name: str = "illum") -> np.ndarray:
        """Return a probe (M, n, n) moved by fraction (B, 2) px for each view, (B, M, n, n), in a room of its own."""
        out, transform = self.room(name, len(fraction)), self._propagator.backend
        spectrum = transform.fft2(probe)

        def work(some: slice) -> None:
            self._do.shift(spectrum, fraction[some], out[some])
            _into(out[some], transform.ifft2(out[some], True))

        self._share_views(work, len(out))
        return out

    def through_object(self, waves, rows, obj, corners) -> np.ndarray:
        """Return conj(O_j) waves_jm (B, M, n, n), in a room of its own."""
        out = self.room("back", len(rows))

        def work(some: slice) -> None:
            self._do.through_object(waves, rows[some], obj, corners[some], None, out[some])

        self._share_views(work, len(out))
        return out

    def on_probe(self, waves, rows, obj, corners, fraction) -> np.ndarray:
        """Return sum_j S_j^-1 conj(O_j) waves_jm (M, n, n), S_j the move by ``fraction``: the adjoint of seeing it."""
        total = np.zeros(self._shape, self._dtype)
        self.add_on_probe(waves, rows, obj, corners, fraction, total)
        return self._propagator.backend.ifft2(total, True)

    def add_on_probe(self, waves, rows, obj, corners, fraction, spectrum, illum=None) -> None:
        """Add the spectrum of what ``on_probe`` returns to ``spectrum`` (M, n, n), view after view.

        With ``illum`` the waves are taken less illum_jm O_j.
        """
        out, transform = self.room("back", len(rows)), self._propagator.backend

        def work(some: slice) -> None:
            seen = illum if illum is None or len(illum) == 1 else illum[some]
            self._do.through_object(waves, rows[some], obj, corners[some], seen, out[some])
            _into(out[some], transform.fft2(out[some], True))

        self._share_views(work, len(out))

        def gather(band: slice) -> None:
            self._do.add_shifted_back(out, fraction, spectrum, band.start, band.stop)

        share(gather, self._bands(self._shape[1], out.size), self._threads)

    def project(self, obj, corners, illum, frames: Frames, difference: bool, waves, fraction=None) -> None:
        """Bring exit waves to the detector, put the measured modulus on them and bring them back, into ``waves``.

        They start as illum O; what comes back are the projected waves, or with ``difference`` their difference to what
        they were. ``fraction`` (B, 2) px concerns the near field only.
        ``misfit`` counts sum w (sqrt I - sqrt Ihat)^2 of the batch.
        """

        def work(obj, corners, illum, frames, waves, fraction, misfits) -> None:
            self._do.exit_waves(obj, corners, illum, waves)
            self._put_modulus(waves, frames, difference, fraction, misfits)

        self._in_pieces(work, obj, corners, illum, frames, waves, fraction)

    def step_kept(
        self, obj, corners, illum, frames: Frames, waves, kept: Kept, beta: float, keep: float, fraction=None
    ) -> None:
        """Take a step of the difference map's kind: kept += beta (Pi(2 P O - kept) - P O) + (1 - keep) (P O - kept).

        Pi is what ``project`` does. ``waves`` is room to work in. ``misfit`` counts that of 2 P O - kept.
        With D = Pi(2 P O - kept) - (2 P O - kept) the step is kept = share kept + (1 - share) P O + beta D, where
        share = keep - beta is zero for the difference map and for RAAR.
        """

        def work(obj, corners, illum, frames, waves, fraction, misfits, rows) -> None:
            self._do.reflect(obj, corners, illum, kept.waves, rows, waves)
            self._put_modulus(waves, frames, True, fraction, misfits)
            self._do.advance(obj, corners, illum, waves, kept.waves, rows, beta, keep - beta)

        self._in_pieces(work, obj, corners, illum, frames, waves, fraction, kept.rows)

    def _in_pieces(self, work, obj, corners, illum, frames, waves, fraction, *per_view) -> None:
        """Call ``work`` with a batch, piece by piece, and count the misfits (B,) that it fills in."""
        views = len(corners)
        misfits = np.empty(views)
        self._misfits.append(misfits)
        self._within = self._threads if views <= self._piece(views) else 1
        if views <= self._piece(views):  # the usual case of live updates, where every microsecond counts
            work(obj, corners, illum, frames, waves, fraction, misfits, *per_view)
            return

        def piece(some: slice) -> None:
            seen = illum if len(illum) == 1 else illum[some]
            moved = None if fraction is None else fraction[some]
            part = frames._replace(rows=frames.rows[some])
            work(obj, corners[some], seen, part, waves[some], moved, misfits[some], *(a[some] for a in per_view))

        share(piece, cut(views, self._piece(views)), self._threads)

    def _put_modulus(self, waves, frames, difference, fraction, misfits) -> None:
        there = self._propagator.to_modulus(waves, fraction, self._within)
        intensity, rows, mask, background = frames
        self._do.put_modulus(there, intensity, rows, mask, background, difference, misfits)
        _into(waves, self._propagator.from_modulus(there, fraction, self._within))

    def add_to_object(self, waves, rows, corners, illum, obj_sum, obj_weight) -> None:
        """obj_sum (H, W) += sum_m conj(illum_jm) waves_jm and obj_weight += sum_m |illum_jm|^2, views in place."""
        light = self._light(illum, obj_weight)

        def work(band: slice) -> None:
            self._do.add_to_object(waves, rows, corners, illum, light, obj_sum, obj_weight, band.start, band.stop)

        share(work, self._bands(len(obj_sum), self._of_views(len(rows))), self._threads)

    def add_to_probe(self, waves, rows, obj, corners, probe_sum, probe_weight) -> None:
        """probe_sum (M, n, n) += conj(O_j) waves_jm and probe_weight (n, n) += |O_j|^2, over the views."""

        def work(band: slice) -> None:
            self._do.add_to_probe(waves, rows, obj, corners, probe_sum, probe_weight, band.start, band.stop)

        share(work, self._bands(len(probe_weight), self._of_views(len(rows))), self._threads)

    def add_to_both(self, waves, rows, corners, illum, obj, obj_sum, obj_weight, probe_sum, probe_weight) -> None:
        """What ``add_to_object`` and ``add_to_probe`` do, shared by the threads together."""
        light = self._light(illum, obj_weight)

        def work(piece: tuple[bool, slice]) -> None:
            on_object, band = piece
            if on_object:
                sums = obj_sum, obj_weight, band.start, band.stop
                self._do.add_to_object(waves, rows, corners, illum, light, *sums)
            else:
                self._do.add_to_probe(waves, rows, obj, corners, probe_sum, probe_weight, band.start, band.stop)

        values = self._of_views(len(rows))
        both = (True, self._bands(len(obj_sum), values)), (False, self._bands(len(probe_weight), values))
        share(work, [(on_object, band) for on_object, bands in both for band in bands], self._threads)

    def add_seen(self, obj, corners, probe_weight) -> None:
        """probe_weight (n, n) += |O_j|^2 over the views."""

        def work(band: slice) -> None:
            self._do.add_seen(obj, corners, probe_weight, band.start, band.stop)

        share(work, self._bands(len(probe_weight), len(corners) * probe_weight.size), self._threads)

    def add_scaled(self, target, direction, weight, regularisation: float, step: float) -> None:
        """target (L, H, W) += step direction / [a max(weight) + (1 - a) weight], a the regularisation.

        direction (L, H, W) and weight (H, W) are zero afterwards.
        """
        most = self._do.largest(weight, 0, len(weight))

        def work(band: slice) -> None:
            self._do.add_scaled(target, direction, weight, most, regularisation, step, band.start, band.stop)

        share(work, self._bands(len(weight), weight.size // 2), self._threads)

    def merge(self, old, total, weight, held, inertia: float) -> None:
        """old (L, H, W) = (total + c held) / (weight + c), c = inertia max(weight); as it is where nothing is known."""
        ground = inertia * self._do.largest(weight, 0, len(weight))

        def work(band: slice) -> None:
            self._do.merge(old, total, weight, held, ground, band.start, band.stop)

        share(work, self._bands(len(weight), weight.size // 2), self._threads)

    def update_both(self, obj, corners, probe, waves, alpha, obj_step, beta, probe_step) -> None:
        """Steps of object and probe along the residual of one view, both from what they were: see ``plain``."""
        self._do.update_both(obj, corners, probe, waves, alpha, obj_step, beta, probe_step)

    def _piece(self, views: int) -> int:
        """Return how many views make a piece: no more than a cache holds, and enough pieces for all threads."""
        return self._fit if self._threads == 1 else min(self._fit, -(-views // (2 * self._threads)))

    def _share_views(self, work: Callable[[slice], None], views: int) -> None:
        """Call ``work`` with the views of a batch, piece by piece."""
        size = self._piece(views)
        if views <= size:
            work(slice(0, views))
        else:
            share(work, cut(views, size), self._threads)

    def _light(self, illum, weight) -> np.ndarray:
        """Return sum_m |illum_jm|^2, (B or 1, n, n) in the real type of ``weight``."""
        light = np.empty((len(illum), *self._shape[1:]), weight.dtype)
        self._do.power(illum, light)
        return light

    def _bands(self, rows: int, values: int) -> list[slice]:
        """Return bands of rows; only one where ``values`` are so few that they are done before another thread wakes."""
        if self._threads == 1 or values < _WORTH_SHARING:
            return [slice(0, rows)]
        return cut(rows, -(-rows // (4 * self._threads)))

    def _of_views(self, views: int) -> int:
        """Values in the waves of so many views."""
        return views * math.prod(self._shape)


def _into(waves: np.ndarray, transformed: np.ndarray) -> None:
    """Put transformed waves where they were: SciPy transforms in place where it can, and does not say whether."""
    if not np.may_share_memory(waves, transformed):
        waves[...] = transformed

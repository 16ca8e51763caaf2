"""The slope of a likelihood, and its changes along a step, on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.arrays.thread_pool import chunks, parallel_for
from opty.kernels.compiled import loops
from opty.kernels.cpu_base import CpuBase, of_views, store
from opty.kernels.likelihood.noise import NOISES


class CpuLikelihood(CpuBase):
    """Fits of the likelihood."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._spare: dict[int, list[np.ndarray]] = {}

    def follow_slope(self, obj, corners, illum, frames, noise, waves, values, index, fraction=None):
        """Put chi = F^-1 [w dL/dIhat Psi] of exit waves illum O into ``waves``, w L per view into values (N,)."""

        def work(obj, corners, illum, frames, waves, fraction, misfits, index) -> None:
            self.exit_waves(obj, corners, illum, waves)
            there, found = self._propagator.to_modulus(waves, fraction), np.empty(len(index))
            loops("likelihood").put_slope(there, *frames, NOISES[noise], misfits, found)
            values[index] = found
            store(waves, self._propagator.from_modulus(there, fraction))

        self._in_pieces(work, obj, corners, illum, frames, waves, fraction, index)

    def changes(self, obj, corners, illum, obj_step, illum_step, frames, noise, trials, out, index, fraction=None):
        """Put sum w [L(t) - L(0)] of each view, at trial steps t (3,) of obj_step and illum_step, into out (N, 3)."""
        views = len(corners)
        # Three arrays of waves for each view; a thread that finds none left makes them, and leaves them for the next.
        size = max(1, self._piece(views) // 2)
        spare = self._spare.setdefault(size, [])

        def work(some: slice) -> None:
            memory = spare.pop() if spare else np.empty((3, size, *self._shape), self._dtype)
            waves = memory[:, : some.stop - some.start]
            seen, step = of_views(illum, some), of_views(illum_step, some)
            loops("likelihood").along(obj, corners[some], seen, obj_step, step, waves)
            moved = None if fraction is None else fraction[some]
            for each in waves:
                store(each, self._propagator.to_modulus(each, moved))
            part, found = frames._replace(rows=frames.rows[some]), np.empty((some.stop - some.start, len(trials)))
            loops("likelihood").add_up_changes(waves, *part, NOISES[noise], trials, found)
            out[index[some]] = found
            spare.append(memory)

        parallel_for(work, chunks(views, size), self._threads)

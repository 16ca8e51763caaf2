"""Transforms of our own, and what is done on the way: the numbers of ``plain`` and NumPy's transforms."""

from __future__ import annotations

import numpy as np
import pytest
from backend_scans import close, random
from batch_case import COUNTS

from opty.backend import plain
from opty.backend.operands import Frames, Kept
from opty.propagate import Propagator

VIEWS, ALL = 3, 5


class Case:
    """A batch of 3 views out of 5, of n x n pixels, on both backends: arrays by name."""

    def __init__(self, gpu, rng, n, modes=1, shared=True, counts="u2", mask_axes=0, background=False):
        size = n + 7, n + 10
        self.gpu, self.modes = gpu, modes
        masks = {0: None, 2: rng.random((1, n, n)) > 0.3, 3: rng.random((ALL, n, n)) > 0.3}
        self.host = {
            "obj": random(rng, size, "complex64"),
            "corners": rng.integers(0, (size[0] - n + 1, size[1] - n + 1), (VIEWS, 2)),
            "illum": random(rng, (1 if shared else VIEWS, modes, n, n), "complex64"),
            "waves": random(rng, (VIEWS, modes, n, n), "complex64"),
            "kept": random(rng, (ALL, modes, n, n), "complex64"),
            "rows": rng.permutation(ALL)[:VIEWS],
            "intensity": rng.poisson(50 * rng.random((ALL, n, n))).astype(counts),
            "mask": masks[mask_axes],
            "background": (3 * rng.random((n, n))).astype("f4") if background else None,
        }
        self.there = {name: None if a is None else gpu.asarray(a) for name, a in self.host.items()}
        self.fused = gpu.Fused(Propagator(None, n, gpu, "complex64"), (modes, n, n), "complex64", 1)
        self.fused.new_sweep(True)

    def frames(self, names) -> Frames:
        """Return what was measured."""
        return Frames(*(names[name] for name in ("intensity", "rows", "mask", "background")))

    def seen(self, names) -> tuple:
        """Return object, corners and probe."""
        return tuple(names[name] for name in ("obj", "corners", "illum"))

    def same(self, name) -> bool:
        """Say whether an array on the device is close to that of the host."""
        return close(self.gpu.to_host(self.there[name]), self.host[name], "complex64")


def there_and_back(case, difference) -> float:
    """Put the modulus on the waves of the host; return the misfit."""
    waves, misfits = case.host["waves"], np.empty(VIEWS)
    spectrum = np.fft.fft2(waves.astype("c16"), norm="ortho").astype("c8")
    plain.put_modulus(spectrum, *case.frames(case.host), difference, misfits)
    waves[...] = np.fft.ifft2(spectrum.astype("c16"), norm="ortho")
    return misfits.sum()


@pytest.mark.parametrize("n", (32, 64, 128, 256, 512, 1024))
def test_project_at_every_size(gpu, rng, n):
    case = Case(gpu, rng, n)
    plain.exit_waves(*case.seen(case.host), case.host["waves"])
    misfit = there_and_back(case, False)
    case.fused.project(*case.seen(case.there), case.frames(case.there), False, case.there["waves"])
    assert case.same("waves")
    assert float(case.fused.misfit()) == pytest.approx(misfit, rel=1e-5)

"""A batch of a random scan on both backends, for the tests of fused steps on a GPU."""

from __future__ import annotations

import numpy as np
from backend_scans import close, random

from opty import Geometry
from opty.kernels import numpy_backend as cpu
from opty.kernels.operands import MeasuredFrames
from opty.physics.propagation import Propagator

N, SIZE = 20, (50, 61)
COUNTS = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]
NEAR = Geometry(1e-10, 0.05, 1e-6, propagation="near")


class Case:
    """A batch of 7 views out of 12, on both backends: arrays by name, host first."""

    def __init__(self, gpu, rng, dtype, modes, shared=True, views=7, deterministic=False, geometry=None):
        self.gpu, self.rng, self.dtype, self.modes = gpu, rng, np.dtype(dtype), modes
        real = self.dtype.type(0).real.dtype
        self.host = {
            "obj": random(rng, SIZE, dtype),
            "corners": rng.integers(0, (SIZE[0] - N + 1, SIZE[1] - N + 1), (views, 2)),
            "illum": random(rng, (1 if shared else views, modes, N, N), dtype),
            "waves": random(rng, (views, modes, N, N), dtype),
            "kept": random(rng, (12, modes, N, N), dtype),
            "rows": rng.permutation(12)[:views],
            "obj_sum": random(rng, SIZE, dtype),
            "obj_weight": rng.random(SIZE).astype(real),
            "probe_sum": random(rng, (modes, N, N), dtype),
            "probe_weight": rng.random((N, N)).astype(real),
            "intensity": rng.poisson(50 * rng.random((12, N, N))),
        }
        self.there = {name: gpu.asarray(a) for name, a in self.host.items()}
        self.engine = gpu.Engine(Propagator(geometry, N, gpu, dtype), (modes, N, N), dtype, 1, deterministic)
        self.cpu = cpu.Engine(Propagator(geometry, N, cpu, dtype), (modes, N, N), dtype, 1)

    def add(self, **arrays):
        """Have more arrays on both backends."""
        self.host |= arrays
        self.there |= {name: None if a is None else self.gpu.asarray(a) for name, a in arrays.items()}

    def of(self, names: str) -> tuple[list, list]:
        """Return arrays of the host and their like on the device."""
        return [self.host[name] for name in names.split()], [self.there[name] for name in names.split()]

    def same(self, names: str, dtype=None) -> bool:
        """Say whether arrays on the device are close to those of the host, or the same bits with ``dtype="bits"``."""
        pairs = [(self.gpu.to_host(self.there[name]), self.host[name]) for name in names.split()]
        if dtype == "bits":
            return all(np.array_equal(a, b) for a, b in pairs)
        return all(close(a, b, b.dtype) for a, b in pairs)


def frames(case, counts="u2", mask_axes=0, background=False):
    """Give a case what was measured; returns the frames of its views on both backends."""
    real, rng = case.dtype.type(0).real.dtype, case.rng
    case.add(
        intensity=case.host["intensity"].astype(counts),
        mask=None if mask_axes == 0 else rng.random((12 if mask_axes == 3 else 1, N, N)) > 0.3,
        background=(3 * rng.random((N, N))).astype(real) if background else None,
    )
    return tuple(MeasuredFrames(*arrays) for arrays in case.of("intensity rows mask background"))

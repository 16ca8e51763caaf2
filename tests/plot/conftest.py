"""A small state with everything that a picture can show: geometry, modes, refined positions, truth, history."""

import numpy as np
import pytest

from opty import Geometry, PtychoData, PtychoState, parse

N = 16
MARGIN = 5
SHAPE = (44, 56)
SHARES = np.array([0.75, 0.2, 0.05])


def _probe(modes):
    x, y = np.meshgrid(*2 * [np.arange(N) - N / 2 + 0.5])
    disc = np.exp(-((np.hypot(x, y) / 4.5) ** 6))
    waves = np.stack([disc * np.exp(0.02j * (x**2 + y**2)), disc * x, disc * y])[:modes]
    power = (np.abs(waves) ** 2).sum((1, 2))
    return (waves * np.sqrt(1e4 * SHARES[:modes] / power)[:, None, None]).astype(np.complex64)


def _object(rng, phase):
    row, col = np.indices(SHAPE)
    magnitude = 0.7 + 0.2 * np.sin(row / 5) * np.cos(col / 7) + 0.02 * rng.standard_normal(SHAPE)
    return (magnitude * np.exp(1j * phase * np.sin((row + col) / 9))).astype(np.complex64)


@pytest.fixture
def make_state():
    """Return a function (modes, phase [rad], geometry, truth, refined, iterations) -> PtychoState."""

    def make(modes=3, phase=0.5, geometry=True, truth=True, refined=True, iterations=12):
        rng = np.random.default_rng(5)
        grid = np.stack(np.meshgrid(np.arange(6) * 5.0, np.arange(8) * 5.0, indexing="ij"), -1).reshape(-1, 2)
        true = grid + rng.uniform(0, 1, grid.shape)
        wrong = true + rng.uniform(-1, 1, true.shape)
        probe, obj = _probe(modes), _object(rng, phase)
        where = Geometry(wavelength=1e-10, distance=1.0, pixel_size=50e-6) if geometry else None
        data = PtychoData(
            rng.poisson(40, (len(true), N, N)).astype(np.uint16),
            wrong * (where.sample_pixel(N) if geometry else 1),
            where,
            truth={"obj": obj, "probe": probe, "positions": true} if truth else None,
        )
        framed = np.pad(obj * np.exp(0.9j).astype(np.complex64), MARGIN, constant_values=1)
        leaves = {"obj": framed, "probe": probe, "positions": (true if refined else data.positions_px) + MARGIN}
        steps = np.arange(1, iterations + 1)
        return PtychoState.restore(
            data,
            leaves,
            origin=(MARGIN, MARGIN),
            seed=0,
            iteration=iterations,
            history={"misfit": 0.3 * np.exp(-steps / 3) + 0.01, "iteration": steps},
            recipe=parse("Identity()"),
        )

    return make

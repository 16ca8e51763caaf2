"""The Cramer-Rao bound of positions against a dense matrix made by finite differences of plain NumPy."""

import numpy as np
import pytest

import opty
from opty.analysis import position_bound
from opty.simulate import experiment


def scan():
    rng = np.random.default_rng(4)
    n, size = 6, 10
    y, x = np.mgrid[:n, :n] - (n - 1) / 2
    probe = np.exp(-(y**2 + x**2) / 8 + 0.3j * (y**2 - x) + 0.2j * rng.normal(size=(n, n)))
    obj = (0.6 + 0.4 * rng.random((size, size))) * np.exp(1j * rng.random((size, size)))
    places = np.stack(np.meshgrid(*[np.linspace(0.3, 3.7, 4)] * 2, indexing="ij"), -1).reshape(-1, 2)
    places = np.clip(places + rng.uniform(-0.3, 0.3, places.shape), 0, size - n)
    data = experiment(obj, probe, places, photons=1e4, seed=0)
    return opty.PtychoState(data, device="cpu", threads=1, dtype="complex128").replace(
        obj=np.pad(obj, 2), probe=data.truth["probe"].astype(complex), positions=places + 2
    )


def expected_counts(p, obj, probe, positions):
    n = p.data.n
    f = np.fft.fftfreq(n)
    out = []
    for place in positions:
        corner = np.rint(place - 1e-9).astype(int)
        ramp = np.exp(-2j * np.pi * np.add.outer(f * (place - corner)[0], f * (place - corner)[1]))
        wave = np.fft.ifft2(np.fft.fft2(probe) * ramp) * obj[corner[0] : corner[0] + n, corner[1] : corner[1] + n]
        out.append(np.abs(np.fft.fft2(wave, norm="ortho")) ** 2)
    return np.array(out)


def dense_bound(p):
    obj, probe, positions = p.numpy("obj"), p.numpy("probe")[0], p.numpy("positions")
    here = expected_counts(p, obj, probe, positions)
    columns = []
    for which, a in enumerate((obj, probe, positions)):
        for at in np.ndindex(a.shape):
            for step in (1e-5, 1e-5j) if np.iscomplexobj(a) else (1e-5,):
                sides = []
                for sign in (1, -1):
                    changed = [obj, probe, positions]
                    changed[which] = a.copy()
                    changed[which][at] += sign * step
                    sides.append(expected_counts(p, *changed))
                columns.append(((sides[0] - sides[1]) / 2e-5 / np.sqrt(here)).ravel())
    jacobian = np.stack(columns, axis=1)
    views = len(positions)
    others, moves = jacobian[:, : -2 * views], jacobian[:, -2 * views :].reshape(-1, views, 2)
    moves = moves - moves.mean(axis=1, keepdims=True)
    moves = moves.reshape(-1, 2 * views)
    modes, sizes, _ = np.linalg.svd(others, full_matrices=False)
    modes = modes[:, sizes > 1e-9 * sizes[0]]
    rest = moves - modes @ (modes.T @ moves)
    values = np.linalg.eigvalsh(rest.T @ rest)[2:]  # without the common offset of both axes
    return np.sqrt((1 / values).sum() / views)


def test_the_bound_is_that_of_a_dense_matrix():
    p = scan()
    found = position_bound(p, samples=None)
    assert found.rms == pytest.approx(dense_bound(p), rel=1e-5)
    assert found.known < found.rms
    assert position_bound(p, samples=8).rms == pytest.approx(found.rms, rel=0.2)
    with pytest.raises(RuntimeError, match="give more iterations"):
        position_bound(p, iterations=3)


def test_four_times_the_photons_halve_it():
    p = scan()
    brighter = position_bound(p.replace(probe=2 * p.numpy("probe")), samples=4)
    assert brighter.rms == pytest.approx(position_bound(p, samples=4).rms / 2, rel=1e-6)

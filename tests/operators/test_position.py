"""Position refinement: direction, length, the mean, the frame; and the sub-pixel registration under it."""

import numpy as np
import pytest
from small_scans import scan, smooth, state

from opty import After, Every, PosCorrectAdam, Sweep, rPIE
from opty.backend import on_numpy
from opty.operators.registration import Registration, soft_disc


def displaced(view, by, n=24):
    data = scan(views=16, n=n, seed=3)
    p = state(data, wrong=0, dtype="complex128")
    positions = p.numpy("positions")
    positions[view] += by
    return p.replace(positions=positions), data.truth["positions"]


@pytest.mark.parametrize("by", [(1.2, 0.0), (0.0, -1.5), (-0.8, 0.9), (2.0, 1.0)])
def test_a_displaced_view_moves_back(by):
    p, true = displaced(5, by)
    step = 0.1
    q = Sweep(PosCorrectAdam(step=step)) * p
    moved = q.positions - p.positions
    for axis in (0, 1):
        if by[axis]:
            assert moved[5, axis] * by[axis] < 0
    far = (PosCorrectAdam(step=0.2) * rPIE()) ** 30 * p
    error = far.positions - true
    error -= error.mean(axis=0)
    assert np.linalg.norm(error[5]) < 0.4 * np.linalg.norm(by)


def test_views_in_their_place_stay():
    data = scan(views=16, n=24, seed=3)
    p = state(data, wrong=0, dtype="complex128")
    q = Sweep(PosCorrectAdam(step=0.1)) * p
    assert abs(q.positions - p.positions).max() < 0.02


def test_the_mean_position_is_held(p):
    q = (PosCorrectAdam(step=0.4) * rPIE()) ** 8 * p
    assert abs(q.positions.mean(axis=0) - p.positions.mean(axis=0)).max() < 1e-9
    assert abs(q.positions - p.positions).max() > 0.3


@pytest.mark.parametrize("decay", [0, 1e9])
def test_the_first_step_of_adam_has_the_length_of_the_step(p, decay):
    q = Sweep(PosCorrectAdam(step=0.25, decay=decay)) * p
    moved = q.positions - p.positions
    centred = 0.25 * np.sign(q.slots["adam_mean"])
    assert np.allclose(moved, centred - centred.mean(axis=0), atol=1e-3)


def test_adam_is_adam(p):
    """Two sweeps against Kingma and Ba's algorithm 1, fed with the shifts that the moments tell."""
    op = PosCorrectAdam(step=0.2, decay=4, beta1=0.8, beta2=0.95)
    first = Sweep(op) * p
    second = Sweep(op) * first
    shifts = [first.slots["adam_mean"] / 0.2]
    shifts.append((second.slots["adam_mean"] - 0.8 * first.slots["adam_mean"]) / 0.2)
    mean, square, positions = 0.0, 0.0, p.numpy("positions")
    for t, (shift, q) in enumerate(zip(shifts, (first, second), strict=True), 1):
        mean = 0.8 * mean + 0.2 * shift
        square = 0.95 * square + 0.05 * shift**2
        step = 0.2 / np.sqrt(1 + t / 4) * (mean / (1 - 0.8**t)) / (np.sqrt(square / (1 - 0.95**t)) + 1e-8)
        positions = positions + step
        positions += p.positions.mean(axis=0) - positions.mean(axis=0)
        assert np.allclose(q.positions, positions, atol=1e-6)
        assert (q.slots["adam_count"] == t).all()
        positions = q.numpy("positions")


def test_windows_never_leave_the_frame():
    data = scan(views=12)
    obj = data.truth["obj"]
    tight = state(data, obj=obj[: 16 + 17, : 16 + 17])
    q = (PosCorrectAdam(step=5.0, decay=0) * rPIE()) ** 6 * tight
    assert (q.positions >= 0).all()
    assert (q.positions <= 17).all()
    assert (PosCorrectAdam() * rPIE() * q).iteration == 7


def test_moments_live_in_the_state_and_schedules_wait(p):
    q = (After(2, PosCorrectAdam()) * rPIE()) ** 2 * p
    assert (q.positions == p.positions).all()
    assert "adam_mean" not in q.slots
    q = (Every(2, PosCorrectAdam()) * rPIE()) ** 5 * p
    assert (q.slots["adam_count"] == 2).all()


# -- registration


def band_limited(rng, shape, dtype="complex128"):
    return smooth(rng, shape, 2.0).astype(dtype)


@pytest.mark.parametrize("shift", [(0.3, -0.4), (2.25, 1.6), (-3.49, 0.51), (5.3, -4.7), (0.0, 0.0)])
@pytest.mark.parametrize("seed", range(3))
def test_a_known_shift_is_found(shift, seed):
    n, rng = 64, np.random.default_rng(seed)
    wide = band_limited(rng, (n, n))
    mask = soft_disc(n)
    q = np.fft.fftfreq(n)
    ramp = np.exp(-2j * np.pi * (q[:, None] * shift[0] + q * shift[1]))
    fixed = wide * mask  # inside the mask already, so that the mask, which does not move, changes little
    moved = np.fft.ifft2(np.fft.fft2(fixed) * ramp)
    registration = Registration(n, on_numpy, "complex128")
    registration.mask = np.ones((n, n))
    got = registration.peak(fixed[None], moved[None])
    assert abs(got[0] - shift).max() < 1e-3
    assert abs(registration.peak(moved[None], fixed[None])[0] + shift).max() < 1e-3


def test_many_pairs_at_once_and_in_single_precision():
    n, rng = 48, np.random.default_rng(1)
    q = np.fft.fftfreq(n)
    shifts = rng.uniform(-4, 4, (7, 2))
    fixed = np.stack([band_limited(rng, (n, n)) for _ in shifts])
    ramps = np.exp(-2j * np.pi * (q[:, None] * shifts[:, 0, None, None] + q * shifts[:, 1, None, None]))
    moved = np.fft.ifft2(np.fft.fft2(fixed) * ramps)
    registration = Registration(n, on_numpy, "complex64")
    registration.mask = np.ones((n, n), np.float32)
    got = registration.peak(fixed.astype("complex64"), moved.astype("complex64"))
    assert got.dtype == np.float64
    assert abs(got - shifts).max() < 2e-3


def test_an_image_without_structure_does_not_move():
    registration = Registration(32, on_numpy, "complex64")
    flat = np.ones((1, 32, 32), "complex64")
    assert abs(registration.peak(flat, flat)).max() < 1e-3
    nothing = np.zeros((1, 32, 32), "complex64")
    assert np.isfinite(registration.peak(nothing, nothing)).all()


def test_the_mask_is_soft_and_round():
    mask = soft_disc(64)
    assert mask[32, 32] > 0.99
    assert mask[0, 0] < 0.01
    assert np.allclose(mask, mask.T)
    assert np.allclose(mask, mask[::-1])
    assert abs(np.diff(mask, axis=0)).max() < 0.2

"""Position refinement: direction, length, the mean, the frame; and the sub-pixel registration under it."""

import numpy as np
import pytest
from by_hand import View
from small_scans import close, scan, smooth, state
from test_likelihood import central

import opty
from opty import After, Every, PosCorrectAdam, PosCorrectGradient, Sweep, ViewOperator, rPIE
from opty.kernels import numpy_backend
from opty.kernels.positions.correlation_peaks import soft_disc
from opty.operators.position.registration import Registration


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
        assert q.slots["adam_count"] == t
        positions = q.numpy("positions")


def test_windows_never_leave_the_frame():
    data = scan(views=12)
    obj = data.truth["obj"]
    tight = state(data, obj=obj[: 16 + 17, : 16 + 17])
    with pytest.warns(opty.MisfitWarning, match="times the least of the run"):  # steps of 5 px spoil the fit
        q = (PosCorrectAdam(step=5.0, decay=0) * rPIE()) ** 6 * tight
    assert (q.positions >= 0).all()
    assert (q.positions <= 17).all()
    assert (PosCorrectAdam() * rPIE() * q).iteration == 7


def test_moments_live_in_the_state_and_schedules_wait(p):
    q = (After(2, PosCorrectAdam()) * rPIE()) ** 2 * p
    assert (q.positions == p.positions).all()
    assert "adam_mean" not in q.slots
    q = (Every(2, PosCorrectAdam()) * rPIE()) ** 5 * p
    assert q.slots["adam_count"] == 2


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
    registration = Registration(n, numpy_backend, "complex128")
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
    registration = Registration(n, numpy_backend, "complex64")
    registration.mask = np.ones((n, n), np.float32)
    got = registration.peak(fixed.astype("complex64"), moved.astype("complex64"))
    assert got.dtype == np.float64
    assert abs(got - shifts).max() < 2e-3


def test_an_image_without_structure_does_not_move():
    registration = Registration(32, numpy_backend, "complex64")
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


# -- PosCorrectGradient


@pytest.mark.parametrize("modes", [1, 2])
@pytest.mark.parametrize("fractional", [False, True])
def test_the_fit_is_the_gradient_against_finite_differences(modes, fractional):
    """Window O + t (O(r + e) - O(r - e)) / 2: the misfit's slope along t is -2 Re <P grad O, dpsi>."""
    p = state(scan(views=4, span=6, modes=modes, mask=2, background=True, fractional=fractional), dtype="complex128")
    found = {}

    class Caught(ViewOperator, reads="delta illum patches index"):
        def apply(self, s, b):
            asked = (b.illum.conj() * b.delta).sum(axis=1)
            for k, j in enumerate(b.index):
                found[int(j)] = asked[k]

    _ = Sweep(Caught()) * p
    for j in range(4):
        v = View(p, j)
        for slope in slopes(v.window):
            numeric = central(lambda t, v=v, slope=slope: v.projected(v.illum * (v.window + t * slope))[1])
            assert -2 * (slope.conj() * found[j]).real.sum() == pytest.approx(numeric, rel=1e-6)


def slopes(window):
    rows, cols = np.zeros_like(window), np.zeros_like(window)
    rows[1:-1] = (window[2:] - window[:-2]) / 2
    cols[:, 1:-1] = (window[:, 2:] - window[:, :-2]) / 2
    return rows, cols


def others_share(p, j):
    """Share of the light that is other views' (n, n), each pixel of each window written out."""
    light, n = np.zeros(p.obj.shape), p.data.n
    for corner in np.rint(p.positions).astype(int):
        light[corner[0] : corner[0] + n, corner[1] : corner[1] + n] += (abs(p.probe) ** 2).sum(axis=0)
    r, c = np.rint(p.positions[j]).astype(int)
    own = (abs(View(p, j).illum) ** 2).sum(axis=0)
    return np.maximum(light[r : r + n, c : c + n] - own, 0) / light[r : r + n, c : c + n]


def test_the_shift_is_the_least_squares_fit():
    p = state(scan(views=4, span=6, modes=2), dtype="complex128")
    op = PosCorrectGradient(gain=0.7, max_step=100)
    q = Sweep(op) * p
    steps = []
    for j in range(4):
        v = View(p, j)
        delta = v.projected()[0] - v.waves
        share = np.sqrt(others_share(p, j))  # of the light on each pixel; its root weighs the residual
        columns = np.stack([(share * v.illum * slope).ravel() for slope in slopes(v.window)], axis=1)
        delta = delta * share
        ridge = np.sqrt(1e-6) * np.linalg.norm(v.waves)
        rows = np.concatenate([columns.real, columns.imag, ridge * np.eye(2)])
        right = np.concatenate([delta.ravel().real, delta.ravel().imag, [0, 0]])
        steps.append(0.7 * np.linalg.lstsq(rows, right, rcond=None)[0])
    steps = np.array(steps) - np.mean(steps, axis=0)
    assert np.allclose(q.positions - p.positions, steps, atol=1e-9)


def test_a_step_is_no_longer_than_the_longest(p):
    q = Sweep(PosCorrectGradient(gain=1e4, max_step=0.3)) * p
    moved = q.positions - p.positions
    assert np.linalg.norm(moved, axis=1).max() < 0.61  # the mean is taken off afterwards
    assert np.linalg.norm(moved, axis=1).max() > 0.2
    assert abs(moved.mean(axis=0)).max() < 1e-9


def test_positions_come_back_to_a_hundredth_of_a_pixel():
    data = scan(views=30, n=24, photons=1e6)
    p = state(data, wrong=0.05)
    wrong = p.positions + np.random.default_rng(2).uniform(-1, 1, (30, 2))
    q = (PosCorrectGradient() * rPIE(alpha=0.3)) ** 120 * p.replace(positions=wrong)
    error = q.positions - data.truth["positions"]
    error -= error.mean(axis=0)
    centred = data.truth["positions"] - data.truth["positions"].mean(axis=0)
    error -= centred @ np.linalg.lstsq(centred, error, rcond=None)[0]  # a slow affine map is hardly seen by the data
    assert np.sqrt((error**2).mean()) < 0.02
    assert opty.misfit(q) < 1e-3 * opty.misfit(p.replace(positions=wrong))


@pytest.mark.parametrize("name", ["PosCorrectGradient", "PosCorrectAdam", "PosCorrectSerial", "PosCorrect"])
def test_every_method_works_on_a_gpu_as_here(gpu, name):
    p = state(scan(modes=2), wrong=0.1)
    recipe = (getattr(opty, name)() * rPIE(batch=4)) ** 3
    assert close(recipe * p.to("gpu"), recipe * p, 1e-4)

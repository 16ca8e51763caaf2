"""BackgroundUpdate and IntensityUpdate: gradients against finite differences, and what they recover."""

import warnings

import numpy as np
import pytest
from by_hand import View, fft
from small_scans import close, drift, scan, state
from test_likelihood import central

import opty
from opty import AP, ML, BackgroundUpdate, IntensityUpdate, MisfitWarning, Sweep, rPIE

MODELS = [
    {"modes": m, "mask": k, "background": k == 2, "fractional": f} for m in (1, 2) for k in (0, 2, 3) for f in (0, 1)
]


def shifted_poisson(p, background):
    """L = sum w [Ihat - (I + 1) log(Ihat + 1)] over all views, in loops; the background in double precision."""
    total = 0.0
    for j in range(p.data.views):
        v = View(p, j)
        predicted = sum(abs(fft(w)) ** 2 for w in v.waves) + background
        total += (predicted - (v.intensity + 1) * np.log(predicted + 1))[v.mask].sum()
    return total


def curvatures(p, j):
    """w and Ihat of a view, and its coherent part."""
    v = View(p, j)
    coherent = sum(abs(fft(w)) ** 2 for w in v.waves)
    return v.mask, coherent + v.dark, coherent


@pytest.mark.parametrize("options", MODELS, ids=repr)
def test_the_background_steps_down_its_gradient(options):
    p = state(scan(views=4, span=6, **options), dtype="complex128")
    rng = np.random.default_rng(3)
    dark = 2 + rng.random((16, 16)).astype(np.float32)  # away from zero, where it would be cut
    p = p.replace(background=dark)
    q = Sweep(BackgroundUpdate(step=1e-3)) * p
    curvature = sum(mask / (predicted + 1) for mask, predicted, _ in (curvatures(p, j) for j in range(4)))
    gradient = -(q.background - p.background) / 1e-3 * curvature
    along = rng.normal(size=(16, 16))
    slope = central(lambda t: shifted_poisson(p, dark.astype(float) + t * along))
    assert (gradient * along).sum() == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("options", MODELS, ids=repr)
def test_the_factors_step_down_their_gradient(options):
    p = state(scan(views=4, span=6, **options), dtype="complex128")
    factors = np.array([0.9, 1.2, 1.0, 0.9])
    p = p.replace(intensity_factors=factors)

    q = Sweep(IntensityUpdate(step=1e-3)) * p
    ratio = q.intensity_factors / p.intensity_factors
    expected = []
    for j in range(4):
        mask, predicted, coherent = curvatures(p, j)

        def value(t, j=j):
            there = factors.copy()
            there[j] *= np.exp(t)
            return shifted_poisson(p.replace(intensity_factors=there), View(p, 0).dark)

        expected.append(1 - 1e-3 * central(value) / (mask * coherent**2 / (predicted + 1)).sum())
    expected = np.array(expected) / (np.array(expected) * factors).mean() * factors.mean()
    assert np.allclose(ratio - 1, expected - 1, rtol=1e-5, atol=1e-10)
    assert q.intensity_factors.mean() == pytest.approx(1, rel=1e-12)


def test_the_factor_of_a_view_comes_back():
    data = scan(views=36, n=24)
    flicker = 1 + 0.3 * np.random.default_rng(5).uniform(-1, 1, 36)
    flicker /= flicker.mean()
    data = data.replace(intensities=data.intensities * flicker[:, None, None])
    p = (IntensityUpdate() * rPIE(alpha=0.3)) ** 60 * state(data, wrong=0.1)
    error = np.log(p.intensity_factors / flicker)
    slope = np.column_stack([np.ones(36), p.positions])  # exp(k r) of the beam can be one of object and probe instead
    error -= slope @ np.linalg.lstsq(slope, error, rcond=None)[0]
    assert np.sqrt((error**2).mean()) < 0.006
    assert opty.misfit(p) < 0.02 * opty.misfit(rPIE(alpha=0.3) ** 60 * state(data, wrong=0.1))


@pytest.mark.parametrize("shape", ["free", "flat"])
@pytest.mark.parametrize("engine", [rPIE(alpha=0.3), AP(), ML()], ids=repr)
def test_the_background_comes_back(shape, engine):
    data = scan(views=16, n=24, photons=1e5)
    x = np.arange(24) - 12
    dark = np.full((24, 24), 4.0) + (3 * np.exp(-(x[:, None] ** 2 + x**2) / 30) if shape == "free" else 0)
    data = data.replace(intensities=data.intensities + dark)
    plain = engine**80 * state(data, wrong=0.02)
    p = (BackgroundUpdate(shape=shape) * engine) ** 80 * state(data, wrong=0.02)
    assert opty.misfit(p) < 0.3 * opty.misfit(plain)
    assert abs(np.median(p.background - dark)) < 0.4


@pytest.mark.filterwarnings("ignore::opty.MisfitWarning")  # a misfit of rounding alone may well rise
def test_the_truth_is_a_fixed_point_of_both():
    data = scan(views=8, background=True, fractional=True)
    flicker = np.linspace(0.8, 1.2, 8)
    bright = data.intensities - data.background
    data = data.replace(intensities=bright * flicker[:, None, None] + data.background)
    p = state(data, wrong=0, dtype="complex128").replace(intensity_factors=flicker)
    assert opty.misfit(p) < 1e-12
    q = (BackgroundUpdate() * IntensityUpdate() * rPIE()) ** 20 * p
    assert drift(p, q) < 1e-6
    assert abs(q.intensity_factors - flicker).max() < 1e-6
    assert abs(q.background - data.background).max() < 1e-4


def test_what_is_masked_everywhere_keeps_its_background():
    data = scan(views=6, background=True)
    mask = np.ones((16, 16), bool)
    mask[3, 4] = False
    p = state(data.replace(mask=mask, background=data.background + 1))
    q = BackgroundUpdate() * rPIE() * p
    assert q.background[3, 4] == p.background[3, 4]
    assert (q.background != p.background).sum() > 200


def test_both_work_on_a_gpu_as_here(gpu):
    p = state(scan(modes=2, mask=3, background=True), wrong=0.1)
    recipe = (BackgroundUpdate() * IntensityUpdate() * rPIE(batch=4)) ** 3
    assert close(recipe * p.to("gpu"), recipe * p, 1e-4)


@pytest.mark.parametrize("make", [lambda: BackgroundUpdate(step=0), lambda: IntensityUpdate(step=-1)])
def test_a_step_of_no_length_is_refused(make):
    with pytest.raises(ValueError, match="above 0"):
        make()


def test_a_slope_of_the_factors_is_said():
    data = scan(views=20)
    p, steps = state(data), IntensityUpdate(step=1e-12) * rPIE()  # so that the factors stay as they are
    along = data.positions_px[:, 0] - data.positions_px[:, 0].mean()
    along /= along.std()
    noise = np.random.default_rng(1).normal(size=20)
    with pytest.warns(MisfitWarning, match=r"mostly a slope along the scan \(22% rms\)"):
        steps**32 * p.replace(intensity_factors=np.exp(0.2 * along))
    with warnings.catch_warnings():
        warnings.simplefilter("error", MisfitWarning)
        steps**31 * p.replace(intensity_factors=np.exp(0.2 * along))
        steps**32 * p.replace(intensity_factors=np.exp(0.1 * along))
        steps**32 * p.replace(intensity_factors=np.exp(0.2 * along + 0.3 * noise))

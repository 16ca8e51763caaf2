"""Support, ProbePower, ClampObj, TotalVariation, smoothing inertia: what each does and leaves alone."""

import numpy as np
import pytest
from small_scans import close, same, scan, state

import opty
from opty import AP, DM, Support, mPIE, rPIE
from opty.operators import ClampObj, MergeObj, MergeProbe, ProbePower, TotalVariation

# -- support


def test_a_disc_keeps_what_is_inside_it(p):
    q = Support(4) * p
    x = np.arange(16) - 8
    inside = np.hypot(x[:, None], x) <= 4
    assert (q.probe[:, inside] == p.probe[:, inside]).all()
    assert (q.probe[:, ~inside] == 0).all()
    assert ((Support(4) * q).probe == q.probe).all()


def test_a_disc_may_fade(p):
    q = Support(5, edge=3) * p
    x = np.arange(16) - 8
    weight = np.clip(0.5 - (np.hypot(x[:, None], x) - 5) / 3, 0, 1)
    assert np.allclose(q.probe, weight * p.probe, atol=1e-5 * abs(p.probe).max())
    assert ((weight > 0) & (weight < 1)).sum() > 20


def test_a_support_in_the_fourier_plane_takes_frequencies_away(p):
    q = Support(3, plane="fourier") * p
    before, after = (np.fft.fftshift(np.fft.fft2(a.probe), axes=(-2, -1)) for a in (p, q))
    x = np.arange(16) - 8
    inside = np.hypot(x[:, None], x) <= 3
    assert np.allclose(after[:, inside], before[:, inside], atol=1e-4 * abs(before).max())
    assert abs(after[:, ~inside]).max() < 1e-5 * abs(before).max()


@pytest.mark.parametrize("plane", ["real", "fourier"])
def test_a_named_array_is_a_support(p, plane):
    x = np.arange(16) - 8
    weights = (np.hypot(x[:, None], x) <= 5).astype(float)
    held = p.replace(arrays={"pinhole": weights})
    assert close(Support("pinhole", plane) * held, (Support(5, plane) * p).replace(arrays={"pinhole": weights}), 1e-6)
    assert (held.arrays["pinhole"] == weights).all()
    assert not held.slots
    after = held.replace(obj=held.obj * 2)
    assert "pinhole" in after.arrays


def test_a_support_that_is_not_there_is_refused(p):
    with pytest.raises(opty.EffectError, match="pinhole"):
        Support("pinhole") * p
    with pytest.raises(ValueError, match=r"shape \(8, 8\); expected \(16, 16\)"):
        Support("pinhole") * p.replace(arrays={"pinhole": np.ones((8, 8))})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pinhole": [[1, np.nan]]}, "1 values that are not finite"),
        ({"probe": np.ones((16, 16))}, "names no array"),
        ({"two words": np.ones(3)}, "names no array"),
        ({"adam_mean": np.ones(3)}, "names no array"),
        ({"pinhole": np.array(["a"])}, "array of numbers"),
    ],
)
def test_arrays_are_checked(p, arrays, message):
    p = opty.PosCorrectAdam() * p
    with pytest.raises(ValueError, match=message):
        p.replace(arrays=arrays)


def test_a_support_helps_where_it_is_true():
    """A probe of known outline: the noise that the solver would put outside is kept out."""
    data = scan(views=20, n=24, photons=300)
    x = np.arange(24) - 12
    inside = np.hypot(x[:, None], x) <= 8
    probe = data.truth["probe"] * inside
    noisy = opty.simulate.experiment(data.truth["obj"], probe, data.positions, 300, seed=1)
    start = state(noisy, wrong=0.2)
    outside = [
        (abs(q.probe[0][~inside]) ** 2).sum() / (abs(q.probe) ** 2).sum()
        for q in (rPIE(alpha=0.5) ** 30 * start, (Support(8) * rPIE(alpha=0.5)) ** 30 * start)
    ]
    assert outside[0] > 1e-3
    assert outside[1] == 0


# -- power and place


@pytest.mark.parametrize("photons", [None, 5000.0])
@pytest.mark.parametrize("engine", [rPIE(), mPIE(), DM()], ids=repr)
def test_power_changes_no_pattern(photons, engine):
    p = engine**3 * state(scan(modes=2), dtype="complex128")
    q = ProbePower(photons) * p
    wanted = photons or p.data.photons().max()
    assert (abs(q.probe) ** 2).sum() == pytest.approx(wanted, rel=1e-12)
    assert opty.misfit(q) == pytest.approx(opty.misfit(p), rel=1e-9)
    on = [engine**3 * s for s in (p, q)]
    assert opty.misfit(on[1]) == pytest.approx(opty.misfit(on[0]), rel=1e-6)
    assert set(q.slots) == set(p.slots)


# -- the object


def test_magnitude_is_kept_within_limits_and_the_phase_kept(p):
    q = ClampObj(0.7, 0.9) * p
    assert abs(q.obj).min() > 0.7 - 1e-6
    assert abs(q.obj).max() < 0.9 + 1e-6
    assert abs(np.angle(q.obj / p.obj)).max() < 1e-5
    inside = (abs(p.obj) > 0.71) & (abs(p.obj) < 0.89)
    assert inside.sum() > 100
    assert np.allclose(q.obj[inside], p.obj[inside], atol=1e-6)
    dark = p.replace(obj=0 * p.obj)
    assert (abs((ClampObj(0.5, 1) * dark).obj - 0.5) < 1e-6).all()


def test_phase_is_kept_within_limits_and_the_magnitude_kept(p):
    q = ClampObj(0, 9, phase_lo=-0.2, phase_hi=0.3) * p
    angle = np.angle(q.obj)
    assert angle.min() > -0.2 - 1e-5
    assert angle.max() < 0.3 + 1e-5
    assert np.allclose(abs(q.obj), abs(p.obj), atol=1e-5)
    assert (abs(np.angle(p.obj)) > 0.31).sum() > 50


def test_a_pure_phase_object_is_found_faster_when_it_is_known_to_be_one():
    data = scan(views=25, n=24, photons=1e5)
    truth = np.exp(1j * np.angle(data.truth["obj"]))
    pure = opty.simulate.experiment(truth.astype(np.complex64), data.truth["probe"], data.positions)
    start = opty.PtychoState(pure, probe=data.truth["probe"] * 1.1, obj=np.ones_like(truth), device="cpu")
    free, clamped = (r**20 * start for r in (rPIE(alpha=0.3), ClampObj(1, 1) * rPIE(alpha=0.3)))
    lit = opty.analysis.illuminated(data.positions, data.truth["probe"], truth.shape)
    errors = [opty.analysis.object_error(q.obj, truth, lit) for q in (free, clamped)]
    assert errors[1] < 0.7 * errors[0]


def test_total_variation_is_its_minimum():
    """Against a random search: nothing near the result is better, and the objective is well below that of the start."""
    rng = np.random.default_rng(0)
    p = state(scan(), dtype="complex128")
    noisy = p.obj + 0.1 * (rng.normal(size=p.obj.shape) + 1j * rng.normal(size=p.obj.shape))
    weight = 0.1

    def cost(u):
        d = np.zeros((2, *u.shape), complex)
        d[0, :-1], d[1, :, :-1] = np.diff(u, axis=0), np.diff(u, axis=1)
        return (abs(u - noisy) ** 2).sum() / 2 + weight * np.sqrt((abs(d) ** 2).sum(axis=0)).sum()

    q = (TotalVariation(weight, iterations=300) * p.replace(obj=noisy)).obj
    assert cost(q) < 0.8 * cost(noisy)
    for scale in (1e-1, 1e-2):
        for _ in range(20):
            step = rng.normal(size=q.shape) + 1j * rng.normal(size=q.shape)
            assert cost(q + scale * step) > cost(q)
    assert cost(q + 0.01 * (noisy - q)) > cost(q) - 1e-6
    assert cost(0.999 * q) > cost(q) - 1e-6


def test_total_variation_brings_noise_down_and_keeps_an_edge():
    p = state(scan(), dtype="complex128")
    step = np.ones(p.obj.shape, complex)
    step[:, 18:] = np.exp(1j)
    noise = np.random.default_rng(1).normal(size=step.shape) * 0.05
    q = TotalVariation(0.1, iterations=200) * p.replace(obj=step + noise)
    away = np.ones(step.shape, bool)
    away[:, 16:20] = False
    assert abs(q.obj - step)[away].std() < 0.4 * 0.05
    assert abs(q.obj[:, 17] - q.obj[:, 18]).min() > 0.6
    assert same(TotalVariation(0) * p, p)


def test_smoothing_inertia_is_its_formula():
    p = state(scan(fractional=False), dtype="complex128")
    sigma = 1.3
    q = AP(obj_inertia=0.2, obj_smooth=sigma, probe_inertia=0.1, probe_smooth=0.7) * p
    plain = AP(obj_inertia=0.0, probe_inertia=0.0) * p
    for new, free, old, inertia, width in (
        (q.obj, plain.obj, p.obj, 0.2, sigma),
        (q.probe, plain.probe, p.probe, 0.1, 0.7),
    ):
        weight = light(p) if old.ndim == 2 else seen(p)
        c = inertia * weight.max()
        frequencies = [np.fft.fftfreq(size) for size in old.shape[-2:]]
        window = np.exp(-2 * np.pi**2 * width**2 * (frequencies[0][:, None] ** 2 + frequencies[1] ** 2))
        held = np.fft.ifft2(np.fft.fft2(old) * window)
        expected = (weight * free + c * held) / (weight + c)
        assert abs(new - expected).max() < 1e-10 * abs(expected).max()


def light(p):
    total = np.zeros(p.obj.shape)
    for r, c in p.positions.astype(int):
        total[r : r + 16, c : c + 16] += (abs(p.probe) ** 2).sum(axis=0)
    return total


def seen(p):
    return sum(abs(p.obj[r : r + 16, c : c + 16]) ** 2 for r, c in p.positions.astype(int))


# -- all of them


@pytest.mark.parametrize(
    "step",
    [
        Support(6, edge=2),
        Support(5, plane="fourier"),
        ProbePower(),
        opty.operators.CentreProbe(),
        opty.operators.RemoveRamp(),
        ClampObj(0.2, 0.9),
        ClampObj(phase_lo=-1.0),
        TotalVariation(0.01),
    ],
    ids=repr,
)
def test_the_numbers_on_a_gpu_are_those_of_numpy(gpu, step):
    p = state(scan(modes=2), wrong=0.1)
    recipe = (step * rPIE(batch=4)) ** 2
    assert close(recipe * p.to("gpu"), recipe * p, 1e-4)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Support(0),
        lambda: Support(14e-9),
        lambda: Support(3, edge=-1),
        lambda: Support("a b"),
        lambda: Support("pinhole", edge=2),
        lambda: ProbePower(0),
        lambda: ClampObj(1, 0.5),
        lambda: ClampObj(phase_lo=1.0, phase_hi=-1.0),
        lambda: ClampObj(phase_hi=4.0),
        lambda: TotalVariation(-1),
        lambda: TotalVariation(iterations=0),
        lambda: MergeObj(smooth=-1),
        lambda: MergeProbe(inertia=0, smooth=2),
        lambda: AP(probe_smooth=2),
    ],
)
def test_parameters_out_of_range_are_refused(make):
    with pytest.raises(ValueError, match=r"give|has a name"):
        make()

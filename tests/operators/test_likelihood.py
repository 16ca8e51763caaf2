"""Likelihood and its gradient, the conjugate direction, the search: against loops and finite differences."""

import numpy as np
import pytest
from by_hand import View, fft
from small_scans import close, scan, smooth, state

import opty
from opty import Sweep
from opty.kernels.numpy_backend import best_step
from opty.operators import ConjugateDirection, LikelihoodGradient, LineSearch, TakeStep
from opty.state.views import sweep_batches

NOISES = ("poisson", "gaussian", "amplitude")
FOUR = [
    {"modes": modes, "mask": mask, "background": background, "fractional": fractional}
    for modes in (1, 3)
    for mask, background in ((0, False), (2, True), (3, False))
    for fractional in (False, True)
]


def pixel_likelihood(noise, intensity, predicted, followed=True):
    """L of each pixel, by the formulae: what is recorded, or what is followed."""
    if noise == "gaussian":
        return (intensity - predicted) ** 2 / (intensity + 1)
    if noise == "amplitude":
        return 4 * (np.sqrt(intensity) - np.sqrt(predicted)) ** 2
    dark = intensity / 4 if followed else 0
    curved = np.maximum(predicted, dark)
    logs = intensity * np.log(np.where(intensity > 0, intensity, 1) / curved)
    line = np.where(predicted < dark, -3 * (predicted - dark), 0)
    return curved - intensity + logs + line


def likelihood(p, noise, obj=None, probe=None, followed=True):
    """L of all unmasked pixels, view after view, and their number."""
    total = count = 0
    for j in range(p.data.views):
        v = View(p, j, obj, probe)
        predicted = sum(abs(fft(w)) ** 2 for w in v.waves) + v.dark
        total += pixel_likelihood(noise, v.intensity, predicted, followed)[v.mask].sum()
        count += v.mask.sum()
    return total, count


def prior(p, weight, obj):
    scale = weight * sum(v.intensity[v.mask].sum() for v in (View(p, j) for j in range(p.data.views))) / obj.size
    return scale * ((abs(np.diff(obj, axis=0)) ** 2).sum() + (abs(np.diff(obj, axis=1)) ** 2).sum())


def directions(p, seed=3):
    """Random directions of object and probe, of their size."""
    rng = np.random.default_rng(seed)
    return smooth(rng, p.obj.shape, 1), abs(p.probe).max() * np.array(
        [smooth(rng, p.probe.shape[1:], 1) for _ in p.probe]
    )


def central(f, h=1e-5):
    """Derivative at zero, with the h^2 term removed."""
    d = [(f(k * h) - f(-k * h)) / (2 * k * h) for k in (1, 2)]
    return (4 * d[0] - d[1]) / 3


def flickering(**options):
    """A state of four views; with masks for each view, the beam flickers as well."""
    p = state(scan(views=4, span=6, **options), dtype="complex128")
    return p.replace(intensity_factors=[0.7, 1.4, 1.1, 0.8]) if options.get("mask") == 3 else p


def gradient_step(noise):
    return Sweep(LikelihoodGradient(noise), order="scan")


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("options", FOUR, ids=repr)
def test_gradient_against_finite_differences(noise, options):
    p = flickering(**options)
    q = gradient_step(noise) * p
    obj, probe = p.obj, p.probe
    along_obj, along_probe = directions(p)
    for name, along, f in (
        ("obj_gradient", along_obj, lambda t: likelihood(p, noise, obj + t * along_obj)[0]),
        ("probe_gradient", along_probe, lambda t: likelihood(p, noise, None, probe + t * along_probe)[0]),
    ):
        slope = 2 * np.vdot(q.slots[name], along).real
        assert slope == pytest.approx(central(f), rel=1e-6)


@pytest.mark.parametrize("noise", NOISES)
def test_gradient_of_single_pixels(noise):
    """One pixel after the other, real and imaginary part: a random direction could hide a wrong pixel."""
    p = flickering(modes=2, mask=3, background=True)
    q = gradient_step(noise) * p
    for name in ("obj", "probe"):
        values, gradient = getattr(p, name), q.slots[f"{name}_gradient"]

        def new(t, one, name=name, values=values):
            return {name: values + t * one}

        lit = np.argsort(abs(gradient).ravel())[-40::8]
        for k in lit:
            for part in (1, 1j):
                one = np.zeros_like(values)
                one.flat[k] = part * abs(values).max()
                slope = 2 * np.vdot(gradient, one).real
                numeric = central(lambda t, new=new, one=one: likelihood(p, noise, **new(t, one))[0])
                size = 2 * abs(gradient.flat[k]) * abs(values).max()
                assert abs(slope - numeric) < 1e-6 * size


def _propagated(kind):
    geometry = opty.Geometry(
        wavelength=1e-10,
        distance=1.0,
        pixel_size=1e-6,
        propagation=kind,
        focus_to_sample=1e-3 if kind != "far" else None,
    )
    data = scan(views=4, span=6)
    pixel = geometry.sample_pixel(16)
    return opty.PtychoData(data.intensities, data.positions * pixel, geometry), data.truth


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("kind", ["far", "cone", "near"])
def test_gradient_through_every_propagator(noise, kind):
    data, truth = _propagated(kind)
    p = opty.PtychoState(data, probe=truth["probe"], dtype="complex128", device="cpu", threads=1)
    q = gradient_step(noise) * p
    along_obj, along_probe = directions(p)

    def value(t, obj, probe):
        store = p.replace(obj=p.obj + t * obj, probe=p.probe + t * probe)._live
        (b,) = sweep_batches(store)
        there = store.measured.propagator.forward(b.illum * b.patches[:, None], b.fraction)
        return pixel_likelihood(noise, store.measured.intensity, (abs(there) ** 2).sum(axis=1)).sum()

    for name, obj, probe in (
        ("obj_gradient", along_obj, 0 * along_probe),
        ("probe_gradient", 0 * along_obj, along_probe),
    ):
        slope = 2 * np.vdot(q.slots[name], along_obj if name == "obj_gradient" else along_probe).real
        assert slope == pytest.approx(central(lambda t, o=obj, r=probe: value(t, o, r)), rel=1e-6)


@pytest.mark.parametrize("noise", NOISES)
def test_history_holds_the_likelihood_per_unmasked_pixel(noise, four):
    q = gradient_step(noise) * four
    total, count = likelihood(four, noise, followed=False)
    assert q.history["llk"] == pytest.approx([total / count], rel=1e-5)
    assert q.history["llk_iteration"] == [1]
    assert q.iteration == 1
    assert q.history["misfit"] == pytest.approx([opty.misfit(four)], rel=1e-4)


def test_a_perfect_fit_of_counted_photons_has_half_one_one():
    data = scan(photons=1e6)
    counted = data.replace(intensities=np.random.default_rng(0).poisson(data.intensities))
    bright = (data.intensities > 20).all(axis=0)
    p = state(counted.replace(mask=bright), wrong=0)
    for noise, expected in (("poisson", 0.5), ("gaussian", 1), ("amplitude", 1)):
        assert (gradient_step(noise) * p).history["llk"][0] == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("weight", [0.0, 0.3])
@pytest.mark.parametrize("options", FOUR[::3], ids=repr)
def test_the_search_measures_the_likelihood_along_the_direction(noise, weight, options):
    p = flickering(**options)
    q = Sweep(LineSearch(noise), order="scan") * ConjugateDirection(weight) * gradient_step(noise) * p
    obj, probe = q.slots["kept_direction_obj"], q.slots["kept_direction_probe"]
    start = likelihood(p, noise)[0] + prior(p, weight, p.obj)
    for t, change in zip(q.slots["kept_step"][0] * np.array([0.25, 1, 2]), q.slots["line_sums"], strict=True):
        there = likelihood(p, noise, p.obj + t * obj, p.probe + t * probe)[0] + prior(p, weight, p.obj + t * obj)
        assert change == pytest.approx(there - start, rel=1e-9, abs=1e-9 * start)
    gradient = (q.slots["kept_gradient_obj"], q.slots["kept_gradient_probe"])
    slope = 2 * (np.vdot(gradient[0], obj) + np.vdot(gradient[1], probe)).real
    assert slope == pytest.approx(
        central(
            lambda t: likelihood(p, noise, p.obj + t * obj, p.probe + t * probe)[0] + prior(p, weight, p.obj + t * obj),
            h=1e-6,
        ),
        rel=1e-6,
    )


@pytest.mark.parametrize("update", ["both", "obj", "probe"])
def test_the_direction_by_hand(update):
    """Three turns of preconditioned Polak-Ribiere, in loops."""
    p = state(scan(modes=2, fractional=False), dtype="complex128")
    old = last = None
    for _ in range(3):
        measured = gradient_step("gaussian") * p
        new = [measured.slots["obj_gradient"], measured.slots["probe_gradient"]]
        light, weight = np.zeros(p.obj.shape), np.zeros(p.probe.shape[1:])
        for j in range(p.data.views):
            v = View(p, j)
            light[v.where] += (abs(v.illum) ** 2).sum(axis=0)
            weight += abs(v.bright) ** 2
        metric = [light + 0.05 * light.max(), weight + 0.05 * weight.max()]
        new = [g * (update in ("both", name)) for g, name in zip(new, ("obj", "probe"), strict=True)]

        def dot(a, b):
            return sum(np.vdot(x, y).real for x, y in zip(a, b, strict=True))

        steep = [g / m for g, m in zip(new, metric, strict=True)]
        beta = 0
        if old is not None:
            beta = dot([a - b for a, b in zip(new, old, strict=True)], steep)
            beta = max(0, beta) / dot(old, [g / m for g, m in zip(old, metric, strict=True)])
        expected = [-a + (beta * b if beta else 0) for a, b in zip(steep, last or steep, strict=True)]
        p = ConjugateDirection(update=update, damping=0.05) * measured
        for name, wanted in zip(("obj", "probe"), expected, strict=True):
            assert abs(p.slots[f"kept_direction_{name}"] - wanted).max() <= 1e-10 * abs(wanted).max()
        assert not {"obj_gradient", "probe_gradient", "obj_weight", "probe_weight"} & set(p.slots)
        old, last = new, expected
        p = TakeStep() * Sweep(LineSearch("gaussian"), order="scan") * p
        assert "line_sums" not in p.slots


def test_the_best_step_of_a_quartic_is_found():
    u = np.array([0.25, 1, 2])
    for curve in ((-4, 2.5, 0.3, 0.1), (-1, 3, -0.5, 0.02), (-1, 0.3, 0, 0)):
        changes = sum(c * u ** (k + 1) for k, c in enumerate(curve))
        fine = np.linspace(0, 2, 100001)
        truth = fine[np.argmin(sum(c * fine ** (k + 1) for k, c in enumerate(curve)))]
        assert best_step(np.array([curve[0]]), changes)[0] == pytest.approx(truth, abs=0.005)
    for changes, least, most in (
        ([0.1, 2, 9], 0, 0),
        ([-0.1, 1e3, 1e6], 1e-4, 0.25),
        ([-0.2, np.inf, np.nan], 1e-4, 0.25),
        ([np.nan, np.nan, np.nan], 0, 0),
    ):
        assert least <= best_step(np.array([-1.0]), np.array(changes))[0] <= most


def test_no_step_is_taken_where_none_leads_down():
    p = state(scan(), dtype="complex128")
    q = Sweep(LineSearch(), order="scan") * ConjugateDirection() * gradient_step("poisson") * p

    class FarTooFar(opty.Operator, writes="line_sums"):
        def apply(self, s):
            s.line_sums = abs(s.line_sums)

    r = TakeStep() * FarTooFar() * q
    assert (r.obj == q.obj).all()
    assert r.slots["kept_step"] == q.slots["kept_step"] / 16


@pytest.mark.parametrize(
    "make",
    [lambda: ConjugateDirection(smooth=-1), lambda: ConjugateDirection(damping=0), lambda: opty.ML(damping=-0.1)],
)
def test_parameters_are_refused_at_once(make):
    with pytest.raises(ValueError, match=r"give a"):
        make()


def test_an_unknown_noise_is_refused():
    with pytest.raises(opty.RecipeError, match="poisson"):
        opty.ML(noise="shot")


@pytest.mark.parametrize("noise", NOISES)
def test_the_numbers_on_a_gpu_are_those_of_numpy(gpu, noise):
    p = state(scan(modes=2, mask=3, background=True), wrong=0.1)
    recipe = opty.ML(noise, smooth=0.01) ** 3
    assert close(recipe * p.to("gpu"), recipe * p, 1e-3)

"""What a batch of a fit goes through on a GPU, method by method: the numbers of ``meaning``, on random arrays."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from backend_scans import COMPLEX, random
from batch_case import COUNTS, NEAR, SIZE, Case, N, frames
from families import meaning

from opty.kernels.likelihood.noise import NOISES
from opty.kernels.operands import MeasuredFrames

TOLERANCE = {"complex64": 1e-5, "complex128": 1e-11}
DETECTORS = pytest.mark.parametrize(("mask_axes", "background"), [(0, False), (2, True), (3, False)])
VIEWS = 7


def fit_case(gpu, rng, dtype, modes, shared=True, views=VIEWS, **options):
    """A batch with a step of object and probe beside them, and trial steps."""
    case = Case(gpu, rng, dtype, modes, shared, views, **options)
    real = case.dtype.type(0).real.dtype
    case.add(
        obj_step=random(rng, SIZE, dtype),
        illum_step=random(rng, case.host["illum"].shape, dtype),
        trials=(np.array([0.25, 1, 2]) * 10 ** rng.uniform(-2, 0)).astype(real),
        index=rng.permutation(views + 5)[:views],
        values=np.zeros(views + 5),
        changes=np.zeros((views + 5, 3)),
        lengths=rng.normal(size=views),
    )
    return case


def agree(got, expected, dtype, gpu) -> bool:
    """Say whether what is on the device is what is expected, relative to the largest value."""
    got = gpu.to_host(got)
    assert got.shape == expected.shape
    return abs(got - expected).max() <= TOLERANCE[str(np.dtype(dtype))] * max(abs(expected).max(), 1e-30)


def slope_by_numpy(case, here, noise):
    """Return chi, the misfits and the values that ``meaning`` finds."""
    waves, misfits, values = np.empty_like(case.host["waves"]), *np.empty((2, len(case.host["rows"])))
    meaning.exit_waves(*case.of("obj corners illum")[0], waves)
    spectrum = np.fft.fft2(waves, norm="ortho").astype(case.dtype)
    meaning.put_slope(spectrum, *here, NOISES[noise], misfits, values)
    return np.fft.ifft2(spectrum, norm="ortho"), misfits, values


def changes_by_numpy(case, here, noise):
    """Return the changes that ``meaning`` finds."""
    waves = np.empty((3, *case.host["waves"].shape), case.dtype)
    meaning.along(*case.of("obj corners illum obj_step illum_step")[0], waves)
    spectra, out = np.fft.fft2(waves, norm="ortho").astype(case.dtype), np.empty((len(case.host["rows"]), 3))
    meaning.add_up_changes(spectra, *here, NOISES[noise], case.host["trials"], out)
    return out


def follow(case, engine, names, measured, noise, fraction=None):
    """Follow the slope on one of the backends; returns the misfit."""
    engine.new_sweep(True)
    seen = [names[name] for name in ("obj", "corners", "illum")]
    engine.follow_slope(*seen, measured, noise, names["waves"], names["values"], names["index"], fraction)
    return float(engine.misfit())


def changes(case, engine, names, measured, noise, fraction=None):
    """Return the changes along a step on one of the backends."""
    seen = [names[name] for name in ("obj", "corners", "illum", "obj_step", "illum_step")]
    engine.changes(*seen, measured, noise, names["trials"], names["changes"], names["index"], fraction)
    return names["changes"][names["index"]]


def values_of(case):
    """Return what was put of the views of the batch among those of all, and check that it was put nowhere else."""
    found = case.there["values"][case.there["index"]]
    assert np.count_nonzero(case.gpu.to_host(case.there["values"])) == np.count_nonzero(case.gpu.to_host(found))
    return found


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("noise", NOISES)
@DETECTORS
def test_slope_and_changes(gpu, rng, dtype, modes, noise, mask_axes, background):
    case = fit_case(gpu, rng, dtype, modes, shared=mask_axes != 2)
    here, there = frames(case, "u2", mask_axes, background)
    chi, misfits, values = slope_by_numpy(case, here, noise)
    misfit = follow(case, case.engine, case.there, there, noise)
    assert agree(case.there["waves"], chi, dtype, gpu)
    assert agree(values_of(case), values, dtype, gpu)
    assert misfit == pytest.approx(misfits.sum(), rel=TOLERANCE[dtype])
    found = changes(case, case.engine, case.there, there, noise)
    assert agree(found, changes_by_numpy(case, here, noise), dtype, gpu)


@pytest.mark.parametrize("counts", COUNTS)
def test_counts_are_read_in_their_own_type(gpu, rng, counts):
    case = fit_case(gpu, rng, "complex64", 2)
    here, there = frames(case, counts, 2)
    chi, _, values = slope_by_numpy(case, here, "poisson")
    follow(case, case.engine, case.there, there, "poisson")
    assert agree(case.there["waves"], chi, "complex64", gpu)
    assert agree(values_of(case), values, "complex64", gpu)
    found = changes(case, case.engine, case.there, there, "poisson")
    assert agree(found, changes_by_numpy(case, here, "poisson"), "complex64", gpu)


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("fractional", [False, True])
def test_in_the_near_field(gpu, rng, dtype, noise, fractional):
    case = fit_case(gpu, rng, dtype, 2, shared=not fractional, geometry=NEAR)
    case.add(fraction=rng.random((VIEWS, 2)) - 0.5 if fractional else None)
    here, there = frames(case, "u2", 3, True)
    both = ((case.cpu, case.host, here), (case.engine, case.there, there))
    here, there = (follow(case, engine, names, measured, noise, names["fraction"]) for engine, names, measured in both)
    assert there == pytest.approx(here, rel=TOLERANCE[dtype])
    assert agree(case.there["waves"], case.host["waves"], dtype, gpu)
    assert agree(case.there["values"], case.host["values"], dtype, gpu)
    here, there = (changes(case, engine, names, measured, noise, names["fraction"]) for engine, names, measured in both)
    assert agree(there, here, dtype, gpu)


def lit_by(case, noise, waves):
    """Put the slope on detector waves on the device; returns the waves and the values of the views."""
    there = case.gpu.asarray(waves)
    frames, put = MeasuredFrames(*case.of("intensity rows mask background")[1]), case.of("values index")[1]
    case.engine._put_slope(frames, noise, *put, there, 1.0)
    return case.gpu.to_host(there), case.gpu.to_host(values_of(case))


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("noise", NOISES)
def test_a_perfect_fit_has_no_slope_and_no_misfit(gpu, rng, dtype, noise):
    case = fit_case(gpu, rng, dtype, 1)
    waves = (rng.integers(1, 30, (12, 1, N, N)) * np.array([1, 1j, -1, -1j])[rng.integers(0, 4, N)]).astype(dtype)
    case.add(intensity=(abs(waves[:, 0]) ** 2).round(), mask=None, background=None, rows=np.arange(VIEWS))
    case.engine.new_sweep(True)
    chi, values = lit_by(case, noise, waves[:VIEWS])
    assert not chi.any()
    assert not values.any()
    assert float(case.engine.misfit()) == 0


@pytest.mark.parametrize("noise", NOISES)
def test_the_values_of_a_close_fit_keep_their_digits(gpu, rng, noise):
    case = fit_case(gpu, rng, "complex64", 1)
    counts = rng.integers(5000, 20000, (12, N, N))
    waves = np.sqrt(counts[:VIEWS, None]) * (1 + 1e-4 * rng.normal(size=(VIEWS, 1, N, N)))
    case.add(intensity=counts, mask=None, background=None, rows=np.arange(VIEWS))
    waves, misfits, exact = waves.astype("complex64"), *np.empty((2, VIEWS))
    _, values = lit_by(case, noise, waves)
    measured = case.of("intensity rows mask background")[0]
    meaning.put_slope(waves.astype(complex), *measured, NOISES[noise], misfits, exact)
    assert np.allclose(values, exact, rtol=1e-2)


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("noise", NOISES)
def test_dark_waves_and_numbers_that_are_none(gpu, rng, dtype, noise):
    case = fit_case(gpu, rng, dtype, 2)
    here, _ = frames(case, "u2", 0, False)
    for bad in (0, np.nan, np.inf):
        waves, misfits, expected = case.host["waves"].copy(), *np.empty((2, VIEWS))
        waves[3, :, 5, 7] = bad
        chi, values = lit_by(case, noise, waves)
        with np.errstate(invalid="ignore"):
            meaning.put_slope(waves, *here, NOISES[noise], misfits, expected)
        assert (np.isfinite(values) == (np.isfinite(bad) | (np.arange(VIEWS) != 3))).all()
        assert (np.isfinite(chi) == np.isfinite(waves)).all()
        finite = np.isfinite(values)
        assert np.allclose(values[finite], expected[finite], rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("noise", NOISES)
def test_changes_where_next_to_nothing_is_left(gpu, rng, dtype, noise):
    """The changes of a close fit, 1e-6 of the waves from it, keep their digits."""
    case = fit_case(gpu, rng, "complex128", 1)
    waves = np.empty((VIEWS, 1, N, N), complex)
    meaning.exit_waves(*case.of("obj corners illum")[0], waves)
    intensity = np.ascontiguousarray(abs(np.fft.fft2(waves, norm="ortho")[:, 0]) ** 2)
    small = {name: case.host[name] * 1e-6 for name in ("obj_step", "illum_step")}
    case.add(**small, intensity=intensity, rows=np.arange(VIEWS), mask=None, background=None)
    exact = changes_by_numpy(case, case.of("intensity rows mask background")[0], noise)
    single = fit_case(gpu, rng, dtype, 1)
    single.add(**{name: case.host[name] for name in ("corners", "rows", "mask", "background", "intensity")})
    single.add(**{name: case.host[name].astype(dtype) for name in ("obj", "illum", "obj_step", "illum_step")})
    single.add(trials=case.host["trials"].astype(single.host["trials"].dtype))
    here, there = (MeasuredFrames(*arrays) for arrays in single.of("intensity rows mask background"))
    got = gpu.to_host(changes(single, single.engine, single.there, there, noise))
    if dtype == "complex128":
        assert abs(got - exact).max() <= 1e-6 * abs(exact).max()
    else:  # what rounding of object and probe leaves is more than the change; it is no more than in NumPy
        assert abs(got - exact).max() <= 10 * abs(changes_by_numpy(single, here, noise) - exact).max()


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("views", [1, VIEWS])
def test_products_and_lengths(gpu, rng, dtype, modes, shared, views):
    case = fit_case(gpu, rng, dtype, modes, shared, views)
    names = "kept rows obj corners illum obj_step illum_step"
    expected = np.empty((views, 5))
    meaning.add_up_products(*case.of(names)[0], expected)
    found = case.engine.products(*case.of(names)[1])
    assert agree(found, expected, dtype, gpu)
    for ridge, step in ((0.0, 1.0), (rng.random(), 0.7)):
        exact = case.cpu.lengths(gpu.to_host(found), ridge, step)
        assert agree(case.engine.lengths(found, ridge, step), exact, "complex128", gpu)


def test_lengths_that_cannot_be_told_apart(gpu, rng):
    case = fit_case(gpu, rng, "complex64", 1)
    products = np.array([[1, 1, 1, 1, 1], [1, 4, 2, 5, 10], [2, 0, 0, 6, 0], [0, 0, 0, 0, 0], [1, 1, np.nan, 1, 1]])
    expected = case.cpu.lengths(products, 0.0, 1.0)
    got = gpu.to_host(case.engine.lengths(gpu.asarray(products), 0.0, 1.0))
    assert np.allclose(got, expected, rtol=1e-14, equal_nan=True)
    assert np.allclose(got[:, :4], [[0.5, 1, 3, 0], [0.5, 2, 0, 0]])


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("deterministic", [False, True])
def test_averages_over_views(gpu, rng, dtype, modes, shared, deterministic):
    case = fit_case(gpu, rng, dtype, modes, shared, deterministic=deterministic)
    weights = case.host["obj_weight"], case.host["probe_weight"]
    light = np.empty((len(case.host["illum"]), N, N), weights[0].dtype)
    meaning.power(case.host["illum"], light)
    of_obj, of_probe = (np.zeros_like(weight) for weight in weights)
    (obj, corners, lengths), there = case.of("obj corners lengths")
    meaning.add_light(corners, light, lengths, of_obj, 0, SIZE[0])
    meaning.add_transmission(obj, corners, lengths, of_probe, 0, N)
    assert agree(
        case.engine.light(there[1], case.there["illum"], there[2], case.there["obj_weight"]), of_obj, dtype, gpu
    )
    assert agree(case.engine.transmission(*there, case.there["probe_weight"]), of_probe, dtype, gpu)


@pytest.mark.parametrize("deterministic", [False, True])
def test_light_outside_the_object_is_dropped(gpu, rng, deterministic):
    case = fit_case(gpu, rng, "complex64", 2, views=3, deterministic=deterministic)
    corners = np.array([[-3, 5], [SIZE[0] - 4, SIZE[1] - 7], [2, -N - 1]])
    light, wide = np.empty((1, N, N), "f4"), np.zeros((SIZE[0] + 2 * N + 8, SIZE[1] + 2 * N + 8), "f4")
    meaning.power(case.host["illum"], light)
    meaning.add_light(corners + N + 4, light, case.host["lengths"], wide, 0, len(wide))
    illum, lengths, weight = case.of("illum lengths obj_weight")[1]
    got = case.engine.light(gpu.asarray(corners), illum, lengths, weight)
    assert agree(got, wide[N + 4 : N + 4 + SIZE[0], N + 4 : N + 4 + SIZE[1]], "complex64", gpu)


def test_what_is_read_outside_the_object_is_none(gpu, rng):
    case = fit_case(gpu, rng, "complex64", 2, views=3)
    case.add(corners=np.array([[-1, 3], [4, 5], [4, SIZE[1] - N + 1]]))
    _, there = frames(case)
    products = gpu.to_host(case.engine.products(*case.of("kept rows obj corners illum obj_step illum_step")[1]))
    assert (np.isfinite(products).all(axis=1) == [False, True, False]).all()
    found = gpu.to_host(changes(case, case.engine, case.there, there, "poisson"))
    assert (np.isfinite(found).all(axis=1) == [False, True, False]).all()


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("regularisation", [0.0, 0.05, 1.0])
def test_steps(gpu, rng, dtype, layers, regularisation):
    case = fit_case(gpu, rng, dtype, 2)
    real = case.host["obj_weight"].dtype
    dark = rng.random(SIZE) < 0.5  # pixels that no view reached: nothing weighs there, and nothing is written
    case.add(target=random(rng, (layers, *SIZE), dtype), direction=random(rng, (layers, *SIZE), dtype) * ~dark)
    case.add(total=(rng.normal(size=SIZE) * ~dark).astype(real), weight=(rng.random(SIZE) * ~dark).astype(real))
    (target, direction, total, weight), there = case.of("target direction total weight")
    meaning.divide(direction, weight, weight.max(), regularisation, 0, SIZE[0])
    case.engine.divide(there[1], there[3], regularisation)
    assert agree(there[1], direction, dtype, gpu)
    assert np.array_equal(gpu.to_host(there[3]), weight)
    meaning.divide(direction, weight, 3 * weight.max(), regularisation, 0, SIZE[0])  # a part of the weight is here
    largest = gpu.asarray(np.array([0.0, 3 * weight.max(), weight.max()], np.float64))
    case.engine.divide(there[1], there[3], regularisation, largest)
    assert agree(there[1], direction, dtype, gpu)
    meaning.add_average(target, direction, total, weight, 0, SIZE[0])
    case.engine.add_average(*there)
    assert agree(there[0], target, dtype, gpu)
    assert not any(gpu.to_host(a).any() for a in there[1:])


@pytest.mark.parametrize("dtype", COMPLEX)
def test_spectra_of_the_probe_add_up(gpu, rng, dtype):
    case = fit_case(gpu, rng, dtype, 3, shared=False)
    case.add(fraction=rng.random((VIEWS, 2)) - 0.5, spectrum=random(rng, (3, N, N), dtype))
    for given in ("illum", None):
        before = case.host["spectrum"].copy()
        for engine, names in ((case.cpu, case.host), (case.engine, case.there)):
            args = [names[name] for name in ("kept", "rows", "obj", "corners", "fraction", "spectrum")]
            engine.add_on_probe(*args, names[given] if given else None)
        assert agree(case.there["spectrum"], case.host["spectrum"], dtype, gpu)
    alone = gpu.to_host(case.engine.on_probe(*case.of("kept rows obj corners fraction")[1]))
    assert agree(gpu.asarray(np.fft.ifft2(case.host["spectrum"] - before, norm="ortho")), alone, dtype, gpu)


@pytest.mark.parametrize("dtype", COMPLEX)
def test_two_moved_probes_have_rooms_of_their_own(gpu, rng, dtype):
    case = fit_case(gpu, rng, dtype, 2)
    case.add(fraction=rng.random((VIEWS, 2)) - 0.5)
    case.engine.new_sweep(True)
    illum, step, fraction = case.of("illum illum_step fraction")[1]
    moved = case.engine.shifted(illum[0], fraction)
    before = gpu.to_host(moved)
    assert case.engine.shifted(step[0], fraction, "illum_step").data.ptr != moved.data.ptr
    assert np.array_equal(gpu.to_host(moved), before)


@pytest.mark.parametrize("limits", [(8192, 65535, 1024), (64, 2, 9), (1, 1, 1)])
@pytest.mark.parametrize("deterministic", [False, True])
def test_no_result_depends_on_the_grid(gpu, rng, monkeypatch, limits, deterministic):
    cuda, gpu_base = (importlib.import_module(f"opty.{name}") for name in ("arrays.cuda", "kernels.gpu_base"))
    monkeypatch.setattr(cuda, "MAX_BLOCKS", limits[0])
    monkeypatch.setattr(cuda, "MAX_GRID_YZ", limits[1])
    monkeypatch.setattr(gpu_base, "FILLING", limits[2])
    case = fit_case(gpu, rng, "complex64", 2, shared=False, deterministic=deterministic)
    here, there = frames(case, "u2", 3, True)
    chi, misfits, values = slope_by_numpy(case, here, "poisson")
    assert follow(case, case.engine, case.there, there, "poisson") == pytest.approx(misfits.sum(), rel=1e-5)
    assert agree(case.there["waves"], chi, "complex64", gpu)
    assert agree(values_of(case), values, "complex64", gpu)
    expected = changes_by_numpy(case, here, "poisson")
    assert agree(changes(case, case.engine, case.there, there, "poisson"), expected, "complex64", gpu)
    results = []
    for engine, names in ((case.cpu, case.host), (case.engine, case.there)):
        waves, rows, corners, obj, illum, lengths = (
            names[name] for name in ("kept", "rows", "corners", "obj", "illum", "lengths")
        )
        products = engine.products(waves, rows, obj, corners, illum, names["obj_step"], names["illum_step"])
        found = [
            products,
            engine.lengths(products, 0.1, 0.9),
            engine.light(corners, illum, lengths, names["obj_weight"]),
        ]
        found.append(engine.transmission(obj, corners, lengths, names["probe_weight"]))
        engine.divide(names["obj_sum"][None], names["obj_weight"], 0.1)
        results.append([*found, names["obj_sum"]])
        engine.add_average(obj[None], names["obj_sum"][None], found[2], names["obj_weight"])
    for a, b in zip(results[1][:2], results[0][:2], strict=True):
        assert agree(a, b, "complex64", gpu)
    assert agree(case.there["obj"], case.host["obj"], "complex64", gpu)


def test_deterministic_light_takes_the_views_in_their_order(gpu, rng):
    # Products of such numbers are exact, their sums are not: only the order decides the bits.
    case = fit_case(gpu, rng, "complex64", 2, shared=False, views=600, deterministic=True)
    case.add(illum=np.rint(3 * case.host["illum"]), lengths=2.0 ** rng.integers(-30, 30, 600))
    light, total = np.empty((600, N, N), "f4"), np.zeros(SIZE, "f4")
    meaning.power(case.host["illum"], light)
    meaning.add_light(case.host["corners"], light, case.host["lengths"], total, 0, SIZE[0])
    corners, illum, lengths, weight = case.of("corners illum lengths obj_weight")[1]
    assert np.array_equal(gpu.to_host(case.engine.light(corners, illum, lengths, weight)), total)


def test_sums_are_the_same_bits_every_time(gpu, rng):
    case = fit_case(gpu, rng, "complex64", 3)
    _, there = frames(case, "u2", 3, True)
    found = []
    for _ in range(2):
        misfit = follow(case, case.engine, case.there, there, "poisson")
        products = case.engine.products(*case.of("kept rows obj corners illum obj_step illum_step")[1])
        sums = values_of(case), changes(case, case.engine, case.there, there, "poisson"), products
        found.append([np.array(misfit), *(gpu.to_host(a).copy() for a in sums)])
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))


def test_a_batch_of_no_views_is_nothing(gpu, rng):
    case = fit_case(gpu, rng, "complex64", 2)
    _, there = frames(case)
    empty = {name: case.there[name][:0] for name in ("corners", "rows", "waves", "index", "kept", "lengths")}
    names, none = case.there | empty, there._replace(rows=there.rows[:0])
    assert follow(case, case.engine, names, none, "poisson") == 0
    assert changes(case, case.engine, names, none, "poisson").shape == (0, 3)
    names = [names[name] for name in ("kept", "rows", "obj", "corners", "illum", "obj_step", "illum_step")]
    products = case.engine.products(*names)
    assert products.shape == (0, 5)
    assert case.engine.lengths(products, 0.1, 1.0).shape == (2, 0)


@pytest.mark.parametrize("deterministic", [False, True])
def test_nothing_waits_and_nothing_is_made_once_buffers_exist(standin_gpu, rng, deterministic):
    case = fit_case(standin_gpu, rng, "complex64", 2, deterministic=deterministic)
    _, there = frames(case, "u2", 3, True)
    case.add(fraction=rng.random((VIEWS, 2)) - 0.5, spectrum=random(rng, (2, N, N), "complex64"))
    names, engine = case.there, case.engine
    seen = case.of("obj corners illum")[1]

    def work():
        put = names["values"], names["index"]
        engine.follow_slope(*seen, there, "poisson", engine.scratch("waves", VIEWS), *put)
        step, trials = case.of("obj_step illum_step")[1], engine.persistent("trials", (3,), "float32")
        engine.changes(*seen, *step, there, "poisson", trials, engine.persistent("changes", (VIEWS + 5, 3)), put[1])
        engine.add_on_probe(*case.of("kept rows obj corners fraction spectrum")[1])
        illum_step = engine.shifted(names["illum_step"][0], names["fraction"], "illum_step")
        products = engine.products(*case.of("kept rows obj corners illum obj_step")[1], illum_step)
        lengths, canvas = engine.lengths(products, 0.1, 1.0), engine.accumulators("obj", (1, *SIZE))
        total = engine.light(seen[1], seen[2], lengths[0], canvas[1])
        engine.transmission(*seen[:2], lengths[1], names["probe_weight"])
        engine.divide(*canvas, 0.1)
        engine.add_average(seen[0][None], canvas[0], total, canvas[1])

    engine.new_sweep(True)
    work()  # compiles and makes buffers
    generation = engine.generation
    standin_gpu.captured(work).launch()
    assert engine.generation == generation

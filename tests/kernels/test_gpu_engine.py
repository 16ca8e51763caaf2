"""What a batch goes through on a GPU, method by method: the numbers of ``meaning``, on random arrays."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from backend_scans import COMPLEX, close, random
from batch_case import COUNTS, NEAR, SIZE, Case, N, frames
from families import meaning

from opty.kernels.operands import WaveStore
from opty.physics.propagation import Propagator


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("shared", [True, False])
def test_exit_waves(gpu, rng, dtype, modes, shared):
    case = Case(gpu, rng, dtype, modes, shared)
    host, there = case.of("obj corners illum waves")
    meaning.exit_waves(*host)
    case.engine.exit_waves(*there)
    assert case.same("waves")


def test_outside_the_object_exit_waves_are_nan(gpu, rng):
    case = Case(gpu, rng, "complex64", 2)
    case.add(corners=np.array([[-1, 3], [SIZE[0] - N + 2, 0], [4, -N]]), waves=random(rng, (3, 2, N, N), "complex64"))
    case.engine.exit_waves(*case.of("obj corners illum waves")[1])
    bad = np.isnan(gpu.to_host(case.there["waves"]))
    assert bad[0, :, 0].all()
    assert not bad[0, :, 1:].any()
    assert bad[1, :, -2:].all()
    assert not bad[1, :, :-2].any()
    assert bad[2].all()


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("mask_axes", [0, 2, 3])
@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("difference", [False, True])
def test_project(gpu, rng, dtype, modes, mask_axes, background, difference):
    case = Case(gpu, rng, dtype, modes, shared=mask_axes != 2)
    here, there = frames(case, "u2", mask_axes, background)
    host, device = case.of("obj corners illum")
    meaning.exit_waves(*host, case.host["waves"])
    spectrum = np.fft.fft2(case.host["waves"], norm="ortho").astype(dtype)
    misfits = np.empty(7)
    meaning.put_modulus(spectrum, *here, difference, misfits)
    case.host["waves"][...] = np.fft.ifft2(spectrum, norm="ortho")
    case.engine.new_sweep(True)
    case.engine.project(*device, there, difference, case.there["waves"])
    assert case.same("waves")
    assert float(case.engine.misfit()) == pytest.approx(misfits.sum(), rel=1e-5)


@pytest.mark.covering
@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("dtype", COMPLEX)
def test_project_reads_the_counts_in_their_own_type(gpu, rng, counts, dtype):
    case = Case(gpu, rng, dtype, 2)
    here, there = frames(case, counts, 2)
    (host, device), waves = case.of("obj corners illum"), ("waves",)
    case.cpu.project(*host, here, True, *(case.host[w] for w in waves))
    case.engine.project(*device, there, True, *(case.there[w] for w in waves))
    assert case.same("waves")


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("fractional", [False, True])
def test_project_in_the_near_field(gpu, rng, dtype, fractional):
    case = Case(gpu, rng, dtype, 2, shared=not fractional, geometry=NEAR)
    case.add(fraction=rng.random((7, 2)) - 0.5 if fractional else None)
    here, there = frames(case, "u2", 3, True)
    for engine, names, measured in ((case.cpu, case.host, here), (case.engine, case.there, there)):
        engine.new_sweep(True)
        args = (names[name] for name in ("obj", "corners", "illum"))
        engine.project(*args, measured, False, names["waves"], names["fraction"])
    assert case.same("waves")
    assert float(case.engine.misfit()) == pytest.approx(float(case.cpu.misfit()), rel=1e-5)


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize(("beta", "keep"), [(1.0, 1.0), (0.8, 1.0), (0.9, 0.9), (0.5, 0.7)])
def test_step_kept(gpu, rng, dtype, modes, beta, keep):
    case = Case(gpu, rng, dtype, modes, shared=modes == 1)
    here, there = frames(case, "u2", 3, True)
    host, device = case.of("obj corners illum")
    kept, rows, waves = (case.host[name] for name in ("kept", "rows", "waves"))
    meaning.reflect(*host, kept, rows, waves)
    spectrum, misfits = np.fft.fft2(waves, norm="ortho").astype(dtype), np.empty(7)
    meaning.put_modulus(spectrum, *here, True, misfits)
    waves[...] = np.fft.ifft2(spectrum, norm="ortho")
    meaning.advance(*host, waves, kept, rows, beta, keep - beta)
    case.engine.new_sweep(True)
    there_kept = WaveStore(case.there["kept"], case.there["rows"])
    case.engine.step_kept(*device, there, case.there["waves"], there_kept, beta, keep)
    assert case.same("kept waves")
    assert float(case.engine.misfit()) == pytest.approx(misfits.sum(), rel=1e-5)


def test_the_misfit_counts_from_begin_and_is_the_same_bits_every_time(gpu, rng):
    case = Case(gpu, rng, "complex64", 2)
    _, there = frames(case)
    found = []
    for repeats in (1, 2, 1):
        case.engine.new_sweep(True)
        for _ in range(repeats):
            case.engine.project(*case.of("obj corners illum")[1], there, False, case.there["waves"])
        found.append(float(case.engine.misfit()))
    assert found[0] == found[2] > 0
    assert found[1] == pytest.approx(2 * found[0], rel=1e-12)


def add(case, names, bands):
    """Add up on the host what the views say of object, probe, or both."""
    low, high = bands
    light = np.empty((len(case.host["illum"]), N, N), case.host["obj_weight"].dtype)
    meaning.power(case.host["illum"], light)
    waves, rows, corners, illum, obj = case.of("kept rows corners illum obj")[0]
    if "obj" in names:
        meaning.add_to_object(waves, rows, corners, illum, light, *case.of("obj_sum obj_weight")[0], low, high)
    if "probe" in names:
        meaning.add_to_probe(waves, rows, obj, corners, *case.of("probe_sum probe_weight")[0], 0, N)


def call(case, method):
    """Call a method that adds up, on the device."""
    waves, rows, corners, illum, obj = case.of("kept rows corners illum obj")[1]
    of_obj, of_probe = case.of("obj_sum obj_weight")[1], case.of("probe_sum probe_weight")[1]
    if method == "add_to_object":
        case.engine.add_to_object(waves, rows, corners, illum, *of_obj)
    elif method == "add_to_probe":
        case.engine.add_to_probe(waves, rows, obj, corners, *of_probe)
    else:
        case.engine.add_to_both(waves, rows, corners, illum, obj, *of_obj, *of_probe)


METHODS = {"add_to_object": ["obj"], "add_to_probe": ["probe"], "add_to_both": ["obj", "probe"]}


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("modes", [1, 3, 9])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_sums_over_views(gpu, rng, dtype, modes, shared, deterministic, method):
    case = Case(gpu, rng, dtype, modes, shared, deterministic=deterministic)
    add(case, METHODS[method], (0, SIZE[0]))
    call(case, method)
    assert case.same("obj_sum obj_weight probe_sum probe_weight")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("views", [12, 600])
def test_deterministic_sums_take_the_views_in_their_order(gpu, rng, method, views):
    # Products of such numbers are exact, their sums are not: only the order decides the bits.
    case = Case(gpu, rng, "complex64", 2, shared=False, views=views, deterministic=True)
    whole = {name: np.rint(3 * case.host[name]) for name in ("obj", "illum")}
    sizes = (2.0 ** rng.integers(-30, 30, (12, 1, 1, 1))).astype("f4")
    case.add(**whole, kept=np.rint(case.host["kept"]) * sizes, rows=rng.integers(0, 12, views))
    add(case, METHODS[method], (0, SIZE[0]))
    call(case, method)
    assert case.same("obj_sum obj_weight probe_sum probe_weight", "bits")


def test_what_lies_outside_the_object_is_dropped(gpu, rng):
    corners = np.array([[-3, 5], [SIZE[0] - 4, SIZE[1] - 7], [2, -N - 1]])
    for method, deterministic in (("add_to_object", True), ("add_to_object", False), ("add_to_both", False)):
        case = Case(gpu, rng, "complex64", 2, views=3, deterministic=deterministic)
        case.add(corners=corners)
        wide = np.zeros((SIZE[0] + 2 * N + 8, SIZE[1] + 2 * N + 8), "complex64")
        weight, inner = np.zeros(wide.shape, "f4"), (slice(N + 4, N + 4 + SIZE[0]), slice(N + 4, N + 4 + SIZE[1]))
        wide[inner], weight[inner] = case.host["obj_sum"], case.host["obj_weight"]
        light = np.empty((1, N, N), "f4")
        meaning.power(case.host["illum"], light)
        waves, rows, illum = case.of("kept rows illum")[0]
        meaning.add_to_object(waves, rows, corners + N + 4, illum, light, wide, weight, 0, len(wide))
        case.host |= {"obj_sum": wide[inner], "obj_weight": weight[inner]}
        call(case, method)
        assert case.same("obj_sum obj_weight")


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("regularisation", [0.0, 0.05, 1.0])
def test_add_scaled(gpu, rng, dtype, layers, regularisation):
    case = Case(gpu, rng, dtype, 2)
    dark = rng.random(SIZE) < 0.5  # pixels that no view reached: nothing weighs there, and nothing is written
    direction = random(rng, (layers, *SIZE), dtype) * ~dark
    weight = (rng.random(SIZE) * ~dark).astype(case.host["obj_weight"].dtype)
    case.add(target=random(rng, (layers, *SIZE), dtype), direction=direction, weight=weight)
    host, there = case.of("target direction weight")
    meaning.add_scaled(*host, weight.max(), regularisation, 0.7, 0, SIZE[0])
    case.engine.add_scaled(*there, regularisation, 0.7)
    assert case.same("target")
    assert not any(gpu.to_host(case.there[name]).any() for name in ("direction", "weight"))


def test_add_scaled_zeroes_a_direction_without_weight_and_keeps_nan(gpu, rng):
    case = Case(gpu, rng, "complex64", 1)
    case.add(target=np.zeros((1, 4, 300), "c8"), direction=np.ones((1, 4, 300), "c8"), weight=np.ones((4, 300), "f4"))
    case.there["weight"][0, 0] = 0
    case.there["weight"][1, 0] = np.nan
    case.engine.add_scaled(*case.of("target direction weight")[1], 0.5, 1.0)
    assert not gpu.to_host(case.there["direction"]).any()
    target = gpu.to_host(case.there["target"])
    assert target[0, 0, 0] == 2
    assert np.isnan(target[0, 1, 0])
    assert np.isfinite(target[0, 2:]).all()


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("apart", [False, True])
def test_merge(gpu, rng, dtype, layers, apart):
    case = Case(gpu, rng, dtype, 2)
    weight = (rng.random(SIZE) * (rng.random(SIZE) > 0.3)).astype(case.host["obj_weight"].dtype)
    case.add(**{name: random(rng, (layers, *SIZE), dtype) for name in ("old", "total", "held")}, weight=weight)
    for inertia in (0.01, 0.0):
        host, there = case.of(f"old total weight {'held' if apart else 'old'}")
        meaning.merge(*host, inertia * weight.max(), 0, SIZE[0])
        case.engine.merge(*there, inertia)
        assert case.same("old")


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("steps", [(0.05, 1.0, 1.0, 0.9), (1.0, 1.0, 0.0, 0.0), (0.0, 0.0, 0.3, 1.0)])
def test_update_both(gpu, rng, dtype, modes, steps):
    case = Case(gpu, rng, dtype, modes, views=1)
    case.add(probe=case.host["illum"][0].copy())
    host, there = case.of("obj corners probe waves")
    meaning.update_both(*host[:3], None, *host[3:], *steps)
    case.engine.update_both(*there, *steps)
    assert case.same("obj probe")


@pytest.mark.parametrize("limits", [(8192, 65535), (64, 2), (1, 1)])
@pytest.mark.parametrize("deterministic", [False, True])
def test_no_result_depends_on_the_grid(gpu, rng, monkeypatch, limits, deterministic):
    cuda = importlib.import_module("opty.arrays.cuda")
    monkeypatch.setattr(cuda, "MAX_BLOCKS", limits[0])
    monkeypatch.setattr(cuda, "MAX_GRID_YZ", limits[1])
    case = Case(gpu, rng, "complex64", 2, shared=False, deterministic=deterministic)
    here, there = frames(case, "u2", 3, True)
    for engine, names, measured in ((case.cpu, case.host, here), (case.engine, case.there, there)):
        seen = [names[name] for name in ("obj", "corners", "illum")]
        engine.new_sweep(True)
        engine.project(*seen, measured, False, names["waves"])
        engine.step_kept(*seen, measured, names["waves"], WaveStore(names["kept"], names["rows"]), 0.9, 0.9)
        waves, rows, corners, illum, obj = (names[k] for k in ("kept", "rows", "corners", "illum", "obj"))
        sums = [names[k] for k in ("obj_sum", "obj_weight", "probe_sum", "probe_weight")]
        engine.add_to_both(waves, rows, corners, illum, obj, *sums)
        engine.add_to_probe(waves, rows, obj, corners, *sums[2:])
        engine.add_scaled(obj[None], sums[0][None], sums[1], 0.1, 1.0)
        engine.update_both(obj, corners, sums[2], names["waves"], 0.1, 1.0, 1.0, 1.0)
    assert case.same("waves kept obj probe_sum probe_weight")
    assert float(case.engine.misfit()) == pytest.approx(float(case.cpu.misfit()), rel=1e-5)


def test_buffers_stay_and_a_new_one_is_told(gpu, rng):
    engine = Case(gpu, rng, "complex64", 2).engine
    engine.new_sweep(True)
    first, generation = engine.scratch("waves", 5), engine.generation
    assert engine.scratch("waves", 3).data.ptr == first.data.ptr != engine.scratch("back", 3).data.ptr
    generation = engine.generation
    assert engine.scratch("waves", 5).data.ptr == first.data.ptr
    assert engine.generation == generation
    assert engine.scratch("waves", 6).shape == (6, 2, N, N)
    assert engine.generation > generation
    engine.new_sweep(False)
    assert len({a.data.ptr for a in [engine.scratch("waves", 6) for _ in range(3)]}) == 3
    assert np.array_equal(gpu.to_host(engine.rows(4)), np.arange(4))
    canvas = engine.accumulators("obj", (1, *SIZE))
    assert [a.shape for a in canvas] == [(1, *SIZE), SIZE]
    assert engine.accumulators("obj", (1, *SIZE)) is canvas


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("alone", [True, False])
def test_probes_moved_by_fractions_of_a_pixel(gpu, rng, dtype, modes, alone):
    case = Case(gpu, rng, dtype, modes, shared=False)
    case.add(fraction=rng.random((7, 2)) - 0.5, probe=random(rng, (modes, N, N), dtype))
    case.engine.new_sweep(alone)
    (probe, fraction), there = case.of("probe fraction")
    spectrum, moved = np.fft.fft2(probe, norm="ortho"), np.empty((7, modes, N, N), dtype)
    meaning.shift(spectrum, fraction, moved)
    assert close(gpu.to_host(case.engine.shifted(*there)), np.fft.ifft2(moved, norm="ortho"), dtype)
    for given in (True, False):
        back = np.empty((7, modes, N, N), dtype)
        (waves, rows, obj, corners, illum), on_device = case.of("kept rows obj corners illum")
        meaning.through_object(waves, rows, obj, corners, illum if given else None, back)
        total = np.zeros((modes, N, N), dtype)
        meaning.add_shifted_back(np.fft.fft2(back, norm="ortho").astype(dtype), fraction, total, 0, N)
        got = gpu.asarray(np.zeros_like(total))
        case.engine.add_on_probe(*on_device[:4], there[1], got, on_device[4] if given else None)
        assert close(gpu.to_host(got), total, dtype)
    assert close(gpu.to_host(case.engine.on_probe(*on_device[:4], there[1])), np.fft.ifft2(total, norm="ortho"), dtype)
    meaning.add_seen(obj, corners, case.host["probe_weight"], 0, N)
    case.engine.add_seen(*case.of("obj corners probe_weight")[1])
    assert case.same("probe_weight")


@pytest.mark.parametrize("n", [19, 20])
def test_a_move_by_whole_pixels_rolls_the_probe(gpu, rng, n):
    engine = gpu.Engine(Propagator(None, n, gpu, "complex128"), (2, n, n), "complex128", 1)
    probe = random(rng, (2, n, n), "complex128")
    moved = engine.shifted(gpu.asarray(probe), gpu.asarray(np.array([[3.0, -2.0], [0.0, 1.0]])))
    for got, by in zip(gpu.to_host(moved), [(3, -2), (0, 1)], strict=True):
        assert close(got, np.roll(probe, by, axis=(1, 2)), "complex128")


@pytest.mark.parametrize("method", METHODS)
def test_views_are_cut_into_slices_that_need_not_be_equal(gpu, rng, monkeypatch, method):
    monkeypatch.setattr(importlib.import_module("opty.kernels.gpu_base"), "FILLING", 9)
    case = Case(gpu, rng, "complex64", 1, shared=False)
    add(case, METHODS[method], (0, SIZE[0]))
    call(case, method)
    assert case.same("obj_sum obj_weight probe_sum probe_weight")


def test_more_sizes_than_there_is_room_for_plans(gpu, rng, monkeypatch):
    monkeypatch.setattr(importlib.import_module("opty.kernels.gpu_base"), "PLANS", 2)
    case = Case(gpu, rng, "complex64", 1)
    here, there = frames(case)
    before = case.engine.generation
    for views in (7, 3, 5, 7):
        arrays = [[a[:views] if k else a for k, a in enumerate(of)] for of in case.of("obj corners")]
        for engine, (obj, corners), measured, names in (
            (case.cpu, arrays[0], here, case.host),
            (case.engine, arrays[1], there, case.there),
        ):
            part = measured._replace(rows=measured.rows[:views])
            engine.project(obj, corners, names["illum"], part, False, names["waves"][:views])
        assert case.same("waves")
    assert case.engine.generation > before


def test_an_array_that_a_kernel_would_misread_is_refused(gpu, rng):
    case = Case(gpu, rng, "complex64", 1)
    _, corners, illum, waves = case.of("obj corners illum waves")[1]
    with pytest.raises(ValueError, match="not C-contiguous"):
        case.engine.exit_waves(gpu.asarray(random(rng, SIZE, "complex64")).T, corners, illum, waves)


@pytest.mark.parametrize("deterministic", [False, True])
def test_nothing_waits_and_nothing_is_made_once_buffers_exist(standin_gpu, rng, deterministic):
    case = Case(standin_gpu, rng, "complex64", 2, deterministic=deterministic)
    one = Case(standin_gpu, rng, "complex64", 2, views=1)
    _, there = frames(case, "u2", 3, True)
    case.add(fraction=rng.random((7, 2)) - 0.5)
    obj, corners, illum, waves, kept, rows, fraction = case.of("obj corners illum waves kept rows fraction")[1]

    def work():
        engine = case.engine
        engine.project(obj, corners, illum, there, True, engine.scratch("waves", 7))
        engine.step_kept(obj, corners, illum, there, waves, WaveStore(kept, rows), 0.9, 0.9)
        canvas, sums = engine.accumulators("obj", (1, *SIZE)), engine.accumulators("probe", (2, N, N))
        engine.add_to_both(waves, engine.rows(7), corners, illum, obj, canvas[0][0], canvas[1], *sums)
        engine.add_scaled(illum[0], *sums, 1.0, 1.0)
        engine.add_scaled(obj[None], *canvas, 1.0, 1.0)
        engine.merge(obj[None], canvas[0], canvas[1], obj[None], 0.1)
        engine.update_both(obj, one.there["corners"], illum[0], waves, 0.1, 1.0, 1.0, 1.0)
        seen = engine.shifted(illum[0], fraction)
        engine.on_probe(waves, engine.rows(7), obj, corners, fraction)
        engine.add_on_probe(waves, engine.rows(7), obj, corners, fraction, sums[0], seen)
        engine.add_seen(obj, corners, sums[1])

    case.engine.new_sweep(True)
    work()  # compiles and makes buffers
    standin_gpu.captured(work).launch()

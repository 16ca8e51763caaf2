"""Transforms of our own, and what is done on the way: the numbers of ``meaning`` and NumPy's transforms."""

from __future__ import annotations

import numpy as np
import pytest
from backend_scans import close, random
from batch_case import COUNTS
from families import meaning

from opty.kernels import numpy_backend as cpu
from opty.kernels.operands import MeasuredFrames, WaveStore
from opty.physics.propagation import Propagator

VIEWS, ALL = 3, 5


class Case:
    """A batch of 3 views out of 5, of n x n pixels, on both backends: arrays by name."""

    def __init__(
        self, gpu, rng, n, modes=1, shared=True, counts="u2", mask_axes=0, background=False, deterministic=False
    ):
        size = n + 7, n + 10
        self.gpu = gpu
        masks = {0: None, 2: rng.random((1, n, n)) > 0.3, 3: rng.random((ALL, n, n)) > 0.3}
        self.host = {
            "obj": random(rng, size, "complex64"),
            "corners": rng.integers(0, (size[0] - n + 1, size[1] - n + 1), (VIEWS, 2)),
            "illum": random(rng, (1 if shared else VIEWS, modes, n, n), "complex64"),
            "waves": random(rng, (VIEWS, modes, n, n), "complex64"),
            "obj_sum": random(rng, size, "complex64"),
            "obj_weight": rng.random(size).astype("f4"),
            "probe_sum": random(rng, (modes, n, n), "complex64"),
            "probe_weight": rng.random((n, n)).astype("f4"),
            "kept": random(rng, (ALL, modes, n, n), "complex64"),
            "rows": rng.permutation(ALL)[:VIEWS],
            "intensity": rng.poisson(50 * rng.random((ALL, n, n))).astype(counts),
            "mask": masks[mask_axes],
            "background": (3 * rng.random((n, n))).astype("f4") if background else None,
        }
        self.there = {name: None if a is None else gpu.asarray(a) for name, a in self.host.items()}
        propagator = Propagator(None, n, gpu, "complex64")
        self.engine = gpu.Engine(propagator, (modes, n, n), "complex64", 1, deterministic)
        self.engine.new_sweep(False)

    def frames(self, names) -> MeasuredFrames:
        """Return what was measured."""
        return MeasuredFrames(*(names[name] for name in ("intensity", "rows", "mask", "background")))

    def seen(self, names) -> tuple:
        """Return object, corners and probe."""
        return tuple(names[name] for name in ("obj", "corners", "illum"))

    def same(self, *names) -> bool:
        """Say whether arrays on the device are close to those of the host."""
        return all(close(self.gpu.to_host(self.there[name]), self.host[name], self.host[name].dtype) for name in names)

    def sums(self, names) -> tuple:
        """Return what is added up, object first."""
        return tuple(names[name] for name in ("obj_sum", "obj_weight", "probe_sum", "probe_weight"))


def there_and_back(case, difference) -> float:
    """Put the modulus on the waves of the host; return the misfit."""
    waves, misfits = case.host["waves"], np.empty(VIEWS)
    spectrum = np.fft.fft2(waves.astype("c16"), norm="ortho").astype("c8")
    meaning.put_modulus(spectrum, *case.frames(case.host), difference, misfits)
    waves[...] = np.fft.ifft2(spectrum.astype("c16"), norm="ortho")
    return misfits.sum()


def projected(case, difference) -> float:
    """Project on the host; return the misfit."""
    meaning.exit_waves(*case.seen(case.host), case.host["waves"])
    return there_and_back(case, difference)


@pytest.mark.parametrize("n", [32, 64, 128, 256, 512, 1024])
def test_project_at_every_size(gpu, rng, n):
    case = Case(gpu, rng, n)
    misfit = projected(case, False)
    case.engine.project(*case.seen(case.there), case.frames(case.there), False, case.there["waves"])
    assert case.same("waves")
    assert float(case.engine.misfit()) == pytest.approx(misfit, rel=1e-5)


@pytest.mark.covering(2)
@pytest.mark.parametrize("modes", [2, 3, 4, 5, 9])
@pytest.mark.parametrize("mask_axes", [0, 2, 3])
@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("difference", [False, True])
def test_project(gpu, rng, modes, mask_axes, background, difference):
    case = Case(gpu, rng, 32, modes, mask_axes != 2, "u2", mask_axes, background)
    misfit = projected(case, difference)
    case.engine.project(*case.seen(case.there), case.frames(case.there), difference, case.there["waves"])
    assert case.same("waves")
    assert float(case.engine.misfit()) == pytest.approx(misfit, rel=1e-5)


@pytest.mark.parametrize("counts", COUNTS)
def test_counts_are_read_in_their_own_type(gpu, rng, counts):
    case = Case(gpu, rng, 32, counts=counts)
    projected(case, True)
    case.engine.project(*case.seen(case.there), case.frames(case.there), True, case.there["waves"])
    assert case.same("waves")


def test_outside_the_object_and_where_masked(gpu, rng):
    case = Case(gpu, rng, 32, mask_axes=2, counts="f4")
    case.host["intensity"][:, ~case.host["mask"][0]] = np.nan
    case.there["intensity"] = gpu.asarray(case.host["intensity"])
    case.there["corners"] = gpu.asarray(np.array([[-1, 0], [0, 11], [3, 2]]))
    case.engine.project(*case.seen(case.there), case.frames(case.there), False, case.there["waves"])
    bad = np.isnan(gpu.to_host(case.there["waves"])).all(axis=(1, 2, 3))
    assert bad.tolist() == [True, True, False], "numbers that are none spread over a view, and to no other"


@pytest.mark.parametrize("modes", [1, 3, 5])
@pytest.mark.parametrize(("beta", "keep"), [(1.0, 1.0), (0.8, 1.0), (0.5, 0.7)])
def test_step_kept(gpu, rng, modes, beta, keep):
    case = Case(gpu, rng, 32, modes, modes == 1, "u2", 3, True)
    host, rows = case.host, case.host["rows"]
    meaning.reflect(*case.seen(host), host["kept"], rows, host["waves"])
    misfit = there_and_back(case, True)
    meaning.advance(*case.seen(host), host["waves"], host["kept"], rows, beta, keep - beta)
    kept = WaveStore(case.there["kept"], case.there["rows"])
    case.engine.step_kept(*case.seen(case.there), case.frames(case.there), case.there["waves"], kept, beta, keep)
    assert case.same("kept")
    assert float(case.engine.misfit()) == pytest.approx(misfit, rel=1e-5)


def added_up(case) -> None:
    """Add up on the host what the views say of object and probe."""
    host, rows = case.host, np.arange(VIEWS)
    light = np.empty((len(host["illum"]), *host["waves"].shape[2:]), "f4")
    meaning.power(host["illum"], light)
    obj_sum, obj_weight, probe_sum, probe_weight = case.sums(host)
    low, high = 0, len(host["obj"])
    meaning.add_to_object(host["waves"], rows, host["corners"], host["illum"], light, obj_sum, obj_weight, low, high)
    meaning.add_to_probe(
        host["waves"], rows, host["obj"], host["corners"], probe_sum, probe_weight, 0, len(probe_weight)
    )


@pytest.mark.covering(2)
@pytest.mark.parametrize("n", [32, 64, 512])
@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("deterministic", [False, True])
def test_sums_of_waves_that_are_half_way_back(gpu, rng, n, modes, deterministic):
    case = Case(gpu, rng, n, modes, shared=modes == 1, deterministic=deterministic)
    projected(case, False)
    added_up(case)
    case.engine.new_sweep(True)
    there, rows = case.there, case.engine.rows(VIEWS)
    case.engine.project(*case.seen(there), case.frames(there), False, there["waves"])
    case.engine.add_to_both(there["waves"], rows, there["corners"], there["illum"], there["obj"], *case.sums(there))
    assert case.same("obj_sum", "obj_weight", "probe_sum", "probe_weight", "waves")


@pytest.mark.parametrize("n", [32, 256])
@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("steps", [(0.1, 0.9, 0.3, 0.8), (1.0, 1.0, 1.0, 0.0), (0.2, 0.0, 0.5, 1.0)])
def test_steps_along_one_view_that_is_half_way_back(gpu, rng, n, modes, steps):
    case, both = Case(gpu, rng, n, modes), []
    _, obj_step, _, probe_step = steps
    for names in (case.host, case.there):
        names["probe"] = names["illum"][0].copy()
        for name in ("corners", "rows", "waves"):
            names[name] = names[name][:1]
    for alone in (False, True):
        arrays = {name: None if a is None else a.copy() for name, a in case.there.items()}
        case.engine.new_sweep(alone)
        seen = arrays["obj"], arrays["corners"], arrays["probe"][None]
        case.engine.project(*seen, case.frames(arrays), True, arrays["waves"])
        case.engine.update_both(arrays["obj"], arrays["corners"], arrays["probe"], arrays["waves"], *steps)
        both.append([gpu.to_host(arrays[name]) for name in ("obj", "probe")])
    assert all(close(a, b, "complex64") for a, b in zip(*both, strict=True))
    moved = [not np.array_equal(a, case.host[name]) for a, name in zip(both[1], ("obj", "probe"), strict=True)]
    assert moved == [obj_step != 0, probe_step != 0]


def test_another_method_finds_waves_that_have_come_back(gpu, rng):
    case = Case(gpu, rng, 32, 2)
    projected(case, False)
    added_up(case)
    there = case.there
    obj_sum, obj_weight, *of_probe = case.sums(there)
    case.engine.new_sweep(True)
    case.engine.project(*case.seen(there), case.frames(there), False, there["waves"])
    rows = case.engine.rows(VIEWS)
    case.engine.add_to_probe(there["waves"], rows, there["obj"], there["corners"], *of_probe)
    case.engine.add_to_object(there["waves"], rows, there["corners"], there["illum"], obj_sum, obj_weight)
    assert case.same("obj_sum", "obj_weight", "probe_sum", "probe_weight", "waves")


def near(got, expected) -> bool:
    """Say whether sums of terms of both signs agree to what single precision leaves of them."""
    return np.linalg.norm(got - expected) < 1e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize("noise", ["poisson", "gaussian", "amplitude"])
@pytest.mark.parametrize("modes", [1, 3, 5])
@pytest.mark.parametrize("mask_axes", [0, 3])
def test_slope_and_changes(gpu, rng, noise, modes, mask_axes):
    case = Case(gpu, rng, 32, modes, modes == 1, "u2", mask_axes, mask_axes == 3)
    host, there, values = case.host, case.there, np.empty(VIEWS)
    cpu_engine = cpu.Engine(Propagator(None, 32, cpu, "complex64"), (modes, 32, 32), "complex64", 1)
    cpu_engine.new_sweep(False)
    index = np.arange(VIEWS)
    cpu_engine.follow_slope(*case.seen(host), case.frames(host), noise, host["waves"], values, index)
    there |= {"values": gpu.asarray(np.full(VIEWS, np.nan)), "index": gpu.asarray(index)}
    found = there["waves"], there["values"], there["index"]
    case.engine.follow_slope(*case.seen(there), case.frames(there), noise, *found)
    assert case.same("waves")
    assert near(gpu.to_host(there["values"]), values)
    assert float(case.engine.misfit()) == pytest.approx(float(cpu_engine.misfit()), rel=1e-5)

    steps = [random(rng, host["obj"].shape, "complex64"), random(rng, host["illum"].shape, "complex64")]
    trials = np.array([0.01, 0.1, 0.5], "f4")
    expected, changes = np.empty((VIEWS, 3)), gpu.asarray(np.full((VIEWS, 3), np.nan))
    cpu_engine.changes(*case.seen(host), *steps, case.frames(host), noise, trials, expected, index)
    steps, trials = [gpu.asarray(a) for a in steps], gpu.asarray(trials)
    case.engine.changes(*case.seen(there), *steps, case.frames(there), noise, trials, changes, there["index"])
    assert near(gpu.to_host(changes), expected)

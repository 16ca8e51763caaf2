"""The compiled loops against their meaning in NumPy, on arrays drawn anew in each run; work shared by threads."""

import inspect
import threading

import numpy as np
import pytest
from families import FAMILIES, all_functions, functions, meaning
from small_scans import same, scan, state

import opty
from opty.arrays import thread_pool
from opty.arrays.thread_pool import chunks, parallel_for
from opty.kernels.cpu_engine import CpuEngine

pytest.importorskip("numba", reason="numba is not installed: only NumPy's loops are used")
loops = all_functions("loops")

N, H, W, VIEWS = 18, 40, 44, 7
TOLERANCE = {"complex64": 2e-6, "complex128": 1e-14}


class Drawn:
    """Arrays for one call of every function, from a seed that a failing test prints."""

    def __init__(self, dtype, modes, counts="uint16", mask=0, background=False, each=False):
        self.seed = np.random.SeedSequence().entropy
        self.rng = np.random.default_rng(self.seed)
        self.dtype, self.real = np.dtype(dtype), np.dtype(dtype).type(0).real.dtype
        self.obj, self.probe = self.waves_of(H, W), 30 * self.waves_of(modes, N, N)
        self.illum = 30 * self.waves_of(VIEWS, modes, N, N) if each else self.probe[None].copy()
        self.waves, self.kept = self.waves_of(VIEWS, modes, N, N), self.waves_of(11, modes, N, N)
        self.intensity = self.rng.poisson(2, (11, N, N)).astype(counts)
        self.corners = self.rng.integers(0, (H - N + 1, W - N + 1), (VIEWS, 2))
        self.rows = self.rng.permutation(11)[:VIEWS]
        self.fraction = self.rng.uniform(-0.5, 0.5, (VIEWS, 2))
        self.mask = self.rng.random((1 if mask == 2 else 11, N, N)) < 0.8 if mask else None
        self.background = self.rng.random((N, N)).astype(self.real) if background else None
        self.light = self.rng.random((len(self.illum), N, N)).astype(self.real)
        self.weight, self.seen = (self.rng.random(shape).astype(self.real) for shape in ((H, W), (N, N)))
        self.misfits, self.sums = np.zeros(VIEWS), np.empty((VIEWS, 5))
        self.illum_of_each, self.lights = self.waves_of(VIEWS, modes, N, N), self.illum[0, :1].real.repeat(3, axis=0)
        self.variations = self.waves_of(3, N, N)
        self.climb, self.curved, self.brightest = np.zeros((VIEWS, 3)), np.zeros((VIEWS, 3)), np.zeros(VIEWS)

    def varying(self, count):
        """Return probe, weights and modes of a probe that varies, images as real numbers."""
        return self.probe.view(self.real), self.weight[:VIEWS, :count], self.variations[:count].view(self.real)

    def flat(self, count):
        """Return the same with images in one row."""
        return [a.reshape(len(a), -1) for a in self.varying(count)]

    @property
    def said(self):
        return self.climb, self.curved, self.brightest

    def waves_of(self, *shape):
        return (self.rng.normal(size=shape) + 1j * self.rng.normal(size=shape)).astype(self.dtype)


CALLS = {
    "exit_waves": lambda k, d: k.exit_waves(d.obj, d.corners, d.illum, d.waves),
    "reflect": lambda k, d: k.reflect(d.obj, d.corners, d.illum, d.kept, d.rows, d.waves),
    "advance": lambda k, d: k.advance(d.obj, d.corners, d.illum, d.waves, d.kept, d.rows, 0.7, 0.9),
    "advance_anew": lambda k, d: k.advance(d.obj, d.corners, d.illum, d.waves, d.kept, d.rows, 0.7, 0.0),
    "shift": lambda k, d: k.shift(d.probe, d.fraction, d.waves),
    "add_shifted_back": lambda k, d: k.add_shifted_back(d.waves, d.fraction, d.probe, 3, N - 2),
    "through_object": lambda k, d: k.through_object(d.kept, d.rows, d.obj, d.corners, None, d.waves),
    "through_object_less": lambda k, d: k.through_object(d.kept, d.rows, d.obj, d.corners, d.illum, d.waves),
    "put_modulus": lambda k, d: k.put_modulus(d.waves, d.intensity, d.rows, d.mask, d.background, False, d.misfits),
    "difference": lambda k, d: k.put_modulus(d.waves, d.intensity, d.rows, d.mask, d.background, True, d.misfits),
    "mix": lambda k, d: k.mix(*d.varying(3), d.waves.view(d.real)),
    "let_through_each": lambda k, d: k.let_through_each(d.obj, d.corners[: len(d.light)], d.light),
    "transfer": lambda k, d: k.transfer(d.waves, d.probe[0], False),
    "transfer_back": lambda k, d: k.transfer(d.waves, d.probe[0], True),
    "change": lambda k, d: k.change(d.waves, d.obj, d.corners, d.illum, d.obj[::-1].copy()),
    "let_through": lambda k, d: k.let_through(d.obj, d.corners, N, d.weight[0, :VIEWS]),
    "products": lambda k, d: k.products(d.kept, d.rows, d.waves, d.waves[::-1].copy(), d.sums),
    "add_up_changes_to": lambda k, d: k.add_up_changes_to(
        d.waves[::-1].copy(), d.waves, d.intensity, d.rows, d.mask, d.background, 0, d.misfits
    ),
    "shine": lambda k, d: k.shine(*d.flat(3), d.obj, d.corners, d.illum_of_each, d.waves),
    "shine_passing": lambda k, d: k.shine(*d.flat(2), d.obj, d.corners, None, d.waves),
    "vary_one": lambda k, d: k.vary_one(
        d.varying(3)[2], d.light[0, 0, :3], d.seen[0, :3], d.waves[0, 0], d.obj, *d.corners[0], True, 0.2, 1.0
    ),
    "vary_one_back": lambda k, d: k.vary_one(
        d.varying(3)[2], d.light[0, 0, :3], d.seen[0, :3], d.waves[0, 0], d.obj, *d.corners[0], False, 0.2, 1.0
    ),
    "move_modes": lambda k, d: k.move_modes(d.varying(3)[2], d.waves[:3, 0].view(d.real), d.misfits[:3] + 2, 2, N - 1),
    "add_said": lambda k, d: k.add_said(
        *(
            False,
            d.waves,
            d.rows % VIEWS,
            d.obj,
            d.corners,
            None,
            d.weight[:VIEWS, :3],
            d.seen[:VIEWS, :3],
            d.varying(3)[2],
        ),
        *((d.probe, d.seen, d.illum_of_each[:3, 0].view(d.real)), None, *d.said, 0, N),
    ),
    "add_said_projected": lambda k, d: k.add_said(
        *(True, d.waves, d.rows % VIEWS, d.obj, d.corners, d.illum, d.weight[:VIEWS, :3], d.weight[:VIEWS, 3:6]),
        *(d.varying(3)[2], (d.probe, d.seen, d.illum_of_each[:3, 0].view(d.real)), d.lights, *d.said, 3, N - 1),
    ),
    "power": lambda k, d: k.power(d.illum, d.light),
    "add_to_object": lambda k, d: k.add_to_object(
        d.kept, d.rows, d.corners, d.illum, d.light, d.obj, d.weight, 5, H - 3
    ),
    "add_to_object_by_itself": lambda k, d: k.add_to_object(
        d.kept, d.rows, d.corners, d.illum_of_each, None, d.obj, d.weight, 5, H - 3
    ),
    "add_to_probe": lambda k, d: k.add_to_probe(d.kept, d.rows, d.obj, d.corners, d.probe, d.seen, 2, N - 1),
    "add_to_object_lit": lambda k, d: k.add_to_object(
        d.kept, d.rows, d.corners, d.probe[None], d.kept[:VIEWS, 0].real.copy(), d.obj, d.weight, 5, H - 3
    ),
    "add_to_probe_alone": lambda k, d: k.add_to_probe(d.kept, d.rows, d.obj, d.corners, d.probe, None, 2, N - 1),
    "add_seen": lambda k, d: k.add_seen(d.obj, d.corners, d.seen, 2, N - 1),
    "add_scaled": lambda k, d: k.add_scaled(
        d.obj[None], np.ascontiguousarray(d.obj.T.reshape(1, H, W)), d.weight, 0.9, 0.05, 0.5, 2, H
    ),
    "merge": lambda k, d: k.merge(d.probe, d.kept[: len(d.probe), 0], d.seen * (d.seen > 0.3), d.probe, 0.0, 1, N),
    "merge_held": lambda k, d: k.merge(d.probe, d.kept[: len(d.probe), 0], d.seen, d.probe, 0.1, 0, N),
    "update_both": lambda k, d: k.update_both(d.obj, d.corners[:1], d.probe, None, d.waves[:1], 0.05, 1.0, 0.8, 0.5),
    "update_both_seen": lambda k, d: k.update_both(
        d.obj, d.corners[:1], d.probe, d.kept[0], d.waves[:1], 0.05, 1.0, 0.8, 0.5
    ),
    "update_obj": lambda k, d: k.update_both(d.obj, d.corners[:1], d.probe, None, d.waves[:1], 1.0, 0.6, 1.0, 0.0),
}


def agree(call, dtype, **drawn):
    here = Drawn(dtype, **drawn)
    there = {name: np.array(a) for name, a in vars(here).items() if isinstance(a, np.ndarray)}
    call(meaning, here)
    other = Drawn.__new__(Drawn)
    other.__dict__.update(vars(here), **there)
    call(loops, other)
    for name in there:
        a, b = (np.asarray(getattr(d, name)) for d in (here, other))
        worst = np.abs(a.astype(complex) - b).max() / max(np.abs(a).max(), 1e-30)
        # A step of NumPy's is a difference of roots, whose digits cancel where the two are close.
        assert worst < TOLERANCE[dtype], f"{name}: {worst} with seed {here.seed}"


@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", CALLS)
def test_the_loops_mean_what_numpy_does(name, dtype, modes):
    agree(CALLS[name], dtype, modes=modes, each=name != "update_both")
    agree(CALLS[name], dtype, modes=modes)


@pytest.mark.covering
@pytest.mark.parametrize("modes", [1, 2])
@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("mask", [0, 2, 3])
@pytest.mark.parametrize("counts", ["uint8", "int32", "uint64", "float32", "float64"])
def test_the_modulus_of_all_kinds_of_frames(counts, mask, background, modes):
    drawn = {"modes": modes, "counts": counts, "mask": mask, "background": background}
    agree(CALLS["put_modulus"], "complex64", **drawn)
    agree(CALLS["difference"], "complex128", **drawn)


@pytest.mark.parametrize("family", FAMILIES)
def test_both_have_the_same_functions(family):
    ours, theirs = functions(family, "meaning"), functions(family, "loops")
    assert ours.keys() == theirs.keys()
    for name, f in ours.items():
        assert inspect.signature(f).parameters.keys() == inspect.signature(theirs[name].py_func).parameters.keys()


@pytest.mark.parametrize("dark", [0.0, 1e-20, 1e-12])
@pytest.mark.parametrize("kernels", [meaning, loops], ids=["numpy", "numba"])
def test_dark_predictions_stay_finite_and_count_in_full(kernels, dark):
    waves = np.full((1, 1, 4, 4), dark, np.complex64)
    counts, misfits = np.full((1, 4, 4), 1e9, np.float32), np.empty(1)
    kernels.put_modulus(waves, counts, np.array([0]), None, None, False, misfits)
    assert np.isfinite(waves).all()
    assert misfits[0] == pytest.approx(16e9, rel=1e-5)
    assert (np.abs(waves) <= 1.001 * 1e9**0.5).all()


@pytest.mark.parametrize("compiled", [False, True], ids=["numpy", "numba"])
def test_what_is_not_finite_stays_so(compiled, monkeypatch):
    monkeypatch.setattr("opty.kernels.compiled.numba_available", lambda: compiled)
    for recipe in (opty.rPIE(), opty.rPIE(batch=4), opty.AP(), opty.DM()):
        p = opty.PtychoState._of(state(scan(fractional=False))._live.fork({"probe"}))
        p._live.leaves["probe"][0, 3, 4] = np.nan
        with pytest.raises(opty.DivergedError):
            recipe * p


RECIPES = [
    opty.rPIE(),
    opty.ePIE(batch=5),
    opty.rPIE(alpha=0.1, beta=0.5, batch="all"),
    opty.AP(),
    opty.DM(beta=0.9),
    opty.RAAR(),
    opty.PosCorrectAdam() * opty.rPIE(batch=4),
]


@pytest.mark.parametrize("fractional", [False, True])
@pytest.mark.parametrize("recipe", RECIPES, ids=repr)
def test_recipes_give_the_same_without_numba(recipe, fractional, monkeypatch):
    p = state(scan(modes=2, mask=2, fractional=fractional), wrong=0.1, dtype="complex128")
    want = recipe**5 * p
    monkeypatch.setattr("opty.kernels.compiled.numba_available", lambda: False)
    got = recipe**5 * p
    for name in ("obj", "probe"):
        assert np.abs(got.numpy(name) - want.numpy(name)).max() < 1e-8 * np.abs(want.numpy(name)).max()


@pytest.mark.parametrize("fractional", [False, True])
@pytest.mark.parametrize("recipe", RECIPES, ids=repr)
def test_the_same_bits_with_any_number_of_threads(recipe, fractional):
    data = scan(views=23, modes=2, mask=3, fractional=fractional)
    one = recipe**3 * state(data, wrong=0.1)
    for threads in (2, 3, 8):
        assert same(recipe**3 * state(data, wrong=0.1, threads=threads), one)


def test_a_pool_does_each_piece_once():
    pieces, done, lock = list(range(200)), [], threading.Lock()

    def work(piece):
        with lock:
            done.append(piece)

    for threads in (1, 2, 5):
        done.clear()
        parallel_for(work, pieces, threads)
        assert sorted(done) == pieces
    assert chunks(7, 3) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert chunks(0, 3) == []


@pytest.mark.parametrize("threads", [1, 4])
def test_a_pool_raises_what_a_piece_raised(threads):
    def work(piece):
        if piece == 3:
            raise OSError(f"piece {piece}")

    with pytest.raises(OSError, match="piece 3"):
        parallel_for(work, range(9), threads)
    parallel_for(lambda piece: None, range(9), threads)


def test_a_fork_gets_a_pool_of_its_own():
    parallel_for(lambda piece: None, range(4), 3)
    assert thread_pool._pool(3, 1) is not thread_pool._pool(3, 2)


def test_scratch_is_used_again_only_where_nobody_keeps_it():
    p = state(scan())
    engine = CpuEngine(p._live.measured.propagator, p.probe.shape, p.dtype, 1)
    engine.new_sweep(alone=True)
    assert np.shares_memory(engine.scratch("waves", 4), engine.scratch("waves", 3))
    assert not np.shares_memory(engine.scratch("waves", 4), engine.scratch("illum", 4))
    engine.new_sweep(alone=False)
    assert not np.shares_memory(engine.scratch("waves", 4), engine.scratch("waves", 4))

"""Arrays that a state hands out: no run changes them, and nobody changes a state through them."""

import copy
import gc
import pickle

import numpy as np
import pytest
from small_scans import everything, same, scan, state

import opty
from opty import DM, PtychoState, mPIE, rPIE
from opty.state import loans

READS = {
    "obj": lambda q: q.obj,
    "probe": lambda q: q.probe,
    "positions": lambda q: q.positions,
    "intensity_factors": lambda q: q.intensity_factors,
    "a slot": lambda q: q.slots["kept_obj_velocity"],
    "an array": lambda q: q.arrays["mine"],
}
PARTS = {
    "all": lambda a: a,
    "a part": lambda a: a[2:-1],
    "a part of a part": lambda a: a[2:][::2].T,
    "the real part": lambda a: a.real if a.dtype.kind == "c" else a.reshape(-1),
    "through NumPy": np.asarray,
    "a memoryview": memoryview,
}


class SpoilsLoan(opty.Operator, writes="obj probe positions intensity_factors kept_obj_velocity mine"):
    """Writes into everything, for the tests."""

    def apply(self, s):
        for name in type(self).writes:
            getattr(s, name)[...] *= 1.01


@pytest.fixture(autouse=True, scope="module")
def no_other_garbage():
    """Each test collects what nobody holds; what other tests left would take seconds each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def q():
    given = {"intensity_factors": np.linspace(0.9, 1.1, 12), "arrays": {"mine": np.arange(12.0).reshape(4, 3)}}
    return mPIE() ** 2 * (rPIE() * state(scan())).replace(**given)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", READS)
def test_what_was_read_stays_as_it_was(q, name, part):
    taken = PARTS[part](READS[name](q))
    before = np.array(taken)
    gc.collect()
    expected = (SpoilsLoan() * mPIE()) ** 2 * q
    got = (SpoilsLoan() * mPIE()) ** 2 * q.donate()
    assert np.array_equal(np.asarray(taken), before)
    assert not np.asarray(taken).flags.writeable
    assert same(got, expected)


def test_what_nobody_holds_is_not_copied(q):
    q = mPIE() * q
    places = {name: a.ctypes.data for name, a in q._live.leaves.items()}
    q.obj, q.probe[0].real.copy(), [a.copy() for a in q.slots.values()]  # read, and let go
    held = q.probe[0, 1:]
    gc.collect()
    r = (SpoilsLoan() * mPIE()) ** 2 * q.donate()
    moved = {name for name, a in r._live.leaves.items() if a.ctypes.data != places[name]}
    assert moved == {"probe", "positions", "intensity_factors", "mine"}  # a part is held; the others are in the start
    del held


def test_arrays_cannot_be_made_writable(q):
    for read in READS.values():
        with pytest.raises(ValueError, match="read-only"):
            read(q)[...] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            read(q).flags.writeable = True


def test_nothing_is_remembered_of_arrays_that_are_gone(q):
    gc.collect()
    before = len(loans._loans)
    many = [q.obj for _ in range(50)]
    assert len(loans._loans) == before + 50
    del many
    assert len(loans._loans) == before


def test_slots_are_those_of_a_state_that_is_there(q):
    slots = q.slots
    assert {"obj", "mine", "intensity_factors"}.isdisjoint(slots)
    assert set(q.arrays) == {"mine"}
    assert set(slots) | {"mine", "obj", "probe", "positions", "intensity_factors"} == set(q._live.leaves)
    assert len(slots) == len(list(slots)) > 0
    assert "kept_obj_velocity" in repr(slots)
    with pytest.raises(KeyError, match="no 'velocity' here; there is"):
        slots["velocity"]
    q.donate()
    with pytest.raises(opty.ConsumedError):
        slots["kept_obj_velocity"]


# -- on a GPU


def test_nothing_is_written_into_a_state_on_a_gpu(standin_gpu):
    import cupy

    q = (DM() ** 2 * state(scan(), device="gpu")).replace(arrays={"mine": np.ones((3, 4))})
    q = DM() * q
    reads = {name: read for name, read in READS.items() if name not in ("intensity_factors", "a slot")}
    reads["kept waves"] = lambda q: q.slots["kept_waves"]
    before = everything(q)
    for read in reads.values():
        read(q)[...] = 0
        a = read(q)
        a += 1
        cupy.multiply(a, 3, out=read(q))
        read(q).fill(2)
    assert same(everything(q), before)
    taken = {name: read(q) for name, read in reads.items()}
    kept = {name: a.get() for name, a in taken.items()}
    place = q._live.leaves["obj"].data.ptr
    r = DM() ** 2 * q.donate()
    assert r._live.leaves["obj"].data.ptr == place  # copies were handed out: the buffer itself is free
    assert all(np.array_equal(a.get(), kept[name]) for name, a in taken.items())


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))])
@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_copies_are_where_the_state_is(standin_gpu, device, copied):
    p = PtychoState(scan(), device=device, threads=3, seed=8, deterministic=True)
    q = copied(rPIE() * p)
    assert (q.device, q.threads, q.seed, q.deterministic) == (device, 3, 8, True)
    assert same(rPIE() * q, rPIE() ** 2 * p)


def test_a_state_of_a_gpu_is_unpickled_where_there_is_none(standin_gpu, monkeypatch):
    q = rPIE() * state(scan(), device="gpu")
    expected, packed = everything(q), pickle.dumps(q)
    monkeypatch.setattr("opty.state.bare_state.why_no_gpu", lambda: "it was taken out")
    with pytest.warns(UserWarning, match="a state that was on a GPU is on the CPU now: it was taken out") as caught:
        back = pickle.loads(packed)
    assert caught[0].filename == __file__
    assert back.device == "cpu"
    assert same(back, expected)


def test_a_shallow_copy_shares_and_a_deep_one_does_not(q):
    shallow, deep = copy.copy(q), copy.deepcopy(q)
    for name, a in q._live.leaves.items():
        assert shallow._live.leaves[name] is a
        assert not np.shares_memory(deep._live.leaves[name], a)
    assert deep.data is shallow.data is q.data
    assert shallow.recipe == deep.recipe == q.recipe
    before = everything(q)
    for other in (shallow, deep):
        SpoilsLoan() * mPIE() * other.donate()
        assert same(q, before)

"""What a step sees of state and batch: fields of its own, memory of its own, and leaves that it may not write."""

import numpy as np
import pytest
from small_scans import close, everything, same, scan, state

import opty
from opty import EffectError, FourierProject, Leaf, ObjUpdate, Operator, ProbeUpdate, Sweep, ViewOperator, ePIE
from opty.state.access import Access
from opty.state.leaves import PROBE

# -- fields of a batch that steps make for each other


class Measures(ViewOperator, reads="waves", writes="strength"):
    """Sets a field of its own: the light of each view."""

    def apply(self, s, b):
        b.strength = (abs(b.waves) ** 2).sum(axis=(1, 2, 3))
        b.strength = b.strength + 0  # may be set again


class Weighs(ViewOperator, reads="strength delta", writes="delta"):
    """Reads it, and leaves weak views out."""

    def apply(self, s, b):
        b.delta *= (b.strength > b.strength.mean())[:, None, None, None]


class Counts(ViewOperator, reads="strength index", slots=Leaf("seen", "view")):
    """Keeps it in a slot of the state."""

    def apply(self, s, b):
        s.create("seen")
        s.seen[b.index] = b.strength


class Sees(ViewOperator, reads="strength", writes="strength"):
    """Reads and writes the field, and so does not say that somebody else makes it."""

    def apply(self, s, b):
        b.strength *= 2


def test_a_field_goes_from_step_to_step(p):
    recipe = Sweep(Counts() * ProbeUpdate() * ObjUpdate() * Weighs() * FourierProject() * Measures(), batch=3)
    q = recipe * p
    seen = q.slots["seen"]
    with opty.unfused():
        assert close(recipe * p, q, 1e-5)
    expected = np.array([(abs(waves) ** 2).sum() for waves in _waves(p)])
    assert (recipe * p).slots.keys() == q.slots.keys() == {"seen"}
    assert seen.sum() == pytest.approx(expected.sum(), rel=0.1)  # the object improved from batch to batch
    twice = Sweep(Counts() * Sees() * Measures()) * p
    assert twice.slots["seen"] == pytest.approx(2 * expected, rel=1e-5)


def _waves(p):
    """The exit waves of each view as the state stands."""
    from opty.state.views import sweep_batches

    for batch in sweep_batches(p._live):
        yield from (batch.patches[:, None] * batch.illum)[np.argsort(batch.number)]


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            Sweep(ObjUpdate() * Weighs() * FourierProject()),
            r"Weighs\(\) reads 'strength' but no step to its right writes it",
        ),
        (
            Sweep(ObjUpdate() * Measures() * Weighs() * FourierProject()),
            r"Weighs\(\) reads 'strength' but no step to its right",
        ),
        (
            Sweep(ObjUpdate() * Weighs() * FourierProject()) * Sweep(Measures()),
            r"Weighs reads b\.strength, which no step to its right",
        ),
        (Sweep(Sees()), r"Sees reads b\.strength, which no step to its right has set in this batch"),
    ],
)
def test_a_field_that_no_step_makes_is_refused(p, recipe, message):
    before = everything(p)
    with pytest.raises((EffectError, AttributeError), match=message):
        recipe * p
    assert same(everything(p), before)


class Whole(ViewOperator, reads="obj waves", writes="obj"):
    """Takes the object for a field of the batch."""

    reading: bool = True

    def apply(self, s, b):
        if self.reading:
            _ = b.obj
        b.obj = 1


class Slotted(ViewOperator, reads="waves", slots=Leaf("own", "3")):
    """Makes a slot and takes it for a field of the batch."""

    def apply(self, s, b):
        s.create("own")
        b.own = 1


class Undeclared(ViewOperator, reads="waves"):
    def apply(self, s, b):
        b.extra = 1


class ReadsUndeclared(ViewOperator, reads="waves"):
    def apply(self, s, b):
        _ = b.strength


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Whole(), r"Whole: 'obj' is part of the state and not of a batch; write s\.obj"),
        (Whole(reading=False), r"Whole: 'obj' is part of the state and not of a batch; write s\.obj"),
        (Slotted(), r"Slotted: 'own' is part of the state and not of a batch; write s\.own"),
        (Undeclared(), "Undeclared writes 'extra' without declaring it; add it to writes="),
        (ReadsUndeclared() * Measures(), "ReadsUndeclared reads 'strength' without declaring it; add it to reads="),
    ],
)
def test_what_is_no_field_is_told_so(p, step, message):
    with pytest.raises(EffectError, match=message):
        Sweep(step) * p


# -- what passes through


class Looks(Operator, reads="obj"):
    def apply(self, s):
        assert s.n == s.data.n == 16
        assert s.history["misfit"].dtype == float
        assert len(s.history["iteration"]) == s.iteration
        with pytest.raises(TypeError, match="does not support item assignment"):
            s.history["misfit"] = 1
        with pytest.raises(AttributeError):
            s.history["misfit"].append(3.0)
        s.history["misfit"][:] = 7
        s.record("mine", s.iteration)


def test_the_history_is_read_and_recorded(p):
    q = (Looks() * ePIE()) ** 3 * p
    assert (q.history["mine"] == [1, 2, 3]).all()
    assert (q.history["misfit"] != 7).all()
    assert (q.obj == (ePIE() ** 3 * p).obj).all()


# -- two names for one array


WHOLE = Leaf("whole", "4 4", scale=0)


class KeepsPart(
    Operator,
    reads="obj",
    writes="probe",
    slots=(PROBE.like("first", axes="row col"), Leaf("again", "4", scale=0), WHOLE),
):
    """Keeps parts of the probe, of its own array, and of the object under other names, then doubles the probe."""

    def apply(self, s):
        own = s.xp.ones((4, 4))
        s.first, s.again, s.whole = s.probe[0], own[1], own
        self.look(s)
        s.probe *= 2
        s.whole *= 3

    def look(self, s):
        leaves = {name: getattr(s, name) for name in ("probe", "first", "again", "whole")}
        assert not any(s.backend.share_memory(leaves[a], leaves[b]) for a in leaves for b in leaves if a < b), (
            "two leaves share memory"
        )


def test_a_part_of_a_leaf_is_a_copy(p):
    q = KeepsPart() * p
    assert (q.slots["first"] == p.probe[0]).all()
    assert (q.probe == 2 * p.probe).all()
    assert (q.slots["again"] == 1).all()
    assert (q.slots["whole"] == 3).all()


class Fresh(Operator, reads="obj", writes="probe"):
    """Notes where an array of its own lies, and where it lies as a leaf."""

    def apply(self, s):
        mine = s.probe * 2
        s.probe = mine
        assert s.probe is mine


def test_an_array_of_its_own_is_taken_as_it_is(p):
    assert ((Fresh() * p).probe == 2 * p.probe).all()


@pytest.mark.usefixtures("gpu")
def test_a_part_of_a_leaf_is_a_copy_on_a_gpu():
    p = state(scan()).to("gpu")
    q = KeepsPart() * p
    assert (q.numpy("first") == p.numpy("probe")[0]).all()
    assert (q.numpy("probe") == 2 * p.numpy("probe")).all()
    assert (q.numpy("again") == 1).all()
    Fresh() * p


# -- what a step reads alone is not written


WRITES = {
    "item": lambda a, xp: a.__setitem__(0, 1),
    "all": lambda a, xp: a.__setitem__(..., 1),
    "product": lambda a, xp: a.__imul__(2),
    "sum": lambda a, xp: a.__iadd__(2),
    "part": lambda a, xp: a[0].__setitem__(0, 1),
    "part of a part": lambda a, xp: a[0][1:].__isub__(1),
    "view": lambda a, xp: a.reshape(-1).__setitem__(0, 1),
    "transposed": lambda a, xp: a.T.__itruediv__(2),
    "real part": lambda a, xp: setattr(a, "real", 1),
    "imaginary part": lambda a, xp: a.imag.__setitem__(0, 1),
    "fill": lambda a, xp: a.fill(1),
}


class Writes(Operator, reads="obj probe", writes="probe"):
    """Writes into the object, which it declares as read alone, in one of many ways."""

    way: str

    def apply(self, s):
        probe = s.probe
        WRITES[self.way](probe, s.xp)
        computed = s.obj * 2
        WRITES[self.way](computed, s.xp)
        s.probe = probe
        WRITES[self.way](s.obj, s.xp)


@pytest.mark.parametrize("way", WRITES)
def test_on_the_cpu(p, way):
    before = everything(p)
    with pytest.raises((EffectError, ValueError), match=r"read-only|changes a leaf in place"):
        Writes(way) * p
    assert same(everything(p), before)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("way", WRITES)
def test_on_a_gpu(way):
    p = state(scan()).to("gpu")
    before = {name: p.numpy(name) for name in ("obj", "probe")}
    with pytest.raises(EffectError, match="Writes changes a leaf in place that it does not declare as written: 'obj'"):
        Writes(way) * p
    for name, a in before.items():
        assert (p.numpy(name) == a).all()


class Computes(Operator, reads="obj probe", slots=Leaf("sum", "row col", dtype="real", grid="window")):
    """Does with leaves that it reads what steps do."""

    def apply(self, s):
        xp, obj = s.xp, s.obj
        assert isinstance(obj, xp.ndarray)
        assert type(obj) is not xp.ndarray
        spectrum = s.backend.fft2(s.probe)
        corners = xp.asarray(np.array([[0, 0], [3, 2]]))
        windows = s.backend.take_windows(obj, corners, s.n)
        out = xp.zeros_like(windows)
        out += windows * s.probe[:1].conj()
        np.testing.assert_array_equal(s.backend.to_host(obj), obj.get())
        s.sum = xp.abs(out).sum(axis=0) + abs(spectrum[0]) + obj[: s.n, : s.n].real
        assert type(s.sum) is xp.ndarray
        s.sum[0] = 0
        s.sum *= 1


@pytest.mark.usefixtures("gpu")
def test_a_locked_array_goes_into_functions_and_kernels():
    p = state(scan())
    q = Computes() * p.to("gpu")
    windows = np.stack([p.obj[:16, :16], p.obj[3:19, 2:18]])
    expected = abs(windows * p.probe[:1].conj()).sum(axis=0) + p.obj[:16, :16].real
    expected += abs(np.fft.fft2(p.probe[0], norm="ortho"))
    assert np.allclose(q.numpy("sum")[1:], expected[1:], rtol=1e-4)
    assert (q.numpy("sum")[0] == 0).all()


# -- who is to blame


class OwnArray(Operator, reads="obj", writes="probe"):
    """Writes into a read-only array of its own, in the statement or deeper."""

    deep: bool = False

    def apply(self, s):
        obj = s.obj  # a leaf that is read-only as well
        mine = np.broadcast_to(np.float64(1), (3,))
        if self.deep:
            _add_one(mine)
        mine[0] = abs(obj).max()


class Intensities(Operator, reads="obj", writes="probe"):
    def apply(self, s):
        s.data.intensities[0] = 0


class Deep(Operator, reads="obj", writes="probe"):
    def apply(self, s):
        _add_one(s.obj)


class Out(Operator, reads="obj positions", writes="probe"):
    def apply(self, s):
        np.multiply(s.positions, 2, out=s.obj.real)


class Line(Operator, reads="obj positions", writes="probe"):
    def apply(self, s):
        part = s.positions[1:]
        part[
            0,
            0,
        ] = abs(s.obj).max()


def _add_one(a):
    a += 1


@pytest.mark.parametrize(("step", "leaf"), [(Deep(), "obj"), (Out(), "obj"), (Line(), "positions")], ids=repr)
def test_the_leaf_that_was_written_is_named(p, step, leaf):
    with pytest.raises(EffectError, match=f"changes a leaf in place that it does not declare as written: '{leaf}'"):
        step * p


@pytest.mark.parametrize("step", [OwnArray(), OwnArray(deep=True), Intensities()], ids=repr)
def test_another_array_is_not_blamed_on_the_declaration(p, step):
    with pytest.raises(ValueError, match="read-only") as caught:
        step * p
    assert not isinstance(caught.value, EffectError)
    note, _ = caught.value.__notes__
    assert note.endswith("iteration 0; leaves that it declares as read alone are read-only there: obj")


def test_access_costs_little(p):
    """An ordinary assignment compares addresses with a handful of leaves and copies nothing."""
    s = Access(p._live, "Test", frozenset({"obj"}), frozenset({"probe"}))
    a = np.zeros((1000, 1000), np.complex64)
    assert s._own(a) is a
    assert s._own(a[1:]).base is a

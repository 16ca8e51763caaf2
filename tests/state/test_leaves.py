"""Declarations of arrays: memory, copies, files, staleness and the scale follow from them, for a user's own too."""

import ast
import copy
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_scans import everything, same

import opty
from opty import AP, EffectError, Leaf, Operator, PosLimit, ScaleObjProbe, Sweep, ViewOperator, ePIE, rPIE
from opty.algebra.operator import REGISTRY, slot_named
from opty.runtime.memory_estimate import footprint
from opty.runtime.program import program_of
from opty.state.leaves import ESTIMATED, FIELDS, OBJ

# By which power of g each goes where P becomes P g and O becomes O / g, worked out from the formulae.
EXPONENTS = {
    **{"probe": 1, "obj": -1, "illum": 1, "patches": -1},
    **dict.fromkeys(("waves", "delta", "predicted", "index", "kept_waves"), 0),
    **dict.fromkeys(("positions", "background", "intensity_factors"), 0),
    **dict.fromkeys(("distance", "pixel_size", "focus_to_sample"), 0),
    # sums over views: conj(P) psi and |P|^2 on the object, conj(O) psi and |O|^2 on the probe
    **{"obj_sum": 1, "obj_weight": 2, "probe_sum": -1, "probe_weight": -2},
    **{"kept_obj_velocity": -1, "kept_probe_velocity": 1},
    # dL/dO* goes as P, and the direction as O
    **{"obj_gradient": 1, "probe_gradient": -1, "kept_gradient_obj": 1, "kept_gradient_probe": -1},
    **{"kept_direction_obj": -1, "kept_direction_probe": 1, "kept_step": 0, "line_sums": 0},
    "likelihood": 0,
    **dict.fromkeys(("position_misfit", "position_gain", "position_shift", "position_count", "position_course"), 0),
    **dict.fromkeys(("position_given", "position_place", "position_estimate", "position_uncertainty"), 0),
    "stretch_turn": 0,
    **dict.fromkeys(("position_evidence", "position_smooth", "position_pulled", "compared_misfit"), 0),
    **dict.fromkeys(("position_unexplained", "position_lost"), 0),
    **dict.fromkeys(("position_velocity", "adam_mean", "adam_square", "adam_count"), 0),
    **dict.fromkeys(("serial_gain", "serial_shift", "anneal_count", "windows_moved"), 0),
}
PER_VIEW = ("kept_waves", "position_misfit", "position_gain", "position_shift", "position_velocity", "adam_mean")
PER_VIEW += ("position_given", "position_place", "position_estimate", "position_uncertainty", "position_evidence")
PER_VIEW += ("position_smooth", "position_unexplained", "position_lost", "position_pulled")
PER_VIEW += ("adam_square", "serial_gain", "serial_shift", "positions", "intensity_factors")


def own_slots():
    """Return what the operators of opty declare, by name."""
    classes = [cls for cls in REGISTRY.values() if cls.__module__.startswith("opty.")]
    return {leaf.name: leaf for cls in classes if isinstance(cls.slots, tuple) for leaf in cls.slots}


KNOWN = {**own_slots(), **ESTIMATED, **FIELDS}


def test_there_are_exponents_of_all():
    assert {name: leaf.scale for name, leaf in KNOWN.items()} == EXPONENTS


@pytest.mark.parametrize("name", KNOWN)
def test_what_there_is_a_view_has_the_view_axis_first(name):
    over = "view" if name in PER_VIEW else "batch" if name in FIELDS else "scan"
    assert KNOWN[name].over == over
    assert ("view" in KNOWN[name].axes) == (over == "view")


@pytest.mark.parametrize(
    "engine", ["DM()", "mPIE()", "ML()", "LBFGS()", "PosCorrect(search_every=2) * rPIE()", "PosCorrectAdam() * AP()",
               "PosCorrectGradient(momentum=0.3) * PosCorrectSerial() * PosCorrectAnneal() * rPIE(batch=4)",
               "BackgroundUpdate() * IntensityUpdate() * rPIE()", "Sweep(AccumProbe() * AccumObj())"],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_arrays_are_what_they_are_declared_to_be(p, engine, dtype):
    p = opty.PtychoState(p.data, modes=2, dtype=dtype, device="cpu", threads=1)
    q = opty.parse(engine) * p
    store = q._live
    assert list(store.layout) == list(store.leaves)
    for name, leaf in store.layout.items():
        a = store.leaves[name]
        assert store.fits(leaf, a.shape), name
        assert a.dtype == leaf.type_in(q.dtype), name
        open_axes = {word for word in leaf.axes if not word.isdigit()} - {*store.sizes(leaf), "slice"}
        assert store.nbytes(leaf) == a.nbytes or open_axes
    assert list(q.slots) == [name for name, leaf in store.layout.items() if leaf.role == "slot"]


# -- memory of a user's own

LEAN = Leaf(
    "lean", "view row col", unit="sqrt(photons)", dtype="complex", grid="window", scale=0, belongs_to="obj probe"
)
TRUST = Leaf("trust_in_views", "view", scale=0)


class Leans(ViewOperator, reads="waves delta", slots=(LEAN, TRUST)):
    """Keeps the first mode of each view's waves, and a number of each view."""

    scale_free = True

    def begin(self, s):
        s.create("lean")
        if s.create("trust_in_views"):
            s.trust_in_views += 1

    def apply(self, s, b):
        s.lean[b.selection] = b.waves[:, 0]
        s.trust_in_views[b.selection] *= 2


MINE = Sweep(opty.ProbeUpdate() * opty.ObjUpdate() * Leans(), batch=5)


@pytest.fixture
def q(p):
    return MINE * p


def test_its_memory_is_estimated(p, q):
    before, after = (footprint(s._live, program_of(MINE, s._live)) for s in (p, q))
    assert q.slots["lean"].nbytes == 12 * 16 * 16 * 8 == before.kept
    assert after.kept == 0
    small, copies = q.slots["trust_in_views"].nbytes, 2 + p._live.backend.FiniteCheck.LAG
    without = footprint(p._live, program_of(Sweep(opty.ProbeUpdate() * opty.ObjUpdate(), batch=5), p._live))
    assert before.state - without.state == copies * small
    assert after.state - before.state == small + q.slots["lean"].nbytes
    assert "kept waves" in str(MINE.explain(p))


def test_memory_that_is_not_there_is_refused_before_anything_runs(p, monkeypatch):
    monkeypatch.setattr(p._live.backend, "free_memory", lambda: 1000)
    with pytest.raises(MemoryError, match="keeps waves of all views, lean of 12 x 16 x 16, which takes 24 KiB"):
        MINE * p
    (ePIE() * p).obj.shape  # noqa: B018
    (opty.operators.CentreProbe() * rPIE()) ** 2 * p  # moves kept waves where there are any, and makes none


def test_it_is_copied_as_any_other(p, q):
    one, two = copy.copy(q), copy.deepcopy(q)
    assert one._live.leaves["lean"] is q._live.leaves["lean"]
    assert two._live.leaves["lean"] is not q._live.leaves["lean"]
    before = everything(q)
    assert same(MINE * q, MINE**2 * p)
    assert one._live.layout == two._live.layout == q._live.layout
    assert same(MINE**2 * q, MINE**2 * two.donate())
    assert same(q, before)


class BreaksAtTwo(Operator, reads="obj"):
    """Fails in the second turn."""

    def apply(self, s):
        if s.iteration == 2:
            raise OSError("no disk")


def test_a_safety_copy_holds_what_cannot_be_made_anew(p):
    with pytest.raises(OSError, match="no disk") as caught:
        (BreaksAtTwo() * MINE) ** 3 * p
    assert set(caught.value.state.slots) == {"trust_in_views"}
    assert (caught.value.state.slots["trust_in_views"] == 2).all()


@pytest.mark.parametrize("known", [True, False])
def test_files_hold_it_and_what_it_is(q, tmp_path, known):
    q.save(tmp_path / "q.h5")
    with h5py.File(tmp_path / "q.h5") as f:
        assert b"view row col" in f["entry_1/reconstruction/slots/lean"].attrs["declaration"]
    if not known:
        del REGISTRY["Leans"]  # the class is not imported
    back = opty.load(tmp_path / "q.h5", device="cpu", threads=1)
    for again in (back, pickle.loads(pickle.dumps(q))):
        assert same(again, q)
        assert again._live.layout == q._live.layout
    assert same(ePIE() * back, ePIE() * q)
    assert same(MINE * back, MINE * q)


def test_of_older_files_the_operators_say_what_memory_is(q, tmp_path):
    q = opty.PosLimit(9.0) * q.replace(arrays={"weights": np.ones(5)})
    q.save(tmp_path / "q.h5")
    with h5py.File(tmp_path / "q.h5", "r+") as f:
        for group in ("leaves", "slots", "arrays"):
            for a in f[f"entry_1/reconstruction/{group}"].values():
                del a.attrs["declaration"]
    back = opty.load(tmp_path / "q.h5", device="cpu", threads=1)
    assert same(back, q)
    assert back._live.layout == q._live.layout
    del REGISTRY["Leans"]
    unknown = opty.load(tmp_path / "q.h5", device="cpu", threads=1)
    assert same(unknown, q)
    assert unknown._live.layout["lean"] == Leaf("lean", "12 16 16", dtype="complex64")
    assert "lean" in (ePIE() * unknown).slots  # nobody knows what it belongs to
    assert same(MINE * unknown, MINE * q)  # the operator does


@pytest.mark.parametrize(
    ("recipe", "left"),
    [
        (MINE, {"lean", "trust_in_views"}),
        (PosLimit(5.0), {"lean", "trust_in_views"}),
        (opty.Support(7.0), {"lean", "trust_in_views"}),
        (ePIE(), {"trust_in_views"}),
        (AP().fix("obj"), {"trust_in_views"}),
        (ScaleObjProbe(), {"trust_in_views"}),
        (opty.Orthogonalise(), {"trust_in_views"}),
    ],
    ids=lambda given: " ".join(sorted(given)) if isinstance(given, set) else repr(given),
)
def test_it_goes_stale_with_what_it_belongs_to(q, recipe, left):
    assert set((recipe * q).slots) == left


def test_of_object_alone(p):
    class OfObject(Operator, reads="obj", slots=OBJ.like("of_object", belongs_to="obj")):
        def apply(self, s):
            s.of_object = s.obj

    q = OfObject() * p
    assert "of_object" in (rPIE().fix("obj") * q).slots
    assert "of_object" not in (rPIE().fix("probe") * q).slots
    assert "of_object" in (opty.operators.ProbeMomentum() * rPIE().fix("obj") * q).slots


def test_replacing_what_it_was_made_with_drops_it(q):
    assert not q.replace(obj=q.obj).slots
    assert set(q.replace(intensity_factors=np.ones(12)).slots) == {"lean", "trust_in_views"}
    with pytest.raises(ValueError, match="'lean' names no array"):
        q.replace(arrays={"lean": np.ones(3)})


# -- what is refused


class MakesUndeclared(Operator, reads="obj", writes="heap"):
    def apply(self, s):
        raise AssertionError("it ran")


class CreatesUndeclared(ViewOperator, reads="waves", writes="heap"):
    def apply(self, s, b):
        s.create("heap")


class SetsUndeclared(ViewOperator, reads="waves", writes="heap"):
    def apply(self, s, b):
        s.heap = s.xp.zeros(3)


class CreatesInBatch(ViewOperator, reads="waves", writes="heap"):
    def apply(self, s, b):
        b.create("heap")


@pytest.mark.parametrize("step", [MakesUndeclared(), Sweep(CreatesUndeclared()), Sweep(SetsUndeclared())], ids=repr)
def test_an_array_that_is_not_declared_is_refused_with_the_remedy(p, step):
    with pytest.raises(
        EffectError,
        match=r"'heap', which no operator declares: declare it in its class line, slots=opty\.Leaf\('heap', axes=",
    ):
        step * p


def test_memory_is_no_part_of_a_batch(p):
    with pytest.raises(EffectError, match=r"memory lives in the state and not in a batch; write s\.create\('heap'\)"):
        Sweep(CreatesInBatch()) * p


class Clashes(Operator, slots=Leaf("trust_in_views", "view", scale=1, dtype="real")):
    def apply(self, s):
        s.create("trust_in_views")


class TakesObj(Operator, slots=Leaf("obj", "1")):
    def apply(self, s):
        s.create("obj")


def test_two_meanings_of_one_name_are_refused(p, q):
    with pytest.raises(EffectError, match="and another step of the recipe Leaf"):
        Clashes() * MINE * p
    with pytest.raises(EffectError, match="keeps memory as 'obj', which in the state is an estimate"):
        TakesObj() * p
    named = p.replace(arrays={"trust_in_views": np.ones(12)})
    with pytest.raises(EffectError, match="an array that you put there"):
        MINE * named


class SetsShape(Operator, slots=Leaf("table", "view term", scale=0)):
    size: int = 12
    ndim: int = 2
    kind: str = "float64"

    def apply(self, s):
        s.table = s.xp.ones((self.size, 3)[: self.ndim], self.kind)


def test_what_is_set_has_the_declared_shape_and_type(p):
    table = (SetsShape() * p).slots["table"]
    assert (table.shape, table.dtype) == ((12, 3), np.float64)
    assert (SetsShape(kind="float32") * p).slots["table"].dtype == np.float64
    for wrong in (SetsShape(size=11), SetsShape(ndim=1), SetsShape(kind="complex64")):
        with pytest.raises(ValueError, match=r"SetsShape sets table of .*; it is declared as Leaf\('table'"):
            wrong * p


class SetsFour(Operator, slots=Leaf("four", "4", scale=0)):
    size: int = 4

    def apply(self, s):
        s.four = s.xp.ones(self.size)


def test_an_axis_that_is_a_number_has_that_size(p):
    assert (SetsFour() * p).slots["four"].shape == (4,)
    with pytest.raises(ValueError, match=r"SetsFour sets four of shape \(5,\); it is declared as Leaf\('four', '4'"):
        SetsFour(5) * p


class Opens(Operator, slots=Leaf("table", "view term", scale=0)):
    sizes: tuple[str, ...] = ("term",)

    def apply(self, s):
        s.create("table", **dict.fromkeys(self.sizes, 4))


def test_an_axis_may_be_open(p):
    assert (Opens() * p).slots["table"].shape == (12, 4)
    with pytest.raises(ValueError, match=r"give the size of the axis 'term': s\.create\('table', term=\.\.\.\)"):
        Opens(()) * p
    with pytest.raises(ValueError, match="has no axis 'modes' whose size could be given"):
        Opens(("term", "modes")) * p


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"axes": "row col"}, "lie on a grid: give grid='frame'"),
        ({"axes": "view", "grid": "window"}, "without these axes leave grid out"),
        ({"axes": "2 view"}, "the axis 'view' .* stands first"),
        ({"axes": "term term"}, "an axis occurs twice"),
        ({"dtype": "string"}, "dtype is 'complex', 'real', or a type of numbers"),
        ({"dtype": "object"}, "dtype is 'complex', 'real', or a type of numbers"),
        ({"scale": 0.5}, "scale is a whole number from -2 to 2"),
        ({"scale": 1}, "what goes with the scale has dtype='complex' or 'real'"),
        ({"grid": "image"}, "grid is one of 'frame', 'window', 'detector', 'none'"),
        ({"role": "memory"}, "role is one of"),
    ],
)
def test_declarations_that_mean_nothing_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Leaf("mine", **given)


def test_slots_take_declarations_of_memory():
    for wrong in ("obj", OBJ, Leaf("field_of_mine", "batch")):
        with pytest.raises(TypeError, match=r"takes opty\.Leaf declarations of memory"):
            type("Wrong", (Operator,), {}, slots=(wrong,))
    with pytest.raises(ValueError, match="choose a name that can be written after s"):
        type("Wrong", (Operator,), {}, slots=Leaf("a b"))
    assert slot_named("kept_waves").belongs_to == ("obj", "probe")


def test_a_declaration_reads_as_it_is_written():
    for leaf in (LEAN, TRUST, OBJ, *own_slots().values()):
        assert eval(repr(leaf)) == leaf
        assert Leaf(leaf.name, **leaf.to_dict()) == leaf
        assert hash(leaf) == hash(copy.copy(leaf))


def test_a_subclass_has_the_memory_of_its_base():
    class LeansMore(Leans, slots=Leaf("more_of_it", "view")):
        pass

    assert [leaf.name for leaf in LeansMore.slots] == ["lean", "trust_in_views", "more_of_it"]
    assert LeansMore.writes == {"lean", "trust_in_views", "more_of_it"}


# -- nothing is told from letters in names

ROOT = Path(opty.__file__).parent
TESTS_OF_TEXT = {"startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "fnmatch"}
TESTS_OF_TEXT |= {"fnmatchcase", "split"}
WORDS = {*KNOWN, "kept", "sum", "weight", "gradient", "direction", "velocity", "slot", "array"}


def meant(text):
    """Say whether a text is the name of an array, or a part of one, rather than a word of a file's or an option's."""
    return text.strip("_*:") in WORDS and text.strip("_*:") != ""


def texts(node):
    return [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def guesses(path):
    """Yield the lines at which names of arrays are looked at letter by letter, or put together from parts."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [alias.name for alias in node.names] + [getattr(node, "module", None)]
            if "fnmatch" in modules and path.parent.name in ("state", "runtime", "algebra", "fusion"):
                yield node.lineno
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in TESTS_OF_TEXT and any(meant(text) for a in node.args for text in texts(a)):
                yield node.lineno
        elif isinstance(node, ast.JoinedStr):
            parts = [v.value for v in node.values if isinstance(v, ast.Constant)]
            if len(parts) < len(node.values) and parts and all(meant(p) and "_" in p for p in parts):
                yield node.lineno
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            right = node.comparators[0]
            if isinstance(right, ast.Name) and right.id in ("name", "leaf", "slot", "key") and texts(node.left):
                yield node.lineno


@pytest.mark.parametrize("line", [
    'x = name.startswith("kept_")', 'x = name.endswith("weight")', 'x = name.endswith("_sum")', 'x = "obj" in name',
    'x = fnmatch(name, "kept_*")', 'x = name.rpartition("slot:")', 'x = f"kept_{name}"', 'x = f"{leaf}_weight"',
])  # fmt: skip
def test_guesses_are_found(tmp_path, line):
    path = tmp_path / "guess.py"
    path.write_text(line)
    assert list(guesses(path)) == [1]


def test_no_name_of_an_array_is_looked_at_letter_by_letter():
    found = {str(path.relative_to(ROOT)): list(guesses(path)) for path in ROOT.rglob("*.py")}
    assert {name: lines for name, lines in found.items() if lines} == {}

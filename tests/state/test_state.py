"""PtychoState: what it takes, what it refuses, that it is read-only, and what comes back out."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from small_scans import everything, same, scan, state

import opty
from opty import AP, DM, PtychoData, PtychoState, ePIE, rPIE
from opty.arrays import why_no_gpu
from opty.state.history import Series


@pytest.fixture
def data():
    return scan()


# -- refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"obj": np.ones((20, 39))},
            r"obj has shape \(20, 39\) but the windows of 16 x 16 cover rows .*at least \(3\d, 3\d\)",
        ),
        ({"obj": np.ones((37, 20))}, "leave obj out and a frame is chosen"),
        ({"obj": np.ones((2, 37, 39))}, r"Object\(\) has \(H, W\)"),
        ({"obj": np.full((37, 39), np.nan)}, "obj has 1443 values that are not finite"),
        ({"obj": np.array([[np.inf]])}, "obj"),
        ({"probe": np.ones((1, 8, 8))}, r"probe has shape \(1, 8, 8\) but the patterns are 16 x 16"),
        ({"probe": np.ones(16)}, "probe has shape"),
        ({"probe": np.zeros((16, 16))}, "give the starting probe some light"),
        ({"probe": np.full((16, 16), np.nan)}, "not finite"),
        ({"probe": np.ones((3, 16, 16)), "modes": 2}, r"modes=2 but the probe given holds 3 modes"),
        ({"modes": 0}, "number of probe modes from 1 on"),
        ({"modes": 1.5}, "number of probe modes from 1 on"),
        ({"modes": True}, "number of probe modes from 1 on"),
        ({"seed": -1}, "whole number from 0 on"),
        ({"seed": 1.5}, "whole number from 0 on"),
        ({"seed": True}, "whole number from 0 on"),
        ({"threads": 0}, "number from 1 on"),
        ({"device": "tpu"}, "choose 'cpu' or 'gpu'"),
    ],
)
def test_bad_input_is_refused(data, options, message):
    with pytest.raises(ValueError, match=message):
        PtychoState(data, **{"device": "cpu"} | options)


@pytest.mark.parametrize("dtype", ["float32", "complex", "int16"])
def test_other_types_are_refused(data, dtype):
    if dtype == "complex":
        assert PtychoState(data, dtype=dtype, device="cpu").dtype == np.complex128
        return
    with pytest.raises(TypeError, match="choose 'complex64' or 'complex128'"):
        PtychoState(data, dtype=dtype, device="cpu")


def test_only_data_make_a_state(data):
    with pytest.raises(
        TypeError, match=r"data is a ndarray; give opty.PtychoData\(intensities, positions\) or opty.load"
    ):
        PtychoState(data.intensities)


@pytest.mark.skipif(why_no_gpu() is None, reason="there is a GPU")
def test_no_gpu_is_told_with_the_remedy(data):
    for use in (lambda: PtychoState(data, device="gpu"), lambda: state(data).to("gpu")):
        with pytest.raises(
            RuntimeError, match=r'there is no GPU: .*pip install "opty-ptycho\[cuda12x\]"|finds no device'
        ):
            use()
    assert PtychoState(data).device == "cpu"


# -- what it starts from


def test_a_frame_with_a_margin_is_chosen(data):
    p = PtychoState(data, device="cpu")
    assert (p.obj == 1).all()
    assert np.allclose(p.positions, data.positions_px + p.origin)
    assert p.positions.min() == pytest.approx(8)
    assert (p.positions + 16 + 8 <= p.obj.shape).all()
    assert p.iteration == 0
    assert p.recipe == opty.Identity()
    assert not p.history
    assert not p.slots


def test_the_margin_is_a_matter_of_choice(data):
    p, q = PtychoState(data, device="cpu", margin=0), PtychoState(data, device="cpu", margin=20)
    assert p.positions.min() == 0
    assert (np.array(q.obj.shape) - p.obj.shape == 40).all()
    assert np.allclose(q.positions - p.positions, 20)
    for wrong in (-1, 2.5, True):
        with pytest.raises(ValueError, match=f"margin is {wrong}; give a whole number"):
            PtychoState(data, margin=wrong)
    with pytest.raises(ValueError, match="margin=8 beside obj"):
        PtychoState(data, obj=np.ones((50, 60)), margin=8)


def test_positions_are_corners_in_the_frame_of_an_object_that_is_given(data):
    p = PtychoState(data, obj=np.ones((50, 60)), device="cpu")
    assert (p.positions == data.positions).all()
    assert (p.origin == 0).all()


def test_the_first_probe_has_the_photons_of_the_data(data):
    p = PtychoState(data, device="cpu")
    assert p.probe.shape == (1, 16, 16)
    assert (abs(p.probe) ** 2).sum() == pytest.approx(data.photons().max(), rel=1e-5)
    row, col = (np.arange(16) * (abs(p.probe[0]) ** 2).sum(axis=1 - a) for a in (0, 1))
    power = (abs(p.probe[0]) ** 2).sum()
    assert row.sum() / power == pytest.approx(8, abs=0.5)  # centred in its array
    assert col.sum() / power == pytest.approx(8, abs=0.5)
    assert opty.misfit(rPIE() ** 30 * p) < 0.3 * opty.misfit(p)


@pytest.mark.parametrize("modes", [1, 2, 3, 6])
def test_modes_are_added_orthogonal_and_weak(data, modes):
    for probe in (None, data.truth["probe"]):
        p = PtychoState(data, probe=probe, modes=np.int64(modes), device="cpu", dtype="complex128")
        flat = p.probe.reshape(modes, -1)
        gram = flat.conj() @ flat.T
        powers = np.diag(gram).real
        assert abs(gram - np.diag(np.diag(gram))).max() < 1e-9 * powers[0]
        assert np.allclose(powers[1:], 0.02 * powers[0])


def test_a_given_probe_keeps_its_power(data):
    p = PtychoState(data, probe=7 * data.truth["probe"][0], device="cpu")
    assert abs(p.probe - 7 * data.truth["probe"]).max() < 1e-5 * abs(p.probe).max()
    assert PtychoState(data, probe=np.ones((16, 16)), device="cpu").probe.dtype == np.complex64


def test_the_probe_of_the_data_is_the_start(data):
    p = PtychoState(data.replace(probe=data.truth["probe"]), device="cpu")
    ratio = p.probe / data.truth["probe"]
    assert abs(ratio - ratio[0, 0, 0]).max() < 1e-4 * abs(ratio[0, 0, 0])


def test_what_is_given_is_copied(data):
    obj, probe = data.truth["obj"].astype("complex64"), data.truth["probe"].astype("complex64")
    p = PtychoState(data, probe=probe, obj=obj, device="cpu")
    before = everything(p)
    obj[:], probe[:] = 0, 0
    assert same(p, before)
    q = p.replace(obj=(mine := p.numpy("obj")))
    mine[:] = 0
    assert same(q, before)


def test_cropped_background_and_its_order():
    data = scan(background=True)
    p = state(data)
    assert np.allclose(p.background, data.background)
    assert state(scan()).background is None


# -- read-only


@pytest.mark.parametrize("name", ["obj", "probe", "positions"])
def test_leaves_are_read_only(p, name):
    with pytest.raises(ValueError, match="read-only"):
        getattr(p, name)[0] = 1
    with pytest.raises(AttributeError, match=rf"use p = p\.replace\({name}=\.\.\.\)"):
        setattr(p, name, 0)
    with pytest.raises(AttributeError):
        delattr(p, name)


def test_everything_else_is_read_only_too(p):
    p = DM() * p
    with pytest.raises(AttributeError, match="read-only outside an operator"):
        p.iteration = 3
    with pytest.raises(AttributeError, match="has no attribute 'foo' to set"):
        p.foo = 1
    with pytest.raises(TypeError):
        p.slots["kept_waves"] = 0
    with pytest.raises(ValueError, match="read-only"):
        p.slots["kept_waves"][0] = 0
    with pytest.raises(TypeError):
        p.history["misfit"] = 0
    p.history["misfit"][0] = 99
    p.origin[0] = 99
    p.numpy("obj")[0] = 99
    assert p.history["misfit"][0] < 1
    assert p.origin[0] == 0
    assert abs(p.obj).max() < 5


def test_names_that_are_not_there(p):
    with pytest.raises(KeyError, match="no 'objekt' in this state; it holds"):
        p.numpy("objekt")
    with pytest.raises(KeyError, match="no 'misfit' in the history; it holds nothing yet"):
        p.history["misfit"]


# -- replace


def test_replace_makes_another_state(p):
    q = ePIE() ** 2 * p
    moved = q.replace(positions=q.positions + 0.25)
    assert (moved.positions == q.positions + 0.25).all()
    assert (moved.iteration, moved.seed) == (2, q.seed)
    assert moved.recipe == opty.Identity()  # no recipe made what was put in by hand
    assert np.shares_memory(moved.obj, q.obj)
    assert q.replace(seed=7).seed == 7
    assert q.replace(probe=np.concatenate([q.probe, q.probe])).probe.shape == (2, 16, 16)
    assert q.replace(obj=np.ones((80, 90))).obj.shape == (80, 90)
    assert same(q.replace(), q)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"obj": np.ones((10, 10))}, "the object must be at least"),
        ({"obj": np.full((37, 39), np.nan)}, "not finite"),
        ({"obj": np.ones(9)}, r"Object\(\) has \(H, W\)"),
        ({"probe": np.ones((16, 17))}, "the patterns are 16 x 16"),
        ({"probe": np.zeros((16, 16))}, "some light"),
        ({"positions": np.zeros((3, 2))}, r"positions has shape \(3, 2\) but intensity holds 12 views"),
        ({"positions": np.full((12, 2), 1000.0)}, "the object must be at least"),
        ({"positions": np.full((12, 2), -3.0)}, "counted from its corner"),
        ({"positions": np.full((12, 2), np.nan)}, "leave that view out or give its position"),
        ({"seed": -3}, "whole number"),
    ],
)
def test_replace_refuses_what_does_not_fit(p, change, message):
    before = everything(p)
    with pytest.raises(ValueError, match=message):
        p.replace(**change)
    assert same(p, before)


def test_replace_has_no_other_names(p):
    with pytest.raises(TypeError):
        p.replace(object=1)


# -- books and restoring


def test_history_has_one_entry_an_iteration(p):
    q = AP() ** 3 * (rPIE() ** 2 * p)
    assert set(q.history) == {"misfit", "iteration"}
    assert q.history["iteration"].tolist() == [1, 2, 3, 4, 5]
    assert q.history["iteration"].dtype.kind == "i"
    assert q.history["misfit"].shape == (5,)
    assert "misfit: 5 values" in repr(q.history)
    assert repr(p.history) == "<History: empty>"
    assert "iteration 5, misfit" in repr(q)
    assert len(p.history) == 0


@pytest.mark.parametrize("recipe", [rPIE(), DM(), AP(), opty.PosCorrectAdam() * rPIE()], ids=repr)
def test_restored_states_go_on_bit_by_bit(recipe):
    p = recipe**2 * state(scan(modes=2, background=True, mask=2), seed=5)
    leaves = {name: p.numpy(name) for name in ("obj", "probe", "positions", "background")}
    leaves |= {name: p.numpy(name) for name in p.slots}
    q = PtychoState.restore(
        p.data,
        leaves,
        origin=p.origin,
        seed=p.seed,
        iteration=p.iteration,
        history=dict(p.history),
        recipe=p.recipe,
        device="cpu",
        threads=1,
    )
    assert same(q, p)
    assert same(recipe**2 * q, recipe**2 * p)
    assert q.recipe == p.recipe
    with pytest.raises(ValueError, match="missing"):
        PtychoState.restore(
            p.data, {"obj": leaves["obj"]}, origin=(0, 0), seed=0, iteration=0, history={}, recipe=p.recipe
        )


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_types_are_kept(dtype):
    p = (opty.PosCorrectAdam() * rPIE(batch=3)) ** 2 * (DM() * state(scan(modes=2, background=True), dtype=dtype))
    assert p.obj.dtype == p.probe.dtype == p.dtype == dtype
    assert p.positions.dtype == np.float64
    assert (DM() * p).slots["kept_waves"].dtype == dtype


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int32", "float32", "float64"])
def test_the_measured_type_is_kept_and_does_not_matter(kind):
    counts = np.minimum(np.rint(scan().intensities), 250)
    p = [state(scan().replace(intensities=counts.astype(k))) for k in (kind, "float64")]
    assert p[0]._live.measured.intensity.dtype == kind
    a, b = (rPIE() ** 2 * q for q in p)
    assert abs(a.obj - b.obj).max() < 1e-4


def test_the_png_of_a_state_is_a_picture(p):
    pytest.importorskip("matplotlib")
    assert (ePIE() * p)._repr_png_().startswith(b"\x89PNG")

    from matplotlib import pyplot

    before = pyplot.get_fignums()
    assert p._repr_png_()
    assert pyplot.get_fignums() == before  # else a notebook shows the picture twice


def test_states_and_masks_without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dead = np.ones((16, 16), bool)
        dead[4:6, 3] = False
        counts = scan().intensities.copy()
        counts[:, 4:6, 3] = np.nan
        data = PtychoData(counts, scan().positions, mask=dead)
        q = rPIE() ** 3 * PtychoState(data, device="cpu")
    assert np.isfinite(q.obj).all()
    assert np.isfinite(q.history["misfit"]).all()


@pytest.mark.parametrize("scale", [1e3, 1e-6])
def test_positions_in_the_wrong_unit_are_refused(p, scale):
    data = p.data.replace(positions=p.data.positions * scale)
    with pytest.raises(
        ValueError, match=r"the positions span .* positions are metres with a geometry and pixels without"
    ):
        PtychoState(data)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))])
def test_a_copied_state_goes_on_like_the_original(p, copied):
    q = DM() ** 2 * p
    other = copied(q)
    assert other.recipe == q.recipe
    assert (other.history["misfit"] == q.history["misfit"]).all()
    assert ((DM() * other).obj == (DM() * q).obj).all()


def test_modes_cannot_be_made_from_one_lit_pixel(p):
    probe = np.zeros((16, 16), complex)
    probe[8, 8] = 1
    with pytest.raises(ValueError, match="too small a spot"):
        PtychoState(p.data, probe=probe, modes=3)


class Soon:
    """A number that says how often it was asked for."""

    def __init__(self, value):
        self.value, self.asked = value, 0

    def __float__(self):
        self.asked += 1
        return self.value


def test_a_series_is_copied_at_no_cost_and_changed_by_none_of_its_copies():
    first = Series([1.0, 2.0])
    early = first.copy()
    first.append(3.0)
    late = first.copy()
    late.append(7.0)
    first.append(4.0)
    early.append(9.0)
    assert [list(s) for s in (first, early, late)] == [[1, 2, 3, 4], [1, 2, 9], [1, 2, 3, 7]]
    assert first[-2:] == [3, 4]
    assert early[-1] == 9
    assert late[0] == 1
    with pytest.raises(IndexError):
        early[3]
    assert list(pickle.loads(pickle.dumps(early))) == [1, 2, 9]


def test_a_number_of_a_series_is_waited_for_once_and_when_it_is_read():
    soon = Soon(0.5)
    series = Series([soon])
    other = series.copy()
    assert (len(other), soon.asked) == (1, 0)
    assert (other[0], series[-1], list(other)) == (0.5, 0.5, [0.5])
    assert soon.asked == 1

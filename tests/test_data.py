"""PtychoData: what would make a wrong picture is refused, with the value and the remedy."""

import copy
import pickle

import numpy as np
import pytest

import opty
from opty import Geometry, PtychoData, PtychoState
from opty.data.fields import check_extent

GOOD = np.random.default_rng(0).poisson(5, (6, 8, 8)).astype(np.uint16)
WHERE = np.random.default_rng(1).uniform(0, 9, (6, 2))


def spoiled(value, dtype=float, at=(2, 3, 4)):
    a = GOOD.astype(dtype)
    a[at] = value
    return a


MASK = np.ones((8, 8), bool)
MASK[3, 4] = False
ALL = np.ones((8, 8), bool)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"positions": np.zeros((5, 2))},
            r"positions has shape \(5, 2\) but intensity holds 6 views: give one position",
        ),
        (
            {"positions": np.zeros((6, 3))},
            r"positions has shape \(6, 3\); expected \(6, 2\), \(row, column\) of each view",
        ),
        ({"positions": np.zeros(6)}, r"expected \(6, 2\)"),
        ({"positions": np.full((6, 2), np.inf)}, r"positions\[0\] is \[inf, inf\]: leave that view out"),
        ({"intensities": GOOD[0]}, r"intensities has shape \(8, 8\); expected \(views, n, n\)"),
        ({"intensities": GOOD[:0]}, "there is no view in it"),
        ({"intensities": GOOD[:, :, :6]}, "must be square and at least 4 x 4"),
        ({"intensities": GOOD[:, :3, :3]}, "must be square and at least 4 x 4"),
        ({"intensities": 0 * GOOD}, "there is no light in the data"),
        (
            {"intensities": spoiled(np.nan)},
            r"\[2, 3, 4\] is nan, the first of 1 pixels that are NaN or infinite: mask dead pixels",
        ),
        ({"intensities": spoiled(np.inf)}, r"intensities\[2, 3, 4\] is inf"),
        ({"intensities": spoiled(-1)}, r"intensities\[2, 3, 4\] is -1.0, the first of 1 negative counts"),
        ({"intensities": spoiled(-7, np.int16)}, r"intensities\[2, 3, 4\] is -7"),
        ({"intensities": spoiled(np.nan, at=(2, 0, 0)), "mask": MASK}, r"intensities\[2, 0, 0\] is nan"),
        ({"mask": ALL[:7]}, r"mask has shape \(7, 8\); expected \(8, 8\) \(all views alike\) or \(6, 8, 8\)"),
        ({"mask": ~ALL}, "mask leaves no pixel.*~mask"),
        ({"mask": np.stack([ALL, ~ALL, ALL, ALL, ~ALL, ALL])}, r"no pixel in 2 of 6 views \(first: \[1, 4\]\)"),
        ({"background": np.zeros((4, 4))}, r"background has shape \(4, 4\) but the patterns are 8 x 8"),
        ({"background": np.full((8, 8), -1.0)}, "minimum of -1.0; it must be finite and not negative"),
        ({"background": np.full((8, 8), np.nan)}, "finite and not negative"),
        ({"probe": np.ones((4, 4))}, r"probe has shape \(1, 4, 4\) but the patterns are 8 x 8"),
        ({"probe": np.zeros((8, 8))}, "some light"),
        ({"truth": {"objekt": GOOD}}, r"truth holds \['objekt'\]; expected some of"),
        ({"truth": {"positions": np.zeros((5, 2))}}, r"truth\['positions'\] has shape"),
    ],
)
def test_bad_values_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PtychoData(**{"intensities": GOOD, "positions": WHERE} | arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"intensities": GOOD.astype(complex)}, "intensities has dtype complex128; give real numbers"),
        ({"intensities": GOOD > 3}, "intensities has dtype bool"),
        ({"intensities": GOOD.astype(str)}, "give real numbers"),
        ({"positions": WHERE.astype(complex)}, "positions has dtype complex128"),
        ({"geometry": {"wavelength": 1e-10}}, r"geometry is a dict; give opty.Geometry\(wavelength=, ...\) or None"),
        ({"probe": np.full((8, 8), "a")}, "probe has dtype"),
    ],
)
def test_bad_types_are_refused(arguments, message):
    with pytest.raises(TypeError, match=message):
        PtychoData(**{"intensities": GOOD, "positions": WHERE} | arguments)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -5.0])
@pytest.mark.parametrize("axes", [2, 3])
def test_what_the_mask_hides_is_no_harm_and_becomes_zero(wrong, axes):
    a = spoiled(wrong)
    copy = a.copy()
    data = PtychoData(a, WHERE, mask=MASK if axes == 2 else np.stack([MASK] * 6))
    assert data.intensities[2, 3, 4] == 0
    assert np.isfinite(data.photons()).all()
    assert np.array_equal(a, copy, equal_nan=True)
    assert data.photons()[2] == GOOD[2][MASK].sum()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "uint32", "float32", "float64"])
def test_clean_data_are_neither_copied_nor_converted(dtype):
    a = GOOD.astype(dtype)
    data = PtychoData(a, WHERE)
    assert data.intensities.dtype == dtype
    assert np.shares_memory(data.intensities, a)
    assert data.replace(mask=MASK).intensities.base is not None
    assert np.shares_memory(data.replace(mask=MASK).intensities, a)


def test_data_are_immutable():
    data = PtychoData(GOOD, WHERE, mask=MASK.astype(int))
    with pytest.raises(AttributeError, match=r"immutable; make another one with data.replace\(mask=\.\.\.\)"):
        data.mask = None
    for a in (data.intensities, data.positions, data.mask):
        with pytest.raises(ValueError, match="read-only"):
            a[0] = 0
    assert data.mask.dtype == bool
    with pytest.raises(TypeError, match=r"has no field .masks.; did you mean mask"):
        data.replace(masks=None)


def test_photons_count_what_is_not_masked():
    assert (PtychoData(GOOD, WHERE).photons() == GOOD.sum(axis=(1, 2))).all()
    assert (PtychoData(GOOD, WHERE, mask=MASK).photons() == (GOOD * MASK).sum(axis=(1, 2))).all()
    each = np.stack([MASK] * 6)
    each[1, 0] = False
    assert (PtychoData(GOOD, WHERE, mask=each).photons() == (GOOD * each).sum(axis=(1, 2))).all()
    assert PtychoData(np.full((1, 8, 8), 200, np.uint8), WHERE[:1]).photons()[0] == 200 * 64


def test_positions_are_pixels_or_metres():
    g = Geometry(1e-10, 2.0, 50e-6)
    assert (PtychoData(GOOD, WHERE).positions_px == WHERE).all()
    assert PtychoData(GOOD, WHERE).pixel is None
    data = PtychoData(GOOD, WHERE * 1e-6, g)
    assert data.pixel == pytest.approx(1e-10 * 2 / (8 * 50e-6))
    assert np.allclose(data.positions_px, WHERE * 1e-6 / data.pixel)
    assert "m pixels at the sample" in repr(data)
    assert "6 views of 8 x 8 uint16, no geometry (pixels), with mask" in repr(PtychoData(GOOD, WHERE, mask=MASK))


def test_codes_are_no_mask():
    with pytest.raises(ValueError, match=r"mask holds 2; .*give mask == 0"):
        PtychoData(np.ones((2, 8, 8)), np.zeros((2, 2)), mask=np.full((8, 8), 2))
    with pytest.raises(ValueError, match="mask holds nan"):
        PtychoData(np.ones((2, 8, 8)), np.zeros((2, 2)), mask=np.full((8, 8), np.nan))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))])
def test_data_can_be_copied_and_pickled(copied):
    truth = {"positions": np.arange(4.0).reshape(2, 2)}
    data = PtychoData(np.ones((2, 8, 8), np.uint16), np.zeros((2, 2)), mask=np.eye(8), truth=truth)
    other = copied(data)
    assert other.intensities.dtype == np.uint16
    assert np.array_equal(other.mask, data.mask)
    assert np.array_equal(other.truth["positions"], truth["positions"])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, r"intensities\[2, 3, 4\] is nan, the first of 3 pixels that are NaN or infinite"),
        (np.inf, r"intensities\[2, 3, 4\] is inf, the first of 3 pixels"),
        (-7.5, r"intensities\[2, 3, 4\] is -7.5, the first of 3 negative counts \(the smallest is -9\)"),
    ],
)
def test_what_is_wrong_is_counted_over_all_views(value, message):
    a = spoiled(value)
    a[4, 1, 1], a[5, 0, 0] = value, -9.0 if value < 0 else value
    with pytest.raises(ValueError, match=message):
        PtychoData(a, WHERE)


def test_frames_of_nothing_are_named():
    a = GOOD.astype(float)
    a[1] = a[3] = np.nan
    with pytest.raises(ValueError, match=r"nothing else is in views 1, 3: mask .*leave_out="):
        PtychoData(a, WHERE)
    a[1] = a[3] = 0
    with pytest.warns(
        UserWarning, match="2 of 6 views hold no photon on a pixel that counts: views 1, 3; leave them out"
    ):
        assert PtychoData(a, WHERE).views == 6


def test_dark_is_what_is_dark_under_the_mask():
    a = np.zeros_like(GOOD)
    a[:, 3, 4] = 5  # all the light is where the mask hides it
    with pytest.raises(ValueError, match="the mask hides all the light of the 6 views"):
        PtychoData(a, WHERE, mask=MASK)


def test_a_masked_pixel_beyond_single_precision_counts_for_nothing():
    a = spoiled(1e39, np.float64)
    data = PtychoData(a, WHERE, mask=MASK)
    assert data.intensities[2, 3, 4] == 0
    assert a[2, 3, 4] == 1e39
    assert np.isfinite(opty.misfit(opty.rPIE() ** 2 * PtychoState(data, device="cpu")))


def test_one_view_runs():
    p = PtychoState(PtychoData(GOOD[:1], WHERE[:1]), device="cpu")
    assert (opty.rPIE() ** 2 * p).iteration == 2


METRES = Geometry(1e-10, 2.0, 50e-6)


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (
            WHERE * 0.5,
            r"need \S+ x \S+ pixels \(\S+ [GTP]iB\), far more than 6 views of 8 x 8 can cover: positions are metres",
        ),
        (WHERE * 1e-15, "all views lie on one spot; positions are metres"),
    ],
)
def test_positions_in_another_unit_before_anything_is_allocated(positions, message):
    with pytest.raises(ValueError, match=message):
        PtychoState(PtychoData(GOOD, positions, METRES), device="cpu")


@pytest.mark.parametrize("away", [300e-6, 1.0])
def test_a_stray_position_is_named_with_the_object_that_it_would_need(away):
    positions = np.random.default_rng(2).uniform(0, 3e-6, (40, 2))
    positions[17, 1] += away
    data = PtychoData(np.ones((40, 8, 8)), positions, METRES)
    with pytest.raises(ValueError, match=r"object would need .* pixels \(\S+ \w+\): positions\[17\] is .* leave_out="):
        PtychoState(data, device="cpu")


def test_positions_need_not_be_centred_and_islands_are_no_strays():
    positions = np.random.default_rng(2).uniform(0, 30, (40, 2)) - 1e5
    check_extent(positions, 8)
    positions[20:] += 400
    check_extent(positions, 64)

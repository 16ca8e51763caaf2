"""CXI files: axes, signs, units, the places where things may be, and what the error says when they are not."""

import numpy as np
import pytest

from opty.errors import FormatError
from opty.io import load

DETECTOR = "instrument_1__detector_1__"
TRANSLATION = "sample_1__geometry_1__translation"


def test_usual_axes_row_is_plus_y_and_column_plus_x(make_cxi, counts):
    data = load(make_cxi())
    np.testing.assert_array_equal(data.positions, make_cxi.translation[:, [1, 0]])
    np.testing.assert_array_equal(data.intensities, counts)
    assert data.intensities.dtype == "int32"
    assert data.geometry.propagation == "far"
    assert (data.geometry.distance, data.geometry.pixel_size) == (2.0, 55e-6)  # not 5.500000042957254e-05
    assert data.mask.all()
    assert data.source["options"] == {}


@pytest.mark.parametrize(
    ("basis", "row", "column"),
    [
        ([[0, -1], [-1, 0], [0, 0]], (1, +1), (0, +1)),
        ([[0, 1], [-1, 0], [0, 0]], (1, +1), (0, -1)),
        ([[0, -1], [1, 0], [0, 0]], (1, -1), (0, +1)),
        ([[-1, 0], [0, -1], [0, 0]], (0, +1), (1, +1)),
    ],
)
def test_basis_vectors_say_which_way_rows_and_columns_run(make_cxi, basis, row, column):
    data = load(make_cxi(**{DETECTOR + "basis_vectors": np.array(basis) * 55e-6}))
    for axis, (coordinate, sign) in enumerate((row, column)):
        np.testing.assert_array_equal(data.positions[:, axis], sign * make_cxi.translation[:, coordinate])


def test_without_basis_vectors_the_usual_ones_hold(make_cxi):
    data = load(make_cxi(**{DETECTOR + "basis_vectors": None}))
    np.testing.assert_array_equal(data.positions, make_cxi.translation[:, [1, 0]])


def test_wavelength_or_energy_will_do(make_cxi):
    by_energy = load(make_cxi("e.cxi", instrument_1__source_1__wavelength=None)).geometry
    by_length = load(make_cxi("l.cxi", instrument_1__source_1__energy=None)).geometry
    assert by_energy.wavelength == pytest.approx(1e-10, rel=1e-9)
    assert by_length.wavelength == 1e-10


def test_wavelength_and_energy_that_contradict_warn(make_cxi):
    path = make_cxi(instrument_1__source_1__energy=12398.4)
    with pytest.warns(UserWarning, match="the wavelength is used"):
        assert load(path).geometry.wavelength == 1e-10


def test_mask_zero_is_good_and_the_signal_bit_is_no_fault(make_cxi):
    flags = np.zeros((16, 16), "uint32")
    flags[2, 3], flags[4, 5], flags[6, 7] = 1, 0x1000, 0x1001
    mask = load(make_cxi(**{DETECTOR + "mask": flags})).mask
    assert np.argwhere(~mask).tolist() == [[2, 3], [6, 7]]


def test_a_mask_for_each_view_follows_the_choice_of_views(make_cxi):
    flags = np.zeros((4, 16, 16), "uint8")
    flags[np.arange(4), 0, np.arange(4)] = 1
    mask = load(make_cxi(**{DETECTOR + "mask": flags}), views=[3, 1]).mask
    assert np.argwhere(~mask).tolist() == [[0, 0, 3], [1, 0, 1]]


def test_negative_counts_are_fine_behind_the_mask_only(make_cxi, counts):
    spoilt, flags = counts.astype("int32"), np.zeros((16, 16), "uint32")
    spoilt[1, 2, 3] = -2
    with pytest.raises(FormatError, match=r"intensities\[1, 2, 3\] is -2"):
        load(make_cxi("a.cxi", **{DETECTOR + "data": spoilt}))
    flags[2, 3] = 1
    data = load(make_cxi("b.cxi", **{DETECTOR + "data": spoilt, DETECTOR + "mask": flags}))
    assert data.intensities.dtype == "int32"
    assert data.intensities.min() >= 0


def test_other_places(make_cxi, counts):
    moved = {DETECTOR + "data": None, "data_1__data": counts, TRANSLATION: None, "data_1__translation": np.ones((4, 3))}
    moved |= {"instrument_1__source_1__wavelength": None, "instrument_1__source_1__energy": None}
    moved |= {"instrument_1__beam_1__energy": 1.986445857e-15, DETECTOR + "distance": None}
    moved |= {DETECTOR + "corner_position": np.array([4e-4, 4e-4, 1.5])}
    data = load(make_cxi(**moved))
    np.testing.assert_array_equal(data.intensities, counts)
    assert data.geometry.distance == 1.5
    assert data.geometry.wavelength == pytest.approx(1e-10, rel=1e-9)


def test_pixel_size_from_the_basis_and_one_value_in_an_array(make_cxi):
    no_size = {
        DETECTOR + "x_pixel_size": None,
        DETECTOR + "y_pixel_size": None,
        DETECTOR + "distance": np.array([[2.5]]),
    }
    geometry = load(make_cxi(**no_size)).geometry
    assert geometry.pixel_size == pytest.approx(55e-6, rel=1e-12)
    assert geometry.distance == 2.5


def test_dark_becomes_the_background(make_cxi):
    dark = np.arange(2.0)[:, None, None] * np.ones((2, 16, 16))
    assert (load(make_cxi(**{DETECTOR + "dark": dark})).background == 0.5).all()


def test_sensitivity_of_cdtools_divides_as_a_flat_field_does(make_cxi, counts):
    flat = np.ones((16, 16), "float32")
    identical = load(make_cxi("one.cxi", **{DETECTOR + "qe_mask": flat}))
    assert identical.intensities.dtype == "int32"  # one throughout changes nothing
    flat[2, 3], flat[4, 5] = 0.5, 0
    data = load(make_cxi("half.cxi", **{DETECTOR + "qe_mask": flat}))
    np.testing.assert_allclose(data.intensities[:, 2, 3], counts[:, 2, 3] / 0.5)
    assert np.argwhere(~data.mask).tolist() == [[4, 5]]
    with pytest.raises(FormatError, match=r"qe_mask has shape \(8, 8\); expected \(16, 16\)"):
        load(make_cxi("odd.cxi", **{DETECTOR + "qe_mask": np.ones((8, 8))}))


def test_options_reach_the_geometry(make_cxi):
    data = load(make_cxi(), focus_to_sample=0.01, propagation="near", views="::2")
    assert data.geometry.magnification == pytest.approx(201.0)
    assert data.views == 2
    assert data.source["options"] == {"views": "::2", "focus_to_sample": 0.01, "propagation": "near"}
    with pytest.raises(ValueError, match="use 'cone' or 'near'"):
        load(make_cxi(), focus_to_sample=0.01)
    with pytest.raises(ValueError, match="needs focus_to_sample"):
        load(make_cxi(), propagation="cone")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {DETECTOR + "data": None},
            "no intensities at entry_1/instrument_1/detector_1/data; nor at entry_1/data_1/data",
        ),
        ({TRANSLATION: None}, "no translation at entry_1/sample_1/geometry_1/translation; nor at"),
        (
            {"instrument_1__source_1__wavelength": None, "instrument_1__source_1__energy": None},
            "no wavelength at entry_1/instrument_1/source_1/wavelength, and no energy at",
        ),
        ({DETECTOR + "distance": None}, "no distance at entry_1/instrument_1/detector_1/distance"),
        ({DETECTOR + "distance": 0.0}, r"distance is 0\.0; expected a positive number"),
        ({DETECTOR + "distance": np.array([1.0, 2.0])}, "expected one number"),
        ({DETECTOR + "y_pixel_size": 75e-6}, "opty needs square ones"),
        ({DETECTOR + "basis_vectors": np.zeros((3, 2))}, "expected .3, 2., slow and fast axis"),
        ({DETECTOR + "mask": np.zeros((8, 8), "uint8")}, r"mask has shape \(8, 8\)"),
        ({DETECTOR + "mask": np.ones((16, 16), "uint8")}, "mask leaves no pixel"),
        ({TRANSLATION: np.ones((5, 3))}, r"4 patterns but 5 positions \(/entry_1/sample_1/geometry_1/translation\)"),
        ({TRANSLATION: np.ones((4, 1))}, r"has shape \(4, 1\)"),
        (
            {"instrument_1__source_1__wavelength": None, "instrument_1__source_1__energy": 12.4},
            "is 12.4 and has no unit: give energy=",
        ),
    ],
)
def test_what_is_missing_or_odd_is_named_with_the_file(make_cxi, changes, message):
    path = make_cxi(**changes)
    with pytest.raises(FormatError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    assert "Errno" not in str(caught.value)


def test_no_pixel_size_at_all(make_cxi):
    none = {DETECTOR + name: None for name in ("x_pixel_size", "y_pixel_size", "basis_vectors")}
    with pytest.raises(FormatError, match="no pixel size at"):
        load(make_cxi(**none))

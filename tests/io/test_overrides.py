"""Options that say better what a file says wrong: they come before the file's value is judged, in every format."""

import h5py
import numpy as np
import pytest

from opty.data import PtychoData
from opty.errors import FormatError
from opty.geometry import PLANCK_TIMES_C, Geometry, electron_wavelength
from opty.io import load, save

N, WAVE, DISTANCE, PIXEL = 16, 1e-10, 2.0, 55e-6
EV = 1.602176634e-19
DETECTOR, SOURCE = "instrument_1__detector_1__", "instrument_1__source_1__"
FORMATS = {"cxi": "a.cxi", "nexus": "a.nxs", "ptyd": "a.ptyd", "ptylab": "a.hdf5", "ptychi": "a_dp.h5", "tiff": "a.tif"}
PLACES = {  # of (wavelength or energy, distance, pixel) in the file of each format
    "cxi": ("entry_1/instrument_1/source_1/wavelength", "entry_1/instrument_1/detector_1/distance", None),
    "nexus": ("entry_1/instrument_1/beam_1/energy", "entry_1/instrument_1/detector_1/distance", None),
    "ptyd": ("meta/energy", "meta/distance", "meta/psize"),
    "ptylab": ("wavelength", "zo", "dxd"),
}


@pytest.fixture
def data(counts, rng):
    geometry = Geometry(WAVE, DISTANCE, PIXEL)
    return PtychoData(counts, rng.uniform(0, 9, (4, 2)) * geometry.sample_pixel(N), geometry)


@pytest.fixture
def written(data, tmp_path):
    def write(format):
        path = tmp_path / FORMATS[format]
        save(path, data, format=format)
        return path

    return write


def spoil(path, place, value):
    with h5py.File(path, "a") as f:
        if place in f:
            attributes = dict(f[place].attrs)
            del f[place]
            f[place] = value
            f[place].attrs.update(attributes)


@pytest.mark.parametrize("format", PLACES)
@pytest.mark.parametrize("value", [0.0, -2.0, np.nan, np.inf])
def test_a_wrong_distance(written, format, value):
    path = written(format)
    spoil(path, PLACES[format][1], value)
    with pytest.raises(FormatError):
        load(path)
    found = load(path, distance=DISTANCE)
    assert found.geometry.distance == DISTANCE
    assert found.geometry.wavelength == pytest.approx(WAVE, rel=1e-6)


@pytest.mark.parametrize("format", PLACES)
@pytest.mark.parametrize("value", [-1.0, np.nan, np.array([1.0, 2.0, 3.0, 4.0])])
@pytest.mark.parametrize("option", [{"wavelength": "1A"}, {"energy": PLANCK_TIMES_C / WAVE}, {"energy": "12.39842keV"}])
def test_a_wrong_wavelength_or_energy(written, format, value, option):
    path = written(format)
    for place in (PLACES[format][0], "entry_1/instrument_1/beam_1/incident_beam_energy"):
        spoil(path, place, value)
    with pytest.raises(FormatError):
        load(path)
    assert load(path, **option).geometry.wavelength == pytest.approx(WAVE, rel=1e-6)


@pytest.mark.parametrize("format", ["ptyd", "ptylab"])
def test_a_wrong_pixel(written, format):
    path = written(format)
    spoil(path, PLACES[format][2], np.array([np.nan, 1.0]))
    with pytest.raises(FormatError):
        load(path)
    assert load(path, pixel_size="55 um").geometry.pixel_size == pytest.approx(PIXEL)


@pytest.mark.parametrize("spoilt", ["x_pixel_size", "basis_vectors"])
def test_pixels_of_cxi_that_are_not_square_or_nothing(make_cxi, spoilt):
    path = make_cxi(**{DETECTOR + "x_pixel_size": np.float32(np.nan)})
    with pytest.raises(FormatError):
        load(path)
    assert load(path, pixel_size=PIXEL).geometry.pixel_size == PIXEL


def test_energies_of_each_view(make_cxi):
    energy = PLANCK_TIMES_C / WAVE
    near = make_cxi(**{SOURCE + "wavelength": None, SOURCE + "energy": energy * (1 + 1e-6 * np.arange(4))})
    assert load(near).geometry.wavelength == pytest.approx(WAVE, rel=1e-5)
    far = make_cxi(**{SOURCE + "wavelength": None, SOURCE + "energy": energy * (1 + 1e-2 * np.arange(4))})
    with pytest.raises(FormatError, match="expected one number"):
        load(far)
    assert load(far, energy="12.398 keV").geometry.wavelength == pytest.approx(WAVE, rel=1e-4)


def test_the_energy_of_the_ring(make_cxi):
    path = make_cxi(**{SOURCE + "wavelength": None, SOURCE + "energy": 3e9 * EV})
    with pytest.raises(FormatError, match=r"is 3e\+06 keV, which is no energy of photons.*storage ring.*energy="):
        load(path)
    assert load(path, energy="6.2keV").geometry.energy == pytest.approx(6.2e3 * EV)


def test_electrons_are_no_photons(make_cxi):
    path = make_cxi(**{SOURCE + "wavelength": None, SOURCE + "energy": 300e3 * EV})
    with pytest.raises(FormatError, match=r"is 300 keV, which is no energy of photons.*electrons give voltage='300kV'"):
        load(path)
    found = load(path, voltage=300e3)
    with pytest.warns(UserWarning, match=r"is 300 keV.* taken as that of electrons; voltage='300kV' says so"):
        assert found.geometry == load(path, energy="300keV").geometry
    assert found.geometry.wavelength == pytest.approx(1.9687e-12, rel=1e-4)
    assert load(path, voltage="80 kV").geometry.wavelength == pytest.approx(4.1757e-12, rel=1e-4)
    assert load(path, wavelength=WAVE).geometry == Geometry(WAVE, 2.0, PIXEL)


def test_a_ptyd_with_the_energy_of_photons_of_the_same_wavelength(written):
    path = written("ptyd")
    spoil(path, "meta/energy", 629.7614)
    with pytest.warns(UserWarning, match=r"629\.761 keV, and its program makes a wavelength of 1\.9687e-12"):
        found = load(path)
    assert found.geometry.wavelength == pytest.approx(1.96875e-12, rel=1e-5)


@pytest.mark.parametrize("format", FORMATS)
def test_electrons_survive_every_format(data, tmp_path, format):
    geometry = Geometry(voltage=300e3, distance=1.0, pixel_size=1e-3)
    ours = data.replace(geometry=geometry, positions=data.positions_px * geometry.sample_pixel(N))
    save(tmp_path / FORMATS[format], ours, format=format)
    found = load(tmp_path / FORMATS[format])
    assert found.geometry.wavelength == pytest.approx(electron_wavelength(300e3), rel=1e-6)
    np.testing.assert_allclose(found.positions_px, ours.positions_px, atol=1e-6)
    assert found.geometry.voltage == pytest.approx(300e3)
    with pytest.raises((FormatError, ValueError), match="made with electrons"):
        load(tmp_path / FORMATS[format], energy="6keV")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("more", [1, -1])
def test_views_are_chosen_before_lengths_are_compared(data, tmp_path, format, more, identical):
    save(tmp_path / FORMATS[format], data, format=format)
    places = np.concatenate([data.positions, data.positions[:1]])[: 4 + more]
    np.save(tmp_path / "other.npy", places)
    option = {"positions": tmp_path / "other.npy"}
    if format == "ptychi":  # its own option names the second file of the pair
        with h5py.File(tmp_path / "a_para.h5", "a") as f:
            for axis, name in enumerate(("probe_position_y_m", "probe_position_x_m")):
                del f[name]
                f[name] = places[:, axis]
        option = {}
    path, fewer = tmp_path / FORMATS[format], min(4, 4 + more)
    with pytest.raises(FormatError, match=rf"4 patterns but {4 + more} positions.*views='0:{fewer}'"):
        load(path, **option)
    with pytest.raises(ValueError, match="is in one of them only"):
        load(path, **option, views=[max(4, 4 + more) - 1])
    for chosen in ({"views": f"0:{fewer}"}, {"leave_out": [max(4, 4 + more) - 1]}, {"leave_out": [-1]}):
        found = load(path, **option, **chosen)
        identical(found.intensities, data.intensities[:fewer].astype(found.intensities.dtype))
        assert len(found.positions) == fewer


def test_an_aborted_ptyd(data, tmp_path):
    path = tmp_path / "a.ptyd"
    save(path, data, format="ptyd")
    with h5py.File(path, "a") as f:
        f["meta/num_frames"][...] = 9
        for name in ("data", "indices"):
            kept = f[f"chunks/0/{name}"][:3]
            del f[f"chunks/0/{name}"]
            f[f"chunks/0/{name}"] = kept
    with pytest.raises(
        FormatError, match="promises 9 frames and the chunks hold 3: to load the others give views='0:3'"
    ):
        load(path)
    assert load(path, views="0:3").views == 3


# -- positions


@pytest.mark.parametrize(
    ("option", "matrix"),
    [
        ({"position_swap": True}, [[0, 1], [1, 0]]),
        ({"position_flip": "rows"}, [[-1, 0], [0, 1]]),
        ({"position_flip": "both", "position_swap": True}, [[0, -1], [-1, 0]]),
        ({"position_scale": 1.25}, [[1.25, 0], [0, 1.25]]),
        ({"position_scale": (2, -3)}, [[2, 0], [0, -3]]),
        ({"scan_rotation": np.pi / 6}, [[np.sqrt(3) / 2, -0.5], [0.5, np.sqrt(3) / 2]]),
        ({"scan_rotation": "30 deg", "position_flip": "columns"}, [[np.sqrt(3) / 2, 0.5], [0.5, -np.sqrt(3) / 2]]),
    ],
)
@pytest.mark.parametrize("format", ["cxi", "ptyd", "tike"])
def test_what_is_done_to_positions(data, tmp_path, format, option, matrix):
    path = tmp_path / {"tike": "a.npz"}.get(format, FORMATS.get(format))
    save(path, data, format=format)
    plain, found = load(path), load(path, **option)
    np.testing.assert_allclose(found.positions, plain.positions @ np.array(matrix).T, rtol=1e-9, atol=1e-12)
    assert found.geometry == plain.geometry


@pytest.mark.parametrize("stream", [False, True])
def test_numbers_in_another_unit(make_cxi, stream):
    right = load(make_cxi())
    wrong = make_cxi("um.cxi", sample_1__geometry_1__translation=make_cxi.translation * 1e6)
    found = load(wrong, position_unit="um", stream=stream)
    np.testing.assert_allclose(found.positions, right.positions, rtol=1e-12)
    mixed = make_cxi.translation * [1e3, 1e6, 1]
    found = load(make_cxi("mixed.cxi", sample_1__geometry_1__translation=mixed), position_unit=("um", "mm"))
    np.testing.assert_allclose(found.positions, right.positions, rtol=1e-12)


def test_positions_from_another_file(make_cxi, tmp_path, rng):
    path, places = make_cxi(), rng.uniform(-9, 9, (4, 2))
    np.save(tmp_path / "p.npy", places.T * 1e-6)
    (tmp_path / "p.csv").write_text("x, y, t\n" + "\n".join(f"{x}, {y}, {k}" for k, (y, x) in enumerate(places)))
    with h5py.File(tmp_path / "p.h5", "w") as f:
        f["scan/xy"] = places
        f["scan/xy"].attrs["units"] = "um"
    given = [("p.npy", {}), ("p.csv", {"position_unit": "um"}), ("p.h5:/scan/xy", {})]
    for name, option in given:
        found = load(path, positions=str(tmp_path / name), **option)
        np.testing.assert_allclose(found.positions, places * 1e-6, rtol=1e-12)
    np.testing.assert_allclose(load(path, positions=places, position_unit="um").positions, places * 1e-6, rtol=1e-12)
    (tmp_path / "p.csv").write_text("a, b\n1, 2\n3, 4\n")
    with pytest.raises(FormatError, match="none of them row and column, or y and x"):
        load(path, positions=tmp_path / "p.csv")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"energy": 6.2}, "energy is 6.2, too large to be in joule: give the unit, energy='6.2keV'"),
        ({"energy": "6.2 keW"}, "has the unit 'keW', no unit of energy"),
        ({"energy": "6.2keV", "wavelength": 1e-10}, "wavelength and energy are given, of which one is enough"),
        ({"wavelength": 1.5}, "is 1.5 m, which is no wavelength"),
        ({"pixel_size": "75"}, "pixel_size is 75.0 m: give it with its unit, pixel_size='75um'"),
        (
            {"scan_rotation": 12},
            "12, too large to be in radians: give the unit, scan_rotation='12deg'",
        ),
        ({"position_scale": 0}, "position_scale is 0; give one factor"),
        ({"position_flip": "up"}, "choose 'rows', 'columns', 'both' or 'none'"),
        ({"position_unit": "mile"}, "has the unit 'mile', no unit of length"),
        ({"voltage": 300}, "300.0 V, too low for electrons"),
        ({"clip": 3}, "clip is 3; give 0"),
    ],
)
def test_options_that_are_no_remedy(make_cxi, option, message):
    with pytest.raises(ValueError, match=message):
        load(make_cxi(), **option)


# -- negative noise


@pytest.mark.parametrize("stream", [False, True])
def test_clip(make_cxi, rng, stream):
    noisy = (rng.poisson(3, (4, 16, 16)) + rng.normal(0, 2, (4, 16, 16))).astype("float32")
    path = make_cxi(**{DETECTOR + "data": noisy})
    with pytest.raises(FormatError, match=r"negative counts .*clip=0"):
        load(path)
    found = load(path, clip=0, stream=stream)
    np.testing.assert_array_equal(found.intensities[:], np.maximum(noisy, 0))
    summed = load(path, clip=0, rebin=2, stream=stream).intensities[:]
    np.testing.assert_allclose(summed, np.maximum(noisy, 0).reshape(4, 8, 2, 8, 2).sum((2, 4)), rtol=1e-6)
    with pytest.warns(UserWarning, match=r"more than a quarter of the detector .* clip=0 has less bias"):
        each = load(path, mask="invalid", stream=stream)
    np.testing.assert_array_equal(each.mask[:], noisy >= 0)
    np.testing.assert_array_equal(each.intensities[:], np.maximum(noisy, 0))
    noisy[1, 2, 3] = np.nan
    nan = make_cxi("nan.cxi", **{DETECTOR + "data": noisy})
    with pytest.raises(FormatError, match="NaN"):
        load(nan, clip=0)
    assert load(nan, clip=0, mask="invalid").mask.sum() == 255


def test_a_mask_that_is_ignored_is_not_read(make_cxi):
    path = make_cxi(instrument_1__detector_1__mask=np.zeros((8, 8), "uint8"))
    with pytest.raises(FormatError, match="mask has shape"):
        load(path)
    assert load(path, mask="ignore").mask is None


@pytest.mark.parametrize("format", FORMATS)
def test_positions_in_place_of_those_of_every_format(data, tmp_path, format, rng, identical):
    places = rng.uniform(-1e-6, 1e-6, (len(data.intensities), 2))
    np.save(tmp_path / "other.npy", places)
    save(tmp_path / FORMATS[format], data, format=format)
    found = load(tmp_path / FORMATS[format], positions=tmp_path / "other.npy")
    np.testing.assert_allclose(found.positions, places, rtol=0, atol=1e-18)
    identical(found.intensities, data.intensities)


def test_a_reciprocal_pixel_leaves_the_beam_centre_where_it_is(data, tmp_path):
    """NeXus has it in metres: the pixel of the detector, not the angle, makes pixels of it."""
    save(tmp_path / "a.nxs", data, format="nexus")
    found = load(tmp_path / "a.nxs", reciprocal_pixel="0.03mrad")
    assert found.n == data.n
    assert found.geometry.pixel_size == pytest.approx(0.03e-3)

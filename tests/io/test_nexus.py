"""NXcxi_ptycho, as opty and as beamlines write it: motors, rasters, units, beam centre."""

import h5py
import numpy as np
import pytest

from opty import PtychoData
from opty.errors import FormatError
from opty.geometry import PLANCK_TIMES_C
from opty.io import info, load, save

KEV = 1.602176634e-16


@pytest.fixture
def make(tmp_path, rng):
    """Function that writes a raster scan of 2 x 3 views; keywords are paths below the entry (__ for /) to change."""
    patterns = rng.poisson(9.0, (2, 3, 16, 16)).astype("uint16")
    x, y = np.meshgrid([0.0, 1.0], [5.0, 6.0, 7.0], indexing="ij")

    def write(units="um", **changes):
        contents = {
            "definition": "NXptycho",
            "instrument/det/data": patterns,
            "instrument/det/distance": 2000.0,
            "instrument/det/x_pixel_size": 0.055,
            "instrument/det/y_pixel_size": 0.055,
            "instrument/beam/incident_beam_energy": 6.2,
            "sample/transformations/x": x,
            "sample/transformations/y": y,
        } | {key.replace("__", "/"): value for key, value in changes.items()}
        path = tmp_path / "scan.nxs"
        with h5py.File(path, "w") as f:
            entry = f.create_group("scan7")
            for key, value in contents.items():
                if value is not None:
                    entry[key] = value
            classes = {"instrument": "instrument", "instrument/det": "detector", "instrument/beam": "beam"}
            for key, name in (classes | {"sample": "sample", "sample/transformations": "transformations"}).items():
                if key in entry:
                    entry[key].attrs["NX_class"] = f"NX{name}"
            for key in ("instrument/det/distance", "instrument/det/x_pixel_size", "instrument/det/y_pixel_size"):
                if key in entry:
                    entry[key].attrs["units"] = "mm"
            if "instrument/beam/incident_beam_energy" in entry:
                entry["instrument/beam/incident_beam_energy"].attrs["units"] = "keV"
            for name in "xy":
                if f"sample/transformations/{name}" in entry:
                    entry[f"sample/transformations/{name}"].attrs["units"] = units
        return path

    write.patterns, write.x, write.y = patterns, x, y
    return write


def test_raster_with_motors_in_other_units(make, identical):
    data = load(make())
    identical(data.intensities, make.patterns.reshape(6, 16, 16))
    expected = np.column_stack([make.y.ravel(), make.x.ravel()]) * 1e-6
    np.testing.assert_allclose(data.positions, expected, atol=1e-15)
    assert data.geometry.wavelength == pytest.approx(PLANCK_TIMES_C / (6.2 * KEV), rel=1e-12)
    assert (data.geometry.distance, data.geometry.pixel_size) == (2.0, pytest.approx(55e-6))


def test_raster_with_one_value_a_line(make):
    path = make(sample__transformations__x=np.array([0.0, 1.0]), sample__transformations__y=np.array([5.0, 6.0, 7.0]))
    np.testing.assert_allclose(load(path).positions, np.column_stack([make.y.ravel(), make.x.ravel()]) * 1e-6)


def test_motor_along_another_axis(make):
    path = make()
    with h5py.File(path, "a") as f:
        f["scan7/sample/transformations/x"].attrs["vector"] = [-1.0, 0.0, 0.0]
    np.testing.assert_allclose(load(path).positions[:, 1], -make.x.ravel() * 1e-6)


def test_views_of_a_raster(make, identical):
    identical(load(make(), views=[4, 1]).intensities, make.patterns.reshape(6, 16, 16)[[4, 1]])
    identical(load(make(), views="1:6:2").intensities, np.ascontiguousarray(make.patterns.reshape(6, 16, 16)[1::2]))


def test_beam_centre_and_mask(make, identical):
    flags = np.zeros((16, 16), "uint32")
    flags[3, 4] = 2
    centre = {"instrument__det__beam_center_x": 6.0, "instrument__det__beam_center_y": 8.0}
    path = make(instrument__det__pixel_mask=flags, **centre)
    with h5py.File(path, "a") as f:
        for name in "xy":
            f[f"scan7/instrument/det/beam_center_{name}"].attrs["units"] = "pixel"
    with pytest.warns(UserWarning, match=r"beam at \(8, 6\) of 16 x 16 pixels: 13 x 13"):
        data = load(path)
    identical(data.intensities[0], np.ascontiguousarray(make.patterns[0, 0, 2:15, 0:13]))
    identical(data.mask, (flags == 0)[2:15, 0:13].copy())


def test_what_opty_writes_plots_in_viewers(tmp_path, counts, geometry):
    save(tmp_path / "a.nxs", PtychoData(counts, np.arange(8.0).reshape(4, 2) * 1e-7, geometry), format="nexus")
    with h5py.File(tmp_path / "a.nxs") as f:
        entry = f[f.attrs["default"]]
        plot = entry[entry.attrs["default"]]
        assert plot.attrs["NX_class"] == "NXdata"
        assert plot[plot.attrs["signal"]].shape == (4, 16, 16)
        assert [axis.decode() for axis in plot.attrs["axes"]] == ["x", ".", "."]
        assert plot["x"].shape == (4,)
        assert plot["x"].attrs["units"] == "m"
        assert entry["definition"][()].decode() == "NXcxi_ptycho"
        assert entry.attrs["NX_class"] == "NXentry"
        assert entry["instrument_1/beam_1/energy"].attrs["units"] == "J"
        assert f["cxi_version"][()] == 160
    assert info(tmp_path / "a.nxs").format.startswith("NXcxi_ptycho")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"units": "furlong"}, "has the unit 'furlong', no unit of length that opty knows"),
        ({"sample__transformations__y": None}, r"no y motor at scan7/sample/transformations/y; nor at"),
        ({"instrument__det__distance": None}, r"no distance at .*did you mean|give distance= in metres"),
        ({"instrument__beam__incident_beam_energy": None}, "give wavelength= in metres"),
        ({"sample__transformations__x": np.zeros(5)}, r"does not go with a scan of \(2, 3\)"),
        ({"instrument__det__pixel_mask": np.zeros((3, 3))}, r"pixel_mask has shape \(3, 3\)"),
    ],
)
def test_what_does_not_fit(make, changes, message):
    with pytest.raises(FormatError, match=message):
        load(make(**changes))


@pytest.mark.parametrize("names", [("horizontal", "vertical"), ("sample_x", "sample_y")])
def test_motors_of_other_names_one_value_a_line_and_a_column(make, names):
    expected = load(make()).positions
    other = {"sample__transformations__x": None, "sample__transformations__y": None}
    motors = dict(zip(names, ([0.0, 1.0], [5.0, 6.0, 7.0]), strict=True))
    path = make(**other, **{f"sample__transformations__{name}": values for name, values in motors.items()})
    with h5py.File(path, "a") as f:
        for name in names:
            f[f"scan7/sample/transformations/{name}"].attrs["units"] = "um"
    np.testing.assert_allclose(load(path).positions, expected, atol=1e-15)
    with h5py.File(path, "a") as f:  # y is the slow motor: its number of values says so
        for name, values in zip(names, ([5.0, 6.0, 7.0], [0.0, 1.0]), strict=True):
            del f[f"scan7/sample/transformations/{name}"]
            f[f"scan7/sample/transformations/{name}"] = values
            f[f"scan7/sample/transformations/{name}"].attrs["units"] = "um"
    expected = [[row, column] for row in (0.0, 1.0) for column in (5.0, 6.0, 7.0)]
    np.testing.assert_allclose(load(path).positions, np.array(expected) * 1e-6, atol=1e-15)


def test_the_wavelength_of_the_beam(make):
    path = make(instrument__beam__incident_beam_energy=None, instrument__beam__incident_wavelength=1.5)
    with h5py.File(path, "a") as f:
        f["scan7/instrument/beam/incident_wavelength"].attrs["units"] = "angstrom"
    assert load(path).geometry.wavelength == pytest.approx(1.5e-10)


def test_an_energy_without_a_unit(make):
    path = make()
    with h5py.File(path, "a") as f:
        del f["scan7/instrument/beam/incident_beam_energy"].attrs["units"]
    with pytest.raises(FormatError, match=r"is 6\.2 and has no unit: give energy='6\.2keV'"):
        load(path)
    assert load(path, energy="6.2keV").geometry.energy == pytest.approx(6.2 * KEV)


def test_more_encoder_readings_than_frames(make):
    path = make(instrument__det__data=make.patterns.reshape(6, 16, 16)[:5])
    with h5py.File(path, "a") as f:
        for name in "xy":
            values = f[f"scan7/sample/transformations/{name}"][()].reshape(-1)
            del f[f"scan7/sample/transformations/{name}"]
            f[f"scan7/sample/transformations/{name}"] = values
            f[f"scan7/sample/transformations/{name}"].attrs["units"] = "um"
    with pytest.raises(FormatError, match="5 patterns but 6 positions"):
        load(path)
    assert load(path, views="0:5").views == 5

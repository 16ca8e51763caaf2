"""EMD data cubes as py4DSTEM 0.14, NCEM's 0.2 and Prismatic's 0.5 have them, written with h5py alone; opty's own."""

import h5py
import numpy as np
import pytest

from opty import Geometry, PtychoData
from opty.data.scan_grid import scan_grid
from opty.errors import FormatError
from opty.geometry import electron_wavelength
from opty.io import info, load, save


@pytest.fixture
def counts():
    return np.random.default_rng(2).poisson(9.0, (3, 4, 16, 16)).astype("uint16")


@pytest.fixture
def cube(tmp_path, counts):
    """Function that writes a file; ``units`` of the four axes, ``steps`` between their first two values."""

    def write(
        units=("A", "A", "A^-1", "A^-1"), steps=(0.5, 0.25, 0.02, 0.02), first=0, whole=False, kind="array", at=None
    ):
        path = tmp_path / "cube.h5"
        with h5py.File(path, "w") as f:
            f.attrs["authoring_program"] = "emdfile"
            group = f.create_group(at or "datacube_root/datacube")
            group.parent.attrs["emd_group_type"] = "root"
            group.attrs["emd_group_type"] = kind
            group.create_dataset("data", data=counts, chunks=(1, 1, 16, 16), compression="gzip")
            for k, (unit, step) in enumerate(zip(units, steps, strict=True)):
                axis = group.create_dataset(f"dim{k + first}", data=np.arange(counts.shape[k] if whole else 2) * step)
                axis.attrs["units"] = unit
        return path

    return write


@pytest.mark.parametrize("stream", [False, True])
def test_py4dstem(cube, counts, stream, identical):
    data = load(cube(), voltage="300kV", stream=stream)
    identical(np.asarray(data.intensities), counts.reshape(12, 16, 16))
    expected = [[i * 0.5e-10, j * 0.25e-10] for i in range(3) for j in range(4)]
    np.testing.assert_allclose(data.positions, expected, rtol=1e-12)
    assert data.pixel == pytest.approx(1e-10 / (0.02 * 16))
    some = load(data.source["path"], voltage="300kV", stream=stream, views=[7, 1], scan_rotation="90deg")
    identical(np.asarray(some.intensities), counts.reshape(12, 16, 16)[[7, 1]])
    np.testing.assert_allclose(some.positions, [[-0.75e-10, 0.5e-10], [-0.25e-10, 0.0]], atol=1e-22)


@pytest.mark.parametrize(
    ("unit", "step", "angle"),
    [
        ("mrad", 0.5, 5e-4),
        ("rad", 5e-4, 5e-4),
        ("1/nm", 0.25, None),
        ("[n_m^-1]", 0.25, None),
        ("nm^-1", 0.25, None),
    ],
)
def test_units_of_the_diffraction_axes(cube, unit, step, angle):
    data = load(cube(units=("nm", "nm", unit, unit), steps=(0.1, 0.1, step, step)), voltage="200kV")
    expected = data.geometry.wavelength / (16 * angle) if angle else 1e-9 / (0.25 * 16)
    assert data.pixel == pytest.approx(expected)


def test_ncem(cube, counts, identical):
    path = cube(("[n_m]", "[n_m]", "[mrad]", "[mrad]"), (0.1, 0.1, 1.0, 1.0), 1, True, 1, "data/stack")
    data = load(path, voltage="200kV")
    identical(data.intensities, counts.reshape(12, 16, 16))
    assert data.positions[5].tolist() == pytest.approx([1e-10, 1e-10])
    assert "EMD data cube" in str(info(path, voltage="200kV"))


def test_what_the_file_does_not_tell(cube):
    with pytest.raises(
        FormatError, match=r"no wavelength in an EMD file \(a mapping can .*: give wavelength= in metres"
    ):
        load(cube())
    path = cube(units=("pixels", "pixels", "pixels", "pixels"), steps=(1, 1, 1, 1))
    with pytest.raises(
        FormatError, match=r"file has no positions: give the distance between views on a grid, scan_step='0.4nm', or a"
    ):
        load(path, voltage="300kV", distance=1, pixel_size="1mm")
    with pytest.raises(FormatError, match="no distance; no pixel size: give distance=, pixel_size= in metres"):
        load(path, voltage="300kV", scan_step="0.1nm")
    assert load(path, voltage="300kV", distance=1, pixel_size="1mm", scan_step="0.1nm").views == 12


def test_cubes_that_are_refused(cube, counts):
    with pytest.raises(
        FormatError, match=r"pixels of /datacube_root/datacube are 0\.02 x 0\.03 A\^-1; opty needs square"
    ):
        load(cube(steps=(0.5, 0.5, 0.02, 0.03)), voltage="300kV")
    path = cube()
    with h5py.File(path, "a") as f:
        f.copy("datacube_root/datacube", "datacube_root/second")
    with pytest.raises(
        FormatError, match=r"holds the data cubes /datacube_root/datacube, /datacube_root/second: say wh"
    ):
        load(path, voltage="300kV")


def test_groups_that_lead_to_one_another(cube):
    path = cube()
    with h5py.File(path, "a") as f:
        f["datacube_root/again"] = f["datacube_root"]
        f["datacube_root/elsewhere"] = h5py.ExternalLink("/dev/zero", "/")
    with pytest.raises(
        FormatError, match="holds the data cubes /datacube_root/datacube, /datacube_root/again/datacube"
    ):
        load(path, voltage="300kV")


CALIBRATION = "datacube_root/metadatabundle/calibration/"


@pytest.fixture
def calibrated(cube):
    """Function that writes a cube with py4DSTEM's calibration, and axes that are still in pixels."""

    def write(**changes):
        known = {"R_pixel_size": 0.5, "R_pixel_units": "A", "Q_pixel_size": 0.02, "Q_pixel_units": "A^-1"} | changes
        path = cube(units=["pixels"] * 4, steps=[1, 1, 1, 1])
        with h5py.File(path, "a") as f:
            for name, value in known.items():
                f[CALIBRATION + name] = value
        return path

    return write


@pytest.mark.parametrize("flip", [False, True])
def test_calibration_of_py4dstem_comes_before_the_axes(calibrated, counts, flip, identical):
    """Its rotation takes vectors of the detector to those of the scan, after the exchange of axes where it says so."""
    path = calibrated(QR_rotation=np.pi / 6, QR_flip=flip, convergence_semiangle_mrad=21.4)
    data = load(path, voltage="300kV")
    identical(data.intensities, counts.reshape(12, 16, 16).transpose(0, 2, 1) if flip else counts.reshape(12, 16, 16))
    assert data.pixel == pytest.approx(1e-10 / (0.02 * 16))
    assert data.geometry.semi_angle == pytest.approx(21.4e-3)
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    of_scan = np.array([[i * 0.5e-10, j * 0.5e-10] for i in range(3) for j in range(4)])
    np.testing.assert_allclose(data.positions @ np.array([[c, -s], [s, c]]).T, of_scan, atol=1e-24)
    np.testing.assert_allclose(load(path, voltage="300kV", scan_rotation=0).positions, of_scan, atol=1e-24)
    steps = load(path, voltage="300kV", scan_step="1A", stream=True)
    np.testing.assert_allclose(steps.positions, 2 * data.positions, atol=1e-24)


def test_the_beam_centre_of_py4dstem(calibrated, counts, identical):
    path = calibrated(qx0_mean=7.2, qy0_mean=6.9)
    with pytest.warns(
        UserWarning, match=r"the file has the beam at \(7, 7\) of 16 x 16 pixels: 15 x 15 around it are kep"
    ):
        data = load(path, voltage="300kV")
    identical(data.intensities, counts.reshape(12, 16, 16)[:, :15, :15])
    assert data.pixel == pytest.approx(1e-10 / (0.02 * 15))
    assert load(calibrated(qx0_mean=np.nan, qy0_mean=[[6.0, 6.0]]), voltage="300kV").n == 16


def test_calibrations_that_say_nothing(calibrated):
    """Pixels that nobody measured: a size of 1 in a unit that is none."""
    path = calibrated(R_pixel_size=1, R_pixel_units="pixels", Q_pixel_size=1, Q_pixel_units="pixels")
    with pytest.raises(
        FormatError, match=r"no positions: give the distance between views on a grid, scan_step='0\.4nm'"
    ):
        load(path, voltage="300kV", reciprocal_pixel="1mrad")
    data = load(path, voltage="300kV", reciprocal_pixel="1mrad", scan_step="0.4nm")
    assert data.positions[-1].tolist() == pytest.approx([8e-10, 12e-10])


def test_prismatic(cube, counts, identical):
    path = cube(("[n_m]", "[n_m]", "[n_m^-1]", "[n_m^-1]"), (0.1, 0.1, 0.5, 0.5), 1, True, 1, "4DSTEM/data/datacubes/a")
    with h5py.File(path, "a") as f:
        f.move("4DSTEM/data/datacubes/a/data", "4DSTEM/data/datacubes/a/datacube")
    identical(load(path, voltage="100kV").intensities, counts.reshape(12, 16, 16))


@pytest.fixture
def measured(counts):
    """Function that makes a measurement on a grid, from 5 and 7 nm on, turned by some radians."""

    def make(rotation=0.2, **changes):
        geometry = Geometry(electron_wavelength(300e3), 0.8, 55e-6, voltage=300e3, semi_angle=21.4e-3)
        places = scan_grid((3, 4), 0.4e-10, rotation) + np.array([5e-9, 7e-9])
        fields = {"intensities": counts.reshape(12, 16, 16), "positions": places, "geometry": geometry}
        return PtychoData(**fields | changes)

    return make


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("rotation", [0.0, 0.2, -2.0])
def test_what_opty_writes_it_reads(measured, tmp_path, identical, stream, rotation):
    data = measured(rotation)
    save(tmp_path / "a.h5", data, format="emd")
    back = load(tmp_path / "a.h5", stream=stream)
    identical(np.asarray(back.intensities), data.intensities)
    np.testing.assert_allclose(back.positions, data.positions, rtol=0, atol=1e-20)
    assert back.geometry == data.geometry
    save(tmp_path / "b.emd", back, format="emd")  # out of a file
    identical(load(tmp_path / "b.emd").intensities, data.intensities)


def test_py4dstem_finds_in_it_what_it_goes_by(measured, tmp_path):
    """The words are strings of variable length, which it compares with text; the step is one, in A; pixels in A^-1."""
    data = measured(0.2)
    save(tmp_path / "a.h5", data, format="emd")
    with h5py.File(tmp_path / "a.h5") as f:
        assert (f.attrs["emd_group_type"], f.attrs["version_major"], f.attrs["version_minor"]) == ("file", 1, 0)
        cube, known = f["datacube_root/datacube"], f[CALIBRATION]
        assert (cube.attrs["emd_group_type"], cube.attrs["python_class"]) == ("array", "DataCube")
        assert known.attrs["python_class"] == "Calibration"
        np.testing.assert_array_equal(cube["data"], data.intensities.reshape(3, 4, 16, 16))
        assert known["R_pixel_size"][()] == pytest.approx(0.4)
        assert known["Q_pixel_size"][()] == pytest.approx(1e-10 / (data.pixel * 16))
        assert known["QR_rotation_degrees"][()] == pytest.approx(-np.rad2deg(0.2))
        assert known["convergence_semiangle_mrad"][()] == pytest.approx(21.4)
        assert (known["R_pixel_units"][()], known["Q_pixel_units"][()]) == (b"A", b"A^-1")


def test_what_emd_has_no_place_for(measured, tmp_path):
    data = measured()
    crooked = data.positions + np.eye(12, 2) * 1e-11
    oblong = scan_grid((3, 4), (0.4e-10, 0.3e-10))
    mirrored = scan_grid((3, 4), (0.4e-10, -0.4e-10))
    for places in (crooked, oblong, mirrored):
        with pytest.raises(FormatError, match="these positions are on none: save as 'cxi' or 'opty'"):
            save(tmp_path / "a.h5", data.replace(positions=places), format="emd")
    photons = Geometry(wavelength=1e-10, distance=1.0, pixel_size=55e-6)
    with pytest.raises(ValueError, match="is of electrons in the far field, and this measurement is not"):
        save(tmp_path / "a.h5", data.replace(geometry=photons), format="emd")
    for field, value in {"mask": np.eye(16) == 0, "probe": np.ones((1, 16, 16), complex)}.items():
        with pytest.raises(FormatError, match=f"an EMD data cube has no place for a {field}"):
            save(tmp_path / "a.h5", data.replace(**{field: value}), format="emd")
    assert not (tmp_path / "a.h5").exists()

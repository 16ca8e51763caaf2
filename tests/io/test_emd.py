"""EMD data cubes as py4DSTEM 0.14 and NCEM's 0.2 have them, written with h5py alone."""

import h5py
import numpy as np
import pytest

from opty.errors import FormatError
from opty.io import info, load


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

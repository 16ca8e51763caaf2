"""PtyLab's HDF5 as PtyLab and MATLAB write it."""

import h5py
import numpy as np
import pytest

from opty.errors import FormatError
from opty.io import load

OTHERS = {"wavelength": 1e-10, "zo": 2.0, "dxd": 55e-6}


@pytest.fixture
def make(tmp_path, counts):
    def write(**changes):
        contents = {"ptychogram": counts, "encoder": np.arange(8.0).reshape(4, 2) * 1e-7, **OTHERS} | changes
        path = tmp_path / "scan.hdf5"
        with h5py.File(path, "w") as f:
            for name, value in contents.items():
                if value is not None:
                    f[name] = value
        return path

    return write


def test_plain(make, counts, identical):
    data = load(make())
    identical(data.intensities, counts)
    identical(data.positions, np.arange(8.0).reshape(4, 2) * 1e-7)
    geometry = data.geometry
    assert (geometry.wavelength, geometry.distance, geometry.pixel_size) == (1e-10, 2.0, 55e-6)


def test_of_matlab_one_by_one_numbers_and_turned_positions(make, identical):
    encoder = np.arange(8.0).reshape(4, 2) * 1e-7
    data = load(make(encoder=encoder.T, **{name: np.array([[value]]) for name, value in OTHERS.items()}))
    identical(data.positions, encoder)
    assert data.geometry.distance == 2.0


def turned(a, orientation):
    """What PtyLab does: PtyPy's numbers, transposed first."""
    a = a.transpose(0, 2, 1) if orientation >= 4 else a
    a = a[:, :, ::-1] if orientation % 2 else a
    return np.ascontiguousarray(a[:, ::-1] if orientation % 4 >= 2 else a)


@pytest.mark.parametrize("orientation", range(8))
@pytest.mark.parametrize("n", [16, 15])
def test_orientation(make, counts, orientation, n, identical):
    patterns = np.ascontiguousarray(counts[:, :n, :n])
    data = load(make(ptychogram=patterns, orientation=np.array([[orientation]])))
    identical(data.intensities, turned(patterns, orientation))


def test_probe_of_a_result(make, rng, identical):
    probe = (rng.normal(size=(1, 1, 2, 1, 16, 16)) + 0j).astype("complex64")
    identical(load(make(probe=probe)).probe, probe[0, 0, :, 0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": np.zeros((3, 2))}, r"4 patterns but 3 positions \(/encoder\)"),
        ({"encoder": None, "encodr": np.zeros((4, 2))}, r"no positions at encoder. / holds .*: did you mean encodr\?"),
        ({"zo": None}, "no distance at zo.*give distance= in metres"),
        ({"wavelength": np.array([1e-10, 2e-10])}, "expected one number"),
        ({"dxd": 0.0}, "/dxd is 0.0; expected a positive number"),
        ({"orientation": 9}, "/orientation is 9; expected one of 0 to 7"),
        ({"ptychogram": np.ones((4, 16, 18))}, "frames are 16 x 18 pixels .* must be square: give crop=16"),
    ],
)
def test_what_does_not_fit(make, changes, message):
    with pytest.raises(FormatError, match=message):
        load(make(**changes))


def test_what_the_file_lacks_is_given(make):
    assert load(make(zo=None), distance=3.0).geometry.distance == 3.0
    assert load(make(ptychogram=np.ones((4, 16, 18))), crop=16).n == 16

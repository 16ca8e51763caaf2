"""Pairs of fold_slice, as its scripts in Python and in MATLAB write them, and .mat files of version 7.3."""

import h5py
import numpy as np
import pytest

from opty.errors import FormatError
from opty.io import load

LAMBDA, DX = 1.24e-10, 8e-9


@pytest.fixture
def counts():
    return np.random.default_rng(4).poisson(9.0, (6, 16, 16)).astype("float32")


@pytest.fixture
def where():
    return np.random.default_rng(5).uniform(-1e-6, 1e-6, (6, 2))


@pytest.fixture
def pair(tmp_path, counts, where):
    """Function that writes a pair; ``matlab``: axes in reverse order, vectors with two axes."""

    def write(matlab=False, names=("lambda", "dx"), folder=tmp_path):
        with h5py.File(tmp_path / "data_roi0_Ndp16_dp.hdf5", "w") as f:
            dp = counts.transpose(0, 2, 1) if matlab else counts
            f.create_dataset("dp", data=dp, chunks=(1, 16, 16), compression="gzip")
        with h5py.File(folder / "data_roi0_Ndp16_para.hdf5", "w") as f:
            for name, axis in (("ppY", -where[:, 0]), ("ppX", -where[:, 1])):
                f[name] = axis[None] if matlab else axis
            for name in names:
                f[name] = np.array([{"lambda": LAMBDA, "dx": DX, "angle": 0.0}[name]])
        return tmp_path / "data_roi0_Ndp16_dp.hdf5"

    return write


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("matlab", [False, True])
def test_pairs(pair, counts, where, matlab, stream, identical):
    path = pair(matlab)
    for one in (path, path.with_name("data_roi0_Ndp16_para.hdf5")):
        data = load(one, stream=stream)
        identical(np.asarray(data.intensities), counts)
        identical(data.positions, where)
        assert data.geometry.wavelength == LAMBDA
        assert data.pixel == pytest.approx(DX, rel=1e-12)
    identical(np.asarray(load(path, stream=stream, views=[5, 1]).intensities), counts[[5, 1]])
    assert load(path, distance=2.0, pixel_size=1e-3).pixel == pytest.approx(LAMBDA * 2 / 16e-3)


def test_what_the_parameters_do_not_tell(pair, where):
    np.testing.assert_allclose(load(pair(names=("dx",))).positions, where / DX)
    assert load(pair(names=("dx",))).geometry is None
    with pytest.raises(FormatError, match="no distance; no pixel size: give distance=, pixel_size= in metres"):
        load(pair(names=("lambda",)))
    with pytest.raises(FormatError, match="no wavelength; no distance; no pixel size"):
        load(pair(names=("angle",)))


def test_the_other_file_elsewhere(pair, where, tmp_path, identical):
    (tmp_path / "positions").mkdir()
    path = pair(folder=tmp_path / "positions")
    with pytest.raises(FormatError, match=r"Ndp16_para\.hdf5, is not beside it: give its path, positions="):
        load(path)
    other = tmp_path / "positions/data_roi0_Ndp16_para.hdf5"
    with pytest.raises(FormatError, match=r"data_roi0_Ndp16_dp\.hdf5 is not beside it: load the file of the patterns"):
        load(other)


def test_positions_in_place_of_its_own(pair, where, tmp_path, counts, identical):
    np.save(tmp_path / "better.npy", where * 2)
    data = load(pair(), positions=tmp_path / "better.npy")
    identical(data.positions, where * 2)
    assert data.pixel == pytest.approx(DX)
    with h5py.File(tmp_path / "data_roi0_Ndp16_para.hdf5", "a") as f:
        del f["ppX"]
        f["ppX"] = np.zeros(5)
    with pytest.raises(FormatError, match="there are 6 positions in /ppY and 5 in /ppX"):
        load(tmp_path / "data_roi0_Ndp16_dp.hdf5")


@pytest.fixture
def mat(tmp_path):
    """Function that writes a .mat of version 7.3: a user block, MATLAB's attribute, axes in reverse order."""

    def write(**arrays):
        path = tmp_path / "scan.mat"
        with h5py.File(path, "w", userblock_size=512) as f:
            for name, array in arrays.items():
                array = np.atleast_2d(array)
                f[name] = array.T
                f[name].attrs["MATLAB_class"] = np.bytes_("double")
        with path.open("r+b") as f:
            f.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
        return path

    return write


@pytest.mark.parametrize("stream", [False, True])
def test_mat_with_positions(mat, counts, where, stream, identical):
    """MATLAB's dp(row, column, view)."""
    path = mat(dp=counts.transpose(1, 2, 0), ppX=-where[:, 1:], ppY=-where[:, :1], dx=DX, **{"lambda": LAMBDA})
    data = load(path, stream=stream)
    identical(np.asarray(data.intensities), counts)
    identical(data.positions, where)
    assert data.pixel == pytest.approx(DX)


@pytest.mark.parametrize("stream", [False, True])
def test_mat_with_a_scan_on_a_grid(mat, counts, stream, identical):
    """MATLAB's dp(row, column, scan row, scan column): 2 x 3 views."""
    cube = counts.reshape(2, 3, 16, 16)
    path = mat(dp=cube.transpose(2, 3, 0, 1))
    beam = {"voltage": "300kV", "distance": 1, "pixel_size": "1mm"}
    data = load(path, **beam, scan_step=("1nm", "2nm"), stream=stream)
    frames = np.asarray(data.intensities)
    for (row, column), frame in zip(np.rint(data.positions / [1e-9, 2e-9]).astype(int), frames, strict=True):
        identical(frame, cube[row, column])
    with pytest.raises(FormatError, match="has no positions: give the distance between views on a grid, scan_step="):
        load(path, **beam)

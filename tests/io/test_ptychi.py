"""HDF5 of tike, and the pairs of pty-chi and Ptychodus."""

import h5py
import numpy as np
import pytest

from opty.data import PtychoData
from opty.errors import FormatError
from opty.io import load, save


@pytest.fixture
def pair(tmp_path, counts, rng):
    """The two files as pty-chi's simulator writes them; positions every 20 nm, pixels of 8 nm."""
    where = rng.uniform(0, 40, (4, 2)) * 20e-9
    with h5py.File(tmp_path / "fly_dp.hdf5", "w") as f:
        f["dp"] = counts.astype("float32")
    with h5py.File(tmp_path / "fly_para.hdf5", "w") as f:
        f["probe_position_y_m"], f["probe_position_x_m"] = where.T
        f["probe"] = np.ones((1, 2, 16, 16), "complex64")
        f["object"] = np.ones((1, 40, 40), "complex64")
        f["object"].attrs.update({"pixel_height_m": 8e-9, "pixel_width_m": 8e-9})
    return tmp_path, where


def test_either_file_finds_the_other(pair, counts, identical):
    folder, where = pair
    for name in ("fly_dp.hdf5", "fly_para.hdf5"):
        data = load(folder / name)
        identical(data.intensities, counts.astype("float32"))
        np.testing.assert_allclose(data.positions, where / 8e-9, rtol=1e-12)
        assert data.probe.shape == (2, 16, 16)


def test_geometry_by_options_puts_positions_in_metres(pair):
    folder, where = pair
    data = load(folder / "fly_dp.hdf5", wavelength=1.4e-10, distance=16 * 75e-6 * 8e-9 / 1.4e-10, pixel_size=75e-6)
    np.testing.assert_allclose(data.positions, where, rtol=1e-12)


ABOUT = {"photon_energy_eV": 8856.0, "detector_object_distance_m": 1.5}


def about(folder, **changes):
    with h5py.File(folder / "fly_para.hdf5", "a") as f:
        f.attrs.update(ABOUT | changes)
    return folder / "fly_dp.hdf5"


def test_energy_and_distance_of_ptychodus_make_the_geometry(pair):
    folder, where = pair
    data = load(about(folder))
    assert data.geometry.wavelength == pytest.approx(1.4e-10, rel=1e-4)
    assert data.pixel == pytest.approx(8e-9, rel=1e-12)
    np.testing.assert_allclose(data.positions, where, rtol=1e-12)


def test_near_field_of_ptychodus(pair):
    folder, _ = pair
    data = load(about(folder, far_field=False, focus_object_distance_m=0.5))
    assert (data.geometry.propagation, data.geometry.focus_to_sample) == ("near", 0.5)
    assert data.geometry.pixel_size == pytest.approx(4 * 8e-9)
    assert data.pixel == pytest.approx(8e-9)


@pytest.mark.parametrize("name", ABOUT)
def test_what_ptychodus_left_at_zero_is_not_known(pair, name):
    folder, where = pair
    data = load(about(folder, **{name: 0.0}))
    assert data.geometry is None
    np.testing.assert_allclose(data.positions, where / 8e-9, rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"photon_energy_eV": -3.0}, "photon_energy_eV is -4.8.* J; expected a positive energy"),
        ({"photon_energy_eV": np.nan}, "expected a positive energy"),
        ({"photon_energy_eV": "8 keV"}, "could not convert string to float"),
        ({"detector_object_distance_m": -1.0}, "distance is -1.0; give a positive length"),
    ],
)
def test_energy_or_distance_that_makes_no_sense(pair, changes, message):
    with pytest.raises(FormatError, match=message):
        load(about(pair[0], **changes))


def test_what_opty_writes_is_a_product_of_ptychodus(tmp_path, counts, geometry):
    """All that ``ptychodus.api.io.load_product`` looks for; the object's centre is that of the positions."""
    where = np.array([[0.0, 0.0], [1e-6, 3e-6], [2e-6, 1e-6], [1e-6, 1e-6]])
    probe = np.ones((2, 16, 16), "complex64")
    save(tmp_path / "fly_dp.hdf5", PtychoData(counts, where, geometry, probe=probe), format="ptychi")
    with h5py.File(tmp_path / "fly_para.hdf5") as f:
        assert f.attrs["photon_energy_eV"] == pytest.approx(12398.4, rel=1e-5)
        assert f.attrs["detector_object_distance_m"] == geometry.distance
        assert bool(f.attrs["far_field"])
        assert f["probe_position_indexes"][()].tolist() == [0, 1, 2, 3]
        assert f["object_layer_spacing_m"].shape == (0,)
        middle = [(f[f"probe_position_{x}_m"][()].min() + f[f"probe_position_{x}_m"][()].max()) / 2 for x in "yx"]
        pixel = f["object"].attrs["pixel_height_m"]
        assert pixel == f["probe"].attrs["pixel_width_m"] == pytest.approx(geometry.sample_pixel(16))
        np.testing.assert_allclose(middle, [f["object"].attrs[f"center_{x}_m"] for x in "yx"], atol=pixel)


def test_partner_that_is_not_there_or_elsewhere(pair):
    folder, _ = pair
    (folder / "fly_para.hdf5").rename(folder / "positions.h5")
    with pytest.raises(FormatError, match=r"the other, fly_para.hdf5, is not beside it: give its path, positions="):
        load(folder / "fly_dp.hdf5")
    assert load(folder / "fly_dp.hdf5", positions=folder / "positions.h5").views == 4


def test_pair_that_does_not_fit(pair):
    folder, _ = pair
    with h5py.File(folder / "fly_para.hdf5", "a") as f:
        del f["object"].attrs["pixel_width_m"]
        del f["object"].attrs["pixel_height_m"]
    with pytest.raises(FormatError, match="no pixel size: neither /object nor /probe has the attributes pixel_he"):
        load(folder / "fly_dp.hdf5")
    with h5py.File(folder / "fly_para.hdf5", "a") as f:
        f["object"].attrs.update({"pixel_height_m": 8e-9, "pixel_width_m": 8e-9})
        del f["probe_position_x_m"]
        f["probe_position_x_m"] = np.zeros(3)
    with pytest.raises(FormatError, match=r"/dp holds 4 patterns but there are \[4, 3\] positions"):
        load(folder / "fly_dp.hdf5")


def test_tike_in_hdf5(tmp_path, counts, identical):
    with h5py.File(tmp_path / "t.h5", "w") as f:
        f["data"], f["scan"] = np.fft.ifftshift(counts, axes=(-2, -1))[None], np.arange(8.0).reshape(1, 4, 2)
        f["probe"] = np.ones((1, 1, 1, 3, 16, 16), "complex64")
    data = load(tmp_path / "t.h5")
    identical(data.intensities, counts)
    identical(data.positions, np.arange(8.0).reshape(4, 2))
    assert data.probe.shape == (3, 16, 16)

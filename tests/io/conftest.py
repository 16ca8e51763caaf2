"""Small measurements and states for the tests of files: four views of 16 x 16, made from nothing but a seed."""

import h5py
import numpy as np
import pytest

from opty.data import PtychoData
from opty.geometry import Geometry

BASIS = np.array([[0.0, -55e-6], [-55e-6, 0.0], [0.0, 0.0]])


def complex_array(rng, *shape, dtype="complex64"):
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def counts(rng):
    """Photon counts (4, 16, 16) uint16."""
    return rng.poisson(9.0, (4, 16, 16)).astype("uint16")


@pytest.fixture
def geometry():
    return Geometry(wavelength=1e-10, distance=2.0, pixel_size=55e-6)


@pytest.fixture
def full_data(rng, counts, geometry):
    """A measurement with every field set."""
    mask = np.ones((16, 16), bool)
    mask[3, 5] = mask[0] = False
    return PtychoData(
        counts,
        rng.uniform(0, 9, (4, 2)) * geometry.sample_pixel(16),
        geometry,
        mask,
        rng.uniform(0, 1, (16, 16)).astype("float32"),
        probe=complex_array(rng, 2, 16, 16),
        truth={
            "obj": complex_array(rng, 30, 31),
            "probe": complex_array(rng, 2, 16, 16),
            "positions": rng.uniform(0, 9, (4, 2)),
        },
    )


@pytest.fixture
def make_cxi(tmp_path, counts, rng):
    """Function that writes a CXI file; keywords are paths below entry_1 (__ for /) to change, None to leave out."""
    translation = rng.uniform(-1e-5, 1e-5, (4, 3))

    def make(name="scan.cxi", **changes):
        contents = {
            "instrument_1/detector_1/data": counts.astype("int32"),
            "instrument_1/detector_1/distance": np.float32(2.0),
            "instrument_1/detector_1/x_pixel_size": np.float32(55e-6),
            "instrument_1/detector_1/y_pixel_size": np.float32(55e-6),
            "instrument_1/detector_1/basis_vectors": BASIS,
            "instrument_1/detector_1/mask": np.zeros((16, 16), "uint32"),
            "instrument_1/source_1/wavelength": 1e-10,
            "instrument_1/source_1/energy": 1.986445857e-15,
            "sample_1/geometry_1/translation": translation,
        }
        contents |= {key.replace("__", "/"): value for key, value in changes.items()}
        path = tmp_path / name
        with h5py.File(path, "w") as f:
            f["cxi_version"] = 160
            for key, value in contents.items():
                if value is not None:
                    f[f"entry_1/{key}"] = value
        return path

    make.translation = translation
    return make

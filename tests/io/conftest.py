"""Small measurements and states for the tests of files: four views of 16 x 16, made from nothing but a seed."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from opty.algebra.operator import Operator
from opty.data import PtychoData
from opty.geometry import Geometry
from opty.ptycho_state import PtychoState

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


class Brighten(Operator, reads="obj", writes="obj"):
    """A recipe of the tests' own, to be found again in a file."""

    factor: float = 2.0

    def apply(self, s):
        s.obj *= self.factor


def identical(a, b):
    """Same dtype, same shape, same bits."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    assert a.tobytes() == b.tobytes()


def assert_same_data(a, b):
    for name in ("intensities", "positions", "mask", "background", "probe"):
        one, two = getattr(a, name), getattr(b, name)
        if one is None:
            assert two is None, name
        else:
            identical(one, two)
    assert a.geometry == b.geometry
    assert set(a.truth or ()) == set(b.truth or ())
    for name in a.truth or ():
        identical(a.truth[name], b.truth[name])


def assert_same_state(a, b):
    assert_same_data(a.data, b.data)
    for name in ("obj", "probe", "positions", "origin"):
        identical(getattr(a, name), getattr(b, name))
    assert set(a.slots) == set(b.slots)
    assert set(a.history) == set(b.history)
    for one, two in ((a.slots, b.slots), (a.history, b.history)):
        for name in one:
            identical(one[name], two[name])
    assert (a.iteration, a.seed, a.dtype, a.recipe) == (b.iteration, b.seed, b.dtype, b.recipe)
    if a.background is None:
        assert b.background is None
    else:
        identical(a.background, b.background)


@pytest.fixture(name="identical")
def _identical():
    return identical


@pytest.fixture(name="assert_same_data")
def _assert_same_data():
    return assert_same_data


@pytest.fixture(name="assert_same_state")
def _assert_same_state():
    return assert_same_state


@pytest.fixture
def make_state(rng):
    """Function that makes a state in the middle of a run: books, slots of several types and awkward names."""

    def make(data, dtype="complex64"):
        start = PtychoState(data, modes=2, dtype=dtype, device="cpu", seed=5)
        leaves = {name: start.numpy(name) for name in ("obj", "probe", "positions")}
        leaves["obj"] += rng.normal(size=start.obj.shape)
        if data.background is not None:
            leaves["background"] = start.numpy("background") * 1.5
        slots = {
            "waves": start.numpy("probe") * 3j,
            "a/b m%": rng.normal(size=(4, 2)),
            "n": np.arange(3),
            "on": np.array(True),
        }
        return PtychoState.restore(
            data,
            leaves | slots,
            origin=start.origin,
            seed=5,
            iteration=43,
            history={
                "misfit": np.array([0.5, 0.1 + 0.2]),
                "iteration": np.array([42, 43]),
                "odd/name": np.array([1.0]),
            },
            recipe=Brighten(factor=0.1) ** 3 * Brighten(),
            device="cpu",
            threads=1,
        )

    return make

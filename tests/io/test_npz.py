"""NumPy files: orders of axes and frequencies, truth, choice of views."""

import bz2
import gzip

import numpy as np
import pytest

from opty.errors import FormatError
from opty.io import load


@pytest.fixture
def pos(rng):
    return rng.uniform(0, 9, (4, 2)).astype("float32")


def test_tike_is_centred_and_loses_its_leading_axes(tmp_path, counts, pos, rng):
    probe = rng.normal(size=(2, 16, 16)).astype("complex64")
    path = tmp_path / "tike"
    corner = np.fft.ifftshift(counts, axes=(1, 2))
    np.savez(
        tmp_path / "t.npz", data=corner[None], scan=pos[None], probe=probe[None, None, None], psi=np.ones((30, 30))
    )
    (tmp_path / "t.npz").rename(path)  # the content tells the format
    data = load(path)
    np.testing.assert_array_equal(data.intensities, counts)
    np.testing.assert_array_equal(data.positions, pos)
    np.testing.assert_array_equal(data.probe, probe)
    assert (data.intensities.dtype, data.positions.dtype, data.probe.dtype) == ("uint16", "float64", "complex64")
    assert data.geometry is None
    assert data.truth is None
    assert dict(data.source)["path"] == str(path)


def test_odd_sizes_are_centred_too(tmp_path):
    corner = np.zeros((2, 7, 7))
    corner[:, 0, 0] = 5.0
    np.savez(tmp_path / "t.npz", data=corner, scan=np.zeros((2, 2)))
    assert (load(tmp_path / "t.npz").intensities[:, 3, 3] == 5.0).all()


def test_probe_is_optional(tmp_path, counts, pos):
    np.savez(tmp_path / "t.npz", data=counts, scan=pos)
    assert load(tmp_path / "t.npz").probe is None


@pytest.mark.parametrize("pack", [bz2.compress, gzip.compress])
def test_wrapped_files_give_the_same(tmp_path, counts, pos, pack):
    np.savez_compressed(tmp_path / "t.npz", data=counts, scan=pos)
    (tmp_path / "wrapped.npz").write_bytes(pack((tmp_path / "t.npz").read_bytes()))
    plain, wrapped = load(tmp_path / "t.npz"), load(tmp_path / "wrapped.npz")
    np.testing.assert_array_equal(plain.intensities, wrapped.intensities)


def test_views_choose_patterns_and_positions_alike(tmp_path, counts, pos):
    np.savez(tmp_path / "t.npz", data=np.fft.ifftshift(counts, axes=(1, 2)), scan=pos)
    data = load(tmp_path / "t.npz", views=[3, 0])
    np.testing.assert_array_equal(data.intensities, counts[[3, 0]])
    np.testing.assert_array_equal(data.positions, pos[[3, 0]])
    assert data.source["options"] == {"views": [3, 0]}


def test_benchmark_layout_brings_start_and_truth(tmp_path, counts, rng):
    pos = rng.integers(0, 9, (4, 2)).astype(float)
    probe, probe0, obj = (rng.normal(size=s).astype("complex64") for s in ((3, 16, 16), (3, 16, 16), (30, 31)))
    np.savez(tmp_path / "b.npz", diff=counts, pos=pos, probe=probe, obj=obj, probe0=probe0, obj0=np.ones_like(obj))
    data = load(tmp_path / "b.npz", views="1:3")
    np.testing.assert_array_equal(data.intensities, counts[1:3])  # in the centre already
    np.testing.assert_array_equal(data.probe, probe0)
    np.testing.assert_array_equal(data.truth["obj"], obj)
    np.testing.assert_array_equal(data.truth["probe"], probe)
    np.testing.assert_array_equal(data.truth["positions"], pos[1:3])


def test_benchmark_layout_without_truth(tmp_path, counts, pos):
    np.savez(tmp_path / "b.npz", diff=counts, pos=pos)
    data = load(tmp_path / "b.npz")
    assert data.truth is None
    assert data.probe is None


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("data",), "lacks scan beside data"),
        (("data", "positions"), "lacks scan beside data"),
        (("pos",), "diff beside pos"),
    ],
)
def test_what_an_npz_lacks_is_named(tmp_path, names, said):
    np.savez(tmp_path / "a.npz", **dict.fromkeys(names, np.ones((3, 8, 8))))
    with pytest.raises(FormatError, match=said):
        load(tmp_path / "a.npz")


def test_frames_alone_in_an_npy_are_told_what_they_need(tmp_path):
    """The way that the message names leads to the measurement, in pixels and in metres."""
    rng = np.random.default_rng(3)
    frames, metres = rng.poisson(40, (9, 16, 16)).astype(np.uint16), rng.uniform(0, 2e-6, (9, 2))
    np.save(tmp_path / "frames.npy", frames)
    with pytest.raises(FormatError, match=r"np.savez\('scan.npz', diff=frames, pos=positions\)") as caught:
        load(tmp_path / "frames.npy", positions=metres)
    assert "opty reads:" not in str(caught.value)
    np.savez(tmp_path / "scan.npz", diff=frames, pos=metres)
    lengths = {"wavelength": 1e-10, "distance": 2.0, "pixel_size": 75e-6}
    data = load(tmp_path / "scan.npz", position_unit="m", **lengths)
    np.testing.assert_allclose(data.positions, metres, rtol=1e-12)
    np.testing.assert_array_equal(data.intensities, frames)
    pixels = metres / data.pixel
    np.savez(tmp_path / "px.npz", diff=frames, pos=pixels)
    np.testing.assert_allclose(load(tmp_path / "px.npz").positions, pixels, rtol=1e-12)

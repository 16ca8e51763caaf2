"""Frames packed with filters that HDF5 itself does not have: read with hdf5plugin, named without it."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

from opty.errors import FormatError
from opty.files import filters
from opty.io import load, save

DATA = "entry_1/instrument_1/detector_1/data"


@pytest.fixture
def pack(make_cxi, counts):
    """Function that writes a CXI file whose frames are packed with the filter that the keywords name."""

    def write(frames=counts, **filter_):
        path = make_cxi()
        with h5py.File(path, "a") as f:
            del f[DATA]
            f.create_dataset(DATA, data=frames, chunks=(1, *frames.shape[1:]), **filter_)
        return path

    return write


@pytest.mark.parametrize("name", ["Bitshuffle", "LZ4", "Zstd", "Blosc", "Blosc2", "BZip2"])
@pytest.mark.parametrize("stream", [False, True])
def test_frames_are_read_bit_for_bit(pack, counts, name, stream, identical):
    plugin = pytest.importorskip("hdf5plugin")
    data = load(pack(**getattr(plugin, name)()), stream=stream)
    assert data.in_file is stream
    identical(np.asarray(data.intensities), counts)
    identical(np.asarray(load(data.source["path"], views=[3, 1], stream=stream).intensities), counts[[3, 1]])


def test_frames_with_a_single_photon_pack_a_thousandfold(pack, identical):
    """Zstandard packs them more tightly than deflate could: such a file is no false promise."""
    plugin = pytest.importorskip("hdf5plugin")
    frames = np.zeros((4, 512, 512), "uint32")
    frames[:, 3, 4] = 1
    path = pack(frames, **plugin.Zstd())
    with h5py.File(path, "a") as f:
        del f["entry_1/instrument_1/detector_1/mask"]
        assert f[DATA].id.get_storage_size() * filters.DEFLATED < frames.nbytes
    identical(load(path).intensities, frames)


def test_without_hdf5plugin_the_error_names_it_and_how_to_get_it(pack):
    plugin = pytest.importorskip("hdf5plugin")
    path = pack(**plugin.Bitshuffle(cname="lz4"))
    hidden = "import sys; sys.modules['hdf5plugin'] = None; from opty.cli import main; main()"
    ran = subprocess.run([sys.executable, "-c", hidden, "info", path], capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"Error: {path}: /{DATA} is packed with Bitshuffle/LZ4 (HDF5 filter 32008)")
    assert "pip install hdf5plugin" in ran.stderr
    assert "damaged" not in ran.stderr


def test_a_filter_that_nobody_has_is_named(pack, monkeypatch):
    path = pack(compression="gzip")
    monkeypatch.setattr(filters, "_filters", lambda found: [(32765, "lab filter")])
    with pytest.raises(FormatError, match=r"/data is packed with the HDF5 filter 32765, lab filter, which is not inst"):
        load(path)


def test_packed_parts_of_a_virtual_dataset(pack, counts, tmp_path, identical):
    plugin = pytest.importorskip("hdf5plugin")
    path = pack()
    with h5py.File(tmp_path / "part.h5", "w") as f:
        f.create_dataset("frames", data=counts, chunks=(1, 16, 16), **plugin.Bitshuffle(cname="zstd"))
    layout = h5py.VirtualLayout(counts.shape, counts.dtype)
    layout[:] = h5py.VirtualSource("part.h5", "frames", counts.shape)
    with h5py.File(path, "a") as f:
        del f[DATA]
        f.create_virtual_dataset(DATA, layout)
    identical(load(path, links="part.h5").intensities, counts)


def test_packed_frames_are_converted(pack, counts, tmp_path, identical):
    plugin = pytest.importorskip("hdf5plugin")
    save(tmp_path / "plain.h5", load(pack(**plugin.Bitshuffle())))
    identical(load(tmp_path / "plain.h5").intensities, counts)

"""Frames packed with filters that HDF5 itself does not have: read with hdf5plugin, named without it."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

from opty.errors import FormatError
from opty.files import filters
from opty.files.container import Container
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


# -- lengths inside packed chunks, which the filters follow wherever they lead


def spoilt(path, at, change, name=DATA):
    """Overwrite bytes of the packed chunk of view 2, ``at`` from its start, without HDF5."""
    with h5py.File(path) as f:
        chunk = f[name].id.get_chunk_info_by_coord((2, *[0] * (f[name].ndim - 1)))
    whole = bytearray(path.read_bytes())
    whole[chunk.byte_offset + at : chunk.byte_offset + at + len(change)] = change
    path.write_bytes(whole)
    return path


LENGTHS = [
    (0, b"\xff" * 8),
    (0, (10**9).to_bytes(8, "big")),
    (8, b"\0" * 4),
    (8, b"\0\0\0\x07"),
    (12, b"\x7f\xff\xff\xff"),
]
LENGTHS += [(12, b"\xff" * 4), (8, b"\0\0\0\x10")]


@pytest.mark.parametrize(("at", "change"), LENGTHS)
@pytest.mark.parametrize("name", ["lz4", "zstd", "LZ4"])
def test_lengths_that_lead_out_of_a_chunk_are_refused(pack, counts, name, at, change, identical):
    """Found by the soak: Bitshuffle ends the process (a length of a block), or takes the memory (of the whole)."""
    plugin = pytest.importorskip("hdf5plugin")
    path = spoilt(pack(**(plugin.LZ4() if name == "LZ4" else plugin.Bitshuffle(cname=name))), at, change)
    with pytest.raises(FormatError, match=rf"the packed data of /{DATA} at \(2, 0, 0\) are damaged"):
        load(path)
    identical(load(path, views=[0, 1, 3]).intensities, counts[[0, 1, 3]])
    with pytest.raises(FormatError, match=r"cannot be read: the packed data of .* at \(2, 0, 0\) are damaged"):
        load(path, stream=True)


@pytest.mark.parametrize("at", [4, 12])
def test_a_chunk_of_blosc_says_its_own_sizes(pack, at):
    plugin = pytest.importorskip("hdf5plugin")
    frames = np.zeros((4, 64, 64), "uint32")
    frames[:, 3, 4] = 1
    path = spoilt(pack(frames, **plugin.Blosc()), at, b"\xff\xff\xff\x7f")
    with pytest.raises(FormatError, match=r"the packed data of .* at \(2, 0, 0\) are damaged"):
        load(path, mask="ignore")


def test_a_chunk_of_bzip2_that_is_cut(pack, counts):
    """Found by the soak: its filter waits for ever."""
    plugin = pytest.importorskip("hdf5plugin")
    path = spoilt(pack(**plugin.BZip2()), 60, b"\0" * 20)
    with pytest.raises(FormatError, match=r"the packed data of .* at \(2, 0, 0\) are damaged"):
        load(path)


@pytest.mark.parametrize("edge", [1, 5, 64, 65])
@pytest.mark.parametrize("dtype", ["uint8", "uint32", "float64"])
@pytest.mark.parametrize("name", ["lz4", "zstd", "none", "LZ4", "Blosc", "BZip2"])
def test_chunks_of_every_size_are_sound(tmp_path, name, dtype, edge):
    """Blocks, a last one that is shorter, and elements left over."""
    plugin = pytest.importorskip("hdf5plugin")
    packing = getattr(plugin, name)() if name[0].isupper() else plugin.Bitshuffle(cname=name)
    values = np.random.default_rng(edge).poisson(3.0, (3, edge, edge)).astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f.create_dataset("a", data=values, chunks=(2, edge, edge), fletcher32=edge == 5, **packing)
    with Container(tmp_path / "a.h5").tree() as tree:
        found = tree.need("values", "a")
        np.testing.assert_array_equal(found[()], values)
        np.testing.assert_array_equal(found[1:, :3], values[1:, :3])
        np.testing.assert_array_equal(found[-1], values[-1])
        np.testing.assert_array_equal(np.asarray(found), values)


def test_parts_of_a_virtual_dataset_are_looked_into(pack, counts, tmp_path, identical):
    """Those that hold the views that are read, and no other."""
    plugin = pytest.importorskip("hdf5plugin")
    path = pack(**plugin.Bitshuffle(cname="lz4"))
    for name, part in (("a", counts[:1]), ("b", counts[1:])):
        with h5py.File(tmp_path / f"{name}.h5", "w") as f:
            f.create_dataset("d", data=part, chunks=(1, 16, 16), **plugin.Bitshuffle(cname="lz4"))
    layout = h5py.VirtualLayout((4, 16, 16), counts.dtype)
    layout[:1], layout[1:] = (
        h5py.VirtualSource(tmp_path / f"{k}.h5", "d", (n, 16, 16)) for k, n in (("a", 1), ("b", 3))
    )
    with h5py.File(path, "a") as f:
        del f[DATA]
        f.create_virtual_dataset(DATA, layout)
    spoilt(tmp_path / "b.h5", 12, b"\x7f\xff\xff\xff", "d")
    identical(load(path, links="?.h5", views=[0, 1, 2]).intensities, counts[:3])
    with pytest.raises(FormatError, match=r"the packed data of /d at \(2, 0, 0\) are damaged"):
        load(path, links="?.h5")


def test_a_filter_for_elements_of_another_size(pack, counts):
    plugin = pytest.importorskip("hdf5plugin")
    path = pack(**plugin.Bitshuffle(cname="lz4"))
    whole = path.read_bytes()
    values = b"".join(n.to_bytes(4, "little") for n in (4, 2, 0, 2))
    assert whole.count(values) == 1
    path.write_bytes(whole.replace(values, values[:4] + b"\x03" + values[5:]))
    with pytest.raises(FormatError, match="is set up for packed elements of another size: it is damaged"):
        load(path)

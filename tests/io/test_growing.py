"""Files that another program still writes: what is complete is read where views are chosen, else an error says so."""

import shutil
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from opty.errors import FormatError
from opty.files.superblock import checksum
from opty.io import load, save

DATA = "entry_1/instrument_1/detector_1/data"


@pytest.fixture
def writer(tmp_path, make_cxi, counts):
    """Function that returns what another process sees of a file of eight views, ``done`` of them written (SWMR)."""

    def seen(done=4, positions=8):
        _contents(make_cxi(), tmp_path / "own.cxi", positions)
        with h5py.File(tmp_path / "own.cxi", "a", libver="latest") as f:
            frames = f.create_dataset(DATA, (8, 16, 16), counts.dtype, chunks=(1, 16, 16), maxshape=(None, 16, 16))
            frames[:done] = counts[:done]
            f.swmr_mode = True
            shutil.copy(tmp_path / "own.cxi", tmp_path / "live.cxi")  # the process that writes would not see the mark
        return tmp_path / "live.cxi"

    return seen


def _contents(source, target, positions):
    """Write a CXI file again in HDF5's newest layout, without its frames and with more positions."""
    with h5py.File(source) as f, h5py.File(target, "w", libver="latest") as g:
        for name in _datasets(f):
            value = f[name][()]
            if "translation" in name:
                value = np.resize(value, (positions, 3))
            if name != DATA:
                g[name] = value


def _datasets(f):
    found = []
    f.visititems(lambda name, node: found.append(name) if isinstance(node, h5py.Dataset) else None)
    return found


def test_views_that_are_complete_are_read(writer, counts, identical):
    path = writer(done=3)
    with pytest.raises(
        FormatError,
        match=r"another program still writes .*live\.cxi \(if none does, .*\); its first 3 views are complete",
    ):
        load(path)
    identical(load(path, views="0:3").intensities, counts[:3])
    identical(load(path, views=[2, 0]).intensities, counts[[2, 0]])
    with pytest.raises(FormatError, match=r"has no view 3 yet; .* give views='0:3'"):
        load(path, views="0:4")


def test_nothing_is_complete(writer):
    with pytest.raises(FormatError, match=r"/data promises .* does not hold: another program still writes it$"):
        load(writer(done=0))


def test_frames_do_not_stay_in_a_file_that_grows(writer):
    with pytest.raises(ValueError, match="stream=True leaves the frames in the file, but another program still write"):
        load(writer(), views="0:2", stream=True)


def test_a_result_of_views_of_a_growing_file_holds_a_copy_of_them(writer, counts, make_state, tmp_path, identical):
    data = load(writer(), views="0:4")
    save(tmp_path / "r.h5", make_state(data))
    (tmp_path / "live.cxi").write_bytes(b"another content")
    identical(load(tmp_path / "r.h5", device="cpu").data.intensities, counts)


def test_open_for_writing_without_swmr(make_cxi, tmp_path):
    """Another process has the file open; or it was killed, and its mark is left."""
    program = (
        f"import h5py, shutil, sys\nf = h5py.File({str(tmp_path / 'open.h5')!r}, 'w', libver='latest')\n"
        f"f['entry_1/a'] = 1\nf.flush()\nshutil.copy(f.filename, {str(tmp_path / 'left.h5')!r})\n"
        "print('ready', flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(BlockingIOError) as caught:
            load(tmp_path / "open.h5")
        other.stdin.close()
    assert caught.value.__notes__ == [f"another program is writing {tmp_path}/open.h5; try again when it has finished"]
    with pytest.raises(FormatError, match=r"broke off while it did: .* h5clear -s left\.h5 makes the file readable"):
        load(tmp_path / "left.h5")


def test_the_mark_is_found_behind_a_user_block(writer, counts, identical):
    path = writer()
    path.write_bytes(b"MATLAB 7.3".ljust(512) + path.read_bytes())
    with pytest.raises(FormatError, match="another program still writes"):
        load(path)
    identical(load(path, views="0:4").intensities, counts)


def test_a_superblock_that_would_take_the_memory(make_cxi):
    """HDF5 reads the address of a free-space index, which it never writes, before it finds that the file is damaged."""
    path = make_cxi()
    whole = bytearray(path.read_bytes())
    assert whole[8] == 0
    assert whole[32:40] == b"\xff" * 8
    whole[32:40] = b"SNOD\x01\x00\x04\x00"
    path.write_bytes(whole)
    with pytest.raises(FormatError, match="is truncated or damaged HDF5: its superblock has an address for what HDF5"):
        load(path)


@pytest.mark.parametrize("at", [11, 20, 44, 100])
def test_damaged_metadata_are_not_read_again_and_again(writer, at):
    """Found by the soak: HDF5 tries for minutes, for the process that writes might be in the middle of it."""
    path = writer()
    whole = bytearray(path.read_bytes())
    assert checksum(bytes(whole[:44])).to_bytes(4, "little") == whole[44:48]
    whole[at] ^= 2
    path.write_bytes(whole)
    began = time.monotonic()
    with pytest.raises(FormatError, match="truncated or damaged HDF5"):
        load(path, views="0:4")
    assert time.monotonic() - began < 5


def test_the_checksum_of_hdf5():
    """The values that Bob Jenkins gives."""
    assert checksum(b"") == 0xDEADBEEF
    assert checksum(b"Four score and seven years ago") == 0x17770551

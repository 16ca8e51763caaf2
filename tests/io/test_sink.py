"""HDF5 on a disk that is full: an error, at whatever byte it happens, and never the end of the process."""

import errno

import h5py
import numpy as np
import pytest

from opty.files import sink


def fill(path):
    """Write compressed frames, small arrays, text, attributes and links."""
    rng = np.random.default_rng(0)
    with sink.new_hdf5(path) as f:
        for k in range(4):
            frames = rng.integers(0, 60_000, (8, 16, 16))
            f.create_dataset(f"g{k}/frames", data=frames, chunks=(1, 16, 16), compression="gzip")
            f[f"g{k}/text"] = "text" * 50
            f[f"g{k}"].attrs["a"] = 1.5
            f[f"g{k}/link"] = h5py.SoftLink(f"/g{k}/frames")


def test_a_disk_with_room(tmp_path):
    fill(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as f:
        assert f["g3/link"].shape == (8, 16, 16)
        assert f["g0"].attrs["a"] == 1.5


@pytest.mark.parametrize("part", np.linspace(0, 0.999, 23))
def test_a_disk_that_is_full_at_any_byte(tmp_path, monkeypatch, part):
    fill(tmp_path / "a.h5")
    limit = int(part * (tmp_path / "a.h5").stat().st_size)

    class Small(sink._Sink):
        def write(self, data):
            if self.failed is None and self.tell() + len(data) > limit:
                self.failed = OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    monkeypatch.setattr(sink, "_Sink", Small)
    with pytest.raises(OSError, match=r"No space left on device: .*b\.h5"):
        fill(tmp_path / "b.h5")


def test_an_error_in_the_block_is_the_one_that_is_raised(tmp_path):
    def fail():
        with sink.new_hdf5(tmp_path / "a.h5") as f:
            f["x"] = 1
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fail()

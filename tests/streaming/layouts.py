"""Scans in files of many layouts, loaded with their frames in memory and with their frames in the file."""

import h5py
import numpy as np
import tifffile
from small_scans import N, scan

import opty

VIEWS = 24
POSITIONS = "/positions"
MAPPING = """
[frames]
path = "/frames"
axes = "{axes}"
zero_frequency = "{zero}"

[positions]
path = "/positions"
pixels = true
"""
LAYOUTS = {  # how the frames lie in an HDF5 file: type, options of the dataset, axes
    "contiguous": ("uint16", {}, "view row column"),
    "float32": ("float32", {}, "view row column"),
    "half": ("float16", {}, "view row column"),
    "one frame a chunk": ("uint16", {"chunks": (1, N, N), "compression": "gzip", "shuffle": True}, "view row column"),
    "five frames a chunk": ("int32", {"chunks": (5, N, N), "compression": "gzip"}, "view row column"),
    "chunks within frames": ("uint32", {"chunks": (4, 5, 7), "compression": "lzf"}, "view row column"),
    "views last": ("uint16", {"chunks": (4, 4, 6), "compression": "gzip"}, "row column view"),
    "raster": ("uint16", {}, "view view row column"),
    "raster in chunks": ("uint16", {"chunks": (2, 3, N, N), "compression": "gzip"}, "view view row column"),
}


def counted(**options):
    """Return a scan of whole counts; ``options`` are those of ``small_scans.scan``."""
    data = scan(views=VIEWS, photons=1e5, **options)
    return data.replace(intensities=np.rint(data.intensities).astype("uint16"))


def write_layout(folder, data, layout, zero="centre", masked=False):
    """Write frames in a layout with a mapping beside them; return path and the options to load them with."""
    dtype, options, axes = LAYOUTS[layout]
    frames = data.intensities.astype(dtype)
    frames = np.fft.ifftshift(frames, axes=(1, 2)) if zero == "corner" else frames
    if axes == "row column view":
        frames = np.moveaxis(frames, 0, 2)
    elif axes.startswith("view view"):
        frames = frames.reshape(4, 6, N, N)
    path, text = folder / "scan.h5", MAPPING.format(axes=axes, zero=zero)
    with h5py.File(path, "w") as f:
        f.create_dataset("frames", data=frames, **options)
        f["positions"] = data.positions
        if masked:
            f.create_dataset("mask", data=(~data.mask).astype("uint8"), chunks=(1, N, N)[3 - data.mask.ndim :])
            text += '\n[mask]\npath = "/mask"\n'
    (folder / "scan.toml").write_text(text)
    return path, {"mapping": folder / "scan.toml"}


def both(path, **options):
    """Load a measurement with its frames in memory, and in the file."""
    held, stays = (opty.load(path, **options, stream=stream) for stream in (False, True))
    assert not held.in_file
    assert stays.in_file
    return held, stays


def assert_alike(held, stays):
    """The two measurements are the same, bit for bit."""
    for name in ("intensities", "mask"):
        one, two = getattr(held, name), getattr(stays, name)
        if one is None:
            assert two is None
            continue
        assert (one.shape, one.dtype) == (two.shape, two.dtype), name
        assert np.asarray(two).tobytes() == np.ascontiguousarray(one).tobytes(), name
        for key in (3, -1, slice(1, 3), slice(None, None, 3), [3, 2, 2, 0], np.arange(len(one)) % 2 == 0):
            np.testing.assert_array_equal(two[key], one[key], strict=True)
        np.testing.assert_array_equal(two[2:5, 3], one[2:5, 3])
        assert two[1, 2].tobytes() == one[1, 2].tobytes()
    for name in ("positions", "background", "probe"):
        one, two = getattr(held, name), getattr(stays, name)
        assert (one is None) == (two is None)
        assert one is None or np.array_equal(one, two)
    assert held.geometry == stays.geometry
    assert held.photons().tobytes() == stays.photons().tobytes()
    assert held.brightest == stays.brightest
    assert held.mean_amplitude().tobytes() == stays.mean_amplitude().tobytes()


def write_tiff(folder, data):
    """Write a TIFF stack with positions in an NPY beside it."""
    tifffile.imwrite(folder / "scan.tif", data.intensities, photometric="minisblack")
    np.save(folder / "scan.npy", data.positions * 1e-8)
    return folder / "scan.tif"

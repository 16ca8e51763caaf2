"""Compression filters of HDF5: hdf5plugin is used where it is installed; where it is missing, errors name it.

Source: HDF5 documentation, registered filter plugins (support.hdfgroup.org/documentation/hdf5-docs/registered_filters).
"""

from __future__ import annotations

import contextlib
import importlib

import h5py

DEFLATED = 1100  # times as large a deflated dataset may get: deflate makes at most 1032 bytes of one
PACKED = 40_000  # of any other filter: Zstandard makes 128 KiB of a block of four bytes
PLAIN = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF)
WITH_PLUGIN = {
    307: "bzip2",
    32001: "Blosc",
    32004: "LZ4",
    32008: "Bitshuffle/LZ4",
    32013: "ZFP",
    32015: "Zstandard",
    32017: "SZ",
    32018: "FCIDECOMP",
    32024: "SZ3",
    32026: "Blosc2",
    32028: "SPERR",
    32033: "HTJ2K",
}
INSTALL = 'pip install hdf5plugin (or "opty-ptycho[detectors]")'


def need_filters(found: h5py.Dataset) -> None:
    """Make sure that a dataset can be unpacked; ValueError names the filter that is missing, and how to get it."""
    for code, name in _filters(found):
        if _available(code):
            continue
        with contextlib.suppress(ImportError):
            importlib.import_module("hdf5plugin")  # registers its filters
        if _available(code):
            continue
        if code in WITH_PLUGIN:
            raise ValueError(
                f"{found.name} is packed with {WITH_PLUGIN[code]} (HDF5 filter {code}), which needs the package "
                f"hdf5plugin: {INSTALL}"
            )
        shown = f"{code}, {name}" if name else f"{code}"
        raise ValueError(
            f"{found.name} is packed with the HDF5 filter {shown}, which is not installed: put its plugin in the "
            "folder HDF5_PLUGIN_PATH, or repack the file with gzip"
        )


def expansion(found: h5py.Dataset) -> int:
    """Return the largest ratio of the size in memory to the size on disk that the filters of a dataset allow."""
    return DEFLATED if all(code in PLAIN for code, _ in _filters(found)) else PACKED


def _filters(found: h5py.Dataset) -> list[tuple[int, str]]:
    """Number and name of each filter of a dataset."""
    plan = found.id.get_create_plist()
    steps = [plan.get_filter(k) for k in range(plan.get_nfilters())] if found.chunks is not None else []
    return [(step[0], step[3].decode("ascii", errors="replace").split(";")[0].strip()) for step in steps]


def _available(code: int) -> bool:
    decodes = h5py.h5z.FILTER_CONFIG_DECODE_ENABLED
    return bool(h5py.h5z.filter_avail(code)) and bool(h5py.h5z.get_filter_info(code) & decodes)

"""PtyPy's prepared data (.ptyd): chunks in one file, or in parts that it links to; and how PtyPy stores values.

PtyPy marks every node with an attribute ``type``; without it, it reads numbers as arrays, which it does not expect.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from opty.data import PtychoData
from opty.files.container import Container
from opty.files.tree import Tree, complexes, number, numbers
from opty.geometry import Geometry
from opty.io import writing
from opty.io.prepare.frames import Frames, Joined
from opty.io.prepare.options import Raw
from opty.io.prepare.units import ELECTRON_VOLT, wavelength_as_of_photons
from opty.io.reading import Format, blaming, measurement, real
from opty.remedies import option

KEV = 1e3 * ELECTRON_VOLT
VERSION = "0.1"  # of PtyPy's HDF5 layout
CHUNK_VIEWS = 256
PROBE = "opty_probe"
LACKS = ("background",)


def recognise(file: Container) -> bool:
    """Whether this is HDF5 with chunks and meta at its root."""
    return file.kind == "hdf5" and {"chunks", "meta"} <= file.names


@contextmanager
def opened(file: Container) -> Iterator[Raw]:
    """Read the chunks of a .ptyd in their order, positions [m], meta and weights.

    Positions are the centres of the views, (row, column). ``weights``: a pixel counts where they are above 0. A chunk
    in another file (PtyPy's save='link') is read if ``links`` allows it by name, from the path in the link or
    beside the master. ``meta``: energy [keV], distance, psize [m], center [px].

    Raises FormatError for a chunk that is missing, and for fewer frames than ``num_frames`` promises.
    """
    with file.tree() as tree:
        with blaming(file):
            raw = _raw(tree, file)
        yield raw


def _raw(tree: Tree, file: Container) -> Raw:
    numbered = sorted((name for name in tree.names("chunks") if name.isdecimal()), key=int)
    if not numbered:
        raise ValueError(tree.missing("chunk", "chunks/0"))
    if gaps := sorted(set(range(int(numbered[-1]) + 1)) - {int(name) for name in numbered})[:5]:
        raise ValueError(f"chunks {gaps} are missing: the file holds {', '.join(numbered[:12])}")
    frames, positions, weights = [], [], []
    for name in numbered:
        data = tree.need("frames", f"chunks/{name}/data")
        where = tree.need("positions", f"chunks/{name}/positions")
        place = real(where.name, numbers(where))
        whole = (
            name == numbered[-1] or len(place) == data.shape[0]
        )  # before the last chunk, later frames would be matched with wrong positions
        if place.ndim != 2 or place.shape[1] != 2 or not whole:
            raise ValueError(f"{data.name} holds {data.shape[0]} frames but positions have shape {place.shape}")
        frames.append(Frames(data))
        positions.append(place)
        weight = tree.find(f"chunks/{name}/weights")
        weight = None if weight is None or weight.size == 0 else weight  # an empty array means that PtyPy has none
        if weight is not None and weight.shape != data.shape:
            raise ValueError(f"{weight.name} has shape {weight.shape}; expected {data.shape}")
        weights.append(weight)
    if any(weight is None for weight in weights) and any(weight is not None for weight in weights):
        raise ValueError("some chunks have weights and some have none")
    return Raw(
        Joined(frames) if len(frames) > 1 else frames[0],
        np.concatenate(positions),
        lengths=_lengths(tree),
        lacks=lambda views: _lacks(tree, sum(each.shape[0] for each in frames)),
        wanted={
            "wavelength": tree.missing("energy", "meta/energy"),
            "distance": tree.missing("distance", "meta/distance"),
            "pixel_size": tree.missing("pixel size", "meta/psize"),
        },
        mask=(lambda: _common(tree, frames[0]))
        if weights[0] is None
        else Joined([Frames(weight, "biuf") for weight in weights]),
        good=lambda weight: weight > 0,
        probe=None if (probe := tree.find(f"info/{PROBE}")) is None else complexes(probe),
        centre=lambda known: _centre(tree),
    )


def _common(tree: Tree, frames: Frames) -> np.ndarray | None:
    """The weights common to all frames, or None."""
    weight = value(tree, "meta/weight2d")
    if weight is None or weight.size == 0:
        return None
    if weight.shape != frames.shape[1:]:
        raise ValueError(f"meta/weight2d has shape {weight.shape}; expected {frames.shape[1:]}")
    return weight


def _lacks(tree: Tree, found: int) -> str | None:
    """Return the message about missing frames, with the remedy, or None."""
    promised = value(tree, "meta/num_frames")
    if promised is not None and found < int(promised.flat[0]):
        said = f"meta/num_frames promises {int(promised.flat[0])} frames and the chunks hold {found}"
        return f"{said}: to load the others give {option('views', f'0:{found}')}"
    return None


def value(tree: Tree, path: str) -> np.ndarray | None:
    """Read numbers that PtyPy stored; None for its None, and where there is nothing."""
    found = tree.find(path)
    if found is None or tree.attribute(found, "type") == "None":
        return None
    refuse_pickle(tree, found)
    return np.atleast_1d(numbers(found))


def refuse_pickle(tree: Tree, found: h5py.Dataset) -> None:
    """Refuse a node that PtyPy stored as a Python pickle."""
    if tree.attribute(found, "type") in ("pickle", "record_array"):
        raise ValueError(f"{found.name} is a Python pickle, which opty never runs")


def _lengths(tree: Tree) -> dict[str, Any]:
    near = "nearfield" in (tree.text("meta/propagation"), tree.text("info/propagation"))
    return {
        "wavelength": lambda known: _wavelength(tree),
        "distance": lambda known: _number(tree, "meta/distance"),
        "pixel_size": lambda known: _pixel_size(tree),
    } | ({"propagation": "near"} if near else {})


def _wavelength(tree: Tree) -> float | None:
    energy = _number(tree, "meta/energy")
    return None if energy is None else wavelength_as_of_photons(energy * KEV, "meta/energy")


def _number(tree: Tree, path: str) -> float | None:
    return None if value(tree, path) is None else number(tree.need(path, path))


def _pixel_size(tree: Tree) -> float | None:
    size = value(tree, "meta/psize")
    if size is None:
        return None
    if size.max() > 1.001 * size.min():
        raise ValueError(f"the pixels are {size.tolist()} m; opty needs square ones: rebin them")
    return float(size.flat[0])


def _centre(tree: Tree) -> tuple[float, float] | None:
    centre = value(tree, "meta/center")
    if centre is None:
        return None
    if centre.size not in (1, 2):
        raise ValueError(f"meta/center is {centre.tolist()}; expected (row, column)")
    return float(centre.flat[0]), float(centre.flat[-1])


def write(path: Path, data: PtychoData) -> None:
    """Write a .ptyd that PtyPy loads like its own files; the mask becomes weights of 0 and 1.

    PtyPy has no starting probe in such a file: it is written to ``info/opty_probe``, which opty reads.

    Raises FormatError for a background.
    """
    writing.need_geometry(data, "PtyPy's .ptyd")
    writing.no_place(data, "a .ptyd", *LACKS)
    assert data.geometry is not None
    with writing.created(path, data) as f:
        mark_root(f)
        chunks = dict_group(f, "chunks")
        for number_, start in enumerate(range(0, data.views, CHUNK_VIEWS)):
            part = slice(start, min(start + CHUNK_VIEWS, data.views))
            chunk = dict_group(chunks, str(number_))
            frames = data.intensities[part]
            _array(chunk, "data", frames)
            _array(chunk, "indices", np.arange(part.start, part.stop), "arraylist")
            _array(chunk, "positions", data.positions[part])
            if data.mask is not None:
                good = data.mask[part] if data.mask.ndim == 3 else np.broadcast_to(data.mask, frames.shape)
                _array(chunk, "weights", good.astype(np.float32))
        _write_meta(dict_group(f, "meta"), data, data.geometry)
        near = data.geometry.propagation == "near"
        writing.put(dict_group(f, "info"), "propagation", "nearfield" if near else "farfield", type="string")
        if data.probe is not None:
            _array(f["info"], PROBE, data.probe)


def _write_meta(meta: h5py.Group, data: PtychoData, geometry: Geometry) -> None:
    put = writing.put
    put(meta, "label", "opty", type="string")
    put(meta, "version", 0.1, type="scalar")
    put(meta, "num_frames", np.int64(data.views), type="scalar")
    put(meta, "shape", np.array([data.n, data.n]), type="array")
    put(meta, "psize", np.array([geometry.pixel_size] * 2), type="array")
    put(meta, "energy", geometry.photon_energy / KEV, type="scalar")  # PtyPy makes the wavelength from it
    put(meta, "center", np.array([data.n // 2] * 2, np.float64), type="array")
    put(meta, "distance", geometry.distance, type="scalar")


def mark_root(f: h5py.File) -> None:
    """Write the attributes that PtyPy writes at the root of its files."""
    now = time.asctime()
    f.attrs.update({"h5rw_version": VERSION, "ctime": now, "mtime": now})


def dict_group(group: h5py.Group, path: str) -> h5py.Group:
    """Make a group and its parents, marked as PtyPy marks dictionaries."""
    for name in path.split("/"):
        group = group.require_group(name)
        group.attrs["type"] = "dict"
    return group


def _array(group: h5py.Group, name: str, array: np.ndarray, kind_: str = "array") -> None:
    writing.stack(group, name, array).attrs["type"] = kind_


read: Any = measurement(opened)
FORMATS = (Format("PtyPy .ptyd", recognise, read, "ptyd", write, suffixes=(".ptyd", *writing.HDF5), lacks=LACKS),)

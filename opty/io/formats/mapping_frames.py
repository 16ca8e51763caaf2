"""What the table [frames] of a mapping says: one dataset or several, in one file or several, amplitudes or counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import h5py
import numpy as np

from opty.files.tree import Tree
from opty.io.formats.mapping_files import Files, in_order
from opty.io.prepare.frames import Changed, Frames, Joined, Pages, in_runs
from opty.io.prepare.parts import part_names, read_parts

AXES = ("view", "row", "column")


def frames_of(files: Files, table: Mapping[str, Any]) -> tuple[Frames, Callable[[int], str | None]]:
    """Return the frames (views, rows, columns), one part after the other, as intensities.

    With a function that returns which of a number of views are missing, for numbered parts of a detector.
    """
    trees = [files.opened(path) for path in files.paths(table["file"])] if "file" in table else [files.tree]
    axes, path = table.get("axes", "view row column"), table.get("path")
    frames: Frames
    lacks: Callable[[int], str | None] = _nothing
    if len(trees) == 1 and axes == "view row column" and (group := _group_of_parts(trees[0], path)) is not None:
        frames, lacks = read_parts(trees[0], group)
    else:
        parts = [_laid_out(data, axes) for tree in trees for data in _datasets(tree, path)]
        frames = parts[0] if len(parts) == 1 else Joined(parts)
    amplitude, scale = table.get("amplitude", False), table.get("scale", 1)
    if not isinstance(amplitude, bool):
        raise ValueError(f"the mapping has amplitude = {amplitude!r}; expected true or false")
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 < scale < np.inf:
        raise ValueError(f"the mapping has scale = {scale!r}; expected a positive factor of the counts")
    if not amplitude and scale == 1:
        return frames, lacks
    dtype = np.float64 if frames.dtype.itemsize > 4 else np.float32
    return Changed(frames, partial(_intensities, amplitude, scale), dtype), lacks


def _group_of_parts(tree: Tree, path: Any) -> str | None:
    """The group whose frames are all of data_000001, data_000002, ..., where a path means that; or None."""
    if not isinstance(path, str):
        return None
    group, _, last = path.rstrip("/").rpartition("/")
    group = group if last == "data_*" else path.rstrip("/")
    return group if part_names(tree, group) else None


def _nothing(views: int) -> None:
    """What is missing of a scan that is whole."""


def _intensities(amplitude: bool, scale: float, images: np.ndarray) -> np.ndarray:
    """Counts of what a file holds: its squares where it holds amplitudes, times a factor."""
    return (np.square(images, dtype=np.float64) if amplitude else images.astype(np.float64)) * scale


def _datasets(tree: Tree, given: Any) -> list[h5py.Dataset]:
    """Return the datasets of a path, a pattern in its last part, a group, or a list of these, by their numbers."""
    found: list[h5py.Dataset] = []
    for path in given if isinstance(given, list) else [given]:
        if not isinstance(path, str):
            raise ValueError(f"the mapping has path = {path!r}; expected the path of a dataset")
        group, _, last = path.rstrip("/").rpartition("/")
        names = [last]
        if any(letter in last for letter in "*?["):
            names = sorted((name for name in tree.names(group or "/") if fnmatchcase(name, last)), key=in_order)
            if not names:
                raise ValueError(tree.missing("frames", path))
        elif isinstance(tree.node(path), h5py.Group):
            group, names = path.rstrip("/"), sorted(tree.names(path), key=in_order)
        found += [tree.need("frames", f"{group}/{name}") for name in names]
    return found


def _laid_out(data: h5py.Dataset, axes: Any) -> Frames:
    """The frames as (views, rows, columns), whatever the order of axes in the file; several view axes count as one."""
    names = str(axes).split()
    views = [k for k, name in enumerate(names) if name == "view"]
    if set(names) - set(AXES) or names.count("row") != 1 or names.count("column") != 1:
        raise ValueError(f"the mapping has axes = {axes!r}; expected 'view row column' in some order ('view view ...')")
    if data.ndim != len(names):
        raise ValueError(f"{data.name} has shape {data.shape}, and the mapping's axes are {axes!r}")
    order = [*views, names.index("row"), names.index("column")]
    if order == list(range(data.ndim)) and views:
        return Frames(data)
    if len(views) > 1:
        raise ValueError(f"axes = {axes!r}: with several view axes they must come first, rows and columns last")
    if data.dtype.kind not in "iuf" or 0 in data.shape:
        raise ValueError(f"{data.name} has shape {data.shape} and dtype {data.dtype}; expected counts")
    if not views:
        image = tuple(data.shape[k] for k in order)
        return Pages((1, *image), data.dtype, lambda index: np.repeat(data[()].transpose(order)[None], len(index), 0))
    shape = tuple(data.shape[k] for k in order)

    def put(out: np.ndarray, first: int) -> None:
        some = slice(first, first + len(out))
        out[...] = data[tuple(some if k == views[0] else slice(None) for k in range(data.ndim))].transpose(order)

    chunk = 1 if data.chunks is None else data.chunks[views[0]]
    scattered = data.chunks is None and views[0] > 0  # a view's pixels lie all over the file
    return Pages(shape, data.dtype, lambda index: in_runs(shape, data.dtype, index, put), chunk, not scattered)

"""Frames in several datasets of one HDF5 group, data_000001, data_000002, ..., as DECTRIS' detectors write them.

Source: DECTRIS EIGER documentation, HDF5 file writer: the parts are links to files beside the master; each dataset has
an attribute image_nr_low, the number of its first frame, counted from 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import h5py
import numpy as np

from opty.errors import FormatError
from opty.files.tree import MissingFile, Tree
from opty.io.prepare.frames import Frames, Joined
from opty.remedies import option

NUMBERED = re.compile(r"data_(\d{1,9})")
FIRST = "image_nr_low"
MOST = 10**7  # frames of one scan: more is a damaged number


class Hole(Frames):
    """Missing frames: reading any of them raises FormatError."""

    chunk, preferred_block, piecewise = 1, 1, True

    def __init__(self, shape: tuple[int, ...], dtype: Any, name: str):
        self.shape, self.dtype, self.name, self.scan = shape, dtype, name, shape[:1]

    def read(self, choice: Any) -> np.ndarray:
        raise FormatError(f"{self.name} is missing, and some of the views are in it: choose others")


def part_names(tree: Tree, group: str) -> dict[int, str]:
    """Numbers and names of the parts in a group, in order; empty where it holds none."""
    found = {int(match[1]): name for name in tree.names(group) if (match := NUMBERED.fullmatch(name))}
    return dict(sorted(found.items()))


def read_parts(tree: Tree, group: str) -> tuple[Joined, Callable[[int], str | None]]:
    """Join the parts (N_k, rows, columns) in a group; with a function from the number of views to what is missing.

    Frames that are missing between others are a ``Hole``. Raises ValueError where there is no part, and where the
    number of frames in a missing part is unknown.
    """
    found = _found(tree, group)
    there = [(Frames(part), _first(tree, part)) for part in found.values() if isinstance(part, h5py.Dataset)]
    if not there:
        raise ValueError(f"all parts of {group} are missing: {', '.join(map(str, found.values()))}")
    starts = _starts(there, isinstance(next(iter(found.values())), h5py.Dataset))
    frames: list[Frames] = []
    holes: list[tuple[str, int, int]] = []
    missing, done, k = "", 0, 0
    for part in found.values():
        if isinstance(part, str):
            missing = missing or part
            continue
        if missing and starts is None:
            raise ValueError(f"{missing} is missing, and the number of its frames is unknown")
        start = done if starts is None else starts[k]
        if start > done:
            holes.append((missing or f"what comes before {part.name} in {part.file.filename}", done, start))
            frames.append(Hole((start - done, *there[0][0].shape[1:]), there[0][0].dtype, holes[-1][0]))
        frames.append(there[k][0])
        done, k, missing = start + frames[-1].shape[0], k + 1, ""
    last = missing
    return Joined(frames), lambda views: _said([*holes, *([(last, done, views)] if last and views > done else [])])


def _said(holes: list[tuple[str, int, int]]) -> str | None:
    """Return the message about missing views, with views that are there."""
    if not holes:
        return None
    missing = ", ".join(f"{name} is missing (views {start} to {stop - 1})" for name, start, stop in holes)
    first = holes[0][1]
    return f"{missing}: choose views that are there" + (f", such as {option('views', f'0:{first}')}" if first else "")


def _found(tree: Tree, group: str) -> dict[int, h5py.Dataset | str]:
    """The datasets of the parts by number; the name of the part where it is missing."""
    names = part_names(tree, group)
    out: dict[int, h5py.Dataset | str] = {}
    for number, name in names.items():
        try:
            data = tree.need("frames", f"{group}/{name}")
            if data.ndim != 3:
                raise ValueError(f"{data.name} in {data.file.filename} has shape {data.shape}; expected (views, n, n)")
            out[number] = data
        except MissingFile as error:
            out[number] = error.name
    for a, b in pairwise(names):
        if b - a > 1:
            last = f" to data_{b - 1:06d}" if b - a > 2 else ""
            out[a + 1] = f"data_{a + 1:06d}{last} of {group}"
    return dict(sorted(out.items()))


def _first(tree: Tree, part: h5py.Dataset) -> int | None:
    """Number of the first frame of a part, where it has one."""
    value = tree.attribute(part, FIRST)
    return int(value) if isinstance(value, (int, np.integer)) and 0 <= value < MOST else None


def _starts(there: list[tuple[Frames, int | None]], whole: bool) -> list[int] | None:
    """Where each part begins among all frames, from their numbers; None where these are missing or do not agree."""
    firsts = [first for _, first in there]
    if any(first is None for first in firsts):
        return None
    starts = [int(first or 0) - (int(firsts[0] or 0) if whole else 1) for first in firsts]
    ends = [0, *(start + part.shape[0] for start, (part, _) in zip(starts, there, strict=True))]
    return starts if all(start >= end for start, end in zip(starts, ends, strict=False)) else None

"""Which TIFF frames go with which positions: by the number of views, and among several by their names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from opty.errors import FormatError
from opty.files.container import Container
from opty.files.tiff_series import series_in
from opty.io.prepare.given_positions import given_positions, holds_motors
from opty.remedies import option

MANY = 4  # stacks that an error names
HDF5 = (".h5", ".hdf5", ".hdf", ".nxs")


def paired(file: Container, positions: Any) -> tuple[list[Path], Any]:
    """Return the paths of the TIFF files, in order, and the path of the positions.

    Raises FormatError where no pair matches, or more than one.
    """
    folder = file.path if file.kind == "folder" else file.path.parent
    if positions is not None:
        places = [positions]
        views: dict[Path, int | None] = {_key(positions): len(given_positions(positions).places)}
    else:
        places = [file.path] if file.kind not in ("folder", "tiff") else places_in(folder)
        views = {_key(place): _views(place) for place in places}
    seen: list[tuple[list[Path], int]] = []
    counts: dict[Path, int] = {}
    for stacks in _candidates(file, folder):
        some = [(paths, _frames(paths, counts)) for paths in stacks]
        seen += some
        fits = [(paths, place) for paths, count in some for place in places if views[_key(place)] == count]
        if len(fits) > 1:
            fits = [(paths, place) for paths, place in fits if _key(place).stem == paths[0].stem] or fits
        if len(fits) == 1:
            return fits[0]
        if fits:
            raise FormatError(_several(file, fits))
    if positions is not None and seen and (len(seen) == 1 or (file.kind == "tiff" and seen[0][1] > 1)):
        return seen[0][0], positions
    stack = " and ".join(f"{_name(paths)} ({count})" for paths, count in seen[:MANY])
    stack += " and more" * (len(seen) > MANY)
    if file.kind == "tiff":
        stack = f"{file.path} holds {seen[0][1]} views" + (f", {_name(seen[1][0])} {seen[1][1]}" if seen[1:] else "")
    else:
        stack = f"{folder} holds {stack}"
    beside = ", ".join(f"{_key(place).name} ({views[_key(place)]})" for place in places) or "nothing of the kind"
    raise FormatError(f"{stack}; beside it there is {beside}: give the positions of the views, {option('positions')}")


def places_in(folder: Path) -> list[Path]:
    """The files of positions in a folder: NPY, and HDF5 of TwinMic."""
    found = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return [path for path in found if path.suffix.lower() == ".npy" or (path.suffix.lower() in HDF5 and _twinmic(path))]


def _candidates(file: Container, folder: Path) -> Iterable[list[list[Path]]]:
    """Yield candidates for the frames, the likeliest first: one file, a series of files, files numbered twice."""
    if file.kind == "tiff":
        yield [[file.path]]
    seen: list[list[Path]] = []
    for numbers in (1, 2):
        groups = [group for group in series_in(folder, numbers).values() if len(group) > 1 and group not in seen]
        if file.kind == "tiff":
            groups = [group for group in groups if file.path in group]
        seen += groups
        if groups:
            yield groups
    if file.kind != "tiff":
        yield [[path] for group in series_in(folder).values() for path in group]


def _frames(paths: list[Path], counts: dict[Path, int]) -> int:
    """Return the number of frames in files; ``counts`` : of files that were opened before."""
    for path in paths:
        if path not in counts:
            with Container(path).tiff() as stack:
                counts[path] = stack.shape[0]
    return sum(counts[path] for path in paths)


def _views(path: Path) -> int | None:
    """Return the number of positions in a file; None where it holds none."""
    try:
        file = Container(path)
        if file.kind != "npy":
            return len(given_positions(path).places)
        shape = file.npy_shape()
    except (ValueError, OSError):
        return None
    if len(shape) != 2 or (shape[1] not in (2, 3) and shape[0] != 2):
        return None
    return shape[0] if shape[1] in (2, 3) else shape[1]


def _twinmic(path: Path) -> bool:
    try:
        return holds_motors(Container(path))
    except (ValueError, OSError):
        return False


def _key(place: Any) -> Path:
    """Return the path of positions for messages; "positions" for an array."""
    return Path(place) if isinstance(place, (str, os.PathLike)) else Path("positions")


def _name(paths: list[Path]) -> str:
    return paths[0].name if len(paths) == 1 else f"{paths[0].name} to {paths[-1].name}"


def _several(file: Container, fits: list[tuple[list[Path], Any]]) -> str:
    places = ", ".join(dict.fromkeys(_key(place).name for _, place in fits))
    stacks = ", ".join(dict.fromkeys(_name(paths) for paths, _ in fits))
    if len({str(paths) for paths, _ in fits}) > 1:
        return f"{file.path}: {places} goes with each of {stacks}: name one of these"
    return f"{file.path} goes with each of {places}: give one, {option('positions')}"

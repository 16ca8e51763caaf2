"""Images that options name: masks, dark and flat fields, given as arrays or as paths of files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from opty.errors import FormatError
from opty.files.container import Container


@dataclass(frozen=True)
class Given:
    """An image of the detector that an option gave; ``path`` is the file that it came from, if any."""

    name: str
    array: np.ndarray
    path: Path | None

    def fit(self, shape: tuple[int, ...], views: int | None = None, choice: Any = None) -> np.ndarray:
        """Return the image (rows, columns), or with ``views`` one for each chosen view; ValueError for others."""
        shape = tuple(shape)
        found = self.array
        if found.ndim == 0:
            return np.full(shape, found)
        if found.shape == shape:
            return found
        if found.ndim == 3 and found.shape[1:] == shape:
            if views is None:
                return found.mean(axis=0, dtype=np.float64)
            if len(found) == views:
                return found[choice]
        each = "" if views is None else f" or {(views, *shape)}"
        raise ValueError(f"{self} has shape {found.shape}; expected {shape}{each}, as the frames in the file are")

    def __str__(self) -> str:
        return self.name if self.path is None else f"{self.name} ({self.path})"


def given_image(name: str, value: Any, number: bool = False) -> Given:
    """Take an option's array, or read the file that it names: NPY, NPZ with one array, TIFF, or "file.h5:/path".

    ``number``: one number for all pixels will do as well.
    Raises FileNotFoundError, FormatError; TypeError for an array that holds no numbers.
    """
    path = None
    if isinstance(value, (str, os.PathLike)):
        path, inside = split(os.fspath(value))
        array = _read(path, inside)
    else:
        array = np.asarray(value)
    if number and path is None and array.ndim == 0 and array.dtype.kind in "iuf" and array >= 0:
        return Given(name, array, None)
    if array.dtype.kind not in "iufb" or array.ndim not in (2, 3):
        raise TypeError(
            f"{name} has shape {array.shape} and dtype {array.dtype}; give numbers (rows, columns) or a path"
        )
    return Given(name, array, path)


def split(text: str) -> tuple[Path, str]:
    """Separate "file.h5:/path/in/it"."""
    name, colon, inside = text.rpartition(":/")
    return (Path(name).absolute(), "/" + inside) if colon and name else (Path(text).absolute(), "")


def _read(path: Path, inside: str) -> np.ndarray:
    file = Container(path)
    if file.kind == "folder":
        raise IsADirectoryError(f"{path} is a folder; name a file in it")
    if file.kind == "hdf5":
        with file.tree() as tree:
            try:
                return tree.need("image", inside or "/data")[()]
            except ValueError as error:
                raise FormatError(f"{path}: {error}; give {str(path) + ':/path'!r}") from error
    if file.kind == "npz":
        if len(file.names) != 1:
            raise FormatError(f"{path} holds the arrays {sorted(file.names)}; expected one")
        return file.array(next(iter(file.names)))
    if file.kind == "npy":
        return file.npy()
    if file.kind == "tiff":
        with file.tiff() as stack:
            images = stack.read(np.arange(stack.shape[0]))
            return images[0] if len(images) == 1 else images
    raise FormatError(f"{path} is {file.looks()}; expected an image: NPY, NPZ, TIFF, or HDF5 as 'file.h5:/path'")

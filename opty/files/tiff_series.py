"""Images in several TIFF files, one after the other: a frame in each, or a few."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from opty.errors import FormatError
from opty.files.container import Container

SUFFIXES = (".tif", ".tiff")
NUMBER = re.compile(r"(.*?)(\d+)(\D*)")  # the last number in a name counts


class Series:
    """The images (N, rows, columns) of TIFF files of one size, in the order of the paths; each is opened as it is read.

    Raises FormatError where a file is damaged or holds images of another size.
    """

    def __init__(self, paths: Sequence[Path]):
        self.paths = list(paths)
        shapes, dtypes = [], []
        for path in self.paths:
            with Container(path).tiff() as stack:
                shapes.append(stack.shape)
                dtypes.append(stack.dtype)
            if shapes[-1][1:] != shapes[0][1:]:
                sizes = [" x ".join(map(str, shape[1:])) for shape in (shapes[-1], shapes[0])]
                raise FormatError(f"{path} holds images of {sizes[0]}, and {self.paths[0].name} of {sizes[1]}")
        self.starts = np.cumsum([0, *(shape[0] for shape in shapes)])
        self.shape = (int(self.starts[-1]), *shapes[0][1:])
        self.dtype = np.result_type(*dtypes)

    def read(self, index: np.ndarray) -> np.ndarray:
        """Read some images (B, rows, columns)."""
        out = np.empty((len(index), *self.shape[1:]), self.dtype)
        which = np.searchsorted(self.starts, index, side="right") - 1
        for k in np.unique(which):
            here = which == k
            with Container(self.paths[k]).tiff() as stack:
                if stack.shape[1:] != self.shape[1:]:
                    raise FormatError(f"{self.paths[k]} holds images of another size now: {stack.shape[1:]}")
                out[here] = stack.read(index[here] - self.starts[k])
        return out


def series_in(folder: Path) -> dict[str, list[Path]]:
    """Group the TIFF files of a folder by their names but for the last number in them, each group in its order."""
    groups: dict[str, list[tuple[int, Path]]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            match = NUMBER.fullmatch(path.stem)
            name = path.name if match is None else f"{match[1]}*{match[3]}{path.suffix}"
            groups.setdefault(name, []).append((0 if match is None else int(match[2]), path))
    return {name: [path for _, path in sorted(found)] for name, found in groups.items()}

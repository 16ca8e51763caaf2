"""Images in several TIFF files, one after the other: a frame in each, or a few."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from opty.errors import FormatError
from opty.files.container import Container

SUFFIXES = (".tif", ".tiff")
NUMBER = re.compile(r"(\d+)")


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


def series_in(folder: Path, numbers: int = 1) -> dict[str, list[Path]]:
    """Group the TIFF files of a folder by their names but for the last numbers in them, each group in their order.

    ``numbers`` : how many: 1 for scan_0001.tif, 2 for frame_03_07.tif, where the first is the line of a scan.
    """
    groups: dict[str, list[tuple[list[int], Path]]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            parts = NUMBER.split(path.stem)  # texts, and the numbers between them
            count = min(numbers, len(parts) // 2)
            places = range(len(parts) - 1 - 2 * count + 1, len(parts), 2) if count else range(0)
            found = [int(parts[k]) for k in places]
            name = "".join("*" if k in places else part for k, part in enumerate(parts)) + path.suffix
            groups.setdefault(name, []).append((found, path))
    return {name: [path for _, path in sorted(found)] for name, found in groups.items()}

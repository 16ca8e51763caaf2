"""A NumPy array of 4D-STEM, (rows, columns, n, n): frames of a scan on a grid, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from opty.files.container import Container
from opty.io.prepare.frames import Frames
from opty.io.prepare.raw import Raw
from opty.io.reading import Format, blaming, measurement


def recognise(file: Container) -> bool:
    """Whether this is an NPY of four axes."""
    return file.kind == "npy" and axes(file) == 4


def axes(file: Container) -> int:
    """Return how many axes the array in an NPY has; 0 where it is damaged, which who reads it says."""
    try:
        return len(file.npy_shape())
    except ValueError:
        return 0


@contextmanager
def opened(file: Container) -> Iterator[Raw]:
    """Read frames (rows, columns, n, n), zero frequency in the middle n // 2; the scan goes line by line.

    An NPY says nothing else: give scan_step= (and scan_rotation=), voltage= or wavelength=, and reciprocal_pixel=, or
    distance= and pixel_size=.
    """
    with blaming(file):
        raw = Raw(Frames(np.ascontiguousarray(file.npy())), None, whole="an NPY is read as a whole")
    yield raw


read: Any = measurement(opened)
FORMATS = (Format("NPY (rows, columns, n, n)", recognise, read),)

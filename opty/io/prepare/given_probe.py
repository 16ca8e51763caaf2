"""The option ``probe``: an array, or a file that has the starting probe in place of the file of the frames."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from opty.data.fields import check_probe
from opty.errors import FormatError
from opty.files.container import Container
from opty.geometry import Geometry
from opty.io.prepare.images import split
from opty.remedies import named, option

OF_RESULTS = ("entry_1/reconstruction/leaves/probe", "entry_1/probe")  # opty's own; other files of CXI
SAME = 0.01  # relative difference of two pixels that are taken for the same


@dataclass(frozen=True)
class GivenProbe:
    """A probe (M, n, n) of an option, edge of its pixels [m] where its file says it, and that file, if any."""

    modes: np.ndarray
    pixel: float | None
    path: Path | None

    def fit(self, n: int, geometry: Geometry | None) -> np.ndarray:
        """Return the probe for patterns of n x n; ValueError where it has another size, or other pixels."""
        where = "" if self.path is None else f" of {self.path}"
        if self.modes.shape[-1] != n:
            edge = self.modes.shape[-1]
            raise ValueError(
                f"the probe{where} has {edge} x {edge} pixels and the patterns have {n} x {n}: give a probe of that "
                f"size, or {option('crop', edge)} where the patterns may be cut to it"
            )
        pixel = None if geometry is None else geometry.sample_pixel(n)
        if pixel is not None and self.pixel is not None and abs(self.pixel / pixel - 1) > SAME:
            raise ValueError(
                f"the probe{where} has pixels of {self.pixel:.4g} m, and those of the scan at the sample are "
                f"{pixel:.4g} m: give a probe of the same wavelength, distance and pixels"
            )
        return self.modes


def given_probe(value: Any) -> GivenProbe:
    """Take an option's array (M, n, n) or (n, n), or read NPY, a result of opty, or "file.h5:/path" (complex).

    Raises FormatError for a file with anything else.
    """
    if not isinstance(value, (str, os.PathLike)):
        return GivenProbe(_modes(np.asarray(value), named("probe")), None, None)
    path, inside = split(os.fspath(value))
    file = Container(path)
    if file.kind == "npy":
        return GivenProbe(_modes(file.npy(), str(path)), None, path)
    if file.kind != "hdf5":
        raise FormatError(f"{path} is {file.looks()}; expected a probe: NPY, a result of opty, or 'file.h5:/path'")
    with file.tree() as tree:
        names = [inside] if inside else [name for name in OF_RESULTS if tree.find(name) is not None]
        if not names:
            raise FormatError(f"{path} holds no probe that opty knows of; say where it is: {str(path) + ':/path'!r}")
        modes = _modes(np.asarray(tree.need("probe", names[0])[()]), str(path))
    return GivenProbe(modes, None if inside else _pixel(file, modes.shape[-1]), path)


def _modes(found: np.ndarray, where: str) -> np.ndarray:
    if found.dtype.kind != "c" or found.ndim not in (2, 3):
        raise ValueError(
            f"the probe in {where} has shape {found.shape} and dtype {found.dtype}; expected complex (modes, n, n)"
        )
    return check_probe(found, found.shape[-1])


def _pixel(file: Container, n: int) -> float | None:
    """Return the edge of a pixel at the sample [m] of a result; None where it is in pixels."""
    from opty.io.formats.kept import read_kept
    from opty.io.formats.native import recognise

    geometry = read_kept(file).fields["geometry"] if recognise(file) else None
    return None if geometry is None else geometry.sample_pixel(n)

"""TIFF frames, in one file or a series of them, with positions beside: SciComPty (Guzzi et al. 2022), and TwinMic.

Source: Guzzi et al., PeerJ CS 8, e1036 (2022), supplement, listings 1 and 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from opty.data import PtychoData
from opty.files.atomic import atomic
from opty.files.container import Container
from opty.files.tiff_series import SUFFIXES, Series, series_in
from opty.io import writing
from opty.io.formats import pairing
from opty.io.prepare.frames import Pages
from opty.io.prepare.given_positions import given_positions, holds_motors
from opty.io.prepare.options import LENGTHS
from opty.io.prepare.raw import Raw
from opty.io.reading import Format, blaming, measurement

MOST = 1500  # files of a series that a result keeps a fingerprint of
OWN = "opty"  # key of the geometry in the description of a TIFF that opty wrote
SWAPPED = "column, row"  # what such a TIFF says of positions beside it that are not (row, column)
IMAGES = {"mask": "mask", "dark": "background"}  # <stem>_mask.npy, True where a pixel counts; <stem>_background.npy
LACKS = ("mask", "background", "probe")
KEPT = (*LENGTHS, "focus_to_sample", "propagation", "voltage", "semi_angle")


def recognise(file: Container) -> bool:
    """Whether this is TIFF, or a folder of it, or positions with TIFF beside them."""
    if file.kind in ("tiff", "folder"):
        return file.kind == "tiff" or bool(series_in(file.path))
    return (file.kind == "npy" or holds_motors(file)) and bool(series_in(file.path.parent))


@contextmanager
def opened(file: Container, *, positions: Any = None) -> Iterator[Raw]:
    """Read TIFF frames (N, n, n), zero frequency in the centre, and positions (N, 2) from a file beside them.

    ``path`` is the stack, one of a series of numbered files (a frame in each, or a few), the file of positions, or the
    folder of both. Frames and positions are matched by the number of views and, among several, by their names; or
    ``positions`` gives the latter (see ``given_positions``). Beside the frames an NPY (metres) and the HDF5 of TwinMic
    are found. Only files that opty wrote hold the geometry; for others give wavelength=, distance= (sample to
    detector), pixel_size=, and for the cone beam of Guzzi et al. 2022 focus_to_sample= and propagation="cone".

    <stem>_mask.npy (True counts) and <stem>_background.npy beside a stack are read as well.

    Raises FormatError where there is no partner, or more than one.
    """
    paths, where = pairing.paired(file, positions)
    given = given_positions(where)
    stack_path = paths[0]
    with _frames(paths) as (frames, notes):
        with blaming(file):
            noted = notes.get(OWN)
            noted = noted if isinstance(noted, dict) else {}
            names = {key: f"{stack_path.stem}_{word}.npy" for key, word in IMAGES.items()}
            names = {key: name for key, name in names.items() if stack_path.with_name(name).is_file()}
            images = {key: _image(stack_path.with_name(name), frames.shape[1:]) for key, name in names.items()}
            swap = noted.get("columns") == SWAPPED and given.path == stack_path.with_suffix(".npy")
            raw = Raw(
                frames,
                given.places[:, ::-1] if swap else given.places,
                unit=given.unit or ("px" if noted.get("positions") == "pixel" else "m"),
                lengths={name: noted[name] for name in KEPT if isinstance(noted.get(name), (int, float, str))},
                good=lambda flags: flags != 0,
                mask=images.get("mask"),
                dark=images.get("dark"),
            )
        yield raw
    others = [stack_path.with_name(name) for name in names.values()]
    file.path, file.beside = stack_path, [*([given.path] if given.path else []), *others, *_sample(paths[1:])]


@contextmanager
def _frames(paths: list[Path]) -> Iterator[tuple[Pages, dict[str, Any]]]:
    """Yield the frames of one file or of a series, and the description of the first image."""
    with Container(paths[0]).tiff() as stack:
        if len(paths) == 1:
            yield Pages(stack.shape, stack.dtype, stack.read, piecewise=stack.piecewise), stack.notes
            return
        notes = stack.notes
    series = Series(paths)
    yield Pages(series.shape, series.dtype, series.read), notes


def _sample(paths: list[Path]) -> list[Path]:
    """Return at most ``MOST`` of the files, with the last one: results hold a fingerprint of each."""
    step = max(1, -(-len(paths) // MOST))
    return paths[::-1][::step][::-1]


def _image(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A mask or a background beside the stack."""
    image = Container(path).npy()
    if image.shape != tuple(shape) or image.dtype.kind not in "iufb":
        raise ValueError(
            f"{path.name} has shape {image.shape} and dtype {image.dtype}; expected numbers {tuple(shape)}"
        )
    return image


def write(path: Path, data: PtychoData) -> None:
    """Write the stack at ``path`` and the positions in an NPY of the same stem, metres as Guzzi et al. 2022 have them.

    The description of the TIFF holds the geometry. Raises FormatError for a mask, a background or a starting probe.
    """
    writing.no_place(data, "a TIFF stack", *LACKS)
    geometry = data.geometry
    noted: dict[str, Any] = {} if geometry is None else {name: getattr(geometry, name) for name in KEPT}
    noted = {name: value for name, value in noted.items() if value is not None}
    noted["positions"] = "pixel" if geometry is None else "m"
    with atomic(path.with_suffix(".npy")) as npy, atomic(path) as tif:
        np.save(npy, data.positions, allow_pickle=False)
        metadata = {"axes": "QYX", OWN: noted}
        frames = data.intensities
        options: dict[str, Any] = {
            "shape": frames.shape,
            "dtype": frames.dtype,
            "photometric": "minisblack",
            "metadata": metadata,
        }
        tifffile.imwrite(tif, iter(frames) if data.in_file else frames, **options)


read: Any = measurement(opened)
FORMATS = (
    Format(
        "TIFF frames + positions (SciComPty, TwinMic)",
        recognise,
        read,
        "tiff",
        write,
        suffixes=SUFFIXES,
        lacks=LACKS,
        beside=lambda path: (path.with_suffix(".npy"),),
    ),
)

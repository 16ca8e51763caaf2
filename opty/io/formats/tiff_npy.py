"""The seed's files (SciComPty): a TIFF stack of patterns, and an NPY of positions beside it.

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
from opty.errors import FormatError
from opty.files.atomic import atomic
from opty.files.container import Container
from opty.io import writing
from opty.io.prepare.frames import Pages
from opty.io.prepare.options import LENGTHS, Raw
from opty.io.reading import Format, blaming, measurement, real
from opty.remedies import option

TIFFS, NPYS = (".tif", ".tiff"), (".npy",)
OWN = "opty"  # under this key the description of a TIFF that opty wrote tells the geometry
IMAGES = {"mask": "mask", "dark": "background"}  # <stem>_mask.npy, True where a pixel counts; <stem>_background.npy
KEPT = (*LENGTHS, "focus_to_sample", "propagation", "voltage")


def recognise(file: Container) -> bool:
    """Whether this is a TIFF stack or an NPY of positions, or a folder with both."""
    if file.kind == "folder":
        return bool(_inside(file.path, TIFFS)) and bool(_inside(file.path, NPYS))
    other = {"tiff": NPYS, "npy": TIFFS}.get(file.kind)
    return other is not None and bool(_inside(file.path.parent, other))


@contextmanager
def opened(file: Container, *, positions=None) -> Iterator[Raw]:
    """Read a TIFF stack (N, n, n) of intensities, zero frequency in the centre, and positions (N, 2) from an NPY.

    ``path`` is either of the two, or their folder; the other is the one in the folder that goes with it, by the number
    of views and, among several, by its name; or ``positions`` names the NPY. Positions are metres, (row, column). The
    geometry is not in the files (but in those that opty wrote): give wavelength=, distance= (sample to detector),
    pixel_size=, and for the seed's cone beam focus_to_sample= and propagation="cone".

    <stem>_mask.npy (True counts) and <stem>_background.npy beside the stack are read as well.

    Raises FormatError where there is no partner, or more than one.
    """
    stack_path, npy_path = _pair(file, positions)
    stack_file, npy_file = Container(stack_path), Container(npy_path)
    with stack_file.tiff() as stack:
        with blaming(file):
            where = _places(npy_file.npy(), None, npy_path)
            told = stack.notes.get(OWN)
            told = told if isinstance(told, dict) else {}
            names = {key: f"{stack_path.stem}_{word}.npy" for key, word in IMAGES.items()}
            names = {key: name for key, name in names.items() if stack_path.with_name(name).is_file()}
            images = {key: _image(stack_path.with_name(name), stack.shape[1:]) for key, name in names.items()}
            raw = Raw(
                Pages(stack.shape, stack.dtype, stack.read, piecewise=stack.piecewise),
                where,
                unit="px" if told.get("positions") == "pixel" else "m",
                lengths={name: told[name] for name in KEPT if isinstance(told.get(name), (int, float, str))},
                good=lambda flags: flags != 0,
                **images,
            )
        yield raw
    file.path, file.beside = stack_path, [npy_path, *(stack_path.with_name(name) for name in names.values())]


def _pair(file: Container, positions) -> tuple[Path, Path]:
    """Find the stack and the positions."""
    if file.kind == "folder":
        stacks = _inside(file.path, TIFFS)
        if len(stacks) != 1:
            raise FormatError(f"{file.path} holds {len(stacks)} TIFF files: name the stack in it")
        return stacks[0], _partner(stacks[0], positions)
    if file.kind == "npy":
        return _best(file.path, _inside(file.path.parent, TIFFS), len(_places(file.npy(), None, file.path))), file.path
    return file.path, _partner(file.path, positions)


def _partner(stack: Path, positions) -> Path:
    if positions is not None:
        return Path(positions).absolute()
    with Container(stack).tiff() as opened_:
        views = opened_.shape[0]
    return _best(stack, _inside(stack.parent, NPYS), views)


def _best(mine: Path, candidates: list[Path], views: int) -> Path:
    """The one candidate for ``views`` views; among several, the one that shares the stem."""
    fits = [path for path in candidates if _views(path) == views]
    if len(fits) > 1:
        fits = [path for path in fits if path.stem == mine.stem] or fits
    if len(fits) == 1:
        return fits[0]
    if fits:
        found = ", ".join(path.name for path in fits)
        raise FormatError(f"{mine} goes with each of {found}: give one, {option('positions')}")
    seen = ", ".join(f"{path.name} ({_views(path)})" for path in candidates) or "nothing of the kind"
    raise FormatError(f"{mine} holds {views} views; beside it there is {seen}: give the NPY, {option('positions')}")


def _views(path: Path) -> int | None:
    """How many views a TIFF or an NPY is for; None where it cannot be read as either."""
    try:
        file = Container(path)
        if file.kind == "tiff":
            with file.tiff() as stack:
                return stack.shape[0]
        shape = file.npy_shape()
        if len(shape) != 2 or (shape[1] not in (2, 3) and shape[0] != 2):
            return None
        return shape[0] if shape[1] in (2, 3) else shape[1]
    except (ValueError, OSError):
        return None


def _image(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A mask or a background beside the stack."""
    image = Container(path).npy()
    if image.shape != tuple(shape) or image.dtype.kind not in "iufb":
        raise ValueError(
            f"{path.name} has shape {image.shape} and dtype {image.dtype}; expected numbers {tuple(shape)}"
        )
    return image


def _places(array: np.ndarray, views: int | None, path: Path) -> np.ndarray:
    """Positions (N, 2) from (N, 2), (N, 3) (the third is dropped) or (2, N)."""
    array = real(str(path.name), array)
    if array.ndim == 2 and array.shape[1] not in (2, 3) and array.shape[0] == 2:
        array = array.T
    if array.ndim != 2 or array.shape[1] not in (2, 3) or (views is not None and len(array) != views):
        expected = "(views, 2)" if views is None else f"({views}, 2)"
        raise ValueError(f"{path.name} has shape {array.shape}; expected positions {expected} for the stack")
    return array[:, :2]


def _inside(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith("."))


def write(path: Path, data: PtychoData) -> None:
    """Write the stack at ``path`` and the positions in an NPY of the same stem, metres as in the seed.

    The description of the TIFF tells the geometry. Raises FormatError for a mask, a background or a starting probe.
    """
    writing.no_place(data, "a TIFF stack", "mask", "background", "probe")
    geometry = data.geometry
    told = {} if geometry is None else {name: getattr(geometry, name) for name in KEPT}
    told = {name: value for name, value in told.items() if value is not None}
    told["positions"] = "pixel" if geometry is None else "m"
    with atomic(path.with_suffix(".npy")) as npy, atomic(path) as tif:
        np.save(npy, data.positions, allow_pickle=False)
        metadata = {"axes": "QYX", OWN: told}
        frames = data.intensities
        options = {"shape": frames.shape, "dtype": frames.dtype, "photometric": "minisblack", "metadata": metadata}
        tifffile.imwrite(tif, iter(frames) if data.in_file else frames, **options)


read: Any = measurement(opened)
FORMATS = (
    Format(
        "TIFF stack + NPY positions (SciComPty)",
        recognise,
        read,
        "tiff",
        write,
        suffixes=TIFFS,
        beside=lambda path: (path.with_suffix(".npy"),),
    ),
)

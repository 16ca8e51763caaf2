"""Shared by the readers: the Format they register, errors that name the file, and checks of every measurement."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import KW_ONLY, dataclass, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from opty.data import PtychoData
from opty.errors import FormatError, SourceError
from opty.files.container import Container
from opty.files.open_file import KeptFile
from opty.files.tree import Tree
from opty.io.prepare import growing
from opty.io.prepare import views as view_option
from opty.io.prepare.frames import Frames, Pages
from opty.io.prepare.images import split
from opty.io.prepare.options import Preparation, Prepared, Raw
from opty.io.source import record, warn_of_copies
from opty.io.writing import COUNTS, MIDDLE
from opty.remedies import named
from opty.words import meant

COMMON = tuple(field.name for field in fields(Preparation))


@dataclass(frozen=True)
class Format:
    """A file format: how to recognise it by its content, how to read it, and how to write it.

    ``recognise(container)`` returns a bool; ``read(container, **options)`` returns a PtychoData or a PtychoState, and
    its keyword-only parameters are the options of the format. ``write(path, data)``, where there is one, writes a
    PtychoData, or a PtychoState if ``of_state``; ``key`` is its name in ``opty.save(format=)``, ``suffixes`` are
    those that its files may have, ``lacks`` the fields of a PtychoData for which it has no place, and ``beside(path)``
    returns the files that are written beside one.
    """

    name: str
    recognise: Callable[[Container], bool]
    read: Callable[..., Any]
    key: str = ""
    write: Callable[[Path, Any], None] | None = None
    of_state: bool = False
    _: KW_ONLY
    suffixes: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    beside: Callable[[Path], tuple[Path, ...]] = lambda path: ()

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options that ``read`` takes."""
        return _keywords(self.read)

    def check(self, options: Iterable[str]) -> None:
        """Refuse options that this format does not have, naming those that it has."""
        if unknown := sorted(set(options) - set(self.options)):
            hint = meant(unknown[0], self.options, shown=named)
            raise TypeError(f"{self.name} has no option {named(unknown[0])}{hint}")


def measurement(open_raw: Callable[..., AbstractContextManager[Raw]]) -> Callable[..., PtychoData]:
    """Make the reader of a format from the function that opens a file as a Raw: it takes the common options too."""
    own = _keywords(open_raw)

    def read(file: Container, **options: Any) -> PtychoData:
        prepared = Prepared(
            Preparation(**{name: options[name] for name in COMMON if name in options and name not in own})
        )
        file.links = prepared.options.links
        special, path = {name: options[name] for name in own if name in options}, file.path
        with open_raw(file, **special) as raw:
            with blaming(file):
                raw.lengths = {**raw.lengths, **_noted_lengths(file)}
                raw.whole = None if file.wrapping is None else f"it is packed with {file.wrapping}: unpack it first"
                growing.check(file, raw, prepared.options)
                prepared.check(raw)
            planned = prepared.planned(raw)
            found = {} if planned.stays else prepared.fields(raw, planned, None)
        source = _source(file, prepared, special)
        try:
            if planned.stays:
                kept = KeptFile(path, file.links, open_raw, special, [file.path, *file.beside])
                found = prepared.fields(kept.raw, planned, kept)
                if prepared.arrays:
                    why = f"{file.path}: an option is an array (mask=, dark=, flat=) and not the path of one:"
                    warn_of_copies(why, found["intensities"].nbytes)
            with blaming(file):
                return PtychoData(**found, source=source)
        except SourceError as error:
            raise FormatError(str(error)) from error

    def ready(file: Container, **options: Any) -> tuple[int, bool]:
        """Return how many views are complete, and whether there may be more of them later."""
        special = {name: options[name] for name in own if name in options}
        file.links = options.get("links")
        with open_raw(file, **special) as raw, blaming(file):
            return growing.complete_views(raw), bool(file.growing) or growing.may_grow(raw)

    read.ready = ready  # type: ignore[attr-defined]
    read.__doc__ = open_raw.__doc__
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter("file", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    parameters += [inspect.Parameter(name, keyword) for name in dict.fromkeys((*own, *COMMON))]
    read.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return read


@contextmanager
def blaming(file: Container) -> Iterator[None]:
    """Turn errors about the contents of a file, mostly ValueError, into a FormatError that names the file."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, IndexError, ArithmeticError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{file.path}: {error}") from error


def blamed(file: Container, read: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Make a function that reads frames name the file in its errors."""

    def named_read(index: np.ndarray) -> np.ndarray:
        with blaming(file):
            return read(index)

    return named_read


def check_shapes(
    file: Container, data: str, data_shape: tuple[int, ...], positions: str, positions_shape: tuple[int, ...]
) -> None:
    """Refuse patterns and positions of a wrong shape; their numbers are compared once the views are chosen."""
    if len(data_shape) != 3:
        raise FormatError(f"{file.path}: {data} has shape {tuple(data_shape)}; expected (views, n, n)")
    if len(positions_shape) != 2 or positions_shape[1] not in (2, 3):
        raise FormatError(
            f"{file.path}: {positions} has shape {tuple(positions_shape)}; expected one row for each view"
        )


def real(name: str, array: np.ndarray) -> np.ndarray:
    """Return numbers as float64; ValueError for anything else."""
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} has dtype {array.dtype}; expected numbers")
    return array.astype(np.float64)


def counted(tree: Tree, data: h5py.Dataset) -> Frames:
    """Return the frames of a dataset, in the type of the counts where opty noted it; see ``writing.signed``."""
    frames, counts = Frames(data), tree.attribute(data, COUNTS)
    if counts is None:
        return frames
    if counts not in ("uint16", "uint32", "uint64") or data.dtype.kind != "i":
        raise ValueError(
            f"{data.name} is {data.dtype} and its attribute {COUNTS} {counts!r}; expected an unsigned type"
        )

    def read(index: np.ndarray) -> np.ndarray:
        near = index.size and index[-1] - index[0] == index.size - 1 and (np.diff(index) == 1).all()
        images = frames.read(slice(int(index[0]), int(index[-1]) + 1) if near else index)
        if images.size and not 0 <= images.min() <= images.max() <= np.iinfo(counts).max:
            said = f"holds {images.min()} to {images.max()}, but its attribute {COUNTS} says {counts}"
            raise FormatError(f"{tree.path}: {data.name} {said}")
        return images.astype(counts)

    pages = Pages(frames.shape, counts, read, frames.chunk, frames.piecewise)
    pages.scan = frames.scan
    return pages


def middle(tree: Tree) -> np.ndarray:
    """Return the middle of the scan (row, column) [m] that opty subtracted from the positions; zero without it."""
    value = tree.attribute(tree.file, MIDDLE)
    if value is None:
        return np.zeros(2)
    value = real(f"the attribute {MIDDLE}", np.asarray(value))
    if value.shape != (2,) or not np.isfinite(value).all():
        raise ValueError(f"the attribute {MIDDLE} of the root is {value.tolist()}; expected (row, column) in metres")
    return value


def _noted_lengths(file: Container) -> dict[str, Any]:
    """Return the lengths that opty wrote at the root of a file for another program."""
    names = ("propagation", "focus_to_sample", "voltage", "semi_angle")
    return {name: file.attrs[f"opty_{name}"] for name in names if f"opty_{name}" in file.attrs}


def _keywords(function: Callable) -> tuple[str, ...]:
    found = inspect.signature(function).parameters.values()
    return tuple(p.name for p in found if p.kind == p.KEYWORD_ONLY)


def _source(file: Container, prepared: Prepared, special: dict[str, Any]) -> dict[str, Any]:
    """Describe the source of a measurement, with the options in a form that JSON can hold.

    A result cannot point to options that are arrays, or to a file that grows: the record then lacks the size of the
    file, without which no result points to it.
    """
    if prepared.arrays or file.growing:
        return {"path": str(file.path), "options": {}}
    given = {name: _plain(name, value) for name, value in (prepared.options.given() | special).items()}
    return record(file.path, given, [*file.beside, *prepared.paths])


def _plain(name: str, value: Any) -> Any:
    if name in ("views", "leave_out"):
        return view_option.as_json(value)
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if name in ("dark", "flat", "mask", "positions", "mapping") and isinstance(value, str):
        path, inside = split(value)
        return f"{path}:{inside}" if inside else str(path) if path.exists() else value
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(name, part) for part in value]
    return value.item() if isinstance(value, np.generic) else value

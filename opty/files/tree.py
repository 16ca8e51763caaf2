"""Safe access to an HDF5 file: opty follows links itself, and checks sizes before anything is read.

HDF5 follows links to other files silently, returns fill values for data that were never written, and allocates whatever
shape a header promises. None of this happens here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from opty.files.attributes import attribute, check_texts
from opty.files.filters import expansion, need_filters
from opty.files.hdf5 import open_hdf5
from opty.files.packed import check_whole, guarded
from opty.remedies import option
from opty.words import near

DEPTH = 16  # links that lead to links
AGREE = 1e-3  # relative: readings of one quantity, one for each view, that differ more are not one


class MissingFile(ValueError):
    """A link to a file that does not exist; ``name`` is the name of the file."""

    def __init__(self, message: str, name: str):
        super().__init__(message)
        self.name = name


class Tree:
    """Access to the datasets of an HDF5 file by their paths.

    Parameters
    ----------
    file : the open file. ``path`` : where it is. ``stream`` : its bytes. ``links`` : names (patterns such as
        "scan_*.h5") of other files that links in it may lead to; a link to any other one is refused. ``growing`` :
        takes the paths of those that another program still writes.

    Raises ValueError for a link that is refused or broken, a shape that the file cannot hold, data of a wrong kind.
    """

    def __init__(
        self,
        file: h5py.File,
        path: Path,
        stream: BinaryIO,
        links: str | Iterable[str] | None,
        growing: set[Path],
    ):
        self.file, self.path, self.stream, self.growing = file, path, stream, growing
        self.links = (links,) if isinstance(links, str) else tuple(links or ())
        self.own: re.Pattern[str] | None = None  # pattern of the names of files that belong to this one
        self.others: dict[Path, h5py.File] = {}

    def close(self) -> None:
        """Close the files that links led to."""
        for other in self.others.values():
            other.close()

    def node(self, path: str) -> h5py.Group | h5py.Dataset | None:
        """Return what is at a path, or None."""
        return self._walk(self.file, path, 0)

    def find(self, *paths: str) -> h5py.Dataset | None:
        """Return the first dataset among the paths, checked, or None."""
        for path in paths:
            if isinstance(found := self.node(path), h5py.Dataset):
                self._check(found)
                return guarded(found, self._parts(found) if found.is_virtual else ())
        return None

    def need(self, what: str, *paths: str) -> h5py.Dataset:
        """Return the first dataset among the paths; ValueError lists what the group holds instead."""
        if (found := self.find(*paths)) is None:
            raise ValueError(self.missing(what, *paths))
        return found

    def missing(self, what: str, *paths: str) -> str:
        """Return the message about a missing dataset: the paths tried, and what the group holds instead."""
        nor = f"; nor at {', '.join(paths[1:])}" if paths[1:] else ""
        return f"no {what} at {paths[0]}{nor}{self._instead(paths[0])}"

    def names(self, path: str) -> list[str]:
        """Return the names in a group; none where there is no group."""
        group = self.node(path)
        return _names(group) if isinstance(group, h5py.Group) else []

    def attribute(self, node: h5py.Group | h5py.Dataset, name: str, default: Any = None) -> Any:
        """Return an attribute of a node, texts as str; ``default`` where there is none."""
        with self._stream(node) as stream:
            value = attribute(node, name, stream)
        return default if value is None else value

    def text(self, path: str) -> str | None:
        """Return a text at a path, or None."""
        found = self.find(path)
        if found is None or found.size != 1 or h5py.check_string_dtype(found.dtype) is None:
            return None
        value = np.asarray(found[()]).reshape(-1)[0]
        return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)

    def check_all(self) -> None:
        """Refuse a file in which any link leads out of it, or any dataset promises more than it holds."""
        seen, waiting = set(), [self.file["/"]]
        while waiting:
            group = waiting.pop()
            self._check_attributes(group)
            for name in group:
                link = group.get(name, getlink=True)
                if isinstance(link, h5py.SoftLink):
                    self._walk(group, link.path, 1)
                elif not isinstance(link, h5py.HardLink):
                    raise ValueError(f"{group.name.rstrip('/')}/{name} is a link to another file")
                elif isinstance(node := group[name], h5py.Dataset):
                    self._check(node)
                    check_whole(node)
                    self._check_attributes(node)
                elif (address := h5py.h5o.get_info(node.id).addr) not in seen and isinstance(node, h5py.Group):
                    seen.add(address)
                    waiting.append(node)

    def _check_attributes(self, node: h5py.Group | h5py.Dataset) -> None:
        for name in node.attrs:
            self.attribute(node, name)

    def _walk(self, start: h5py.Group, path: str, depth: int) -> h5py.Group | h5py.Dataset | None:
        if depth > DEPTH:
            raise ValueError(f"{path}: more than {DEPTH} links lead to one another")
        node = start.file if path.startswith("/") else start
        for name in filter(None, path.split("/")):
            if name == ".":
                continue
            if not isinstance(node, h5py.Group):
                return None
            link = node.get(name, getlink=True)
            if link is None:
                return None
            if isinstance(link, h5py.SoftLink):
                node = self._walk(node, link.path, depth + 1)
            elif isinstance(link, h5py.ExternalLink):
                other = self._other(link.filename, f"{node.name.rstrip('/')}/{name}", node)
                node = self._walk(other, link.path, depth + 1)
                if node is None:
                    raise ValueError(f"{name} is a link to {link.path} in {link.filename}, which has no such thing")
            else:
                node = node[name]
        return node

    def _other(self, name: str, where: str, node: h5py.Group) -> h5py.File:
        """Open the file that a link leads to, if the user allowed it by its name."""
        short = name.replace("\\", "/").rsplit("/", 1)[-1]
        belongs = self.own is not None and node.file == self.file and self.own.fullmatch(name.removeprefix("./"))
        if not belongs and not any(fnmatch(short, pattern) or name == pattern for pattern in self.links):
            allow = option("links", short)
            raise ValueError(f"{where} is a link to another file, {name}; if you trust that file, give {allow}")
        folder = self.path.parent if node.file == self.file else Path(node.file.filename).parent
        for place in (folder / name, folder / short):
            if place.is_file():
                place = place.resolve()
                if place not in self.others:
                    self._open(place, where)
                return self.others[place]
        raise MissingFile(f"{where} is a link to {name}, and there is no such file (nor {short} in {folder})", short)

    def _open(self, place: Path, where: str) -> None:
        try:
            self.others[place], growing = open_hdf5(str(place), place)
        except BlockingIOError:
            raise
        except OSError as error:
            raise ValueError(f"{where} is a link to {place}, which is truncated or damaged HDF5: {error}") from error
        if growing:
            self.growing.add(place)

    def _check(self, found: h5py.Dataset) -> None:
        """Refuse a dataset whose header promises more than the file can hold, before any of it is read."""
        if found.shape is None:
            raise ValueError(f"{found.name} is empty")
        if found.dtype.names is not None and not _is_complex(found.dtype):
            # HDF5 writes beyond the memory where damaged members overlap
            raise ValueError(f"{found.name} holds records, {found.dtype}; expected numbers")
        with self._stream(found) as stream:
            check_texts(found, stream)
        need_filters(found)
        promised = prod(found.shape) * found.dtype.itemsize
        if found.is_virtual:
            held = sum(self._sources(found))
        elif found.external:
            raise ValueError(f"{found.name} lies in another file, {found.external[0][0]}, as raw bytes: convert it")
        else:
            stored, size = found.id.get_storage_size(), found.file.id.get_filesize()
            packed = found.chunks is not None  # compressed, or with chunks that were never written
            held = min(stored, size) * (expansion(found) if packed else 1)
        if promised > held:
            grows = Path(found.file.filename) in self.growing
            why = "another program still writes it" if grows else "it was never written, or it is damaged"
            raise ValueError(
                f"{found.name} promises {found.shape} of {found.dtype}, {promised:.4g} bytes, which the file does not "
                f"hold: {why}"
            )

    @contextmanager
    def _stream(self, node: h5py.Group | h5py.Dataset) -> Iterator[BinaryIO]:
        """The bytes of the file that a node is in."""
        if node.file == self.file:
            yield self.stream
        else:
            with open(node.file.filename, "rb") as stream:
                yield stream

    def _sources(self, found: h5py.Dataset) -> list[int]:
        """Return the largest unpacked size [bytes] of each source of a virtual dataset."""
        sizes = {}
        for _, part in self._parts(found):
            need_filters(part)
            sizes[part.file.filename, part.name] = part.id.get_storage_size() * expansion(part)
        return list(sizes.values())

    def _parts(self, found: h5py.Dataset) -> Iterator[tuple[Any, h5py.Dataset]]:
        """The sources of a virtual dataset, each as HDF5 describes it, and the dataset that it is."""
        for source in found.virtual_sources():
            other = found.file
            if source.file_name != ".":
                other = self._other(source.file_name, f"{found.name} (a virtual dataset)", found)
            part = self._walk(other, source.dset_name, 1)
            if not isinstance(part, h5py.Dataset) or part.is_virtual:
                raise ValueError(
                    f"{found.name} is put together from {source.dset_name} in {source.file_name}, which "
                    f"{'is virtual itself' if isinstance(part, h5py.Dataset) else 'is not there'}"
                )
            yield source, part

    def _instead(self, path: str) -> str:
        """Return what the last existing group of a missing path holds, for the error message."""
        parts = [part for part in path.split("/") if part]
        for depth in range(len(parts) - 1, -1, -1):
            group = self.node("/" + "/".join(parts[:depth]))
            if isinstance(group, h5py.Group):
                names = sorted(_names(group))
                shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "") or "nothing"
                close = near(parts[depth], names)
                hint = f": did you mean {close[0]}?" if close else ""
                return f". {group.name} holds {shown}{hint}"
        return ""


def _is_complex(dtype: np.dtype) -> bool:
    """Whether records are complex numbers as MATLAB and Octave store them: two floats, real and imag, side by side."""
    if dtype.fields is None or dtype.names not in (("real", "imag"), ("re", "im"), ("r", "i")):
        return False
    (first, at), (second, then) = (field[:2] for field in (dtype.fields[name] for name in dtype.names))
    return first == second and first.kind == "f" and (at, then) == (0, first.itemsize) and dtype.itemsize == 2 * then


def complexes(found: h5py.Dataset) -> np.ndarray:
    """Read an array of numbers, complex ones as HDF5 or as MATLAB stores them."""
    values = np.asarray(found[()])
    if values.dtype.names is not None:
        real, imag = (values[name] for name in values.dtype.names)
        return real + np.asarray(1j, np.complex64 if real.dtype.itemsize <= 4 else np.complex128) * imag
    if values.dtype.kind not in "ciuf":
        raise ValueError(f"{found.name} has dtype {found.dtype}; expected complex numbers")
    return values


def _names(group: h5py.Group) -> list[str]:
    """The names in a group as text; h5py gives names that are no UTF-8 as bytes."""
    return [name if isinstance(name, str) else name.decode("utf-8", errors="replace") for name in group]


def number(found: h5py.Dataset) -> float:
    """Read a positive number; float32 means its shortest decimal, 1.12 and not 1.1200000047683716.

    Readings of each view that agree to ``AGREE`` are one number, their median. Raises ValueError for others.
    """
    value = numbers(found).reshape(-1)
    if value.size == 0 or not (value == value[0]).all():
        value = np.asarray(value, np.float64)
        middle = float(np.median(value)) if value.size else 0.0
        if value.size == 0 or not (np.abs(value - middle) <= AGREE * abs(middle)).all():
            raise ValueError(f"{found.name} holds {value[:4].tolist()}; expected one number")
        value = np.array([middle])
    one = float(str(value[0]))
    if not (np.isfinite(one) and one > 0):
        raise ValueError(f"{found.name} is {one}; expected a positive number")
    return one


def numbers(found: h5py.Dataset) -> np.ndarray:
    """Read an array of real numbers."""
    if found.dtype.kind not in "iufb":
        raise ValueError(f"{found.name} has dtype {found.dtype}; expected numbers")
    return np.asarray(found[()])

"""The file of a measurement, kept open while frames are read from it."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from opty.errors import FormatError, SourceError
from opty.files.container import Container
from opty.files.fingerprint import changed, fingerprint

CHUNKS = 64 << 20  # bytes of unpacked chunks that HDF5 keeps of each dataset


class KeptFile:
    """A file, opened once and closed when nothing reads from it any more; a change of it is an error.

    Parameters
    ----------
    path : of the file. ``links`` : names of other files that its links may lead to.
    open_raw : opens a Container as a Raw, with the options ``special``; a function of a module, so that it pickles.
    paths : of the files that are read from, that of the measurement first.

    Pickles hold the path and a fingerprint: unpickling opens the file again, and fails if it has changed.
    """

    def __init__(
        self,
        path: Path,
        links: Any,
        open_raw: Callable[..., AbstractContextManager[Any]],
        special: dict[str, Any],
        paths: Iterable[Path],
    ):
        self._how = (path, links, open_raw, special)
        self._known = {Path(path): _mark(Path(path)) for path in paths}
        self.path = next(iter(self._known))
        self._reading = threading.Lock()
        file, opened = Container(path), ExitStack()
        file.links, file.chunk_cache = links, CHUNKS
        try:
            self.raw = opened.enter_context(open_raw(file, **special))
        except BaseException:
            opened.close()
            raise
        weakref.finalize(self, opened.close)

    def read(self, part: str, choice: slice | np.ndarray) -> np.ndarray:
        """Read views of the Raw's "frames", or of its "own_mask" (True where a pixel counts).

        Raises SourceError where the file is missing, has changed, or cannot be read.
        """
        try:
            with self._reading:
                images = getattr(self.raw, part).read(choice)
        except Exception as error:
            raise SourceError(f"{self._difference() or f'{self.path} cannot be read'}: {error}") from error
        if difference := self._difference():
            raise SourceError(f"{difference}; nothing read since is used")
        return images if part == "frames" else self.raw.good(images)

    def _difference(self) -> str | None:
        """Return how a file has changed since it was opened, or None."""
        for path, mark in self._known.items():
            try:
                now = _mark(path)
            except OSError as error:
                return f"{path} is no longer there ({error.strerror})"
            if now != mark:
                return f"{path} has changed while it was read from"
        return None

    def __reduce__(self) -> tuple[Any, ...]:
        if difference := self._difference():
            raise SourceError(difference)
        return _reopened, (*self._how, {path: fingerprint(path) for path in self._known})

    def __deepcopy__(self, memo: dict) -> KeptFile:
        return self

    def __repr__(self) -> str:
        return str(self.path)


def _reopened(path: Path, links: Any, open_raw: Any, special: dict[str, Any], known: dict[Path, Any]) -> KeptFile:
    """Open the file of a pickle; FormatError where it is missing or has changed."""
    for one, print_ in known.items():
        if not one.is_file():
            raise FormatError(f"the frames are in {one}, and there is no such file")
        if difference := changed(one, print_):
            raise FormatError(f"the frames are in {one}, which has changed since: {difference}")
    return KeptFile(path, links, open_raw, special, known)


def _mark(path: Path) -> tuple[int, ...]:
    """Size, time and inode, which detect a changed file quickly."""
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns, found.st_ino

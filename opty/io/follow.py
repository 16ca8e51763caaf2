"""Following a scan that is still measured: a file that grows, or messages; see docs/live.md."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opty.data import PtychoData
from opty.data.feed import Arrivals, Feed, first_views
from opty.errors import FormatError
from opty.files.container import Container
from opty.io.messages import SCHEMES, MessageArrivals
from opty.io.prepare.pixels import mask_items
from opty.io.registry import identify, load
from opty.remedies import named, option

LEAST = 32  # views with which a reconstruction begins
# Options that would be read off the views that are there, and differ from one arrival to the next.
_WHOLE = ("views", "leave_out", "frame_order", "stream", "scan_step", "scan_shape", "probe")
_LATELY = (
    3.0  # seconds after a change in which a file that cannot be read is taken to be in the middle of being written
)
_WORDS = {"centre": "auto", "scan_rotation": "auto"}


def follow(path: str | os.PathLike[str], timeout: float = 60.0, **options: Any) -> PtychoData:
    """Return the first views of a scan that is still measured; ``Follow()`` in a recipe adds the others.

    Parameters
    ----------
    path : a file that another program writes, or will write; or the address of a program that sends views, such as
        "tcp://127.0.0.1:5555".
    timeout : seconds without a new view after which the scan is over.
    options : of ``opty.load``; those that depend on all views (``views``, ``leave_out``, words of masks) are refused.

    Raises SourceError where no view comes in time.
    """
    if not timeout > 0:
        raise ValueError(f"timeout is {timeout!r}; give seconds above 0")
    arrivals: Arrivals
    path = _address(str(path)) or path
    if str(path).startswith(SCHEMES):
        if options:
            raise TypeError(f"{path} brings all that is known of its scan: leave {named(min(options))} out")
        arrivals = MessageArrivals(str(path))
    else:
        _check(options)
        arrivals = FileArrivals(Path(path), options)
    return Feed(first_views(arrivals, LEAST, timeout), arrivals, timeout).data


def _address(text: str) -> str | None:
    """Return an address, which a Path may have robbed of its slashes; None for a file."""
    for scheme in SCHEMES:
        short = scheme.removesuffix("/")
        if text.startswith(short):
            rest = text.removeprefix(short).lstrip("/")
            return scheme + ("/" + rest if scheme == "ipc://" else rest)
    return None


def _check(options: Mapping[str, Any]) -> None:
    for name in _WHOLE:
        if options.get(name) is not None:
            raise ValueError(
                f"{option(name, options[name])} cannot be had of a scan that grows: load it when it is complete"
            )
    for name, word in _WORDS.items():
        if isinstance(options.get(name), str) and options[name] == word:
            raise ValueError(f"{option(name, word)} looks at all views, and the scan grows: give the numbers")
    mask = options.get("mask")
    if mask is not None and mask_items(mask).statistics:
        raise ValueError(f"{option('mask', mask)} looks at all views, and the scan grows: give a mask as a file")


class FileArrivals:
    """Views of a file in the order in which they lie there, as they become complete.

    The file is over once its writer has closed it (where it wrote in SWMR mode), or where all the views that it can
    hold are there.
    """

    def __init__(self, path: Path, options: Mapping[str, Any]):
        self.name = str(path)
        self._path, self._options = path, dict(options)
        self._taken, self._grew, self._over = 0, False, False

    @property
    def over(self) -> bool:
        return self._over

    def poll(self) -> PtychoData | None:
        try:
            count, growing, more = self._look()
        except FileNotFoundError:
            return None
        except (OSError, FormatError, RuntimeError, KeyError):
            if not self._written_now():
                raise
            return None  # in the middle of being written
        self._grew = self._grew or growing
        # A file that was written in SWMR mode is closed now; one that never was may be opened by its writer again.
        ended = not growing and (self._grew or not more)
        found = None
        if count > self._taken:
            found = load(self._path, views=f"{self._taken}:{count}", stream=False, **self._options)
            self._taken = count
        self._over = ended
        return found

    def close(self) -> None:
        pass

    def _look(self) -> tuple[int, bool, bool]:
        """Return how many views are complete, whether the file is marked as being written, whether it can grow."""
        file = Container(self._path)
        form = identify(file, self._options)
        ready = getattr(form.read, "ready", None)
        if ready is None:
            raise FormatError(
                f"{self._path} is read as {form.name}, which cannot be followed: load it when it is complete"
            )
        form.check(self._options)
        count, more = ready(file, **self._options)
        return count, bool(file.growing), more

    def _written_now(self) -> bool:
        from opty.files.hdf5 import being_written

        try:
            lately = time.time() - self._path.stat().st_mtime < _LATELY
            return lately or being_written(self._path)
        except FileNotFoundError:
            return True

"""A scan that is still being measured: its views as they arrive, put behind those that are there."""

from __future__ import annotations

import time
from typing import Protocol

import numpy as np

from opty.data.measurement import PtychoData
from opty.errors import SourceError, warn_user
from opty.remedies import option

EVERY = 0.1  # seconds between looks for new views


class Arrivals(Protocol):
    """Where views come from: a file that grows, or messages."""

    name: str

    def poll(self) -> PtychoData | None:
        """Return the views that have come since the last call, if any; raises OSError or ValueError for wrong ones."""

    @property
    def over(self) -> bool:
        """Whether the writer has said that no more will come, and all have been taken."""

    def close(self) -> None:
        """Let go of the source."""


class NoArrivals:
    """No source: the views are given to ``Feed.take``."""

    name, over = "the first rank", False

    def poll(self) -> None:
        """Return nothing."""

    def close(self) -> None:
        """Do nothing."""


class Feed:
    """The views of a scan so far, and more as they arrive.

    ``data`` : PtychoData of all that have arrived; their frames share one buffer, which is made twice as large when it
    is full. ``over`` : whether no more will come: the writer has said so, none has come for ``timeout`` seconds, or
    what came could not be used; ``why`` says which.
    """

    def __init__(self, first: PtychoData, arrivals: Arrivals, timeout: float):
        if first.mask is not None and first.mask.ndim == 3:
            raise ValueError(
                "a mask for each view cannot grow with the scan: give one mask, or load the scan when it is complete"
            )
        self.over, self.why = False, ""
        self.arrived = time.monotonic()  # when the last view came
        self._arrivals, self._timeout = arrivals, timeout
        self._looked = -float("inf")
        self._buffer = np.empty((0, *first.intensities.shape[1:]), first.intensities.dtype)
        self._photons = np.zeros(0)
        self.data = self._with(first.replace(truth=None), first)

    def update(self) -> bool:
        """Look for new views; return whether there are some, which ``data`` then holds."""
        now = time.monotonic()
        if self.over or now - self._looked < EVERY:
            return False
        self._looked = now
        try:
            new = self._arrivals.poll()
            grown = None if new is None else self._with(self.data, new)
        except (OSError, ValueError) as error:
            self._end(
                f"what came from {self._arrivals.name} cannot be used: {' '.join(str(error).split())}", wrong=True
            )
            return False
        if grown is not None:
            self.data, self.arrived = grown, time.monotonic()
        if self._arrivals.over:
            self._end(f"{self._arrivals.name} is complete")
        elif time.monotonic() - self.arrived > self._timeout:
            late = (
                f"no view has come from {self._arrivals.name} for {self._timeout:g} s, and its writer has not closed it"
            )
            self._end(f"{late} ({option('timeout')} sets how long to wait)", wrong=True)
        return grown is not None

    def take(self, new: PtychoData) -> None:
        """Put views behind those that are there."""
        self.data = self._with(self.data, new)

    def _end(self, why: str, wrong: bool = False) -> None:
        self.over, self.why = True, why
        self._arrivals.close()
        if wrong:
            warn_user(f"{why}. The scan ends here, with {self.data.views} views", UserWarning)

    def _with(self, before: PtychoData, new: PtychoData) -> PtychoData:
        """Return the measurement with new views behind its own; the first ones are both."""
        count = len(self._photons)
        whole = count + new.views
        if new.intensities.shape[1:] != self._buffer.shape[1:] or new.intensities.dtype != self._buffer.dtype:
            there = f"{self._buffer.shape[1:]} {self._buffer.dtype}"
            raise ValueError(f"frames of {new.intensities.shape[1:]} {new.intensities.dtype} after those of {there}")
        if whole > len(self._buffer):
            larger = np.empty((max(2 * count, whole), *self._buffer.shape[1:]), self._buffer.dtype)
            larger[:count] = self._buffer[:count]
            self._buffer = larger
        self._buffer[count:whole] = new.intensities[:]
        self._photons = np.concatenate([self._photons, new.photons()])
        positions = new.positions if count == 0 else np.concatenate([before.positions, new.positions])
        found = before.counted_before(
            self._buffer[:whole], positions, self._photons, max(new.brightest, before.brightest if count else 0.0)
        )
        return found.fed(self)


def first_views(arrivals: Arrivals, least: int, timeout: float) -> PtychoData:
    """Wait for the first views of a scan, at least so many, or all that it has; return them.

    Raises SourceError where none comes for ``timeout`` seconds; OSError and ValueError for what cannot be used.
    """
    parts: list[PtychoData] = []
    last = time.monotonic()
    while True:
        new = arrivals.poll()
        if new is not None:
            parts.append(new)
            last = time.monotonic()
        count = sum(part.views for part in parts)
        late = time.monotonic() - last > timeout
        if parts and (count >= least or arrivals.over or late):
            return parts[0] if len(parts) == 1 else _joined(parts)
        if arrivals.over or late:
            arrivals.close()
            said = "holds no view" if arrivals.over else f"has brought no view for {timeout:g} s"
            raise SourceError(f"{arrivals.name} {said}; {option('timeout')} sets how long to wait")
        time.sleep(EVERY / 2)


def _joined(parts: list[PtychoData]) -> PtychoData:
    frames = np.concatenate([part.intensities[:] for part in parts])
    return parts[0].replace(
        intensities=frames, positions=np.concatenate([part.positions for part in parts]), truth=None
    )

"""The record of a run: named series of numbers, one entry an iteration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, SupportsFloat

import numpy as np

from opty.console import table

_ROWS = 10  # of a table: the last iterations
_IN_FLIGHT = 2  # numbers of a series that may be in flight: iterations not finished when another is added


class Series(Sequence[float]):
    """An append-only series of numbers; copies share the numbers they have in common.

    Whole numbers stay whole numbers.

    A number may still be in flight from a GPU: reading it blocks until the copy has finished.
    """

    __slots__ = ("_length", "_numbers", "_own")

    def __init__(self, numbers: Iterable[SupportsFloat] = ()):
        self._numbers: list[SupportsFloat] = list(numbers)
        self._length, self._own = len(self._numbers), True

    def copy(self) -> Series:
        """Return a copy, without copying the numbers."""
        new = object.__new__(Series)
        new._numbers, new._length, new._own = self._numbers, self._length, False
        return new

    def append(self, value: SupportsFloat) -> None:
        """Add a number."""
        if not self._own:  # only the series that made the list adds to it
            self._numbers, self._own = self._numbers[: self._length], True
        if self._length >= _IN_FLIGHT:  # unread numbers would keep their pinned memory; this one has long arrived
            self._read(self._length - _IN_FLIGHT)
        self._numbers.append(value)
        self._length += 1

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self._read(k) for k in range(*at.indices(self._length))]
        return self._read(range(self._length)[at])

    def __iter__(self) -> Iterator[float]:
        return map(self._read, range(self._length))

    def __reduce__(self) -> tuple[Any, ...]:
        return Series, (list(self),)

    def __repr__(self) -> str:
        return repr(list(self))

    def _read(self, at: int) -> float:
        value = self._numbers[at]
        if type(value) is not float and type(value) is not int:
            value = self._numbers[at] = number(value)
        return value


def number(value: SupportsFloat) -> float:
    """Return a number as Python's own int or float; of a GPU it is waited for."""
    return int(value) if isinstance(value, (int, np.integer)) else float(value)


class History(Mapping[str, np.ndarray]):
    """What was recorded, as arrays: ``p.history["misfit"]``, with its iterations in ``p.history["iteration"]``.

    A series that an operator records at some iterations only (``Misfit``) is as long as it was called. Series of whole
    numbers are arrays of int64, others of float64.
    """

    def __init__(self, series: Mapping[str, Series]):
        self._series = series

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._series:
            raise KeyError(f"no {name!r} in the history; it holds {sorted(self._series) or 'nothing yet'}")
        found = list(self._series[name])
        whole = all(type(value) is int for value in found) and (found or name.endswith("iteration"))
        return np.array(found, dtype=np.int64 if whole else np.float64)

    def __iter__(self) -> Iterator[str]:
        return iter(self._series)

    def __len__(self) -> int:
        return len(self._series)

    def __repr__(self) -> str:
        lasts = {name: (len(v), v[-1]) for name, v in self._series.items() if v}
        parts = [f"{name}: {n} values, last {v if type(v) is int else f'{v:.4g}'}" for name, (n, v) in lasts.items()]
        return f"<History: {'; '.join(parts) or 'empty'}>"

    def _repr_html_(self) -> str:
        """A table of the last iterations, for notebooks; series recorded at some iterations only are left out."""
        count = len(self._series.get("iteration", ()))
        full = [name for name, series in self._series.items() if len(series) == count]
        columns = [self[name][-_ROWS:] for name in full]
        cells = [[f"{value:.4g}" if isinstance(value, float) else str(value) for value in column] for column in columns]
        return table(zip(*cells, strict=True), full)

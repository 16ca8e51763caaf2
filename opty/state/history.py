"""The record of a run: named series of numbers, one entry an iteration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np


class History(Mapping[str, np.ndarray]):
    """What was recorded, as arrays: ``p.history["misfit"]``, with its iterations in ``p.history["iteration"]``.

    A series that an operator records at some iterations only (``Misfit``) is as long as it was called.
    """

    def __init__(self, series: Mapping[str, list[float]]):
        self._series = series

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._series:
            raise KeyError(f"no {name!r} in the history; it holds {sorted(self._series) or 'nothing yet'}")
        values = self._series[name]
        return np.array(values, dtype=int if name == "iteration" else float)

    def __iter__(self) -> Iterator[str]:
        return iter(self._series)

    def __len__(self) -> int:
        return len(self._series)

    def __repr__(self) -> str:
        parts = [f"{name}: {len(v)} values, last {v[-1]:.4g}" for name, v in self._series.items() if v]
        return f"<History: {'; '.join(parts) or 'empty'}>"

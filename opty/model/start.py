"""Start: what the elements of a model may look at when they make the first values of their leaves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from opty.data import PtychoData
from opty.model.starting_probe import first_probe, given_probe


@dataclass(frozen=True)
class Start:
    """What ``Element.initial`` may look at: the measurement, the frame of the object, the types."""

    data: PtychoData
    shape: tuple[int, int]  # (H, W) of the object's frame
    dtype: np.dtype  # of object and probe
    given: Any = None  # a probe of the user's, or None

    @property
    def views(self) -> int:
        """Number of views."""
        return self.data.views

    @property
    def n(self) -> int:
        """Pixels along an edge of a pattern."""
        return self.data.n

    @cached_property
    def real_dtype(self) -> np.dtype:
        """Real type that goes with ``dtype``."""
        return np.dtype(self.dtype.type(0).real.dtype)

    def probe(self, modes: int | None) -> np.ndarray:
        """Return the starting probe (M, n, n): that given, that of the data, or the focused one of the mean pattern."""
        if self.given is None:
            return first_probe(self.data, modes, self.dtype)
        return given_probe(self.given, self.data, modes, self.dtype)

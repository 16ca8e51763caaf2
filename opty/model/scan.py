"""Scan: the input from which the elements of a model make the first values of their leaves."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from opty.data import PtychoData
from opty.geometry import Geometry
from opty.model.starting_probe import first_probe, given_probe


@dataclass(frozen=True)
class Scan:
    """The input of ``Element.initial``: the measurement, the frame of the object, the types."""

    views: int  # of the scan
    n: int  # pixels along an edge of a window
    shape: tuple[int, int]  # (H, W) of the object's frame
    dtype: np.dtype  # of object and probe
    geometry: Geometry | None = None
    data: PtychoData | None = None  # None in a simulation, whose probe is given
    _: KW_ONLY
    given: Any = None  # a probe of the user's, or None
    positions: Any = None  # (N, 2) px of the views in the order in which they were taken
    seed: int = 0  # of what starts at random

    @cached_property
    def real_dtype(self) -> np.dtype:
        """Real type that goes with ``dtype``."""
        return np.dtype(self.dtype.type(0).real.dtype)

    def probe(self, modes: int | None) -> np.ndarray:
        """Return the starting probe (M, n, n): given, of the data, or the focused probe of the mean pattern."""
        if self.given is not None:
            return given_probe(self.given, self.n, modes, self.dtype)
        if self.data is None:
            raise ValueError("there are no data to make a starting probe of: give the probe")
        return first_probe(self.data, modes, self.dtype)

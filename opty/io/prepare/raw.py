"""Raw: a measurement as its file has it, before it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np

from opty.io.prepare.frames import Frames


@dataclass
class Raw:
    """A measurement as a file has it, before it is read.

    ``positions`` (N, 2) in ``unit``: metres or, with "px", pixels at the sample; any other unit as in a file, or two of
    them, (rows', columns'); ``positions_at`` is their place in the file. ``lengths``: lengths of the Geometry in the
    file (an ``energy`` in place of a wavelength, a dictionary of several), ``wanted``: for each missing one, where it
    was expected, and what else to do without ``positions``.
    ``mask``: Frames or (rows, columns), which ``good`` turns into True where a pixel counts; ``cutoff``: the least
    number that is a code and no count. ``centre``: of the beam (row, column) [px]. ``corner``: the zero frequency is at
    [0, 0]. ``lacks``: a function of the number of positions that returns which views are missing, and what to do.
    Without positions (None) the scan is on a grid, ``frames.scan``, of the ``step`` between its rows and between its
    columns [m], or of an option, turned by the ``rotation`` [rad] and beginning at the ``origin`` (row, column) [m].

    Mask, dark, flat and positions can be functions, which read them where no option gives them; a length or the centre
    can be a function of the lengths that are known by then.
    """

    frames: Frames
    positions: Any
    unit: Any = "m"
    lengths: Mapping[str, Any] = field(default_factory=dict)
    wanted: Mapping[str, str] = field(default_factory=dict)
    mask: Any = None
    _: KW_ONLY
    good: Callable[[np.ndarray], np.ndarray] = np.asarray
    dark: Any = None
    flat: Any = None
    probe: np.ndarray | None = None
    truth: Mapping[str, np.ndarray] | None = None
    centre: Any = None
    transpose: bool = False
    flip: str | None = None
    corner: bool = False
    whole: str | None = None  # why the file must be read as a whole, if so
    positions_at: str = "positions"
    cutoff: float | None = None
    lacks: Callable[[int], str | None] = lambda views: None
    step: tuple[float, float] | None = None
    rotation: float = 0.0
    origin: np.ndarray | None = None

    @property
    def own_mask(self) -> Frames | np.ndarray | None:
        """The mask, looked up."""
        if callable(self.mask):
            self.mask = self.mask()
        return self.mask

"""What a reader hands over: a measurement as its file has it, not read yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np

from opty.io.prepare.frames import Frames


@dataclass
class Raw:
    """A measurement as a file has it, not read yet.

    ``positions`` (N, 2) in ``unit``: metres or, with "px", pixels at the sample; any other unit as in a file, or two of
    them, (rows', columns'); ``positions_at`` says where they are. ``lengths``: what the file tells of the Geometry
    (an ``energy`` in place of a wavelength, a dictionary of what it says), ``wanted`` where it was looked for in vain,
    and what else to do without ``positions``.
    ``mask``: Frames or (rows, columns), where a pixel counts if ``good`` says so; ``cutoff``: the least count that is
    none. ``centre``: of the beam (row, column) [px]. ``corner``: the zero frequency is there. ``lacks``: says of a
    number of positions which views are missing, and what to do. Without positions (None) the scan is on a grid,
    ``frames.scan``, of the ``step`` between its rows and between its columns [m], or of an option.

    A function in place of mask, dark, flat or positions looks them up where no option says them; in place of a length
    or of the centre, it takes the lengths that are known by then.
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

    @property
    def own_mask(self) -> Frames | np.ndarray | None:
        """The mask, looked up."""
        if callable(self.mask):
            self.mask = self.mask()
        return self.mask

"""What engines work on, beside plain arrays."""

from __future__ import annotations

from typing import Any, NamedTuple


class MeasuredFrames(NamedTuple):
    """What was measured of a batch's views.

    intensity (N, n, n) in its own number type, at ``rows`` (B,) int; mask (N or 1, n, n) bool, False where a pixel does
    not count, or None; background (n, n) real or None: incoherent intensity added to the prediction.
    """

    intensity: Any
    rows: Any
    mask: Any = None
    background: Any = None


class VaryingProbe(NamedTuple):
    """The probe of each view, in the place of illum, on a CPU: made where it meets the object.

    probe (M, n, n), modes (K, n, n) complex; weights (B, K) real; ``seen`` (B, M, n, n) : where to put it, or None.
    """

    probe: Any
    weights: Any
    modes: Any
    seen: Any = None


class WaveStore(NamedTuple):
    """Waves of all views (N, M, n, n), kept between iterations, and where those of a batch stand, ``rows`` (B,) int."""

    waves: Any
    rows: Any

"""When the scale between object and probe has run away, and by which power of two it is brought back."""

from __future__ import annotations

import math

# Octaves by which the amplitude of the probe may be too weak, or too strong, for the photons of the brightest view. A
# weaker one takes an object that shines. A stronger one is what an object that absorbs, or a beam stop, asks for; and a
# pixel of the object that no light reaches keeps its value, and would grow as the lit ones are scaled back.
WEAK, STRONG = 1.0, -30.0
MOST = 60  # octaves at once: twice as many still fit into single precision


def octaves(photons: float, power: float) -> int:
    """Return k: P 2^k has the power ``photons`` to within half an octave of amplitude, 0 where it need not move."""
    if not (power > 0 and math.isfinite(power) and photons > 0):
        return 0
    off = 0.5 * (math.log2(photons) - math.log2(power))
    return max(-MOST, min(round(off), MOST)) if off >= WEAK or off <= STRONG else 0

"""How many pixels a scan spans: the observable resolution gain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from opty.state import BareState


def resolution_gain(p: BareState, resolution: float | None = None) -> float:
    """Return the observable resolution gain of a result, G_p = d / delta.

    d is the larger side of the area that the positions span, delta the ``resolution`` [m] (px without a geometry), such
    as that of ``frc``; without it the edge of a pixel at the sample, as in the paper's G_p = 9 um / 50 nm = 180.

    Raises ValueError for a resolution that is not above 0.
    Source: Guzzi et al., PeerJ CS 8, e1036 (2022), supplement, Eq. 2; Jacobsen, Deng, Nashed, J. Synchrotron Rad. 24,
    1078 (2017).
    """
    pixel = p.pixel or 1.0
    finest = pixel if resolution is None else resolution
    if not finest > 0:
        raise ValueError(f"resolution is {resolution!r}; give a length above 0, or None for the pixel at the sample")
    return float(np.ptp(p.numpy("positions"), axis=0).max() * pixel / finest)

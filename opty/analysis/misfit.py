"""How well a state predicts the data: misfit and R-factor, over all views, with nothing updated in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opty.state.misfit import compare

if TYPE_CHECKING:
    from opty.state import BareState

# What sets the misfit of the history, and of the progress bar, apart from that of a state.
DURING = "summed during the sweep, before the update of each batch"


def misfit(p: BareState) -> float:
    """Return sum (sqrt I - sqrt Ihat)^2 / sum I over unmasked pixels of all views (no unit).

    ``p.history["misfit"]`` holds the same sum taken during an iteration, each view before its own update.
    """
    sums = compare(p._live)
    return sums.squares / sums.measured


def r_factor(p: BareState) -> float:
    """Return the R-factor of amplitudes, sum |sqrt I - sqrt Ihat| / sum sqrt I, over unmasked pixels (no unit)."""
    sums = compare(p._live)
    return sums.moduli / sums.amplitudes


def mean_square(p: BareState) -> float:
    """Return the mean of (sqrt I - sqrt Ihat)^2 over unmasked pixels of all views [photons]."""
    sums = compare(p._live)
    return sums.squares / sums.pixels

"""The pictures of a report as PNG, within a budget of bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from opty import plot

if TYPE_CHECKING:
    from opty.analysis import Resolution, Uncertainty
    from opty.plot.picture import Picture
    from opty.state import BareState

BUDGET = 3_400_000  # bytes of all pictures: in the text of a page a third more, which keeps the page below 5 MB
FINEST, COARSEST = 180.0, 40.0  # dots per inch


def pictures(
    p: BareState, resolution: Resolution | None = None, uncertainty: Uncertainty | None = None
) -> list[tuple[str, bytes]]:
    """Return caption and PNG of each picture of a state, all together within the budget.

    Where the frames are not here, those that need them are left out.
    """
    drawn: list[tuple[str, Picture]] = [(caption, draw()) for caption, draw in _all(p, resolution, uncertainty)]
    dots = FINEST
    while True:
        images = [(caption, figure.png(dots)) for caption, figure in drawn]
        size = sum(len(png) for _, png in images)
        if size <= BUDGET or dots <= COARSEST:
            break
        dots = max(COARSEST, dots * min(0.9, 0.95 * (BUDGET / size) ** 0.5))
    for _, figure in drawn:
        figure.close()
    return images


def _all(
    p: BareState, resolution: Resolution | None, uncertainty: Uncertainty | None
) -> Iterator[tuple[str, Callable[[], Any]]]:
    several = p.numpy("obj").ndim == 3 and not p.model.mixture
    yield "Object: magnitude and phase over the lit area", lambda: plot.slices(p) if several else plot.obj(p)
    yield "Probe: orthogonal modes with their share of the power", lambda: plot.probe(p)
    if "opr_modes" in p._live.leaves:
        yield "How the probe varies along the scan", lambda: plot.variation(p)
    yield "Positions of the views", lambda: plot.positions(p)
    yield "Misfit of each sweep", lambda: plot.history(p)
    if p.data.absent is None:
        yield "Fit of each view and each detector pixel", lambda: plot.fit(p)
        yield "The view that fits worst: measured, predicted, difference", lambda: plot.pattern(p, _worst(p))
    geometry = p.geometry
    if geometry is not None and geometry.propagation != "near":
        yield "The beam along z, and its focus", lambda: plot.caustic(p)
    if resolution is not None:
        yield "Resolution from two halves of the scan", lambda: plot.resolution(resolution)
    if uncertainty is not None:
        yield "Error bars", lambda: plot.uncertainty(uncertainty)


def _worst(p: BareState) -> int:
    from opty.analysis import fit

    return int(np.nanargmax(fit(p).misfit))

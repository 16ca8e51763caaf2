"""The scale of the positions, as ``auto`` mends it: a wrong distance or pixel size shows as one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from opty.analysis.check.refined_stretch import of_given
from opty.analysis.check.scan_stretch import TOLERANCE, Stretch, find_stretch, scale_known
from opty.analysis.check.trials import FEWEST, most_views
from opty.analysis.coverage import is_near
from opty.analysis.orientation import middle
from opty.analysis.probe_search import find_probe
from opty.search.start import Begin

if TYPE_CHECKING:
    from opty.data import PtychoData
    from opty.state import BareState

VIEWS = 80  # that are looked at
DIGITS = 4  # of a factor, as it is said
ASPECT = 0.05  # by which rows and columns may differ: a wrong distance changes both alike
GAIN = 0.002  # of the score that other positions have to bring; refined ones have gone part of the way


def look_at_scale(p: BareState, given: np.ndarray) -> Stretch | None:
    """Return the map by which the positions of a state predict views best, as one of those that were ``given`` (N, 2)
    [px]; see ``find_stretch``. None where the model is not thin, or the views too few.
    """
    part = _part(p)
    return None if part is None else of_given(find_stretch(part, p.numpy("probe")), p.numpy("positions"), given)


def scale_is_known(p: BareState) -> bool:
    """Say whether positions wider and narrower than those of a state predict views worse for sure."""
    part = _part(p)
    return part is not None and scale_known(part, p.numpy("probe"))


def mendable(data: PtychoData, found: Stretch) -> bool:
    """Say whether a map is worth a trial: a scale that predicts no worse for sure, and is one factor of the positions.

    Rows and columns of different factors are no distance and no pixel size that is wrong: with fewer modes than the
    beam has, positions squeezed along its blur predicted views better, and made the picture worse. In the near field a
    factor stands for the distances of the focus and of the detector as well.
    """
    one_factor = abs(math.log(found.scale)) > TOLERANCE and abs(math.log(found.aspect)) <= ASPECT
    return found.off and one_factor and not is_near(data)


def rescaled(start: Begin, found: Stretch, seed: int, threads: int | None) -> Begin:
    """Return a start with the positions multiplied, and its probe searched for anew where it was searched for."""
    factor = round(found.scale, DIGITS)
    data = start.data.replace(positions=factor * start.data.positions, truth=None)
    probe = find_probe(data, seed, threads).probe[None] if start.text else start.probe
    said = f"positions multiplied by {factor}: the distance or the pixel size is off by that"
    return replace(start, data=data, probe=probe, scale=factor, said=(*start.said, said))


def _part(p: BareState) -> PtychoData | None:
    if not p.model.thin:
        return None
    metres = p.numpy("positions") * (p.pixel or 1.0)
    data = p.data.replace(geometry=p.geometry, positions=metres, truth=None, source=None)
    part = middle(data, min(VIEWS, most_views(data)))
    return part if part.views >= FEWEST else None

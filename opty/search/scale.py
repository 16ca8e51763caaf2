"""The scale of the positions, as ``auto`` mends it: a wrong distance or pixel size shows as one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from opty.analysis.check.refined_stretch import of_given
from opty.analysis.check.scan_stretch import SHEARED, TOLERANCE, Stretch, find_stretch, scale_known
from opty.analysis.check.trials import FEWEST, most_views
from opty.analysis.coverage import is_near
from opty.analysis.orientation import middle
from opty.analysis.probe_search import find_probe
from opty.search.start import Begin
from opty.search.trial import SURE

if TYPE_CHECKING:
    from opty.data import PtychoData
    from opty.state import BareState

VIEWS = 80  # that are looked at
DIGITS = 4  # of a factor, as it is said
ASPECT = 0.05  # by which rows and columns may differ: a wrong distance changes both alike
ASIDE = 0.04  # of the logarithm of the scale: where trials run beside it
# On thirteen scans with one mode to five LSQML(batch=8) ** 30 pointed 0.021 away or more, at 2 to 28 standard errors,
# on the seven whose distance was wrong by 5 percent, and where it was right at most 0.019 at 1.5 and 0.010 at 4.4. On
# the Siemens star, whose patterns tell no scale from one 2 percent off, it pointed 0.021 away for sure.
SLOPE, LEAST = 2.5, 0.025
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
    beam has, positions squeezed along its blur predicted views better, and made the picture worse. Nor does a distance
    shear them. In the near field a factor stands for the distances of the focus and of the detector as well.
    """
    one_factor = abs(math.log(found.aspect)) <= ASPECT and abs(found.shear) <= SHEARED
    return found.off and abs(math.log(found.scale)) > TOLERANCE and one_factor and not is_near(data)


@dataclass(frozen=True)
class Pointed:
    """The ``scale`` to which trials with positions as they are, wider and narrower point; ``sure``: it is another one
    for sure; ``known``: wider and narrower ones predict worse for sure.
    """

    scale: float
    sure: bool
    known: bool


def pointed(narrow: np.ndarray, given: np.ndarray, wide: np.ndarray) -> Pointed:
    """Return the lowest point of the parabola, over the logarithm of the scale, through three scores by view (N,).

    No farther than the three, and as far where they do not bend upwards.
    """

    def errors(gain: np.ndarray) -> float:
        """The mean over its standard error."""
        return float(gain.mean()) / max(float(gain.std(ddof=1)) / math.sqrt(len(gain)), 1e-30)

    slope, bend = float((wide - narrow).mean()), float((narrow - 2 * given + wide).mean())
    by = float(np.clip(-slope / bend / 2, -1, 1)) if bend > 0 else -math.copysign(1, slope)
    by *= ASIDE
    known = min(errors(narrow - given), errors(wide - given)) > SURE
    return Pointed(math.exp(by), abs(errors(wide - narrow)) > SLOPE and abs(by) > LEAST, known)


def stretched(start: Begin, factor: float) -> Begin:
    """Return a start with the positions multiplied and its probe as it is."""
    return replace(start, data=start.data.replace(positions=factor * start.data.positions, truth=None))


def rescaled(start: Begin, scale: float, seed: int, threads: int | None) -> Begin:
    """Return a start with the positions multiplied, and its probe searched for anew where it was searched for."""
    factor = round(scale, DIGITS)
    data = stretched(start, factor).data
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

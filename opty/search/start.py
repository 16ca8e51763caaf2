"""Where ``auto`` starts: the probe, and the way round in which positions and patterns belong together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from opty.analysis.check.health import health
from opty.analysis.coverage import is_near
from opty.analysis.orientation import Orientation
from opty.analysis.probe_search import DECIDED, ProbeSearch, find_probe
from opty.data import PtychoData

FEWEST_TO_SEARCH = 12  # views: a fifth of fewer tells nothing
# In the far field positions (-r) fit as well, with the complex conjugates: four of the eight ways are different.
OTHERS = (Orientation(False, 1, -1, np.nan), Orientation(True, 1, 1, np.nan), Orientation(True, 1, -1, np.nan))


@dataclass(frozen=True)
class Begin:
    """A measurement with its positions the right way round, and the starting probe.

    ``probe``: (M, n, n), or None for the one of the data; ``text``: the probe as an expression, empty for None;
    ``way``: how the positions are taken, None for as they are given; ``scale``: what they were multiplied by, as
    ``opty.load(position_scale=)`` takes it, None for nothing; ``decided``: whether the search of the probe, or
    the look at the orientation, tells; ``said``: what was found.
    """

    data: PtychoData
    probe: np.ndarray | None
    text: str
    way: Orientation | None
    decided: bool
    said: tuple[str, ...]
    scale: float | None = None


def begin(data: PtychoData, seed: int, threads: int | None, say: Callable[[str], None]) -> Begin:
    """Find the starting probe where the data have none, and the orientation.

    With a probe in the data, and in the near field, ``opty.analysis.health`` tells it. In the far field without one a
    probe is searched for the positions as they are given, and, where none predicts held-out
    views clearly, for the three other ways round that differ.
    """
    if data.probe is None and not is_near(data):
        if data.views < FEWEST_TO_SEARCH:
            said = f"{data.views} views are too few to search for a starting probe: it is that of the mean pattern"
            return Begin(data, None, "", None, False, (said,))
        return _searched(data, seed, threads, say)
    say("orientation")
    found = health(data)
    if found.fits in ("as given", "undecided"):
        decided = found.fits == "as given"
        return Begin(data, None, "", None, decided, (f"orientation of the positions: {found.fits}",))
    way = found.orientations[0]
    return Begin(_taken(data, way), None, "", way, True, (f"positions taken as {way.name}: {way.remedy}",))


def _searched(data: PtychoData, seed: int, threads: int | None, say: Callable[[str], None]) -> Begin:
    say("starting probe")
    best, way, at = find_probe(data, seed, threads), None, data
    if not best.decided:
        for other in OTHERS:
            say(f"starting probe, positions as {other.name}")
            turned = _taken(data, other)
            found = find_probe(turned, seed, threads)
            if found.score < (DECIDED * best.score if way is None else best.score):
                best, way, at = found, other, turned
    said = [_described(best)]
    if way is not None:
        said.append(f"positions taken as {way.name}: {way.remedy}")
    text = f"opty.analysis.find_probe(data, seed={seed}).probe" if seed else "opty.analysis.find_probe(data).probe"
    return Begin(at, best.probe[None], text, way, best.decided, tuple(said))


def _described(found: ProbeSearch) -> str:
    where = f"curvature {found.curvature:.4g} px^2" if found.defocus is None else f"defocus {found.defocus:.4g} m"
    doubt = "" if found.decided else "; others do nearly as well"
    return f"starting probe from the mean pattern with {where} (misfit of held-out views {found.score:.4g}{doubt})"


def _taken(data: PtychoData, way: Orientation) -> PtychoData:
    return data.replace(positions=way.apply(data.positions), truth=None)

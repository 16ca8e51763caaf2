"""Where ``auto`` starts: the probe, and the way round in which positions and patterns belong together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from opty.analysis.check.health import health
from opty.analysis.coverage import is_near
from opty.analysis.orientation import AS_GIVEN, Orientation, middle
from opty.analysis.probe_search import DECIDED, ProbeSearch, Searching, find_probe
from opty.data import PtychoData
from opty.search.part import FEWEST, Part
from opty.search.plan import Plan
from opty.search.trial import Trial, tried

FEWEST_TO_SEARCH = 12  # views: a fifth of fewer tells nothing
# In the far field positions (-r) fit as well, with the complex conjugates: four of the eight ways are different.
OTHERS = (Orientation(False, 1, -1, np.nan), Orientation(True, 1, 1, np.nan), Orientation(True, 1, -1, np.nan))
# On scans of few photons the right way round scored a tenth below the others in the short runs of the probe search, and
# a quarter in these.
DECIDING = Plan(), Plan(positions="refined"), Plan(modes=3)
WAY_WORTH = 0.02  # of the score: what another way round than the given has to gain


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


def begin(data: PtychoData, seed: int, machine: dict[str, Any], say: Callable[[str], None]) -> Begin:
    """Find the starting probe where the data have none, and the orientation.

    With a probe in the data, and in the near field, ``opty.analysis.health`` tells it. In the far field without one a
    probe is searched for the positions as they are given, and, where none predicts held-out views clearly, for the
    three other ways round that differ, until one does. Where none does, longer runs from the probe of each are scored
    by pixels held out. ``machine`` : device, threads and deterministic, as for PtychoState.
    """
    if data.probe is None and not is_near(data):
        if data.views < FEWEST_TO_SEARCH:
            said = f"{data.views} views are too few to search for a starting probe: it is that of the mean pattern"
            return Begin(data, None, "", None, False, (said,))
        return _searched(data, seed, machine, say)
    say("orientation")
    found = health(data)
    if found.fits in ("as given", "undecided"):
        decided = found.fits == "as given"
        return Begin(data, None, "", None, decided, (f"orientation of the positions: {found.fits}",))
    way = found.orientations[0]
    return Begin(_taken(data, way), None, "", way, True, (f"positions taken as {way.name}: {way.remedy}",))


def half_turned(start: Begin, seed: int, threads: int | None, search: bool) -> Begin:
    """Return a start whose probe was searched for with the positions turned by half a turn, which fits as well but for
    what lies on the rim of the window: its pixels are even in number, and one row and one column have no twin.

    The probe is the twin of the one of ``start``, or, with ``search``, the one that a search finds.
    """
    way = start.way or AS_GIVEN
    way = replace(way, row=-way.row, column=-way.column)
    data = _taken(start.data, replace(AS_GIVEN, row=-1, column=-1))
    assert start.probe is not None
    twin = np.roll(start.probe[:, ::-1, ::-1].conj(), 1 - start.probe.shape[-1] % 2, axis=(-2, -1))
    probe = find_probe(data, seed, threads).probe[None] if search else twin
    said = f"positions turned by half a turn: {way.remedy}" if not way.as_given else "positions as they are given"
    return replace(start, data=data, probe=probe, way=None if way.as_given else way, said=(*start.said, said))


def _searched(data: PtychoData, seed: int, machine: dict[str, Any], say: Callable[[str], None]) -> Begin:
    """Search for the probe: for the positions as given at first, then all ways together, with few curvatures first."""

    def start(way: Orientation, found: ProbeSearch) -> Begin:
        turned = () if way.as_given else (f"positions taken as {way.name}: {way.remedy}",)
        at = None if way.as_given else way
        return Begin(_taken(data, way), found.probe[None], text, at, found.decided, (_described(found), *turned))

    known: dict[tuple[Plan, Orientation | None, bytes], Trial] = {}
    text = f"opty.analysis.find_probe(data, seed={seed}).probe" if seed else "opty.analysis.find_probe(data).probe"
    searches: dict[Orientation, Searching] = {}
    for way in (AS_GIVEN, *OTHERS):
        say("starting probe" if way.as_given else f"starting probe, positions as {way.name}")
        search = searches[way] = Searching(_taken(data, way), seed, machine["threads"])
        search.look(every=2)
        found = search.found()
        if found.decided and (way.as_given or found.score < DECIDED * searches[AS_GIVEN].found().score):
            search.look()
            return start(way, search.refined())
    for every in (2, 1):
        say("orientation of the positions, by longer runs")
        if every == 1:
            for search in searches.values():
                search.look()
        way, sure = _by_longer_runs(
            [start(way, search.found()) for way, search in searches.items()], known, seed, machine
        )
        if sure:
            break
    searches[way].look()
    return replace(start(way, searches[way].refined()), decided=sure)


def _by_longer_runs(
    starts: list[Begin], known: dict[tuple[Plan, Orientation | None, bytes], Trial], seed: int, machine: dict[str, Any]
) -> tuple[Orientation, bool]:
    """Return the way from which pixels held out are predicted best, the first unless another does for sure; and whether
    it does. ``known`` : the trials so far, by plan, way and probe; new ones are added.
    """
    best, views = starts[0], middle(starts[0].data, FEWEST)
    for plan in DECIDING:
        trials = []
        for start in starts:
            assert start.probe is not None
            what = plan, start.way, start.probe.tobytes()
            if what not in known:
                part = Part(replace(start, data=_taken(views, start.way or AS_GIVEN)), seed, machine)
                known[what] = tried(plan.recipe, part.start(plan.modes), part.held)
            trials.append(known[what])
        first, *rest = sorted(range(len(starts)), key=lambda i: trials[i].score)
        if first == 0 or trials[first].beats(trials[0], WAY_WORTH):
            best = starts[first]
        if all(trials[first].beats(trials[i], WAY_WORTH) for i in rest):
            return best.way or AS_GIVEN, True
    return best.way or AS_GIVEN, False


def _described(found: ProbeSearch) -> str:
    where = f"curvature {found.curvature:.4g} px^2" if found.defocus is None else f"defocus {found.defocus:.4g} m"
    doubt = "" if found.decided else "; others do nearly as well"
    return f"starting probe from the mean pattern with {where} (misfit of held-out views {found.score:.4g}{doubt})"


def _taken(data: PtychoData, way: Orientation) -> PtychoData:
    return data.replace(positions=way.apply(data.positions), truth=None)

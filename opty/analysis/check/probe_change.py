"""Does the illumination change during a scan? The probes of its two halves must predict each other's views."""

from __future__ import annotations

import warnings

import numpy as np

from opty.analysis.check.findings import Findings
from opty.analysis.check.trials import Score, Trials
from opty.analysis.held_out import held_out_misfit
from opty.analysis.orientation import Orientation
from opty.analysis.probe_search import find_probe
from opty.data import PtychoData
from opty.data.parts import chosen
from opty.errors import MisfitWarning
from opty.recipes import rPIE
from opty.remedies import option
from opty.runtime.execute import run
from opty.state import handle

FEWEST = 32  # views: a half of fewer tells little
MOST = 100  # of a half
REFINED = rPIE(alpha=0.1) ** 20
FIXED = rPIE(alpha=0.1).fix("probe") ** 10
PREDICTS = 0.8  # excess of a score below which the probe of a half is known
CHANGED, BOTH = 4.0, 2.0  # times the misfit from its own probe: in one half, and in the other


def probe_change(trials: Trials, probe: np.ndarray | None, way: Orientation) -> Findings:
    """Compare the halves of a scan, in the order of the views.

    ``probe``: that predicts the whole, or None where none does: then each half searches for one.
    """
    lit = np.flatnonzero(trials.lit)
    if len(lit) < FEWEST:
        return Findings()
    halves = [_part(trials, part, way) for part in (lit[: len(lit) // 2], lit[len(lit) // 2 :])]
    start = probe if probe is not None else trials.probe
    found = [_probe_of(trials, half, start) for half in halves]
    own = [_score(trials, half, one) for half, one in zip(halves, found, strict=True)]
    if max(score.excess for score in own) > PREDICTS:
        return Findings()
    other = [  # half a turn cannot be told where a half has searched for its probe
        min((_score(trials, half, one) for one in (theirs, _twin(theirs))), key=lambda score: score.misfit)
        for half, theirs in zip(halves, found[::-1], strict=True)
    ]
    ratios = [theirs.misfit / max(ours.misfit, 1e-300) for ours, theirs in zip(own, other, strict=True)]
    if max(ratios) < CHANGED or min(ratios) < BOTH:
        return Findings()
    counts = (len(lit) // 2, len(lit) - len(lit) // 2)
    each = option("model", f"Object() * Probe(scans={counts})")
    return Findings(
        warnings=(
            f"the probe changes during the scan: that of the first half predicts the last half {ratios[1]:.2g} times "
            f"worse than its own, and the other way round {ratios[0]:.2g} times; give each part a probe of its own "
            f"({each}, with the numbers of views before the change and after it), or let the probe vary",
        )
    )


def _part(trials: Trials, views: np.ndarray, way: Orientation) -> PtychoData:
    places = trials.data.positions[views]
    nearest = np.argsort(np.linalg.norm(places - places.mean(axis=0), axis=1), kind="stable")
    some = np.sort(nearest[: min(MOST, trials.most)])
    return chosen(trials.data, views[some]).replace(positions=way.apply(places[some]), probe=None)


def _probe_of(trials: Trials, part: PtychoData, start: np.ndarray | None) -> np.ndarray:
    """Return the probe that a run on a part of the scan arrives at; from a searched one where the start is far off."""
    if start is not None:
        found = _refined(part, start)
        if _score(trials, part, found).excess <= PREDICTS or not trials.far:
            return found
    return _refined(part, find_probe(part, threads=1).probe)


def _refined(part: PtychoData, start: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MisfitWarning)
        p = run(REFINED, handle()(part, probe=start, device="cpu", threads=1))
    return np.asarray(p.numpy("probe"))


def _score(trials: Trials, part: PtychoData, probe: np.ndarray) -> Score:
    return trials.scored(part, held_out_misfit(part, probe, FIXED, device="cpu", threads=1))


def _twin(probe: np.ndarray) -> np.ndarray:
    """Return the probe of the object turned by half a turn and conjugate."""
    return np.roll(probe[..., ::-1, ::-1].conj(), (1, 1), (-2, -1))

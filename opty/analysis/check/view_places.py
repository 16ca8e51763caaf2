"""Would the views rather be elsewhere? A run with refined positions against one without, by pixels held out."""

from __future__ import annotations

import numpy as np

from opty.analysis.check.findings import Findings
from opty.analysis.check.frame_statistics import Frames
from opty.analysis.check.scan_stretch import Stretch, find_stretch, of_stretch
from opty.analysis.check.trials import FEWEST, Trials
from opty.analysis.check.two_runs import TwoRuns, two_runs
from opty.analysis.orientation import AS_GIVEN
from opty.data import PtychoData
from opty.operators import PosCorrect
from opty.recipes import rPIE
from opty.remedies import here

VIEWS = 100  # that are looked at
SWEEPS = 20
MOVED = 0.15  # px, root mean square: what refined positions move by at least; where they are right they stay
LOOK, WORTH = 0.05, 0.1  # of the deviance that is to be gained: to look further, and to say it; of a real scan 0.07
HARDER = 1.5  # times the deviance that refined positions leave, which a map that explains them may leave
MISSED = 0.15  # excess of held-out views from which on a map of all positions is looked for though no view moves


def places_in_brief(data: PtychoData, frames: Frames, probe: np.ndarray, one_by_one: bool = True) -> Findings:
    """Say whether the positions of a scan are off, one by one or as a whole, by short runs on its middle.

    Where views move (``views_move``), or are predicted badly, the map of all positions is looked for by which views
    held out are predicted better (``find_stretch``): a wrong distance, a turn or a shear. Where there is one that
    explains the views that moved, it is said, else that positions are off one by one.

    Parameters: data; its frames as looked at; the starting probe (M, n, n) or (n, n), given or searched for;
    whether positions that are off ``one_by_one`` are worth saying: not where they will be refined.
    Returns: Findings, none for a scan of too few good views.
    """
    trials = Trials(data, frames)
    if trials.lit.sum() < FEWEST:
        return Findings()
    trials.views = min(VIEWS, trials.most)
    part = trials.part(AS_GIVEN)
    found = views_move(part, probe)
    if found is None and trials.score(part, probe).excess < MISSED:
        return Findings()
    stretch = find_stretch(part, probe)
    if explains_more(stretch, found):
        return of_stretch(stretch) if stretch.gain > WORTH else Findings()
    return of_places(found, part.n) if one_by_one else Findings()


def views_move(part: PtychoData, probe: np.ndarray) -> TwoRuns | None:
    """Return what came of refined positions, where pixels held out are predicted better for these; else None.

    Two runs from one probe, with and without positions refined, on a part of a scan without six percent of its pixels.
    """
    engine = rPIE(alpha=0.1)
    found = two_runs(part, probe, (engine**SWEEPS, (PosCorrect(wait=False) * engine) ** SWEEPS))
    if found is None or not found.sure or found.ratio > 1 - LOOK or moved(found, part.n) < MOVED:
        return None
    return found


def explains_more(stretch: Stretch, found: TwoRuns | None) -> bool:
    """Say whether a map of all positions predicts better for sure, and explains views that moved one by one.

    Held-out views are harder to predict than held-out pixels. Of views that were off by chance a map explained much
    less: 0.66 times the deviance, where refined positions left 0.31.
    """
    return stretch.better and (found is None or 1 - stretch.gain < HARDER * found.ratio)


def moved(found: TwoRuns, n: int) -> float:
    """Return by how much the second run moved the views against each other, root mean square, in pixels at the sample
    of patterns of ``n`` px.
    """
    away = found.state.numpy("positions") - found.state.data.positions_px
    rms = float(np.sqrt(((away - away.mean(axis=0)) ** 2).sum(axis=1).mean()))
    return rms * n / found.state.data.n


def of_places(found: TwoRuns | None, n: int) -> Findings:
    """Say that positions of a scan of patterns of ``n`` px are off one by one, where that explains enough."""
    if found is None or found.ratio > 1 - WORTH:
        return Findings()
    near = here("(PosCorrect() * rPIE()) ** 60", '--recipe "(PosCorrect() * rPIE())**60"')
    far = here("rPIE() ** 30 * FindPositions()", '--recipe "rPIE()**30 * FindPositions()"')
    return Findings(
        warnings=(
            f"refined one by one, positions move by {moved(found, n):.2g} px rms, and pixels held out are predicted "
            f"with {found.ratio:.2g} times the deviance: the positions are off: {near}, or {far} where that is by more "
            "than a few pixels",
        )
    )

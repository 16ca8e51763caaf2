"""Do all pixels hold a constant beside the light? A pedestal of the detector, told by its flat floor and two runs."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from opty.analysis.check.findings import Findings
from opty.analysis.check.frame_statistics import Frames
from opty.analysis.check.trials import Trials
from opty.analysis.check.two_runs import two_runs
from opty.analysis.coverage import is_near
from opty.analysis.orientation import AS_GIVEN
from opty.data import PtychoData
from opty.operators import BackgroundUpdate
from opty.recipes import rPIE
from opty.remedies import here, option

SWEEPS, VIEWS = 10, 100
LOW, HIGH = 2.0, 20.0  # percentiles of the mean pattern
FALL = 3.0  # times the lower: about what the higher is of light alone; the same of drawn scans from 1e4 to 1e7 photons
LEAST = 0.2  # of the lower: what a constant has to be of it
SHARE = 0.01  # of the light, from which on a floor is worth runs
WORTH = 0.03  # of the deviance of held-out pixels: what a background that is estimated must gain


def of_pedestal(trials: Trials, frames: Frames, part: PtychoData, probe: np.ndarray) -> Findings:
    """Say that there is a constant beside the light, where pixels held out are predicted better for it.

    The darkest fifth of a far-field pattern differs by factors from pixel to pixel, but for a constant that is added.
    Two runs, with and without a constant estimated, on a part of a scan without six percent of its pixels. Nothing is
    run where there is no such floor, nor in the near field, where light is everywhere.
    """
    level = floor(frames)
    share = level * frames.mean.size / frames.mean.sum()
    if is_near(trials.data) or trials.data.background is not None or share < SHARE:
        return Findings()
    engine = rPIE(alpha=0.1)
    found = two_runs(part, probe, (engine**SWEEPS, (BackgroundUpdate(shape="flat") * engine) ** SWEEPS))
    if found is None or not found.sure or found.ratio > 1 - WORTH:
        return Findings()
    return Findings(
        warnings=(
            f"all pixels hold about {level:.3g} counts beside the light, {share:.0%} of all that is counted: with a "
            f"background estimated, pixels held out have a deviance of {found.ratio:.2g} times that without: "
            f"{here('load with', 'give')} {option('dark', float(f'{level:.3g}'))}",
        )
    )


def floor_of(data: PtychoData, frames: Frames, probe: np.ndarray) -> Findings:
    """Return ``of_pedestal`` of the middle of a scan, from a probe that a search has found."""
    trials = Trials(data, frames)
    trials.views = min(VIEWS, trials.most)
    return of_pedestal(trials, frames, trials.part(AS_GIVEN), probe)


def floor(frames: Frames) -> float:
    """Return about the counts a pixel of the constant under a mean pattern, 0 where there is none to be seen."""
    good = ~(frames.bad | frames.dead)
    low, high = np.percentile(ndimage.uniform_filter(frames.light, 3)[good], (LOW, HIGH))
    level = (FALL * low - high) / (FALL - 1)
    return float(level) if level > LEAST * low else 0.0

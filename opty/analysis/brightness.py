"""Does the light change from view to view by more than the object explains? Two exposures, a beam that fluctuates."""

from __future__ import annotations

import math
import warnings

import numpy as np
from scipy.spatial import cKDTree

from opty.analysis.findings import Findings
from opty.analysis.held_blocks import deviances, on, withhold
from opty.analysis.trials import Trials, lighter
from opty.data import PtychoData
from opty.errors import DivergedError, MisfitWarning
from opty.operators import IntensityUpdate
from opty.recipes import rPIE
from opty.remedies import here
from opty.runtime.execute import run
from opty.state import handle

SWEEPS = 10
NEIGHBOURS = 6
UNEVEN, NOISES = 0.02, 3.0  # scatter of the views' light against their neighbours' from which on runs are worth it
WORTH = 0.15  # of the deviance of held-out pixels: what intensities that are estimated must gain
SURE = 3.0  # standard errors of the views' differences
VARIES = 0.08  # spread of the estimated intensities below which they are no matter


def of_brightness(trials: Trials, part: PtychoData, probe: np.ndarray) -> Findings:
    """Say that the light varies from view to view, where blocks of pixels held out are predicted better for it.

    Two runs from one probe, with and without the intensity of each view estimated, on a part of a scan without six
    percent of its pixels. Nothing is run where neighbouring views are about equally bright.
    """
    if not uneven(part):
        return Findings()
    part, probe = lighter(part, probe)
    held = withhold(part)
    power = math.sqrt(float(part.photons().max()) / (np.abs(probe) ** 2).sum())
    start = handle()(part.replace(probe=None), probe=probe * power, device="cpu", threads=1)
    scores, spread = [], 0.0
    for recipe in (rPIE(alpha=0.1) ** SWEEPS, (IntensityUpdate() * rPIE(alpha=0.1)) ** SWEEPS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MisfitWarning)
            try:
                p = run(recipe, on(start, held.fitted))
            except DivergedError:
                return Findings()
        scores.append(deviances(on(p, held.blocks))[0])
        if "intensity_factors" in p._live.leaves:
            factors = np.log(p.numpy("intensity_factors"))
            spread = float(factors.std())
    gain = scores[0] - scores[1]
    sure = gain.sum() > SURE * math.sqrt(len(gain)) * gain.std(ddof=1)
    if not sure or gain.sum() < WORTH * scores[0].sum() or spread < VARIES:
        return Findings()
    recipe_said = here("IntensityUpdate() * rPIE(), say", '--recipe "(IntensityUpdate() * rPIE())**30", say')
    return Findings(
        warnings=(
            f"the light varies by {spread:.0%} from view to view, more than the object explains: with the intensity of "
            f"each view estimated, pixels held out have a deviance of {scores[1].sum() / scores[0].sum():.2g} times "
            f"that without: {recipe_said}",
        )
    )


def uneven(data: PtychoData) -> bool:
    """Whether the light of views differs from that of their neighbours by more than noise."""
    photons = data.photons()
    lit = photons > 0
    if lit.sum() <= NEIGHBOURS:
        return False
    photons, places = photons[lit], data.positions[lit]
    around = cKDTree(places).query(places, k=NEIGHBOURS + 1)[1][:, 1:]
    ratio = np.log(photons[:, None] / photons[around])
    scatter = math.sqrt(float((ratio**2).mean()) / 2)
    return scatter > max(UNEVEN, NOISES / math.sqrt(float(np.median(photons))))

"""Does the light change from view to view by more than the object explains? Two exposures, a beam that fluctuates."""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial import cKDTree

from opty.analysis.check.findings import Findings
from opty.analysis.check.two_runs import two_runs
from opty.data import PtychoData
from opty.operators import IntensityUpdate
from opty.recipes import rPIE
from opty.remedies import here

SWEEPS = 10
NEIGHBOURS = 6
UNEVEN, NOISES = 0.02, 3.0  # scatter of the views' light against their neighbours' from which on runs are worth it
WORTH = 0.15  # of the deviance of held-out pixels: what intensities that are estimated must gain
VARIES = 0.08  # spread of the estimated intensities below which they are no matter


def of_brightness(part: PtychoData, probe: np.ndarray) -> Findings:
    """Say that the light varies from view to view, where blocks of pixels held out are predicted better for it.

    Two runs from one probe, with and without the intensity of each view estimated, on a part of a scan without six
    percent of its pixels. Nothing is run where neighbouring views are about equally bright.
    """
    if not uneven(part):
        return Findings()
    engine = rPIE(alpha=0.1)
    found = two_runs(part, probe, (engine**SWEEPS, (IntensityUpdate() * engine) ** SWEEPS))
    if found is None or not found.sure or found.ratio > 1 - WORTH:
        return Findings()
    spread = float(np.log(found.state.numpy("intensity_factors")).std())
    if spread < VARIES:
        return Findings()
    recipe_said = here("IntensityUpdate() * rPIE(), say", '--recipe "(IntensityUpdate() * rPIE())**30", say')
    return Findings(
        warnings=(
            f"the light varies by {spread:.0%} from view to view, more than the object explains: with the intensity of "
            f"each view estimated, pixels held out have a deviance of {found.ratio:.2g} times "
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

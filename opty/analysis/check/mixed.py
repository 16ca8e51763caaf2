"""Is the beam, or the object, a mixture of states that a result does not hold? Held-out pixels tell."""

from __future__ import annotations

import numpy as np

from opty.analysis.check.two_runs import Start, two_runs
from opty.data import PtychoData
from opty.model import Object, Probe, parse
from opty.recipes import rPIE
from opty.remedies import here, option

SWEEPS = 20  # until states have come apart
MORE_MODES = 2
WORTH = 0.15  # of the deviance of held-out pixels: what a mixture must gain


def of_mixture(part: PtychoData, probe: np.ndarray) -> str | None:
    """Say that more modes of the probe, or two states of the object, predict pixels held out better; None for nothing.

    Runs from one probe (M, n, n), on a part of a scan without six percent of its pixels: as it is, with two modes more,
    and with two states of the object, for one that fluctuates.
    """
    modes = len(probe) + MORE_MODES
    states = repr(Object(states=2))
    if len(probe) > 1:
        states += f" * {Probe(modes=len(probe))!r}"
    tried = {
        option("modes", modes): Start(modes=modes),
        here(f"model={states}", f'--model "{states}"'): Start(model=parse(states)),
    }
    recipe = rPIE(alpha=0.1) ** SWEEPS
    gains = {}
    for name, start in tried.items():
        found = two_runs(part, probe, (recipe, recipe), start)
        if found is not None and found.sure and found.ratio < 1 - WORTH:
            gains[name] = found.ratio
    if not gains:
        return None
    said = [f"{gains[name]:.2g} times with {name}" for name in sorted(gains, key=gains.__getitem__)]
    return (
        "the beam or the sample seems to be a mixture of states that the result does not hold: the deviance of pixels "
        f"held out is {', '.join(said)}: try that"
    )

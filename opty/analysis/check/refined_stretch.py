"""The scale of positions that are wrong one by one as well: they are refined first, and stretched then."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np

from opty.algebra.operator import Operator
from opty.analysis.check.scan_stretch import SHEARED, TOLERANCE, Stretch, find_stretch, small
from opty.data import PtychoData
from opty.errors import DivergedError, MemoryWarning, MisfitWarning
from opty.operators import PosCorrect
from opty.physics.scan_map import scan_map
from opty.recipes import rPIE
from opty.runtime.execute import run
from opty.state import handle

REFINED: Operator = (PosCorrect(wait=False) * rPIE(alpha=0.1)) ** 20
MOVED = 0.5  # px, root mean square: what positions that are wrong one by one move by at least


def find_refined_stretch(part: PtychoData, probe: np.ndarray) -> Stretch | None:
    """Find the affine map of the positions of a part of a scan after these were refined, one by one.

    Positions that are wrong by pixels hide that all of them are too wide: no view is predicted well in either case.
    Refined ones go part of the way to the true scale, and ``find_stretch`` goes on from there.

    Parameters: as those of ``find_stretch``.
    Returns: Stretch, of the positions as they are in ``part``, to first order; None where they hardly move, or the run
    diverges.
    """
    part, probe = small(part, probe)
    power = math.sqrt(float(part.photons().max()) / (np.abs(probe) ** 2).sum())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MisfitWarning)
        warnings.simplefilter("ignore", MemoryWarning)
        try:
            p = run(REFINED, handle()(part, probe=probe * power, device="cpu", threads=1))
        except DivergedError:
            return None
    places = p.numpy("positions")
    moved = places - part.positions_px
    moved -= moved.mean(axis=0)
    if math.sqrt((moved**2).sum(axis=1).mean()) < MOVED:
        return None
    found = find_stretch(part.replace(positions=places * (part.pixel or 1.0)), p.numpy("probe"))
    return of_given(found, places, part.positions_px)


def of_given(found: Stretch, places: np.ndarray, given: np.ndarray) -> Stretch:
    """Return a stretch of refined ``places`` (N, 2) as one of the positions from which they were refined.

    It is better only where, together, they differ from the identity by more than runs can tell.
    """
    first = scan_map(places, given, "affine")
    row, column = first.scale
    scale, aspect = found.scale * math.sqrt(row * column), found.aspect * row / column
    rotation, shear = found.rotation + first.rotation, found.shear + first.shear
    off = max(abs(math.log(scale)), abs(math.log(aspect)), abs(rotation)) > TOLERANCE or abs(shear) > SHEARED
    return replace(
        found, scale=scale, aspect=aspect, rotation=rotation, shear=shear, off=off, better=found.better and off
    )

"""Do positions and patterns have one scale? Positions stretched and turned a little must not predict views better."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from opty.analysis.findings import Findings
from opty.analysis.held_out import HeldOut, held_out
from opty.analysis.trials import lighter
from opty.data import PtychoData
from opty.errors import MisfitWarning
from opty.recipes import rPIE
from opty.remedies import here, option
from opty.runtime.execute import run
from opty.state import handle

ADAPTED = rPIE(alpha=0.1) ** 20  # the probe, to the positions as they are
RECIPE = rPIE(alpha=0.1) ** 10
STEPS = {  # of each number of the map: the first step and the widest that are tried
    "scale": (0.06, math.log(2.2)),
    "aspect": (0.08, 0.4),
    "rotation": (0.05, 0.35),
    "shear": (0.08, 0.4),
}
GROWTH = 1.5  # of one step to the next, while they lead down
ROUNDS = 3  # over the four numbers, as long as one but the first moves
TOLERANCE = 0.025  # of each number: what the runs tell for sure
SURE = 2.0  # standard errors of the views' differences
WORTH = 0.08  # of the misfit: what a map must gain; a probe that has not relaxed gives a right scan up to 0.06


@dataclass(frozen=True)
class Stretch:
    """The map of the positions by which an object and a probe predict views best.

    A = R S D as in ``opty.physics.scan_map``: D multiplies rows and columns by the ``scale``, rows by the root of the
    ``aspect``, columns by its inverse; S has the ``shear``, R turns by ``rotation`` [rad]. ``misfit`` of held-out views
    with it, ``given`` with the positions as they are; ``off``: it differs from these by more than runs can tell;
    ``better``: and predicts better for sure; ``known``: the misfit surely rises where the scale is changed.
    """

    scale: float
    aspect: float
    rotation: float
    shear: float
    misfit: float
    given: float
    off: bool
    better: bool
    known: bool

    @property
    def factors(self) -> tuple[float, float]:
        """By which (row, column) positions are to be multiplied."""
        root = math.sqrt(self.aspect)
        return self.scale * root, self.scale / root


def find_stretch(part: PtychoData, probe: np.ndarray, begin: float = 1.0, adapt: bool = True) -> Stretch:
    """Find the affine map of the positions of a part of a scan from which a short run predicts held-out views best.

    One number after the other: a common factor, a ratio of the two axes, a rotation, a shear. Along each the misfit is
    bracketed and its least found by a parabola. The probe is refined in each run, as one that was found with positions
    of a wrong scale has adapted to them.

    Parameters: part of the measurement, ``probe`` (M, n, n) that predicts its views at the scale ``begin``, and whether
    to ``adapt`` it first.
    """
    part, probe = lighter(part, probe)
    at = np.zeros(len(STEPS))
    at[0] = math.log(begin)
    if adapt:
        probe = _adapted(part.replace(positions=mapped(part.positions, at)), probe)
    look = _Look(part, probe)
    known = False
    for turn in range(ROUNDS):
        before = at
        for k, (first, most) in enumerate(STEPS.values()):
            at, bracketed = _least(look, at, k, first / 2**turn, most)
            known = known or (k == 0 and bracketed)
        if np.abs(at - before)[1:].max() < TOLERANCE:
            break
    best, given = look(at), look(np.zeros(len(STEPS)))
    gained = surely_less(best, given) and best.misfit < (1 - WORTH) * given.misfit
    off = float(np.abs(at).max()) > TOLERANCE
    scale, aspect, rotation, shear = (float(x) for x in at)
    numbers = math.exp(scale), math.exp(aspect), rotation, shear
    return Stretch(*numbers, best.misfit, given.misfit, off, off and gained, known)


def of_stretch(found: Stretch) -> Findings:
    """Say by how much the positions are off as a whole, and what to do about it."""
    if not found.better:
        return Findings()
    remedies = []
    if abs(math.log(found.scale)) > TOLERANCE or abs(math.log(found.aspect)) > TOLERANCE:
        same = abs(math.log(found.aspect)) <= TOLERANCE
        factors = tuple(round(factor, 3) for factor in found.factors)
        value: float | tuple[float, ...] = round(found.scale, 3) if same else factors
        remedies.append(option("position_scale", value) + ", or the distance or pixel size that makes up for it" * same)
    if abs(found.rotation) > TOLERANCE:
        remedies.append(option("scan_rotation", f"{math.degrees(found.rotation):.3g}deg"))
    if abs(found.shear) > TOLERANCE:
        remedies.append(f"{here('PosCorrect()', 'a recipe with PosCorrect()')} for a shear of {found.shear:.3g}")
    return Findings(
        warnings=(
            f"positions and patterns do not have one scale: stretched or turned, the positions predict held-out views "
            f"with a misfit of {found.misfit:.3g}, as given of {found.given:.3g}: "
            f"{here('load with', 'give')} {' and '.join(remedies)}",
        )
    )


def surely_less(one: HeldOut, other: HeldOut) -> bool:
    """Whether one run predicts the same views better than another, by two standard errors of their differences."""
    gain = other.squares - one.squares
    if not np.isfinite(one.squares).all():
        return False
    if not np.isfinite(gain).all():
        return True
    return bool(gain.sum() > SURE * math.sqrt(len(gain)) * gain.std(ddof=1))


class _Look:
    """Held-out views of a part, with its positions mapped; each map is tried once."""

    def __init__(self, part: PtychoData, probe: np.ndarray):
        self.part, self.probe = part, probe
        self.known: dict[tuple[float, ...], HeldOut] = {}

    def __call__(self, at: np.ndarray) -> HeldOut:
        key = tuple(np.round(at, 6).tolist())
        if key not in self.known:
            moved = mapped(self.part.positions, at)
            self.known[key] = held_out(self.part.replace(positions=moved), self.probe, RECIPE, device="cpu", threads=1)
        return self.known[key]


def mapped(positions: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return positions (N, 2) mapped about their mean; ``at``: logarithms of scale and aspect, rotation, shear."""
    scale, aspect, rotation, shear = at
    cos, sin = math.cos(rotation), math.sin(rotation)
    factors = np.diag([math.exp(scale + aspect / 2), math.exp(scale - aspect / 2)])
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1.0, shear], [0.0, 1.0]]) @ factors
    middle = positions.mean(axis=0)
    return middle + (positions - middle) @ matrix.T


def _least(look: _Look, at: np.ndarray, k: int, step: float, most: float) -> tuple[np.ndarray, bool]:
    """Return the map of the least misfit along one number, and whether the misfit surely rises to both sides of it."""

    def along(x: float) -> np.ndarray:
        moved = at.copy()
        moved[k] = x
        return moved

    def cost(x: float) -> float:
        return look(along(x)).misfit

    first = float(at[k])
    points = [first - step, first, first + step]
    while (best := min(points, key=cost)) in (points[0], points[-1]):
        step *= GROWTH
        further = best + (step if best > first else -step)
        if abs(further) > most:
            return along(best), False
        points = sorted([*points, further])
    i = points.index(best)
    x = np.array(points[i - 1 : i + 2])
    y = np.array([cost(point) for point in x])
    least = look(along(best))
    bracketed = all(surely_less(least, look(along(point))) for point in (x[0], x[2]))
    low, high = (y[1] - y[0]) / (x[1] - x[0]), (y[2] - y[1]) / (x[2] - x[1])
    if not (math.isfinite(low) and math.isfinite(high) and high > low):
        return along(best), bracketed
    vertex = float((x[0] + x[1]) / 2 - low * (x[2] - x[0]) / 2 / (high - low))
    return (along(vertex) if cost(vertex) < cost(best) else along(best)), bracketed


def _adapted(part: PtychoData, probe: np.ndarray) -> np.ndarray:
    power = math.sqrt(float(part.photons().max()) / (np.abs(probe) ** 2).sum())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MisfitWarning)
        p = run(ADAPTED, handle()(part.replace(probe=None), probe=probe * power, device="cpu", threads=1))
    return np.asarray(p.numpy("probe"))

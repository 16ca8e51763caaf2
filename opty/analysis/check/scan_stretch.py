"""Do positions and patterns have one scale? A run in which the positions are stretched and turned as a whole tells."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from opty.algebra.operator import Operator
from opty.analysis.check.findings import Findings
from opty.analysis.check.trials import cropped, lighter
from opty.analysis.coverage import is_near
from opty.analysis.held_blocks import deviance, deviances
from opty.data import PtychoData
from opty.data.parts import chosen, coarser
from opty.errors import DivergedError, MemoryWarning, MisfitWarning
from opty.operators.position.affine import affine_step
from opty.physics.scan_map import scan_map
from opty.recipes import ML, rPIE
from opty.remedies import here, option
from opty.runtime.execute import run
from opty.state import BareState, handle

EDGE, LIGHT = 64, 0.9  # px of the patterns' middle that are looked at, where it holds that share of the light
EDGE_NEAR = 128  # px to which patterns of the near field are binned
SHARE, INSIDE = 0.25, 0.6  # of the views that are held out, and of those in the middle, all round which are others
ROUNDS: tuple[Operator, ...] = (rPIE(alpha=0.1) ** 6, *11 * (rPIE(alpha=0.1) ** 2,), *8 * (ML() ** 3,))
LAST = ML() ** 10
BRIEF = rPIE(alpha=0.1) ** 10
GAIN, MOMENTUM = 1.5, 0.7  # of the steps: what an object that follows slowly leaves of each is made up for
LONGEST = 0.05  # step of a number of the map
TOLERANCE, SHEARED = 0.025, 0.04  # of scale, aspect and rotation, and of the shear: what the runs tell for sure
SURE, KNOWN = 2.5, 2.0  # standard errors of the views' differences
WORTH = 0.01  # of the deviance: what a map must gain
ASIDE = 0.06  # by which the scale is changed, to see whether the views tell it
LITTLE = 0.2  # of the deviance of held-out views: no more is gained by a stretch where a blur or a path is ignored


@dataclass(frozen=True)
class Stretch:
    """The map of the positions by which an object and a probe predict views best.

    A = R S D as in ``opty.physics.scan_map``: D multiplies rows and columns by the ``scale``, rows by the root of the
    ``aspect``, columns by its inverse; S has the ``shear``, R turns by ``rotation`` [rad]. ``gain``: the share of the
    deviance of held-out views that it saves, 0 where it is none. ``off``: it differs from the positions as they are by
    more than runs can tell, and predicts no worse for sure; ``better``: it predicts better for sure. ``known``:
    held-out views are predicted worse for sure where the scale is changed either way, None where nobody asked.
    """

    scale: float
    aspect: float
    rotation: float
    shear: float
    gain: float
    off: bool
    better: bool
    known: bool | None = None

    @property
    def factors(self) -> tuple[float, float]:
        """By which (row, column) positions are to be multiplied."""
        root = math.sqrt(self.aspect)
        return self.scale * root, self.scale / root


def find_stretch(part: PtychoData, probe: np.ndarray, begin: float = 1.0, bracket: bool = False) -> Stretch:
    """Find the affine map of the positions of a part of a scan by which an object and a probe predict views best.

    One run on three quarters of the views. After every few sweeps the other views tell by how much all positions are to
    be stretched and turned (``affine_step``), and positions and object go there together. Then, where that led
    anywhere, a run alike with the positions as they are: the map is better where it predicts the held-out views better
    for sure. Runs that predict them no better than the mean pattern does tell nothing.

    Parameters: part of the measurement; ``probe`` (M, n, n) that predicts its views at the scale ``begin``; whether to
    ``bracket`` the scale, by two runs with positions stretched by six percent either way.
    Returns: Stretch. Where a run diverges, nothing is better and nothing known.
    """
    look = _Look(*small(part, probe))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MisfitWarning)
        warnings.simplefilter("ignore", MemoryWarning)
        try:
            matrix, with_it = look.moving(begin)
        except DivergedError:
            return Stretch(1.0, 1.0, 0.0, 0.0, 0.0, False, False, False)
        numbers = numbers_of(matrix)
        scale, aspect, rotation, shear = numbers
        off = max(abs(math.log(scale)), abs(math.log(aspect)), abs(rotation)) > TOLERANCE or abs(shear) > SHEARED
        gain, better, known, given, mean = 0.0, False, None, None, look.by_mean()
        if off:
            given = look.still(np.eye(2))
            gain = 1 - float(with_it.sum() / given.sum())
            better = surely_less(with_it, given, SURE, WORTH) and surely_less(with_it, mean, KNOWN)
            off = better or not surely_less(given, with_it, KNOWN)
        if bracket:
            base = with_it if better else look.still(np.eye(2)) if given is None else given
            middle = matrix if better else np.eye(2)
            scaled = (look.still(middle * math.exp(by)) for by in (-ASIDE, ASIDE))
            known = all(surely_less(base, other, KNOWN) for other in (mean, *scaled))
    return Stretch(*numbers, gain, off, better, known)


def scale_known(part: PtychoData, probe: np.ndarray) -> bool:
    """Say whether held-out views are predicted worse for sure where the scale of the positions is changed either way.

    Three short runs; where they do not tell, three as long as those of ``find_stretch``.
    """
    look = _Look(*small(part, probe))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MisfitWarning)
        warnings.simplefilter("ignore", MemoryWarning)
        for rounds in ((BRIEF,), (*ROUNDS, LAST)):
            base = look.still(np.eye(2), rounds)
            scaled = (look.still(np.eye(2) * math.exp(by), rounds) for by in (-ASIDE, ASIDE))
            if all(surely_less(base, one, KNOWN) for one in (look.by_mean(), *scaled)):
                return True
    return False


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
    if abs(found.shear) > SHEARED:
        remedies.append(f"{here('PosCorrect()', 'a recipe with PosCorrect()')} for a shear of {found.shear:.3g}")
    return Findings(
        warnings=(
            f"positions and patterns do not have one scale: stretched or turned, the positions predict held-out views "
            f"with {1 - found.gain:.2g} times the deviance: {here('load with', 'give')} {' and '.join(remedies)}",
        )
    )


def surely_less(one: np.ndarray, other: np.ndarray, sure: float, worth: float = 0.0) -> bool:
    """Whether deviances (K,) of views are less than others, by some standard errors of their logarithms' differences.

    Logarithms, as views at the rim of a scan would outweigh all others; infinite are those of a run that diverged.
    ``worth``: what it has to be less by at least.
    """
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return bool(np.isfinite(one).all())
    gain = np.log(np.maximum(other, 1e-30)) - np.log(np.maximum(one, 1e-30))
    return bool(gain.mean() > max(worth, sure * gain.std(ddof=1) / math.sqrt(len(gain))))


class _Look:
    """Runs on a part of a scan without some of its views, and how well they predict these."""

    def __init__(self, part: PtychoData, probe: np.ndarray):
        self.part = part
        self.probe = probe * math.sqrt(float(part.photons().max()) / (np.abs(probe) ** 2).sum())
        places = np.abs(part.positions - part.positions.mean(axis=0))
        inside = np.argsort((places / np.maximum(places.max(axis=0), 1e-300)).max(axis=1), kind="stable")
        inside = inside[: max(2, round(INSIDE * part.views))]
        drawn = np.random.default_rng(0).choice(inside, max(2, round(SHARE * part.views)), replace=False)
        self.out, self.fitted = np.sort(drawn), np.setdiff1d(np.arange(part.views), drawn)

    def moving(self, begin: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the map (2, 2) of the positions to which a run goes, and the deviances of the held-out views."""
        matrix, velocity = begin * np.eye(2), np.zeros((2, 2))
        p, out, centre = self._at(matrix, self.probe)
        for recipe in ROUNDS:
            p = run(recipe, p)
            step = affine_step(_seen(p, out)._live).matrix
            velocity = MOMENTUM * velocity + GAIN * step
            velocity *= min(1.0, LONGEST / max(float(np.abs(velocity).max()), 1e-12))
            matrix = (np.eye(2) + velocity) @ matrix
            p, out, centre = self._at(matrix, p.numpy("probe"), (p.numpy("obj"), centre, velocity))
        return matrix, deviances(_seen(run(LAST, p), out))[0]

    def still(self, matrix: np.ndarray, rounds: tuple[Operator, ...] = (*ROUNDS, LAST)) -> np.ndarray:
        """Return the deviances of the held-out views after a run with one map; infinite where it diverges."""
        p, out, _ = self._at(matrix, self.probe)
        try:
            for recipe in rounds:
                p = run(recipe, p)
        except DivergedError:
            return np.full(len(self.out), np.inf)
        return deviances(_seen(p, out))[0]

    def by_mean(self) -> np.ndarray:
        """Return the deviances of the held-out views from the mean pattern of the others."""
        counts = self.part.intensities[:].astype(np.float64)
        mask = np.broadcast_to(True if self.part.mask is None else self.part.mask[:], counts.shape)
        known = mask[self.fitted]
        mean = (counts[self.fitted] * known).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        return np.asarray((deviance(np, counts[self.out], mean) * mask[self.out]).sum(axis=(1, 2)))

    def _at(
        self, matrix: np.ndarray, probe: np.ndarray, before: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    ) -> tuple[BareState, PtychoData, np.ndarray]:
        """Return a state with mapped positions, the data of the views held out, in its frame, and the centre in it.

        ``before``: the object in the last frame, the centre there, and the step of the map from there.
        """
        n, positions = self.part.n, self.part.positions_px
        places = (positions - positions.mean(axis=0)) @ matrix.T
        margin = max(8, n // 4)
        places = places - places.min(axis=0) + margin
        shape = tuple(math.ceil(span) + n + 2 * margin for span in np.ptp(places, axis=0))
        centre = places.mean(axis=0) + (n - 1) / 2
        if before is None:
            obj = np.ones(shape, np.complex64)
        else:
            old, there, step = before
            back = np.linalg.inv(np.eye(2) + step)
            offset = there - back @ centre
            obj = ndimage.affine_transform(old, back, offset, shape, order=1, mode="nearest").astype(np.complex64)
        data = self.part.replace(positions=places * (self.part.pixel or 1.0))
        p = handle()(chosen(data, self.fitted), probe=probe, obj=obj, device="cpu", threads=1)
        return p, chosen(data, self.out), centre


def _seen(p: BareState, data: PtychoData) -> BareState:
    """Return a state of other views in the frame of ``p``, with its object and probe."""
    return handle()(data, probe=p.numpy("probe"), obj=p.numpy("obj"), device="cpu", threads=1)


def small(part: PtychoData, probe: np.ndarray) -> tuple[PtychoData, np.ndarray]:
    """Return a part at the lowest resolution that tells its scale, and the probe at that."""
    part = part.replace(probe=None, truth=None)
    if not is_near(part):
        return lighter(part, probe, EDGE, LIGHT)
    factor = 1
    while part.n % (2 * factor) == 0 and part.n // (2 * factor) >= EDGE_NEAR:
        factor *= 2
    return coarser(part, factor), cropped(probe, part.n // factor)


def numbers_of(matrix: np.ndarray) -> tuple[float, float, float, float]:
    """Return scale, aspect, rotation and shear of a map (2, 2)."""
    corners = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    found = scan_map(corners @ matrix.T, corners, "affine")
    row, column = found.scale
    return math.sqrt(row * column), row / column, found.rotation, found.shear

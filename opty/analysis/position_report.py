"""What became of the positions: how far they went, what they have in common, which views could not be placed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.operators.position.check import GIVEN, PLACE
from opty.operators.position.jumps import largest_jump
from opty.operators.position.others import doubts, others_say
from opty.operators.position.stretch import stretch_left
from opty.operators.position.wait import COURSE, said_of_waiting
from opty.physics.scan_map import scan_map

if TYPE_CHECKING:
    from opty.data import PtychoData
    from opty.state import BareState

_UNASKED = (
    "the method that moved them does not ask whether those given were right: ComparePositions(rPIE() ** 12) on its "
    "left does, and goes back to them where others fit no better"
)
_AS_WELL = 1.2  # of what an affine map and a drift leave: two numbers that leave no more are as good as six
_MUCH = 0.5  # of how far positions went: what leaves more is not what they have in common
STILL = 1e-6  # px: positions as they were, but for rounding


@dataclass(frozen=True)
class PositionReport:
    """What ``position_report`` found.

    ``moved`` : rms distance from the positions given, the common offset taken off [px]. ``scale`` (row, column),
    ``rotation`` [rad], ``shear`` : of the affine map that fits the positions best; ``drift`` (row, column) [px over the
    scan] of what it leaves; ``beside`` : rms of what both leave [px]. ``drift_alone`` (row, column) [px over the scan]:
    of a drift without such a map, where it leaves hardly more; None elsewhere. ``uncertainty`` : median of the standard
    errors, object and probe held [px]; None where no refinement wrote them. ``stretch`` : by how much all views may be
    off together, by an affine map [px rms], which the standard errors do not contain; None where nobody has looked.
    ``unexplained`` : median share of what a view varies by that the object of the other views does not explain;
    ``lost`` : numbers of the views that could not be placed; None for both where they were not looked for.
    ``went_back`` : whether positions that were found were dropped for those given, as these explain the views nearly as
    well; ``compared`` : the misfit beside noise with those that were found, over that with those given; None where it
    was not asked for. ``waiting`` : what is to be said of ``PosCorrect()`` where it has moved nothing for long, "" for
    nothing. ``unasked`` : whether a method moved them that does not ask whether those given were right, and nothing has
    compared both since. ``warning`` : what is wrong, "" for nothing.
    """

    moved: float
    scale: tuple[float, float]
    rotation: float
    shear: float
    drift: tuple[float, float]
    beside: float
    drift_alone: tuple[float, float] | None
    uncertainty: float | None
    stretch: float | None
    unexplained: float | None
    lost: tuple[int, ...] | None
    went_back: bool
    compared: float | None
    waiting: str
    unasked: bool
    warning: str

    def lines(self) -> tuple[str, ...]:
        """Return it in words, one subject a line, without the warning."""
        held = "median; object and probe held"
        error = "" if self.uncertainty is None else f", standard error {self.uncertainty:.2g} px ({held})"
        rows, columns = self.scale
        down, right = self.drift
        common = (
            f"in common: scale {rows:.4f} x {columns:.4f}, rotation {math.degrees(self.rotation):.3g} degrees, shear "
            f"{self.shear:.2g}, drift ({down:.2g}, {right:.2g}) px; beside it {self.beside:.3g} px rms"
        )
        lines = [f"moved {self.moved:.3g} px rms{error}", common] if self.moved >= STILL or not self.waiting else []
        if lines and self.stretch is not None:
            lines.insert(1, f"known up to a stretch, turn or shear of the whole scan by {self.stretch:.2g} px rms")
        if self.drift_alone is not None:
            down, right = self.drift_alone
            lines.append(f"a drift of ({down:.2g}, {right:.2g}) px from the first view to the last explains it as well")
        lines += [self.waiting] if self.waiting else []
        lines += [_UNASKED] if self.unasked else []
        if self.went_back:
            why = f"those found explained the views {self._better()}"
            lines.insert(0, f"went back to the positions given on the way: {why}")
        return tuple(lines)

    def _better(self) -> str:
        percent = 0 if self.compared is None else round(100 * (1 - self.compared))
        return f"only {percent} percent better" if percent > 0 else "no better"

    def figures(self) -> dict[str, Any]:
        """Return all fields as what JSON takes."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join([*self.lines(), *([self.warning] if self.warning else [])])


def position_report(p: BareState) -> PositionReport | None:
    """Say what became of the positions of a state; None where none has moved and nothing is wrong with them.

    Views are compared with the object that the others make, as ``opty.CheckPositions`` does, and the step of
    ``PosStretch`` is looked at, which costs about five sweeps together; not for a model that is no thin object, nor
    where the frames are not there.
    """
    leaves = {name: p.numpy(name) for name in ("positions", *(n for n in _LEAVES if n in p._live.leaves))}
    refined = "position_uncertainty" in leaves or moved(leaves["positions"], p.data.positions_px) > STILL
    if refined and p.model.thin_object and p.data.absent is None:
        found = others_say(p._live)
        leaves |= {"position_unexplained": found.unexplained, "position_lost": found.lost}
        return report_of(leaves, p.data, p.history, stretch_left(p._live))
    return report_of(leaves, p.data, p.history)


_LEAVES = (
    "position_uncertainty",
    "position_unexplained",
    "position_lost",
    "position_count",
    COURSE.name,
    GIVEN.name,
    PLACE.name,
)


def report_of(
    leaves: Mapping[str, np.ndarray], data: PtychoData, history: Mapping[str, Any], stretch: float | None = None
) -> PositionReport | None:
    """Return the same of leaves as they stand, the data with the positions given, the history, and ``stretch``."""
    positions, given = leaves["positions"], data.positions_px
    away = moved(positions, given)
    back = history.get("compare_back", ())
    went_back = len(back) > 0 and bool(back[-1])
    misfits = [history.get(f"compare_{name}", ()) for name in ("refined", "given")]
    compared = float(misfits[0][-1] / misfits[1][-1]) if len(back) and misfits[1][-1] > 0 else None
    error, unexplained, lost = (leaves.get(name) for name in _LEAVES[:3])
    waiting = said_of_waiting(leaves)
    if unexplained is None or lost is None or not unexplained.any():
        unexplained = lost = None  # nobody has looked
    warning = ""
    if unexplained is not None and lost is not None:
        warning = doubts(unexplained, lost, away, True, largest_jump(positions, given, data.n))
    if away < STILL and not (went_back or waiting or warning):
        return None
    affine = scan_map(positions, given)
    rest = positions - affine.positions
    drift = scan_map(given + rest, given, "drift")
    beside = moved(rest, drift.positions - given)
    alone = scan_map(positions, given, "drift")
    beside_alone = moved(positions, alone.positions)
    return PositionReport(
        moved=away,
        scale=affine.scale,
        rotation=affine.rotation,
        shear=affine.shear,
        drift=drift.drift,
        beside=beside,
        drift_alone=alone.drift if STILL < beside_alone < min(_AS_WELL * beside, _MUCH * away) else None,
        uncertainty=None if error is None or not np.any(error) else float(np.median(error)),
        stretch=stretch,
        unexplained=None if unexplained is None else float(np.median(unexplained)),
        lost=None if lost is None else tuple(np.flatnonzero(lost).tolist()),
        went_back=went_back,
        compared=compared,
        waiting=waiting,
        unasked=away >= STILL and GIVEN.name in leaves and PLACE.name not in leaves and not len(back),
        warning=warning,
    )


def moved(positions: np.ndarray, given: np.ndarray) -> float:
    """Return the rms distance of positions (N, 2) from others [px], the common offset taken off."""
    away = positions - given
    return float(np.sqrt(((away - away.mean(axis=0)) ** 2).sum(axis=1).mean()))

"""What is wrong with a scan, as far as one look at it tells: the rules, and the words for each.

A problem makes a reconstruction pointless for certain; a warning makes its result doubtful, or worse than it could be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from opty.analysis.check.exposures import TwoExposures
from opty.analysis.check.frame_statistics import Frames
from opty.analysis.coverage import odd_positions, scan_numbers
from opty.data.fields import check_extent
from opty.memory import free_memory, size
from opty.remedies import here, option

SANE_EXTENT = 1e6  # px: a scan larger than that has its positions in another unit
NEEDS_START = "then a starting probe of its true size is needed"
PLAUSIBLE_STEP = 1 / 8  # of the pattern: a probe out of focus may be several times as wide
LEAST_OVERLAP, NO_OVERLAP = 0.4, 0.05
TOGETHER = 0.9  # share of the views that the largest of the groups that overlap must hold
ONE_SPOT = 0.1  # share of the views at one position, from which on the stage may have stood still
FEW_PHOTONS, LEAST_PHOTONS = 100.0, 1000.0  # in a view, in all views together
OFF_CENTRE = 0.05  # of the pattern's edge
UNDERSAMPLED = 0.6
STRAY_LIGHT = 0.5  # share of the photons that are none
SHOWN = 5
MARKS = "a mark for gaps or bad pixels"


@dataclass(frozen=True)
class Findings:
    """``problems`` make a reconstruction pointless (``impossible`` : it cannot even start); ``warnings``, doubtful."""

    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    impossible: bool = False

    @property
    def ok(self) -> bool:
        """Whether a reconstruction makes sense."""
        return not self.problems

    def __add__(self, other: Findings) -> Findings:
        either = self.impossible or other.impossible
        return Findings(self.problems + other.problems, self.warnings + other.warnings, either)

    @property
    def every(self) -> tuple[str, ...]:
        """Problems, then warnings."""
        return self.problems + self.warnings


def of_positions(positions: np.ndarray, n: int, across: float, known: bool) -> Findings:
    """Judge positions (N, 2) [px] of views of n x n, with a probe ``across`` px wide, or (not ``known``) wider."""
    if len(positions) < 2:
        return Findings(("one view: there is no overlap to learn from",))
    if why := _impossible(positions, n):
        return Findings((why,), impossible=True)
    extent = float(np.ptp(positions, axis=0).max())
    if extent < 1:
        why = f"all views lie within {extent:.2g} px: they tell nothing that one does not"
        return Findings((f"{why}; check the positions, and their unit",))
    found = _overlap(positions, n, across, known)
    said = []
    if extent > SANE_EXTENT:
        said.append(f"the scan is {extent:.3g} px wide: the positions are probably not in metres")
    far, repeated = odd_positions(positions)
    if far:
        said.append(f"{len(far)} positions jump away from all others: {_some(far)}")
    most = np.unique(np.rint(positions * 100), axis=0, return_counts=True)[1].max()
    if most > max(2, ONE_SPOT * len(positions)):
        said.append(f"{most} views lie on one position ({len(repeated)} repeat an earlier one): did the stage move?")
    return found + Findings(warnings=tuple(said))


def _impossible(positions: np.ndarray, n: int) -> str | None:
    """Say why no object can be made for the positions, or None."""
    try:
        check_extent(positions, n)
    except ValueError as error:
        return str(error)
    rows, columns = (float(np.ceil(span)) + n for span in np.ptp(positions, axis=0))
    needed, free = 8 * rows * columns, free_memory()
    if free is not None and needed > free:
        return (
            f"the positions want an object of {rows:.4g} x {columns:.4g} px, {size(needed)}, and {size(free)} are "
            "free; check the unit of the positions, and the geometry"
        )
    return None


def _overlap(positions: np.ndarray, n: int, across: float, known: bool) -> Findings:
    """Judge whether views overlap: for certain, as far as the size of the probe is known, and as one whole."""
    tree = cKDTree(positions)
    apart = float(tree.query(positions, k=2, p=np.inf)[0][:, 1].min())
    hint = "check the unit of the positions, or the geometry"
    if apart >= n:
        return Findings((f"no two windows of {n} px overlap: views are {apart:.3g} px apart or more; {hint}",))
    numbers = scan_numbers(positions, None, across, "")
    step, overlap = numbers["step_px"], numbers["overlap"]
    if not known:
        if overlap > 0:
            return Findings()
        why = (
            f"views {step:.3g} px apart overlap only if the probe is out of focus, larger than the {across:.3g} px "
            f"that the mean pattern implies: {NEEDS_START}"
        )
        if step > PLAUSIBLE_STEP * n:
            why += f"; else {hint} ({option('propagation')}, {option('focus_to_sample')})"
        return Findings(warnings=(why,))
    if overlap < NO_OVERLAP:
        return Findings(
            (
                f"views do not overlap: they are {step:.3g} px apart, with a probe of about {across:.3g} px; "
                f"{numbers['coverage']:.2g} views on a spot of the scanned area; {hint}",
            )
        )
    said = [f"the overlap is {overlap:.0%}: 60 to 80 % is better"] if overlap < LEAST_OVERLAP else []
    groups = _groups(tree, across)
    if len(groups) > 1 and groups[0] < TOGETHER * len(positions):
        said.append(
            f"the views fall into {len(groups)} groups that do not overlap, of {_some(groups)} views: their brightness "
            "and phase against each other stay unknown"
        )
    return Findings(warnings=tuple(said))


def _groups(tree: cKDTree, across: float) -> list[int]:
    """Return how many views each group has whose members lie within a probe of another, the largest first."""
    near = min(8, tree.n - 1)
    distance, other = tree.query(tree.data, k=near + 1, distance_upper_bound=across)
    row, column = np.nonzero(np.isfinite(distance))
    links = coo_matrix((np.ones(len(row), bool), (row, other[row, column])), shape=(tree.n, tree.n))
    members = np.bincount(connected_components(links, directed=False)[1])
    return sorted(members.tolist(), reverse=True)


def of_light(photons: np.ndarray, whole: bool) -> Findings:
    """Judge the photons (N,) of the views; ``whole`` : they were counted, and are no fractions."""
    mean, total = float(photons.mean()), float(photons.sum())
    if whole and total < LEAST_PHOTONS:
        return Findings((f"{total:.3g} photons in {len(photons)} views together are too few to tell anything",))
    if mean >= FEW_PHOTONS:
        return Findings()
    if whole:
        said = f"{mean:.3g} photons a view are few: ML() weighs them by their noise, other engines follow the noise"
    else:
        said = (
            f"{mean:.3g} photons a view, in fractions: the frames are probably normalised; ML() and noise models want "
            "counts"
        )
    return Findings(warnings=(said,))


def few_photons() -> str:
    """Return what is left to do where there are too few photons to follow the noise."""
    recipe = here("ML(smooth=0.3) ** 60", '--recipe "ML(smooth=0.3)**60"')
    return f"{recipe} weighs counts by their noise and keeps the object smooth; a starting probe helps most"


def of_exposures(found: TwoExposures | None) -> Findings:
    """Say that the views have two exposures."""
    if found is None:
        return Findings()
    dim = int(found.dim.sum())
    recipe = here("(IntensityUpdate() * rPIE()) ** 30", '--recipe "(IntensityUpdate() * rPIE())**30"')
    return Findings(
        warnings=(
            f"the scan has two exposures: {dim} frames have {found.ratio:.2g} times the light of the other "
            f"{len(found.dim) - dim}, and none lies between: the intensity of each view must be estimated, by {recipe}",
        )
    )


def of_frames(f: Frames) -> Findings:
    """Judge frames and pixels: what is no measurement of light."""
    views, wrong, said = len(f.photons), [], []
    lost = len(set(f.frozen) | set(f.dark) | set(f.full))
    if lost > views / 2:
        wrong.append(f"{lost} of {views} frames are frozen or missing, or full to the end of the scale: leave them out")
    elif f.marked > STRAY_LIGHT:
        count = int(f.saturated.sum())
        pixels, mark = ("1 pixel", "a mark for a bad pixel") if count == 1 else (f"{count} pixels", MARKS)
        wrong.append(
            f"{f.marked:.0%} of the light is in {pixels} at {f.brightest:.10g}, far above all others: {mark}, and no "
            f"count: {_loading('mask', 'saturated')}"
        )
    kinds = {"dead": f.dead, "hot": f.hot & ~f.saturated, "saturated": f.saturated}
    if f.full or f.marked > STRAY_LIGHT:
        del kinds["saturated"]
    words = [name for name, which in kinds.items() if which.any() and lost <= views / 2]
    if words:
        counted = ", ".join(f"{int(kinds[name].sum())} {name}" for name in words)
        one = len(words) == 1 and kinds[words[0]].sum() == 1
        said.append(
            f"{counted} {'pixel' if one else 'pixels'}: {_loading('mask', words[0] if len(words) == 1 else words)}"
        )
    return (
        Findings(tuple(wrong), tuple(said))
        + _to_leave_out("frames are full to the end of the scale", f.full)
        + _to_leave_out("frames are the same as an earlier one (frozen)", [v for v in f.frozen if v not in f.full])
        + of_missing(f.dark)
        + _to_leave_out("frames are like no others: their light is spread in another way", f.strange)
        + _to_leave_out("frames have less than a fifth of the light of those around them", f.faint)
        + _to_leave_out("frames have more than three times the light of those around them", f.bright)
    )


def of_missing(views: Sequence[int]) -> Findings:
    """Name the views without light."""
    return _to_leave_out("frames are missing (no light)", views)


def _to_leave_out(what: str, views: Sequence[int]) -> Findings:
    if not views:
        return Findings()
    remedy = f"{_loading('leave_out', list(views[:SHOWN]))}{_more(views)}"
    if len(views) == 1:
        what = (
            what.replace("frames are", "frame is")
            .replace("frames have", "frame has")
            .replace("their light", "its light")
        )
        what = what.replace("those around them", "those around it")
    return Findings(warnings=(f"{len(views)} {what}: {_some(views)}: {remedy}",))


def of_optics(centre: tuple[float, float], corner: bool, n: int, sampling: float, near: bool) -> Findings:
    """Judge where the beam is on the detector, in a ``corner``, say, and how finely it is sampled (1 : as it must)."""
    if corner and not near:
        corners, middle = _loading("zero_frequency", "corner"), option("zero_frequency", "centre")
        remedy = f"{corners}, or {middle} where frames with it in the middle were taken for such"
        return Findings((f"the light is in the corners of the frames, and so is the zero frequency: {remedy}",))
    said, off = [], [x - n // 2 for x in centre]
    if not near and max(map(abs, off)) > OFF_CENTRE * n:
        there = round(float(centre[0]), 1), round(float(centre[1]), 1)
        said.append(
            f"the beam is {off[0]:+.3g}, {off[1]:+.3g} px off the middle: a probe that is reconstructed takes that up; "
            f"{option('centre', there)} cuts the frames round it, at the cost of their outermost pixels"
        )
    if sampling < UNDERSAMPLED:
        remedy = "more pixels, or a smaller pixel" if near else "a longer distance, smaller pixels, or a smaller probe"
        said.append(f"the detector samples {sampling:.2g} times as finely as it must: {remedy} would help")
    return Findings(warnings=tuple(said))


def _loading(name: str, value: Any) -> str:
    return f"{here('load with', 'give')} {option(name, value)}"


def _some(which: Sequence[int]) -> str:
    return ", ".join(map(str, which[:SHOWN])) + _more(which)


def _more(which: Sequence[int]) -> str:
    return " ..." if len(which) > SHOWN else ""

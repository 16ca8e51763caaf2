"""What the numbers of a scan check mean: problems, warnings, advice, and all of it as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opty.remedies import here, option

if TYPE_CHECKING:
    from opty.analysis.health import Health

FEW_PHOTONS = 100.0  # in a view
LEAST_OVERLAP, LEAST_COVERAGE = 0.4, 1.5
OFF_CENTRE = 0.05  # of the pattern's edge
SHOWN = 5
_TURNING = "the options --transpose and --flip"


def problems(h: Health, refused: str | None) -> tuple[str, ...]:
    """Say what makes a reconstruction pointless; ``refused`` is why no state could be made."""
    found = [] if refused is None else [refused]
    if h.fits not in ("as given", "undecided"):
        given = next(way for way in h.orientations if way.as_given)
        found.append(
            f"the positions fit as {h.fits}, misfit {h.orientations[0].misfit:.3g}, not as given, {given.misfit:.3g}: "
            f"{h.orientations[0].remedy}, by {here('the options transpose and flip of the load', _TURNING)}"
        )
    if h.views < 2:
        found.append("one view: there is no overlap to learn from")
    elif max(h.extent) < 1:
        found.append(
            f"all views lie within {max(h.extent):.2g} px: they tell nothing that one does not; check the positions, "
            "and their unit"
        )
    elif h.size_known and h.coverage is not None and h.coverage < LEAST_COVERAGE:
        found.append(
            f"views hardly overlap: {h.coverage:.2g} views on a spot of the scanned area, with a probe of about "
            f"{h.probe_diameter:.3g} px; check the unit of the positions, or the geometry"
        )
    if h.photons_mean < FEW_PHOTONS:
        found.append(f"{h.photons_mean:.3g} photons a view are too few to tell anything")
    lost = len(h.frozen_frames) + len(h.missing_frames)
    if lost > h.views / 2:
        found.append(f"{lost} of {h.views} frames are frozen or missing")
    return tuple(found)


def warnings(h: Health) -> tuple[str, ...]:
    """Say what makes a reconstruction worse."""
    found = []
    if h.fits == "undecided" and h.orientations:
        why = "" if h.data.probe is not None else "; in the far field this needs a starting probe"
        found.append(f"the orientation of the positions could not be told: all eight fit about alike{why}")
    off = [x - h.pattern // 2 for x in h.centre]
    near = h.data.geometry is not None and h.data.geometry.propagation == "near"
    if not near and max(map(abs, off)) > OFF_CENTRE * h.pattern:
        there = round(h.centre[0], 1), round(h.centre[1], 1)
        found.append(f"the beam is {off[0]:+.3g}, {off[1]:+.3g} px off the middle: {_loading('centre', there)}")
    kinds = {"dead": h.dead, "hot": h.hot, "saturated": h.saturated}
    words = [name for name, count in kinds.items() if count]
    if words:
        counted = ", ".join(f"{kinds[name]} {name}" for name in words)
        found.append(f"{counted} pixels: {_loading('mask', words[0] if len(words) == 1 else words)}")
    for name, which in (
        ("frames are the same as an earlier one (frozen)", h.frozen_frames),
        ("frames are missing (no light)", h.missing_frames),
    ):
        if which:
            found.append(
                f"{len(which)} {name}: {_some(which)}: {_loading('leave_out', list(which[:SHOWN]))}{_more(which)}"
            )
    if h.dim_frames:
        found.append(f"{len(h.dim_frames)} frames have less than half the usual light: {_some(h.dim_frames)}")
    if h.far_views:
        found.append(f"{len(h.far_views)} positions jump away from all others: {_some(h.far_views)}")
    if h.repeated_views:
        found.append(f"{len(h.repeated_views)} positions repeat an earlier one: {_some(h.repeated_views)}")
    if h.size_known and h.overlap is not None and h.overlap < LEAST_OVERLAP:
        found.append(f"the overlap is {h.overlap:.0%}: 60 to 80 % is better")
    if h.sampling < 1:
        remedy = "more pixels, or a smaller pixel" if near else "a longer distance, smaller pixels, or a smaller probe"
        found.append(f"the detector samples {h.sampling:.2g} times as finely as it must: {remedy} would help")
    return tuple(found)


def advice(h: Health) -> tuple[str, ...]:
    """Say what to try."""
    found = []
    if h.binning > 1:
        rebin = option("rebin", h.binning)
        found.append(f"{rebin} leaves {h.pattern // h.binning} px, enough for this probe, and is faster")
    if h.data.probe is None:
        least = "about" if h.size_known else "at least"
        size = f"{h.probe_diameter:.3g} px" + ("" if h.probe_diameter_m is None else f", {_metres(h.probe_diameter_m)}")
        found.append(f"a starting probe of {least} {size} across; none is given")
    return tuple(found)


def text(h: Health) -> str:
    """Return the report: a subject a line, then what was found."""
    lines = [f"  {name:<12}{line}" for name, line in _subjects(h)]
    lines += [f"  attention   {line}" for line in h.warnings]
    lines += [f"  advice      {line}" for line in h.advice]
    lines += [f"  POINTLESS   {line}" for line in h.problems]
    return "\n".join(
        [*lines, f"  verdict     {'a reconstruction is pointless as it is' if h.problems else 'reconstruct'}"]
    )


def _subjects(h: Health):
    yield "views", f"{h.views} of {h.pattern} x {h.pattern}"
    if h.orientations:
        best, second = h.orientations[:2]
        how = f"positions fit {h.fits}" if h.fits == "as given" else f"positions fit as {h.fits}"
        said = "no way stands out" if h.fits == "undecided" else how
        yield (
            "orientation",
            f"{said}: misfit {best.misfit:.3g} after a sweep, the next of the eight {second.misfit:.3g}",
        )
    yield "beam centre", f"({h.centre[0]:.2f}, {h.centre[1]:.2f}) px of a pattern with its middle at {h.pattern // 2}"
    dose = "" if h.photons_per_m2 is None else f" ({h.photons_per_m2:.3g} per m2)"
    yield "dose", f"{h.photons_mean:.4g} photons a view, {h.photons_per_pixel:.3g} on a pixel of the sample{dose}"
    yield "pixels", f"{h.dead} dead, {h.hot} hot, {h.saturated} saturated; brightest {h.brightest_pixel:.4g}"
    yield "frames", f"{len(h.frozen_frames)} frozen, {len(h.missing_frames)} missing, {len(h.dim_frames)} dim"
    yield (
        "positions",
        f"{len(h.far_views)} jump, {len(h.repeated_views)} repeat; {h.extent[0]:.4g} x {h.extent[1]:.4g} px",
    )
    size = "" if h.probe_diameter_m is None else f" = {_metres(h.probe_diameter_m)}"
    yield "probe", f"{'about' if h.size_known else 'at least'} {h.probe_diameter:.3g} px{size} across"
    if h.overlap is not None and h.size_known:
        yield "overlap", f"{h.overlap:.0%} (linear, nearest view), {h.coverage:.3g} views on a spot of the scanned area"
    yield "sampling", f"{'' if h.size_known else 'at most '}{h.sampling:.3g} times what is needed"
    yield "binning", f"{h.binning}"


def _loading(name: str, value: Any) -> str:
    return f"{here('load with', 'give')} {option(name, value)}"


def _some(which: Sequence[int]) -> str:
    return ", ".join(map(str, which[:SHOWN])) + _more(which)


def _more(which: Sequence[int]) -> str:
    return " ..." if len(which) > SHOWN else ""


def _metres(value: float) -> str:
    from opty.io.report import metres

    return metres(value)

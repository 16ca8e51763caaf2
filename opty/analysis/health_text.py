"""What the numbers of a scan check mean beyond the rules of findings.py: orientation, advice, and all of it as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from opty.analysis.findings import Findings
from opty.remedies import here, option

if TYPE_CHECKING:
    from opty.analysis.health import Health

_TURNING = "the options --transpose and --flip"


def of_orientation(h: Health) -> Findings:
    """Say whether the positions fit the patterns as they are given."""
    if h.fits == "undecided" and h.orientations:
        why = "" if h.data.probe is not None else "; in the far field this needs a starting probe"
        said = f"the orientation of the positions could not be told: all eight fit about alike{why}"
        return Findings(warnings=(said,))
    if h.fits in ("as given", "undecided"):
        return Findings()
    given = next(way for way in h.orientations if way.as_given)
    return Findings(
        (
            f"the positions fit as {h.fits}, misfit {h.orientations[0].misfit:.3g}, not as given, {given.misfit:.3g}: "
            f"{h.orientations[0].remedy}, by {here('the options transpose and flip of the load', _TURNING)}",
        )
    )


def advice(h: Health) -> tuple[str, ...]:
    """Say what to try."""
    found = []
    if h.binning > 1:
        rebin = option("rebin", h.binning)
        found.append(f"{rebin} leaves {h.pattern // h.binning} px, enough for this probe, and is faster")
    if h.data.probe is None:
        least = "about" if h.size_known else "at least"
        size = f"{h.probe_diameter:.3g} px" + ("" if h.probe_diameter_m is None else f", {_metres(h.probe_diameter_m)}")
        found.append(
            f"a starting probe of {least} {size} across; none is given: "
            + here("opty.analysis.find_probe(data) searches for one", "opty reconstruct searches for one")
        )
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


def _subjects(h: Health) -> Iterator[tuple[str, str | None]]:
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
    kinds = ("frozen", "missing", "full", "dim", "bright")
    yield "frames", ", ".join(f"{len(getattr(h, f'{kind}_frames'))} {kind}" for kind in kinds)
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


def _metres(value: float) -> str:
    from opty.units import metres

    return metres(value)

"""What the numbers of a scan check mean beyond the rules of findings.py: advice, and all of it as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from opty.analysis.coverage import is_near
from opty.remedies import here, option

if TYPE_CHECKING:
    from opty.analysis.check.health import Health


SEARCHES = "opty reconstruct searches for one"
NEAR_START = "in the near field a run starts from the mean pattern"


def advice(h: Health) -> tuple[str, ...]:
    """Say what to try."""
    found = []
    if h.binning > 1:
        rebin = option("rebin", h.binning)
        found.append(f"{rebin} leaves {h.pattern // h.binning} px, enough for this probe, and is faster")
    if h.data.probe is None:
        least = "about" if h.size_known else "at least"
        near = is_near(h.data)
        size = f"{h.probe_diameter:.3g} px" + ("" if h.probe_diameter_m is None else f", {_metres(h.probe_diameter_m)}")
        found.append(
            f"a starting probe of {least} {size} across; none is given: "
            + (NEAR_START if near else here("opty.analysis.find_probe(data) searches for one", SEARCHES))
        )
    return tuple(found)


def text(h: Health) -> str:
    """Return the report: a subject a line, then what was found."""
    lines = [f"  {name:<12}{line}" for name, line in _subjects(h)]
    lines += [f"  attention   {line}" for line in h.warnings]
    lines += [f"  advice      {line}" for line in h.advice]
    lines += [f"  POINTLESS   {line}" for line in h.problems]
    return "\n".join([*lines, f"  verdict     {h.verdict}"])


def _subjects(h: Health) -> Iterator[tuple[str, str | None]]:
    yield "views", f"{h.views} of {h.pattern} x {h.pattern}"
    if h.orientations:
        yield "orientation", _orientation(h)
        yield "order", f"of the frames: {h.order}"
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


def _orientation(h: Health) -> str:
    best = h.orientations[0]
    told = {h.fits, h.twin} | ({"(row, column)"} if h.fits == "as given" else set())
    others = [way for way in h.orientations[1:] if way.name not in told]
    how = "" if h.fits == "as given" else "as "
    also = "" if h.twin is None else f" (or {h.twin}: at most a starting probe tells)"
    said = "no way stands out" if h.fits == "undecided" else f"positions fit {how}{h.fits}{also}"
    return f"{said}: misfit of held-out views {best.misfit:.3g}, the next way {others[0].misfit:.3g}"


def _metres(value: float) -> str:
    from opty.units import metres

    return metres(value)

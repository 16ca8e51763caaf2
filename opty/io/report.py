"""The text of an Info: a few lines to read before starting a reconstruction."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from opty.algebra.text import made_by
from opty.analysis.misfit import DURING
from opty.memory import size
from opty.remedies import here
from opty.units import metres

if TYPE_CHECKING:
    from opty.io.info import Info

AT_FOCUS = "the mean amplitude, at focus"  # where the size of a probe is from that is the least it can be


def text(info: Info) -> str:
    """Return the description, one subject a line."""
    lines = [f"{info.path}", f"  format      {info.format}"]
    pixels = f"{info.pattern} x {info.pattern}"
    lines.append(f"  views       {info.views} patterns of {pixels}" + (f", {info.dtype}" if info.dtype else ""))
    lines += [f"  {name:<12}{line}" for name, line in _subjects(info) if line]
    lines += [f"  positions   {line}" for line in ([] if info.positions is None else info.positions.lines())]
    lines += [f"  missing     {line}" for line in info.missing]
    doubt = [] if info.positions is None or not info.positions.warning else [info.positions.warning]
    lines += [f"  attention   {line}" for line in [*doubt, *info.warnings]]
    return "\n".join(lines)


def _unfinished(info: Info) -> str | None:
    if info.unfinished is None:
        return None
    return f"iteration {info.iteration} of {info.unfinished}; to go on: opty resume {shlex.quote(info.path)}"


def _subjects(info: Info) -> Iterator[tuple[str, str | None]]:
    yield "memory", _memory(info)
    yield "beam", _beam(info)
    yield "geometry", _geometry(info)
    yield "refined", "; ".join(info.refined) or None
    yield "photons", _photons(info)
    yield "mask", None if info.usable is None else f"{info.usable:.2%} of the pixels count"
    yield "scan", _scan(info)
    about = "at least" if info.probe_from == AT_FOCUS else "about"
    yield "probe", f"{about} {info.probe_diameter_px:.3g} px across (from {info.probe_from})"
    yield "overlap", _overlap(info)
    yield "model", info.model
    yield "recipe", None if info.recipe is None else made_by(info.recipe, info.iteration or 0)
    yield "iteration", None if info.iteration is None else str(info.iteration)
    yield "unfinished", _unfinished(info)
    yield "chosen by", None if info.search is None else f"opty auto; {' '.join(info.search.splitlines()[0].split())}"
    yield "fit", None if info.misfit is None else f"misfit {info.misfit:.4g}, R-factor {info.r_factor:.4g}, at the end"
    yield "last sweep", None if info.sweep_misfit is None else f"misfit {info.sweep_misfit:.4g}, {DURING}"
    yield "verdict", info.verdict


def _memory(info: Info) -> str | None:
    if info.frames_bytes is None:
        return None
    where = "stay in the file, read batch by batch" if info.in_file else "are read into memory"
    return f"the frames, {size(info.frames_bytes)}, {where}"


def _beam(info: Info) -> str | None:
    if info.wavelength is None:
        return None
    what = f"energy {info.energy:.5g} eV" if info.voltage is None else f"electrons of {info.voltage / 1e3:.5g} kV"
    lens = "" if info.semi_angle is None else f", aperture {info.semi_angle * 1e3:.4g} mrad"
    return f"wavelength {metres(info.wavelength)}, {what}{lens}"


def _geometry(info: Info) -> str | None:
    if info.distance is None or info.detector_pixel is None or info.sample_pixel is None:
        return None
    focus = "" if info.focus_to_sample is None else f", focus to sample {metres(info.focus_to_sample)}"
    return (
        f"{info.propagation} field, sample to detector {metres(info.distance)}{focus}, pixels of "
        f"{metres(info.detector_pixel)} on the detector and {metres(info.sample_pixel)} at the sample"
    )


def _photons(info: Info) -> str:
    each = f"{info.photons_mean:.4g} a view ({info.photons_min:.4g} to {info.photons_max:.4g})"
    brightest = "" if info.brightest_pixel is None else f", brightest pixel {info.brightest_pixel:.4g}"
    return f"{each}, {info.photons_total:.4g} in all{brightest}"


def _scan(info: Info) -> str | None:
    if info.extent_px is None:
        return None
    rows, cols = info.extent_px
    line = f"{rows:.4g} x {cols:.4g} px (rows x columns)"
    if info.extent is not None:
        line += f" = {metres(info.extent[0])} x {metres(info.extent[1])}"
    return line + ("" if info.step_px is None else f", nearest view {info.step_px:.3g} px away (median)")


def _overlap(info: Info) -> str | None:
    least = "at least " if info.probe_from == AT_FOCUS else ""
    if info.overlap is None:
        if info.step_px is None:
            return None
        searched = here("opty.analysis.find_probe(data)", "opty reconstruct")
        return f"unknown without a probe (none with one in focus): {searched} searches for one"
    return f"{least}{info.overlap:.0%} (linear, nearest view), {info.coverage:.3g} views on a spot of the scanned area"

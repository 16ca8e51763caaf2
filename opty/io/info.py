"""info(path): what a file holds and what it lacks, before anything is reconstructed from it."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from opty.algebra.unknown import unknown_in
from opty.analysis.check import findings
from opty.analysis.check.frame_statistics import missing
from opty.analysis.coverage import diameter, is_near, probe_power, scan_numbers, size_known
from opty.analysis.geometry_report import geometry_lines
from opty.analysis.position_report import PositionReport, report_of
from opty.data import PtychoData
from opty.data.lazy_frames import AbsentFrames, LazyFrames, views_counting
from opty.files.container import Container
from opty.geometry import Geometry
from opty.io.formats import cxi, native
from opty.io.formats.kept import Kept, read_kept
from opty.io.formats.result_data import measurement_of
from opty.io.registry import identify
from opty.io.report import AT_FOCUS, text
from opty.remedies import option

JOULE_PER_EV = 1.602176634e-19


@dataclass(frozen=True, kw_only=True)
class Info:
    """The description of a file by ``info``; print it, or use the numbers. None where the file does not give one.

    Lengths in metres unless the name says px; energy in eV, voltage (of electrons) in V, semi_angle (of the lens) in
    rad; counts in photons. Without a probe in the far field, ``probe_diameter_px``, ``overlap`` and ``coverage`` are
    the least that they can be (``probe_from`` says so). ``usable`` is the fraction of pixels that are not masked,
    ``coverage`` the mean number of views that light a spot of the scanned area. ``in_file``: the frames,
    ``frames_bytes`` in memory, stay in the file and are read batch by batch.
    ``model`` : of a result, unless the object is thin. ``misfit``, ``r_factor`` : of a result that the command line
    wrote, over all views at its end. ``positions`` : of a result whose positions
    moved, what became of them when they were last checked. ``refined``: the lengths of the geometry that a run
    found. ``unfinished``: the recipe of a run that stopped early, of which ``recipe`` is the part that is done;
    ``opty.resume`` runs the rest. ``search``: how the recipe was chosen, where ``opty.auto`` chose it.
    """

    path: str
    format: str
    views: int
    pattern: int
    dtype: str | None = None
    frames_bytes: int | None = None
    in_file: bool | None = None
    propagation: str | None = None
    wavelength: float | None = None
    energy: float | None = None
    voltage: float | None = None
    semi_angle: float | None = None
    distance: float | None = None
    focus_to_sample: float | None = None
    detector_pixel: float | None = None
    sample_pixel: float | None = None
    photons_min: float | None = None
    photons_mean: float | None = None
    photons_max: float | None = None
    photons_total: float | None = None
    brightest_pixel: float | None = None
    usable: float | None = None
    extent_px: tuple[float, float] | None = None
    extent: tuple[float, float] | None = None
    step_px: float | None = None
    probe_diameter_px: float | None = None
    probe_from: str | None = None
    overlap: float | None = None
    coverage: float | None = None
    model: str | None = None
    recipe: str | None = None
    iteration: int | None = None
    misfit: float | None = None
    r_factor: float | None = None
    sweep_misfit: float | None = None
    positions: PositionReport | None = None
    refined: tuple[str, ...] = ()
    unfinished: str | None = None
    verdict: str | None = None
    search: str | None = None
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return text(self)

    def to_json(self) -> str:
        """Return all fields as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=1)


def info(path: str | Path, **options: Any) -> Info:
    """Describe a measurement or a result: geometry, counts, mask, scan, and what is missing.

    The linear overlap is 1 - step / diameter, with the median distance of a view to its nearest neighbour as the step.
    The diameter is 2 sqrt(2) r(1/2), of a uniform disc with the same half-power radius r(1/2) as the probe. It is
    measured on the starting probe where the file has one (on the reconstructed probe in a result); else, in the near
    field, on the mean pattern, which is the beam, and in the far field on the inverse transform of the mean amplitude,
    taken as if its phase were flat: a defocused probe is larger, and its overlap higher, than this estimate. Where it
    leaves no overlap, the overlap is unknown: None.

    Takes the options of ``load`` and raises what ``load`` raises. A result whose measurement is not found is still
    described, with the measurement listed as missing.
    """
    file = Container(path)
    form = identify(file, options)
    form.check(options)
    head: dict[str, Any] = {"path": str(file.path), "format": form.name}
    if form in native.FORMATS:
        kept = read_kept(file)
        data = measurement_of(file, kept, options.get("data"), options.get("stream"))
        described = _described(data, kept.leaves["probe"])
        described["missing"] = (*described["missing"], *_classes_missing(kept))
        said = native.attention(file)
        described["warnings"] = (*said, *(line for line in described["warnings"] if line not in said))
        return Info(
            **head,
            **described,
            **_run_of(kept, native.fit(file)),
            verdict=native.verdict(file),
            search=native.search(file),
            refined=geometry_lines(kept.leaves, kept.record["history"], data.geometry, data.n),
            positions=report_of(kept.leaves, data, kept.record["history"]),
        )
    read = form.read(file, **options)
    described = _described(read) if isinstance(read, PtychoData) else _described(read.data, read.numpy("probe"))
    if form in cxi.FORMATS and described["propagation"] == "far":
        described["missing"] = (*described["missing"], _no_focus())
    return Info(**head, **described)


def _run_of(kept: Kept, fit: dict[str, float]) -> dict[str, Any]:
    """Describe the run that made a result, with the ``fit`` that was noted."""
    misfit = kept.record["history"].get("misfit", ())
    whole = None if kept.unfinished is None else repr(kept.unfinished.asked)
    return {
        "model": None if kept.record["model"] is None or kept.record["model"].thin else repr(kept.record["model"]),
        "recipe": repr(kept.record["recipe"]),
        "iteration": kept.record["iteration"],
        "misfit": fit.get("misfit"),
        "r_factor": fit.get("r_factor"),
        "sweep_misfit": float(misfit[-1]) if len(misfit) else None,
        "unfinished": whole,
    }


def _classes_missing(kept: Kept) -> tuple[str, ...]:
    recipes = () if kept.unfinished is None else (kept.unfinished.asked, kept.unfinished.before)
    found = {op.name: op for recipe in (*recipes, kept.record["recipe"]) for op in unknown_in(recipe)}
    elements = () if kept.record["model"] is None else kept.record["model"].unknown
    return (
        *(f"{op.why}; to run the recipe again, {op.remedy}" for op in found.values()),
        *(f"{element.why}; to compute with the model, {element.remedy}" for element in elements),
    )


def _no_focus() -> str:
    return (
        "no distance from focus to sample: far field assumed; for a cone beam or the near field give "
        f"{option('focus_to_sample')} and {option('propagation')}"
    )


def _described(data: PtychoData, probe: np.ndarray | None = None) -> dict[str, Any]:
    """Describe a measurement; ``probe`` : to use in place of the starting probe of the data."""
    photons = data.photons()
    out: dict[str, Any] = {"views": data.views, "pattern": data.n}
    if data.absent is None:
        out |= {"dtype": str(data.intensities.dtype), "frames_bytes": data.intensities.nbytes, "in_file": data.in_file}
    out["brightest_pixel"] = None if math.isnan(data.brightest) else data.brightest
    probe_from = "the reconstructed probe" if probe is not None else "the starting probe"
    probe = data.probe if probe is None else probe
    power = probe_power(data) if probe is None else (np.abs(probe) ** 2).sum(axis=0)
    if probe is None:
        probe_from = "the mean pattern" if is_near(data) else AT_FOCUS
    out |= _geometry(data.geometry, data.n) | _counts(photons) | _mask(data.mask)
    out |= scan_numbers(data.positions_px, data.pixel, diameter(power), probe_from)
    out["missing"] = _missing(data, probe)
    known = probe is not None or size_known(data)
    if not known and not out.get("overlap"):
        out |= {"overlap": None, "coverage": None}
    out["warnings"] = _attention(data.positions_px, data.n, out["probe_diameter_px"], known, photons)
    return out


def _geometry(geometry: Geometry | None, n: int) -> dict[str, Any]:
    if geometry is None:
        return {}
    return {
        "propagation": geometry.propagation,
        "wavelength": geometry.wavelength,
        "energy": geometry.energy / JOULE_PER_EV,
        "voltage": geometry.voltage,
        "semi_angle": geometry.semi_angle,
        "distance": geometry.distance,
        "focus_to_sample": geometry.focus_to_sample,
        "detector_pixel": geometry.pixel_size,
        "sample_pixel": geometry.sample_pixel(n),
    }


def _counts(photons: np.ndarray) -> dict[str, float]:
    low, mean, high, total = (float(f(photons)) for f in (np.min, np.mean, np.max, np.sum))
    return {"photons_min": low, "photons_mean": mean, "photons_max": high, "photons_total": total}


def _mask(mask: np.ndarray | LazyFrames | None) -> dict[str, float]:
    if mask is None or isinstance(mask, AbsentFrames):
        return {}
    return {"usable": float(np.mean(mask) if mask.ndim == 2 else np.mean(views_counting(mask)) / len(mask))}


def _missing(data: PtychoData, probe: np.ndarray | None) -> tuple[str, ...]:
    found = []
    if isinstance(data.intensities, AbsentFrames):
        found.append(data.intensities.message)
    if data.geometry is None:
        found.append("no wavelength, distance, pixel size: lengths are in pixels only")
    if data.mask is None:
        found.append("no mask: every pixel counts")
    if probe is None:
        found.append("no starting probe: one is made from the mean pattern")
    return tuple(found)


def _attention(positions: np.ndarray, n: int, across: float, known: bool, photons: np.ndarray) -> tuple[str, ...]:
    """Return what is wrong with a scan, as far as it shows without reading the frames."""
    found = findings.of_positions(positions, n, across, known) + findings.of_missing(missing(photons))
    return found.every

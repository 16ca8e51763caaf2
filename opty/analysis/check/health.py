"""health(data): is a scan fit for a reconstruction? Numbers, what is wrong, and what to do about it."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any

from opty.analysis.check.conclusion import Decision
from opty.analysis.check.decision import decide
from opty.analysis.check.findings import Findings
from opty.analysis.check.frame_statistics import Frames, look_at_frames
from opty.analysis.check.near_field import taken_as_far
from opty.analysis.check.quick import judged, probe_size, sampling
from opty.analysis.check.raster import of_raster
from opty.analysis.check.scan_rotation import of_rotation
from opty.analysis.coverage import is_near, odd_positions, scan_numbers, size_known
from opty.analysis.orientation import Orientation
from opty.data import PtychoData
from opty.state.start import check_light


@dataclass(frozen=True, kw_only=True)
class Health:
    """What ``health`` found; print it, take the numbers, or draw it (``opty.plot.health``).

    ``verdict`` sums it up. ``problems`` make a reconstruction pointless; ``warnings`` make it worse; ``advice`` is what
    to try. Lengths are in pixels unless the name says otherwise; view numbers count from 0. ``sampling`` is how finely
    the detector samples over how finely it must: 1 or more is enough.
    """

    views: int
    pattern: int
    fits: str  # "as given", another way to take the positions, or "undecided"
    twin: str | None  # the way that fits as well, where no starting probe tells the two apart
    order: str  # of the frames against the positions: "as given", or the frame_order that fits
    excess: float | None  # of held-out views over their noise: 0 predicted, 1 no better than by the mean pattern
    unexplained: bool  # in no guess, and in no long run, do an object and a probe predict views
    orientations: tuple[Orientation, ...]
    centre: tuple[float, float]
    photons_mean: float
    photons_total: float
    photons_per_pixel: float | None
    photons_per_m2: float | None
    brightest_pixel: float
    dead: int
    hot: int
    saturated: int
    frozen_frames: tuple[int, ...]
    missing_frames: tuple[int, ...]
    dim_frames: tuple[int, ...]
    bright_frames: tuple[int, ...]
    full_frames: tuple[int, ...]
    far_views: tuple[int, ...]
    repeated_views: tuple[int, ...]
    extent: tuple[float, float]
    step: float | None
    probe_diameter: float
    probe_diameter_m: float | None
    searched: bool  # the size is that of a probe that a search has found
    overlap: float | None
    coverage: float | None
    sampling: float
    binning: int
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    advice: tuple[str, ...]
    data: PtychoData = dataclasses.field(repr=False, compare=False)
    frames: Frames = dataclasses.field(repr=False, compare=False)

    @property
    def size_known(self) -> bool:
        """Whether ``probe_diameter`` is that of the probe; in the far field, without one, it is the least it can be."""
        return self.searched or size_known(self.data)

    @property
    def ok(self) -> bool:
        """Whether a reconstruction makes sense."""
        return not self.problems

    @property
    def verdict(self) -> str:
        """Return "reconstruct", that it is pointless, or "cannot tell" where nothing explains the frames."""
        if self.problems:
            return "a reconstruction is pointless as it is"
        return "cannot tell" if self.unexplained else "reconstruct"

    def to_json(self) -> str:
        """Return the numbers and the findings as JSON."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in ("data", "frames")}
        plain["orientations"] = [dataclasses.asdict(way) for way in self.orientations]
        return json.dumps({"ok": self.ok, "verdict": self.verdict, **plain}, indent=1)

    def __str__(self) -> str:
        from opty.analysis.check.health_text import text

        return text(self)


def health(data: PtychoData) -> Health:
    """Check a measurement: orientation, order of frames, beam centre, dose, pixels, positions, overlap, sampling.

    Orientation and order are found by short runs on a part of the scan, scored on views that they have not seen, which
    takes seconds; the rest is one look at each frame. Nothing is run where that alone shows a reconstruction to be
    pointless. Nothing is changed.

    Raises TypeError where ``data`` is no PtychoData, ValueError where a view holds more photons than complex64 computes
    with.
    """
    from opty.analysis.check import health_text as verdict

    if not isinstance(data, PtychoData):
        raise TypeError(f"data is a {type(data).__name__}; give a PtychoData, as from opty.load(measurement)")
    check_light(data, "complex64")
    frames = look_at_frames(data)
    across = probe_size(data, frames)
    quick = judged(data, frames, across)
    numbers = _numbers(data, frames, across) | {"searched": False}
    near = Findings() if quick.problems else taken_as_far(data, frames)
    tried = Decision() if quick.problems or near.problems else decide(data, frames)
    if data.probe is None and tried.probe is not None and tried.fits != "undecided":
        found = data.replace(probe=tried.probe)  # some doubts were about its size
        across = probe_size(found, frames)
        quick = judged(found, frames, across)
        numbers = _numbers(data, frames, across) | {"searched": True}
    numbers |= {name: getattr(tried, name) for name in ("fits", "twin", "order", "orientations", "unexplained")}
    numbers["excess"] = None if math.isnan(tried.excess) else tried.excess
    h = Health(**numbers, problems=(), warnings=(), advice=(), data=data, frames=frames)
    every = near + tried.findings + quick + of_rotation(data) + of_raster(data)
    return dataclasses.replace(h, problems=every.problems, warnings=every.warnings, advice=verdict.advice(h))


def tried_out(data: PtychoData, one_by_one: bool = True, estimated: frozenset[str] = frozenset()) -> Findings:
    """Return what ``health`` finds by short runs, beyond ``quick_look``; the others as for ``decide``."""
    frames = look_at_frames(data)
    near = taken_as_far(data, frames)
    return near if near.problems else decide(data, frames, one_by_one, estimated).findings


def _numbers(data: PtychoData, frames: Frames, across: float) -> dict[str, Any]:
    scan = scan_numbers(data.positions_px, data.pixel, across, "")
    total = float(frames.photons.sum())
    area = math.prod(length + across for length in scan["extent_px"])
    far, repeated = odd_positions(data.positions_px)
    return {
        "views": data.views,
        "pattern": data.n,
        "centre": tuple(float(x) for x in frames.centre),
        "photons_mean": total / data.views,
        "photons_total": total,
        "photons_per_pixel": total / area,
        "photons_per_m2": None if data.pixel is None else total / (area * data.pixel**2),
        "brightest_pixel": frames.brightest,
        **{name: int(getattr(frames, name).sum()) for name in ("dead", "hot", "saturated")},
        "frozen_frames": frames.frozen,
        "missing_frames": frames.dark,
        "dim_frames": frames.dim,
        "bright_frames": frames.bright,
        "full_frames": frames.full,
        "far_views": far,
        "repeated_views": repeated,
        "extent": scan["extent_px"],
        "step": scan.get("step_px"),
        "probe_diameter": across,
        "probe_diameter_m": None if data.pixel is None else across * data.pixel,
        "overlap": scan.get("overlap"),
        "coverage": scan.get("coverage"),
        "sampling": sampling(data, across),
        "binning": _binning(data, across),
    }


def _binning(data: PtychoData, across: float) -> int:
    """Return the largest power of two by which detector pixels may be added up, 1 where the probe's size is not known.

    In the near field, too, it is 1: there larger pixels cost resolution.
    """
    if data.probe is None or is_near(data):
        return 1
    by = 1
    while data.n % (2 * by) == 0 and data.n // (2 * by) >= max(2 * across, 16):
        by *= 2
    return by

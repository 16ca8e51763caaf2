"""What ``auto`` mends in a measurement before it computes: pixels that measure no light, frames that are none."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from opty.analysis.check.frame_statistics import Frames, look_at_frames
from opty.analysis.check.near_field import taken_as_far
from opty.analysis.check.near_positions import NearMap, near_map
from opty.analysis.check.quick import quick_look
from opty.analysis.coverage import is_near
from opty.data import PtychoData
from opty.data.lazy_frames import in_blocks
from opty.data.parts import chosen
from opty.data.scan_grid import rotated

LOST = 0.5  # share of the frames that may be left out at most


@dataclass(frozen=True)
class Repaired:
    """A measurement without what is broken in it.

    ``options`` of ``opty.load`` that do the same; ``done``: each repair in words; ``problems``: what makes a
    reconstruction pointless even so.
    """

    data: PtychoData
    options: dict[str, Any] = field(default_factory=dict)
    done: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def repaired(data: PtychoData) -> Repaired:
    """Bring the zero frequency out of the corner, mask dead, hot and saturated pixels, and leave out frames that are
    missing, frozen or full; say each.

    A frame that is only dim or bright stays: ``IntensityUpdate`` is among what is tried.
    """
    done: list[str] = []
    options: dict[str, Any] = {}
    frames = look_at_frames(data)
    if frames.corner and not is_near(data):
        options["zero_frequency"] = "corner"
        done.append("zero frequency brought from the corner to the middle")
        data = _centred(data)
        frames = look_at_frames(data)
    pixels = {"dead": frames.dead, "hot": frames.hot, "saturated": frames.saturated}
    words = [name for name, which in pixels.items() if which.any()]
    bad = np.logical_or.reduce([pixels[name] for name in words]) if words else None
    if bad is not None and bad.mean() < LOST:
        options["mask"] = words
        done.append(", ".join(f"{int(pixels[name].sum())} {name}" for name in words) + " pixels masked")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of views without light, which are left out below
            data = data.replace(mask=_without(data, frames), source=None)
        frames = look_at_frames(data)  # a hot pixel hides that a frame is missing
    lost = sorted({*frames.dark, *frames.frozen, *frames.full})
    if lost and len(lost) < LOST * data.views:
        options["leave_out"] = [int(view) for view in lost]
        kinds = {"missing": frames.dark, "frozen": frames.frozen, "full to the end of the scale": frames.full}
        why = ", ".join(f"{len(which)} {kind}" for kind, which in kinds.items() if which)
        done.append(f"{len(lost)} frames left out ({why})")
        data = chosen(data, np.setdiff1d(np.arange(data.views), lost))
    frames = look_at_frames(data)
    if (found := near_map(data, frames)) is not None:
        data, more, said = _placed(data, found)
        options |= more
        done += said
    problems = quick_look(data, frames).problems or taken_as_far(data, frames).problems
    return Repaired(data, options, tuple(done), problems)


def _placed(data: PtychoData, found: NearMap) -> tuple[PtychoData, dict[str, Any], list[str]]:
    """Return a near field whose positions move as its images do, with the options that do the same, and words for it.

    In a cone beam one scale is that of the distance of the focus, which sets the propagation as well.
    """
    options: dict[str, Any] = {}
    said: list[str] = []
    geometry = data.geometry
    assert geometry is not None
    if (focus := found.focus(geometry)) is not None:
        options["focus_to_sample"] = focus
        said.append(f"distance of the focus taken as {focus:.4g} m, for {geometry.focus_to_sample:.4g} m: the patterns")
        data = data.replace(geometry=replace(geometry, focus_to_sample=focus), source=None)
    elif found.factors is not None:
        options["position_scale"] = found.factors
        data = data.replace(positions=data.positions * found.factors, truth=None, source=None)
        said.append(f"positions multiplied by {found.factors}: the patterns")
    if found.turn is not None:
        options["scan_rotation"] = found.turn
        turned = rotated(data.positions, float(np.deg2rad(float(found.turn.removesuffix("deg")))))
        data = data.replace(positions=turned, truth=None, source=None)
        said.append(f"positions turned by {found.turn.removesuffix('deg')} degrees: the patterns")
    return data, options, [f"{line}, images of the sample, move so" for line in said]


def _without(data: PtychoData, frames: Frames) -> np.ndarray:
    """Return the mask of a measurement without dead, hot and saturated pixels, these in the views where they are."""
    full = frames.saturated & ~(frames.dead | frames.hot)
    counts = ~(frames.dead | frames.hot)
    if data.mask is not None:
        counts = counts & data.mask[:]
    if not any((images[:, full] < frames.brightest).any() for _, images in in_blocks(data.intensities)):
        return np.asarray(counts & ~full)
    below = np.concatenate([images < frames.brightest for _, images in in_blocks(data.intensities)])
    return np.asarray(counts & below)


def _centred(data: PtychoData) -> PtychoData:
    """Return a measurement with the middle of its frames where their corners were; frames in a file are read."""
    images = {"intensities": data.intensities[:], "mask": data.mask, "background": data.background}
    if data.mask is not None:
        images["mask"] = data.mask[:]
    moved = {name: None if a is None else np.fft.fftshift(a, axes=(-2, -1)) for name, a in images.items()}
    return data.replace(**moved, source=None)

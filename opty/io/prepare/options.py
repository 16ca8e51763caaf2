"""The options that every measurement can be loaded with, applied in the same way to every format.

Operations on an image: views -> zero frequency to the centre -> negative counts to 0 -> crop around the beam centre,
transpose, flip -> flat -> mask -> rebin -> subdivide. Geometry, background and starting probe follow. What an option
gives is not read from the file, so that an option also helps where the value in the file is invalid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from opty.data.fields import divided, wider_probe
from opty.data.lazy_frames import LazyFrames, in_blocks, some_views
from opty.errors import warn_user
from opty.files.open_file import KeptFile
from opty.geometry import Geometry
from opty.io.prepare import lengths, pixels, places
from opty.io.prepare.cutting import Cut, centre_option, checked_centre, cut_of, rebinned, resampled
from opty.io.prepare.frames import Frames, blocks
from opty.io.prepare.given_positions import given_positions
from opty.io.prepare.given_probe import given_probe
from opty.io.prepare.image_ops import (
    MaskTreatment,
    Treatment,
    ValidTreatment,
    centred,
    in_file,
    in_memory,
    joined_masks,
    other_pixels,
    stay,
)
from opty.io.prepare.images import Given, given_image
from opty.io.prepare.lens import check_lens, given_of, probe_of, turned
from opty.io.prepare.places import Places
from opty.io.prepare.preparation import Preparation
from opty.io.prepare.raw import Raw
from opty.remedies import option

LENGTHS = lengths.LENGTHS


@dataclass(frozen=True)
class Planned:
    """The plan of a load: views, cut of their images, lengths [m], and whether the frames stay in the file."""

    choice: slice | np.ndarray
    cut: Cut
    lengths: Mapping[str, Any]
    stays: bool


class Prepared:
    """The options of a load, checked, with their images read."""

    def __init__(self, options: Preparation):
        self.options = options
        if options.stream not in (None, True, False):
            raise ValueError(f"stream is {options.stream!r}; give True, False or None")
        for name in ("rebin", "subdivide"):
            factor = getattr(options, name)
            if isinstance(factor, bool) or not isinstance(factor, (int, np.integer)) or factor < 1:
                raise ValueError(f"{name} is {factor!r}; give a whole number of pixels from 1 on")
        if options.clip is not None and (isinstance(options.clip, bool) or options.clip != 0):
            raise ValueError(f"clip is {options.clip!r}; give 0, which negative counts become, or leave it out")
        if options.zero_frequency not in (None, "centre", "corner"):
            raise ValueError(f"zero_frequency is {options.zero_frequency!r}; give 'centre' or 'corner'")
        places.check_options(options)
        lengths.said(options)
        check_lens(options)
        self.given_places = None if options.positions is None else given_positions(options.positions)
        self.given_probe = None if options.probe is None else given_probe(options.probe)
        self._lengths: dict[str, Any] = {}
        self._places = Places(np.zeros((0, 2)), "m", "positions")
        self.mask = pixels.mask_items(options.mask)
        self.dark = None if options.dark is None else given_image("dark", options.dark, number=True)
        self.flat = None if options.flat is None else given_image("flat", options.flat)

    @property
    def _given(self) -> list[Any]:
        return [self.dark, self.flat, self.given_places, self.given_probe, *self.mask.images]

    @property
    def paths(self) -> list[Path]:
        """Files that the options name."""
        return [image.path for image in self._given if image is not None and image.path is not None]

    @property
    def arrays(self) -> bool:
        """Whether an option is an array, which no other run can find again in a file."""
        given = [image for image in self._given if image is not None and image.path is None]
        return any(not (isinstance(image, Given) and image.array.ndim == 0) for image in given)

    def planned(self, raw: Raw) -> Planned:
        """Return the plan for a measurement that has passed ``check``, before its frames are read."""
        o, lengths = self.options, self._lengths
        choice = places.taken(raw, o, self._places, None if self._without_empty else o.leave_out)
        cut = cut_of(raw, o, lengths.get("propagation") == "near", lambda: pixels.centre_of_mass(raw, choice))
        return Planned(choice, cut, lengths, stay(raw, o, cut, choice, self.mask.ignore))

    @property
    def _without_empty(self) -> bool:
        return isinstance(self.options.leave_out, str) and self.options.leave_out == "empty"

    def fields(self, raw: Raw, planned: Planned, kept: KeptFile | None) -> dict[str, Any]:
        """Read a measurement: the fields of PtychoData; with ``kept`` the frames stay in that file."""
        self._told(raw)
        o, shape, choice, cut = self.options, raw.frames.shape[1:], planned.choice, planned.cut
        lengths, near = planned.lengths, planned.lengths.get("propagation") == "near"
        corners = o.zero_frequency == "corner", raw.corner
        dark, flat = (_image(*pair, shape, *corners) for pair in ((self.dark, raw.dark), (self.flat, raw.flat)))
        mask = self._mask(raw, cut, choice, flat, kept)
        flat = None if flat is None else cut(flat)
        treatment = Treatment(cut, raw.corner, mask, flat, o.rebin, o.clip is not None, o.subdivide)
        intensities = in_memory(raw, choice, treatment) if kept is None else in_file(kept, "frames", choice, treatment)
        out: dict[str, Any] = {"intensities": intensities}
        if dark is not None:
            dark = cut(dark) if flat is None else np.divide(cut(dark), flat, where=flat > 0, out=np.zeros(flat.shape))
            hidden = np.zeros(dark.shape, bool)
            if isinstance(mask, np.ndarray) and mask.ndim == 2:
                hidden = ~mask & ~(dark >= 0)
            out["background"] = divided(rebinned(np.where(hidden, dark.dtype.type(0), dark), o.rebin), o.subdivide)
        out["mask"] = None if mask is None else other_pixels(mask, o.rebin, o.subdivide)
        out["positions"] = places.metres(self._places, o, planned, shape[-1])
        scale = o.rebin / o.subdivide
        out["geometry"] = Geometry(**{**lengths, "pixel_size": lengths["pixel_size"] * scale}) if lengths else None
        edge = cut.n // o.rebin * o.subdivide
        if self.given_probe is not None:
            out["probe"] = self.given_probe.fit(edge, out["geometry"])
        elif given_of(o):
            out["probe"] = probe_of(o, out["geometry"], edge)
        else:
            own = None if raw.probe is None else resampled(raw.probe, cut, o.rebin, near)
            out["probe"] = own if own is None or o.subdivide == 1 else wider_probe(own, o.subdivide, near)
        if raw.truth is not None and cut.whole and o.rebin == o.subdivide == 1:
            taken = {"positions": raw.truth["positions"][choice]} if "positions" in raw.truth else {}
            out["truth"] = {**raw.truth, **taken}
        out = _without_empty(out) if self._without_empty else out
        if isinstance(o.scan_rotation, str) and o.scan_rotation == "auto":
            out["positions"] = turned(out, places.grid_of(raw, o, choice))
        return out

    def check(self, raw: Raw) -> None:
        """Read what no option gives, and refuse an impossible measurement: errors here are errors of the file."""
        o = self.options
        self._told(raw)
        self._lengths = lengths.known(raw, o)
        self._places = places.found(raw, o, self.given_places, self._lengths)
        lengths.check(raw, self._lengths, self._places.factors is None)
        places.check(raw, o, self._places)
        _, rows, columns = raw.frames.shape
        if callable(raw.centre):
            raw.centre = raw.centre(self._of_the_detector(raw)) if o.centre is None else None
        if raw.centre is not None and o.centre is None:
            checked_centre(raw.centre, (rows, columns), "the file")
        if rows != columns and o.crop is None and o.centre is None and raw.centre is None:
            raise ValueError(
                f"the frames are {rows} x {columns} pixels and patterns must be square: give "
                f"{option('crop', min(rows, columns))} (and {centre_option()} where the beam is not in the middle)"
            )
        if not self.mask.ignore:
            _ = raw.own_mask
        for name in ("dark", "flat"):
            own = getattr(raw, name)
            if callable(own):
                setattr(raw, name, own() if getattr(o, name) is None else None)

    def _told(self, raw: Raw) -> None:
        """Put the place of the zero frequency that the options give into what the file says."""
        if self.options.zero_frequency is not None:
            raw.corner = self.options.zero_frequency == "corner"

    def _of_the_detector(self, raw: Raw) -> Mapping[str, Any]:
        """The lengths with the pixel of the detector itself, where an angle takes its place."""
        if self.options.reciprocal_pixel is None:
            return self._lengths
        known = {name: value for name, value in self._lengths.items() if name != "pixel_size"}
        own = raw.lengths.get("pixel_size")
        own = own(known) if callable(own) else own
        return known if own is None else known | {"pixel_size": own}

    def _mask(
        self, raw: Raw, cut: Cut, choice: slice | np.ndarray, flat: np.ndarray | None, kept: KeptFile | None
    ) -> np.ndarray | LazyFrames | None:
        """Put the masks together: (n', n') or (N, n', n') before rebinning, or None."""
        shape = raw.frames.shape[1:]
        found: list[np.ndarray | LazyFrames] = []
        own = None if self.mask.ignore else raw.own_mask
        if own is not None:
            if not isinstance(own, Frames):
                found.append(cut(centred(raw.good(own), raw.corner)))
            elif kept is not None:
                found.append(in_file(kept, "own_mask", choice, MaskTreatment(cut, corner=raw.corner)))
            else:
                parts = (centred(raw.good(part), raw.corner) for _, part in blocks(own, choice))
                found.append(np.concatenate([cut(part) for part in parts]))
        if raw.cutoff is not None and not self.mask.ignore:
            found.append(pixels.below(raw, cut, choice, raw.cutoff))
        fit = {"views": raw.frames.shape[0], "choice": choice}
        corner = self.options.zero_frequency == "corner"
        found += [cut(centred(image.fit(shape, **fit) != 0, corner)) for image in self.mask.images]
        if flat is not None:
            found.append(cut(np.isfinite(flat) & (flat > 0)))
        if self.mask.statistics:
            known = joined_masks(found)
            of_views = pixels.statistics(self.mask, raw, cut, choice, known, self.options)
            found.append(of_views.good)
            if of_views.noise or np.isfinite(of_views.level):
                found = self._of_each_view(raw, cut, choice, kept, found, of_views)
        return joined_masks(found)

    def _of_each_view(
        self,
        raw: Raw,
        cut: Cut,
        choice: slice | np.ndarray,
        kept: KeptFile | None,
        found: list[Any],
        known: pixels.Statistics,
    ) -> list[Any]:
        """Put the masks of each view, True where counts are valid and not saturated, in front of other masks."""
        if known.noise:
            warn_user(
                "more than a quarter of the detector is NaN, infinite or negative in some view; a pixel is masked in "
                f"the views where it is: for the noise of dark-subtracted data {option('clip', 0)} has less bias",
                UserWarning,
            )
        treatment = ValidTreatment(cut, raw.corner, self.options.clip is not None, known.noise, known.level)
        if kept is None:
            return [np.concatenate([treatment(part, place) for place, part in blocks(raw.frames, choice)]), *found]
        if found and isinstance(found[0], LazyFrames):
            raise ValueError(
                f"the file has a mask for each view, which stays in the file: give {option('stream', False)}"
            )
        return [in_file(kept, "frames", choice, treatment), *found]


def _image(given: Given | None, own: Any, shape: tuple[int, ...], told: bool, corner: bool) -> np.ndarray | None:
    """Return the image of an option, checked against the detector, or else that of the file; zero frequency centred.

    An image of an option has it in the corner where the options say so (``told``), one of the file where the frames do.
    """
    if given is None:
        own = own() if callable(own) else own
        return None if own is None else centred(own, corner)
    return centred(given.fit(shape).astype(np.float64), told)


def _without_empty(out: dict[str, Any]) -> dict[str, Any]:
    """Leave out the views that hold no photon on an unmasked pixel, or only NaN."""
    mask, blocks_kept = out["mask"], []
    for place, images in in_blocks(out["intensities"]):
        masks = True if mask is None else mask if mask.ndim == 2 else mask[place]
        blocks_kept.append(np.any((images > 0) & masks, axis=(1, 2)))
    keep = np.concatenate(blocks_kept)
    if keep.all() or not keep.any():
        return out
    out = {**out, "intensities": some_views(out["intensities"], keep), "positions": out["positions"][keep]}
    if mask is not None and mask.ndim == 3:
        out["mask"] = some_views(mask, keep)
    if "truth" in out and "positions" in out["truth"]:
        out["truth"] = {**out["truth"], "positions": out["truth"]["positions"][keep]}
    return out

"""The options that every measurement can be loaded with, applied alike whatever the format.

The way of an image: views -> zero frequency to the centre -> crop around the beam centre, transpose, flip -> flat ->
mask -> rebin. Geometry, background and starting probe follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from opty.data.lazy_frames import Stack, in_blocks, some_views
from opty.files.open_file import KeptFile
from opty.geometry import Geometry
from opty.io.prepare import pixels
from opty.io.prepare.cutting import Cut, centre_option, checked_centre, cut_of, rebinned, resampled
from opty.io.prepare.frames import Frames, blocks
from opty.io.prepare.image_ops import MaskTreatment, Treatment, in_file, in_memory, joined_masks, rebinned_mask, stay
from opty.io.prepare.images import Given, given_image
from opty.io.prepare.views import chosen
from opty.remedies import option

LENGTHS = ("wavelength", "distance", "pixel_size")


@dataclass(frozen=True)
class Preparation:
    """What is done to a measurement while it is loaded.

    Parameters
    ----------
    views : which to load: a slice, its text ("0:100", "::4") or a list of view numbers. ``leave_out`` : which not to,
        in the same words, or "empty": those without a single photon, and those that are NaN throughout.
    crop : edge [px] of the square that is cut out around ``centre``. ``centre`` : (row, column) [px] of the beam on the
        detector as the file has it; "auto": the centre of mass. Default: what the file tells, or the middle n // 2.
    transpose, flip : True, and "rows", "columns" or "both": turn the detector image, transposed first. Default: as the
        file says; the zero frequency stays in the middle.
    rebin : so many by so many pixels are added up to one; one with a masked part is masked.
    mask : where a pixel counts, besides the file's own mask: an array (True counts), the path of one, or, found from
        the frames, "invalid" (NaN, infinite, negative), "dead", "hot", "saturated"; "ignore": not the file's; or a list
        of these. ``saturation`` : counts from which a pixel is saturated.
    dark : incoherent background [counts], an array or the path of one; fitted with the model, not subtracted.
    flat : sensitivity of each pixel, an array or a path; counts are divided by it, pixels where it is 0 are masked.
    wavelength, distance, pixel_size, focus_to_sample, propagation : of the Geometry [m], where the file has none or a
        wrong one.
    links : names or patterns of other files that links in an HDF5 file may lead to.
    stream : True leaves the frames in the file, to be read batch by batch; False reads them into memory. Default: they
        stay where they would take more than a quarter of the memory that is free.
    """

    views: Any = None
    leave_out: Any = None
    crop: int | None = None
    centre: Any = None
    transpose: bool | None = None
    flip: str | None = None
    rebin: int = 1
    mask: Any = None
    saturation: float | None = None
    dark: Any = None
    flat: Any = None
    wavelength: float | None = None
    distance: float | None = None
    pixel_size: float | None = None
    focus_to_sample: float | None = None
    propagation: str | None = None
    links: Any = None
    stream: bool | None = None

    def given(self) -> dict[str, Any]:
        """Return the options that differ from their defaults and make a difference to the measurement."""
        found = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) is not f.default and v is not None}
        return {name: value for name, value in found.items() if name != "stream"}


@dataclass
class Raw:
    """A measurement as a file has it, not read yet.

    ``positions`` (N, 2) in metres or, with ``unit`` "px", in pixels at the sample. ``lengths``: what the file tells of
    the Geometry, or functions that take the lengths known by then; ``wanted`` where it was looked for in vain. ``mask``:
    Frames or (rows, columns), where a pixel counts if ``good`` says so; ``cutoff``: the least count that is none.
    ``centre``: of the beam (row, column) [px]. ``corner``: the zero frequency is there. ``lacks``: which views are
    missing, and what to do.
    """

    frames: Frames
    positions: np.ndarray
    unit: str = "m"
    lengths: Mapping[str, Any] = field(default_factory=dict)
    wanted: Mapping[str, str] = field(default_factory=dict)
    mask: Any = None
    good: Callable[[np.ndarray], np.ndarray] = np.asarray
    dark: np.ndarray | None = None
    flat: np.ndarray | None = None
    probe: np.ndarray | None = None
    truth: Mapping[str, np.ndarray] | None = None
    centre: tuple[float, float] | None = None
    transpose: bool = False
    flip: str | None = None
    corner: bool = False
    whole: str | None = None  # why the file must be read as a whole, if so
    cutoff: float | None = None
    lacks: str | None = None


@dataclass(frozen=True)
class Planned:
    """What is taken of a measurement: which views, which square of their images, lengths [m]; do the frames stay?"""

    choice: slice | np.ndarray
    cut: Cut
    lengths: Mapping[str, Any]
    stays: bool


class Prepared:
    """The options of a load, checked, with the images that they name read."""

    def __init__(self, options: Preparation):
        self.options = options
        if options.stream not in (None, True, False):
            raise ValueError(f"stream is {options.stream!r}; give True, False or None")
        if isinstance(options.rebin, bool) or not isinstance(options.rebin, (int, np.integer)) or options.rebin < 1:
            raise ValueError(f"rebin is {options.rebin!r}; give a whole number of pixels from 1 on")
        self.mask = pixels.mask_items(options.mask)
        self.dark = None if options.dark is None else given_image("dark", options.dark)
        self.flat = None if options.flat is None else given_image("flat", options.flat)

    @property
    def paths(self) -> list[Path]:
        """Files that the options name."""
        given = [self.dark, self.flat, *self.mask.images]
        return [image.path for image in given if image is not None and image.path is not None]

    @property
    def arrays(self) -> bool:
        """Whether an option is an array, which no other run can find again in a file."""
        given = [self.dark, self.flat, *self.mask.images]
        return any(image is not None and image.path is None for image in given)

    def planned(self, raw: Raw) -> Planned:
        """Decide what is taken of a measurement, before its frames are read."""
        o = self.options
        choice = chosen(o.views, raw.frames.shape[0], None if self._without_empty else o.leave_out)
        lengths = self._known(raw)
        cut = cut_of(raw, o, lengths.get("propagation") == "near", lambda: pixels.centre_of_mass(raw, choice))
        return Planned(choice, cut, lengths, stay(raw, o, cut, choice))

    @property
    def _without_empty(self) -> bool:
        return isinstance(self.options.leave_out, str) and self.options.leave_out == "empty"

    def fields(self, raw: Raw, planned: Planned, kept: KeptFile | None) -> dict[str, Any]:
        """Read a measurement: the fields of PtychoData; with ``kept`` the frames stay in that file."""
        o, shape, choice, cut = self.options, raw.frames.shape[1:], planned.choice, planned.cut
        lengths, near = planned.lengths, planned.lengths.get("propagation") == "near"
        dark, flat = self._image(self.dark, raw.dark, shape), self._image(self.flat, raw.flat, shape)
        mask = self._mask(raw, cut, choice, flat, kept)
        flat = None if flat is None else cut(flat)
        treatment = Treatment(cut, raw.corner, mask, flat, o.rebin)
        intensities = in_memory(raw, choice, treatment) if kept is None else in_file(kept, "frames", choice, treatment)
        out: dict[str, Any] = {"intensities": intensities}
        if dark is not None:
            dark = cut(dark) if flat is None else np.divide(cut(dark), flat, where=flat > 0, out=np.zeros(flat.shape))
            hidden = np.zeros(dark.shape, bool) if mask is None or mask.ndim == 3 else ~mask & ~(dark >= 0)
            out["background"] = rebinned(np.where(hidden, dark.dtype.type(0), dark), o.rebin)
        out["mask"] = None if mask is None else rebinned_mask(mask, o.rebin)
        positions = raw.positions[choice]
        geometry = Geometry(**{**lengths, "pixel_size": lengths["pixel_size"] * o.rebin}) if lengths else None
        if raw.unit == "px":
            positions = positions * (Geometry(**lengths).sample_pixel(shape[-1]) if lengths else cut.n / shape[-1])
        out |= {"positions": positions, "geometry": geometry}
        out["probe"] = None if raw.probe is None else resampled(raw.probe, cut, o.rebin, near)
        if raw.truth is not None and cut.whole and o.rebin == 1:
            taken = {"positions": raw.truth["positions"][choice]} if "positions" in raw.truth else {}
            out["truth"] = {**raw.truth, **taken}
        return _without_empty(out) if self._without_empty else out

    def _known(self, raw: Raw) -> dict[str, Any]:
        """Put together what the file and the options tell of the Geometry; empty for pixels only."""
        said = {name: getattr(self.options, name) for name in (*LENGTHS, "focus_to_sample", "propagation")}
        known = {name: value for name, value in said.items() if value is not None}
        for name, told in raw.lengths.items():
            if name not in known and (value := told(known) if callable(told) else told) is not None:
                known[name] = value
        for name in (*LENGTHS, "focus_to_sample"):
            if name in known:
                known[name] = _length(name, known[name])
        return known

    def check(self, raw: Raw) -> None:
        """Refuse frames that are not square, and lengths of the geometry that neither file nor options tell."""
        known = self._known(raw)
        missing = [name for name in LENGTHS if name not in known]
        if missing and (raw.unit == "m" or known):
            where = [raw.wanted.get(name, f"no {name.replace('_', ' ')}") for name in missing]
            raise ValueError(f"{'; '.join(where)}: give {', '.join(map(option, missing))} in metres")
        if not missing and raw.lengths:
            Geometry(**known)
        views, rows, columns = raw.frames.shape
        if raw.lacks is not None and self.options.views is None and self.options.leave_out is None:
            raise ValueError(raw.lacks)
        truth = (raw.truth or {}).get("positions", raw.positions)
        for name, places in (("positions", raw.positions), ("true positions", truth)):
            if np.shape(places) != (views, 2):
                raise ValueError(f"there are {views} patterns, but {name} have shape {np.shape(places)}")
        if raw.centre is not None and self.options.centre is None:
            checked_centre(raw.centre, (rows, columns), "the file")
        if rows != columns and self.options.crop is None and self.options.centre is None and raw.centre is None:
            raise ValueError(
                f"the frames are {rows} x {columns} pixels and patterns must be square: give "
                f"{option('crop', min(rows, columns))} (and {centre_option()} where the beam is not in the middle)"
            )

    def _image(self, given: Given | None, own: np.ndarray | None, shape) -> np.ndarray | None:
        """Return the image of an option or else the file's, checked against the detector."""
        if given is None:
            return own
        return given.fit(shape).astype(np.float64)

    def _mask(self, raw: Raw, cut: Cut, choice, flat, kept: KeptFile | None) -> np.ndarray | Stack | None:
        """Put the masks together: (n', n') or (N, n', n') before rebinning, or None."""
        shape, found = raw.frames.shape[1:], []
        if raw.mask is not None and not self.mask.ignore:
            if not isinstance(raw.mask, Frames):
                found.append(cut(raw.good(raw.mask)))
            elif kept is not None:
                found.append(in_file(kept, "mask", choice, MaskTreatment(cut)))
            else:
                found.append(np.concatenate([cut(raw.good(part)) for _, part in blocks(raw.mask, choice)]))
        if raw.cutoff is not None and not self.mask.ignore:
            found.append(pixels.below(raw, cut, choice, raw.cutoff))
        found += [cut(image.fit(shape, views=raw.frames.shape[0], choice=choice) != 0) for image in self.mask.images]
        if flat is not None:
            found.append(cut(np.isfinite(flat) & (flat > 0)))
        if self.mask.statistics:
            known = joined_masks(found)
            found.append(pixels.statistics(self.mask, raw, cut, choice, known, self.options.saturation))
        return joined_masks(found)


def _length(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}; give a length in metres") from None


def _without_empty(out: dict[str, Any]) -> dict[str, Any]:
    """Leave out the views that hold no photon on a pixel that counts, or nothing but NaN."""
    mask, keep = out["mask"], []
    for place, images in in_blocks(out["intensities"]):
        masks = True if mask is None else mask if mask.ndim == 2 else mask[place]
        keep.append(((images > 0) & masks).any(axis=(1, 2)))
    keep = np.concatenate(keep)
    if keep.all() or not keep.any():
        return out
    out = {**out, "intensities": some_views(out["intensities"], keep), "positions": out["positions"][keep]}
    if mask is not None and mask.ndim == 3:
        out["mask"] = some_views(mask, keep)
    if "truth" in out and "positions" in out["truth"]:
        out["truth"] = {**out["truth"], "positions": out["truth"]["positions"][keep]}
    return out

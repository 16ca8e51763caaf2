"""Cutting detector images: a square around the beam centre, turned and flipped; and adding up pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.errors import warn_user
from opty.remedies import here, named, option

if TYPE_CHECKING:
    from opty.io.prepare.options import Preparation, Raw

SMALLEST = 4
FLIPS = {None: (False, False), "none": (False, False)}
FLIPS |= {"rows": (True, False), "columns": (False, True), "both": (True, True)}


@dataclass(frozen=True)
class Cut:
    """The square (n, n) taken out of images: which of their rows and columns, in which order."""

    rows: np.ndarray
    columns: np.ndarray
    transpose: bool
    whole: bool

    @property
    def n(self) -> int:
        """Edge of the square [px]."""
        return len(self.rows)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Cut images (..., rows, columns) to (..., n, n)."""
        if self.whole:
            return images
        out = _along(_along(images, self.rows, -2), self.columns, -1)
        return np.swapaxes(out, -2, -1) if self.transpose else out


def cut_of(raw: Raw, options: Preparation, near: bool, find: Callable[[], tuple[float, float]]) -> Cut:
    """Return the cut of each image; ``find`` returns the centre of mass, where the options need it.

    Raises ValueError for a square that leaves the detector, and options that make no sense.
    """
    shape = raw.frames.shape[1:]
    transpose = raw.transpose if options.transpose is None else options.transpose
    if not isinstance(transpose, (bool, np.bool_)):
        raise ValueError(f"transpose is {transpose!r}; give True or False")
    flip = raw.flip if options.flip is None else options.flip
    if flip not in FLIPS:
        raise ValueError(f"flip is {flip!r}; choose 'rows', 'columns', 'both' or 'none'")
    flips = FLIPS[flip][::-1] if transpose else FLIPS[flip]  # of the image as the file has it
    centre = _centre(raw, options, shape, find)
    middle = tuple(edge // 2 for edge in shape)
    where = middle if centre is None else centre
    fits = min(_largest(edge, c, not near and f) for edge, c, f in zip(shape, where, flips, strict=True))
    n = _edge(options.crop, shape, centre, fits)
    if options.crop is None and options.centre is None and n < min(shape):
        warn_user(
            f"the file has the beam at {where} of {shape[0]} x {shape[1]} pixels: {n} x {n} around it are kept; give "
            f"{option('crop')} or {option('centre')} to choose",
            UserWarning,
        )
    if not transpose and not any(flips) and (n, n) == tuple(shape):
        return Cut(np.arange(n), np.arange(n), False, True)
    axes = [_indices(edge, c, n, f, near) for edge, c, f in zip(shape, where, flips, strict=True)]
    return Cut(axes[0], axes[1], bool(transpose), False)


def rebinned(images: np.ndarray, factor: int) -> np.ndarray:
    """Add up ``factor`` x ``factor`` pixels of images (..., n, n); in a mask, all must be unmasked."""
    if factor == 1:
        return images
    n = images.shape[-1]
    if n % factor or n // factor < SMALLEST:
        best = n // factor * factor
        fits = best // factor >= SMALLEST and n % factor
        remedy = f": give {option('crop', best)} as well" if fits else "; they get too small"
        raise ValueError(f"{option('rebin', factor)} does not go into patterns of {n} x {n}{remedy}")
    parts = images.reshape(*images.shape[:-2], n // factor, factor, n // factor, factor)
    if images.dtype == bool:
        return np.logical_and.reduce(parts, axis=(-3, -1))
    if images.dtype.kind == "f":
        return parts.sum(axis=(-3, -1), dtype=np.float64).astype(images.dtype)
    return parts.sum(axis=(-3, -1))


def resampled(probe: np.ndarray, cut: Cut, factor: int, near: bool) -> np.ndarray:
    """Cut and rebin a probe (..., n, n) as the detector images are: cutting acts on its far field, rebinning crops it.

    In the near field the detector sees the probe itself.
    """
    if near:
        probe = cut(probe)
        return probe if factor == 1 else rebinned(probe, factor) / factor
    if not cut.whole and probe.shape[-2:] == probe.shape[-1:] * 2:
        wave = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe, axes=(-2, -1)), norm="ortho"), axes=(-2, -1))
        there = np.fft.ifft2(np.fft.ifftshift(cut(wave), axes=(-2, -1)), norm="ortho")
        probe = np.fft.fftshift(there, axes=(-2, -1)).astype(probe.dtype)
    if factor == 1:
        return probe
    n = probe.shape[-1] // factor
    start = probe.shape[-1] // 2 - n // 2
    return probe[..., start : start + n, start : start + n]


def _centre(
    raw: Raw, options: Preparation, shape: tuple[int, ...], find: Callable[[], tuple[float, float]]
) -> tuple[int, int] | None:
    given = options.centre
    if given is None:
        if raw.centre is None:
            return None
        centre, source = raw.centre, "the file"
    elif isinstance(given, str):
        if given != "auto":
            raise ValueError(f"centre is {given!r}; give (row, column) in pixels or 'auto'")
        centre, source = find(), "the centre of mass"
    else:
        centre, source = given, named("centre")
    return checked_centre(centre, shape, source)


def centre_option() -> str:
    """Return how to give the centre of the beam."""
    return here("centre=(row, column)", "--centre ROW,COLUMN")


def checked_centre(centre: Any, shape: tuple[int, ...], source: str) -> tuple[int, int]:
    """Return (row, column) rounded to whole pixels; ValueError for anything that is no point of the detector."""
    found = np.asarray(centre, dtype=object).reshape(-1)
    if len(found) != 2 or not all(isinstance(c, (int, float, np.number)) and np.isfinite(c) for c in found):
        raise ValueError(f"centre is {centre!r}; give (row, column) in pixels or 'auto'")
    row, column = (int(np.rint(float(c))) for c in found)
    if not all(2 <= c <= edge - 3 for c, edge in zip((row, column), shape, strict=True)):  # leaves SMALLEST pixels
        where = f"outside {shape[0]} x {shape[1]} pixels or at their edge"
        raise ValueError(f"{source} puts the beam at {(row, column)}, {where}: give {centre_option()}")
    return row, column


def _edge(crop: Any, shape: tuple[int, ...], centre: tuple[int, int] | None, fits: int) -> int:
    """Edge of the square to cut out."""
    if crop is None:
        return shape[0] if centre is None else fits
    if isinstance(crop, bool) or not isinstance(crop, (int, np.integer)) or crop < SMALLEST:
        raise ValueError(f"crop is {crop!r}; give the edge of a square in pixels, from {SMALLEST} on")
    if crop > fits:
        middle = centre or tuple(edge // 2 for edge in shape)
        beyond = f"leaves the detector of {shape[0]} x {shape[1]}; at most {fits} fits there"
        raise ValueError(f"{option('crop', crop)} around {middle} {beyond}")
    return int(crop)


def _largest(edge: int, centre: int, flipped: bool) -> int:
    """Largest square that fits on an axis with the zero frequency at ``centre``, n // 2 of the result."""
    if flipped and centre == edge // 2:
        return edge
    before, after = (edge - 1 - centre, centre) if flipped else (centre, edge - 1 - centre)
    return min(2 * before + 1, 2 * after + 2)


def _indices(edge: int, centre: int, n: int, flipped: bool, near: bool) -> np.ndarray:
    """Rows (or columns) of the image that make the result; the frequency k of a flipped one is -k of the image."""
    k = np.arange(n) - n // 2
    if near:
        return (centre + k)[::-1] if flipped else centre + k
    return (centre - k) % edge if flipped else centre + k  # the highest frequency of an even edge is its own partner


def _along(images: np.ndarray, index: np.ndarray, axis: int) -> np.ndarray:
    step = np.unique(np.diff(index))
    if len(step) == 1 and abs(step[0]) == 1:
        low = int(index.min())
        part = images[..., low : low + len(index), :] if axis == -2 else images[..., low : low + len(index)]
        return part if step[0] == 1 else np.flip(part, axis)
    return np.take(images, index, axis)

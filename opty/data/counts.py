"""Checks of the counts before a reconstruction; errors give the number of wrong counts and the first of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from opty.data.lazy_frames import LazyFrames, in_blocks
from opty.errors import warn_user
from opty.remedies import here, loading, option

_ENDLESS = np.float32(1e30)  # photons; the square of more overflows in single precision, which the mask does not undo


@dataclass(frozen=True)
class Counted:
    """Checked intensities (N, n, n); photons of each view (N,) and brightest pixel, both over unmasked pixels."""

    intensities: np.ndarray | LazyFrames
    photons: np.ndarray
    brightest: float


def checked_counts(intensities: np.ndarray | LazyFrames, mask: Any) -> Counted:
    """Refuse NaN, infinite and negative counts on unmasked pixels; set them to zero on masked ones.

    One pass over all views, a block in memory at a time. Warns of views without light.
    """
    hidden, wrong, photons = [], _Wrong(), np.zeros(len(intensities))
    brightest = largest = 0.0
    widened = isinstance(intensities, LazyFrames) and intensities.native != intensities.dtype
    for place, views in in_blocks(intensities):
        masks = mask if mask is None or mask.ndim == 2 else mask[place]
        for j, view in enumerate(views, place.start):
            seen = masks if masks is None or masks.ndim == 2 else masks[j - place.start]
            bad = _bad(view, seen)
            if bad is not None:
                wrong.note(j, view, np.ones(view.shape, bool) if seen is None else seen, bad)
                hidden.append(j)
            good = seen if bad is None else ~bad if seen is None else seen & ~bad
            counted = view if good is None else np.where(good, view, 0)
            photons[j] = counted.sum(dtype=np.float64)
            brightest = max(brightest, float(counted.max()))
            largest = max(largest, float(view.max())) if widened else largest
    wrong.refuse()
    _check_light(photons, intensities, mask)
    if isinstance(intensities, LazyFrames):
        intensities = intensities.finalised(hidden, mask, largest)
    elif hidden:
        intensities = intensities.copy()
        for j in hidden:
            intensities[j][~(mask if mask.ndim == 2 else mask[j])] = 0
    return Counted(intensities, photons, brightest)


def _bad(view: np.ndarray, seen: np.ndarray | None) -> np.ndarray | None:
    """Return where a view is NaN, infinite or negative, or masked and no number of photons; None if no pixel is."""
    if view.dtype.kind == "u":
        return None
    bad = ~(view >= 0) | (view == np.inf) if view.dtype.kind == "f" else view < 0
    if view.dtype.kind == "f" and seen is not None:
        bad |= (view > _ENDLESS) & ~seen
    return bad if bad.any() else None


def _check_light(photons: np.ndarray, intensities: np.ndarray | LazyFrames, mask: Any) -> None:
    dark = np.flatnonzero(photons == 0).tolist()
    if len(dark) == len(photons):
        if mask is not None and any((views > 0).any() for _, views in in_blocks(intensities)):
            inverse = here("give ~mask", "write its inverse to a file")
            raise ValueError(
                f"the mask hides all the light of the {len(photons)} views: it is 1 where a pixel counts; if yours "
                f"marks bad pixels, {inverse}"
            )
        raise ValueError(f"intensities ({len(photons)} views) are zero everywhere: there is no light in the data")
    if dark:
        warn_user(
            f"{len(dark)} of {len(photons)} views hold no photon on a pixel that counts: {_first(dark)}; leave "
            f"them out unless the beam was really dark there ({loading('leave_out', 'empty')})",
            UserWarning,
        )


class _Wrong:
    """The impossible counts found: their number, the first of them, and the remedy."""

    def __init__(self) -> None:
        self.endless, self.negative, self.smallest = 0, 0, 0.0
        self.first: dict[str, str] = {}
        self.lost: list[int] = []

    def note(self, j: int, view: np.ndarray, seen: np.ndarray, bad: np.ndarray) -> None:
        """Record the pixels ``bad`` of a view that are among those ``seen``."""
        endless = bad & seen & ~np.isfinite(view)
        for kind, where in (("endless", endless), ("negative", bad & seen & ~endless)):
            if where.any():
                row, column = np.argwhere(where)[0]
                self.first.setdefault(kind, f"intensities[{j}, {row}, {column}] is {view[row, column]}")
                setattr(self, kind, getattr(self, kind) + int(where.sum()))
                if kind == "negative":
                    self.smallest = min(self.smallest, view[where].min().item())
                elif (where == seen).all():
                    self.lost.append(j)

    def refuse(self) -> None:
        """Raise ValueError if anything was wrong."""
        if self.endless:
            lost = f"; nothing else is in {_first(self.lost)}" if self.lost else ""
            raise ValueError(
                f"{self.first['endless']}, the first of {self.endless} pixels that are NaN or infinite{lost}: mask "
                f"dead pixels ({_masking()}), leave views out ({loading('views')} or {option('leave_out')})"
            )
        if self.negative:
            raise ValueError(
                f"{self.first['negative']}, the first of {self.negative} negative counts (the smallest is "
                f"{self.smallest:g}): where they are the noise of dark-subtracted data, let them be 0 "
                f"({loading('clip', 0)}), where they mark dead pixels, mask these ({_masking()})"
            )


def _masking() -> str:
    return here("mask=; ", "") + loading("mask", "invalid")


def _first(views: list[int]) -> str:
    return f"view{'s' * (len(views) > 1)} {', '.join(map(str, views[:5]))}{', ...' if len(views) > 5 else ''}"

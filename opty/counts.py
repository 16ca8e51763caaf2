"""Counts as they must be before anything is reconstructed from them: what is wrong is counted, placed and named."""

from __future__ import annotations

import numpy as np

from opty.errors import warn_user


def checked_counts(intensities: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Refuse NaN, infinite and negative counts where the mask says they are measured; zero them where it hides them."""
    hidden, dark, wrong, total = [], [], _Wrong(), 0.0
    for j, view in enumerate(intensities):
        bad = ~(view >= 0) | (view == np.inf) if view.dtype.kind == "f" else view < 0
        seen = None if mask is None else (mask if mask.ndim == 2 else mask[j])
        if bad.any():
            wrong.note(j, view, np.ones(view.shape, bool) if seen is None else seen, bad)
            hidden.append(j)
        good = bad.any() or seen is not None
        light = float(
            (np.where(~bad if seen is None else seen & ~bad, view, 0) if good else view).sum(dtype=np.float64)
        )
        total += light
        if light == 0:
            dark.append(j)
    wrong.refuse()
    if total == 0:
        raise ValueError(f"intensities ({len(intensities)} views) are zero everywhere: there is no light in the data")
    if dark:
        warn_user(
            f"{len(dark)} of {len(intensities)} views hold no photon on a pixel that counts: {_first(dark)}; leave "
            "them out unless the beam was really dark there (opty.load: leave_out='empty')",
            UserWarning,
        )
    if hidden:
        intensities = intensities.copy()
        for j in hidden:
            good = mask if mask.ndim == 2 else mask[j]
            intensities[j][~good] = 0
    return intensities


class _Wrong:
    """Counts that cannot be: how many, where the first is, and what to do."""

    def __init__(self):
        self.endless, self.negative, self.smallest = 0, 0, 0.0
        self.first: dict[str, str] = {}
        self.lost: list[int] = []

    def note(self, j: int, view: np.ndarray, seen: np.ndarray, bad: np.ndarray) -> None:
        """Count what is wrong in a view, at the pixels ``bad`` of those that are ``seen``."""
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
                "dead pixels (mask=; opty.load: mask='invalid'), leave views out (opty.load: views= or leave_out=)"
            )
        if self.negative:
            raise ValueError(
                f"{self.first['negative']}, the first of {self.negative} negative counts (the smallest is "
                f"{self.smallest:g}): mask dead pixels (mask=; opty.load: mask='invalid') or clip dark-subtracted data"
            )


def _first(views: list[int]) -> str:
    return f"view{'s' * (len(views) > 1)} {', '.join(map(str, views[:5]))}{', ...' if len(views) > 5 else ''}"

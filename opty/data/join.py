"""Several scans of one object as one measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from opty.data.lazy_frames import LazyFrames
from opty.data.measurement import PtychoData
from opty.errors import warn_user
from opty.geometry import Geometry
from opty.remedies import here, option

_ALIKE = 1e-6  # relative difference of lengths that are the same


def join(scans: Sequence[PtychoData], offsets: Any = None) -> PtychoData:
    """Join several scans of one object to one measurement: the views of the first, then those of the second, and so on.

    The scans need patterns of one size, one geometry and one background. Their masks may differ. Frames that stay in
    their files stay there. The starting probe is that of the first scan that has one; where the probes differ, give
    the model ``Object() * Probe(scans=(a.views, b.views))``.

    Parameters
    ----------
    scans : two measurements or more.
    offsets : (S, 2) (row, column), added to the positions of each scan, where their zeros differ; metres with a
        geometry, pixels without. None: the positions of all scans have the same zero.

    Returns
    -------
    PtychoData of all views. Without ``truth``, and without a ``source``: a result file will hold the frames. A scan
    that is there twice is warned of.

    Raises
    ------
    TypeError : something else than measurements. ValueError : fewer than two, sizes, geometries or backgrounds that
        differ, offsets of another shape or not finite. SourceError : a measurement without its frames.
    """
    scans = list(scans)
    _check(scans)
    moves = _moves(offsets, len(scans))
    _warn_of_the_same(scans)
    return PtychoData(
        _joined([scan.intensities for scan in scans]),
        np.concatenate([scan.positions + move for scan, move in zip(scans, moves, strict=True)]),
        scans[0].geometry,
        _mask(scans),
        scans[0].background,
        probe=next((scan.probe for scan in scans if scan.probe is not None), None),
    )


def _check(scans: list[PtychoData]) -> None:
    """Refuse what cannot be one measurement."""
    for k, scan in enumerate(scans):
        if not isinstance(scan, PtychoData):
            raise TypeError(f"scan {k} is a {type(scan).__name__}; join takes measurements, as opty.load returns them")
        scan.need_frames()
    if len(scans) < 2:
        form = here("opty.join([first, second])", "opty join first.h5 second.h5 -o both.h5")
        raise ValueError(f"{len(scans)} scan: join takes two or more, as {form}")
    first = scans[0]
    for k, scan in enumerate(scans[1:], 1):
        if scan.n != first.n:
            raise ValueError(
                f"scan 0 has patterns of {first.n} x {first.n} pixels and scan {k} of {scan.n} x {scan.n}: load them "
                "with one crop"
            )
        if apart := _apart(first.geometry, scan.geometry):
            raise ValueError(f"the geometries of scan 0 and scan {k} differ: {apart}; a measurement has one geometry")
        if not _same(first.background, scan.background):
            raise ValueError(
                f"the backgrounds of scan 0 and scan {k} differ: subtract them from the frames, or "
                + here("join the scans without them, as scan.replace(background=None)", f"give one, {option('dark')}")
            )


def _warn_of_the_same(scans: list[PtychoData]) -> None:
    """Warn of a scan that is there twice: its counts would weigh twice as much as they say."""
    for k, scan in enumerate(scans):
        for j, before in enumerate(scans[:k]):
            if scan is before or (scan.source is not None and scan.source == before.source):
                path = "" if scan.source is None else f", {scan.source['path']}"
                warn_user(f"scans {j} and {k} are the same{path}: its counts are taken for twice as many", UserWarning)


def _apart(one: Geometry | None, other: Geometry | None) -> str:
    """Say in what two geometries differ; nothing where they are the same."""
    if one is None or other is None:
        return "" if one is other else "one has none, and positions in pixels"
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        numbers = isinstance(a, float) and isinstance(b, float)
        if not (abs(a - b) <= _ALIKE * max(abs(a), abs(b)) if numbers else a == b):
            return f"{field.name} {a!r} and {b!r}"
    return ""


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is b or (a is not None and b is not None and np.array_equal(a, b))


def _moves(offsets: Any, count: int) -> np.ndarray:
    """Return what is added to the positions of each scan, (S, 2)."""
    if offsets is None:
        return np.zeros((count, 2))
    moves = np.asarray(offsets, np.float64)
    if moves.shape != (count, 2) or not np.isfinite(moves).all():
        raise ValueError(f"offsets are {offsets!r}; give (row, column) of each of the {count} scans, finite numbers")
    return moves


def _mask(scans: list[PtychoData]) -> np.ndarray | LazyFrames | None:
    """Return the mask of all scans where they have one in common, else one for each view."""
    masks = [scan.mask for scan in scans]
    of_all = [mask for mask in masks if not isinstance(mask, LazyFrames) and (mask is None or mask.ndim == 2)]
    if len(of_all) == len(masks) and all(_same(of_all[0], mask) for mask in of_all):
        return of_all[0]
    shape = (scans[0].n, scans[0].n)
    each = [np.ones(shape, bool) if mask is None else mask for mask in masks]
    return _joined(
        [
            np.broadcast_to(mask, (scan.views, *shape)) if mask.ndim == 2 else mask
            for mask, scan in zip(each, scans, strict=True)
        ]
    )


def _joined(images: list[Any]) -> np.ndarray | LazyFrames:
    """Return images (N, n, n) of all scans, one after the other; where some are in a file, all are read on demand."""
    return LazyFrames(Joined(images)) if any(isinstance(a, LazyFrames) for a in images) else np.concatenate(images)


class Joined:
    """The views of several scans, one after the other, some of them in files."""

    def __init__(self, images: list[Any]):
        self.images = images
        self.ends = np.cumsum([len(a) for a in images])
        self.shape = (int(self.ends[-1]), *images[0].shape[1:])
        self.dtype = np.result_type(*(a.dtype for a in images))
        lazy = [a for a in images if isinstance(a, LazyFrames)]
        self.native = np.result_type(*(a.native if isinstance(a, LazyFrames) else a.dtype for a in images))
        self.chunk = max(a.chunk for a in lazy)
        self.preferred_block = min(a.preferred_block for a in lazy)

    def read(self, choice: slice | np.ndarray) -> np.ndarray:
        """Read some views (B, n, n), in the order given."""
        index = np.arange(self.shape[0])[choice]
        out = np.empty((len(index), *self.shape[1:]), self.dtype)
        for images, end in zip(self.images, self.ends, strict=True):
            here = (index < end) & (index >= end - len(images))
            if here.any():
                out[here] = images[index[here] - (end - len(images))]
        return out

    def __repr__(self) -> str:
        return f"{len(self.images)} scans of {self.shape[0]} views"

"""Several scans of one sample in one measurement."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from opty.data import PtychoData
from opty.data.lazy_frames import LazyFrames
from opty.geometry import Geometry
from opty.io.prepare.frames import Held, Joined
from opty.io.source import warn_of_copies

TOLERANCE = 1e-3  # relative difference of lengths within one experiment


def joined(scans: Sequence[PtychoData], paths: Sequence[str | Path]) -> PtychoData:
    """Put scans one after the other; positions stay as they are, in the frame of the sample.

    The first starting probe is used for all. Raises ValueError where sizes, geometries or backgrounds differ,
    TypeError where one is a result.
    """
    if not scans:
        raise ValueError("the list of paths is empty: name at least one file")
    for scan, path in zip(scans, paths, strict=True):
        if not isinstance(scan, PtychoData):
            raise TypeError(f"{path} holds a result; only measurements can be joined")
        if scan.n != scans[0].n:
            raise ValueError(
                f"{path} has patterns of {scan.n} x {scan.n} and {paths[0]} of {scans[0].n} x {scans[0].n}: give crop="
            )
        if difference := _differ(scans[0].geometry, scan.geometry):
            raise ValueError(f"{path} and {paths[0]} were measured with another {difference}")
        if not _same(scan.background, scans[0].background):
            raise ValueError(f"{path} and {paths[0]} have different backgrounds: give dark= for both")
    if len(scans) == 1:
        return scans[0]
    if any(scan.in_file for scan in scans):
        warn_of_copies("several scans were joined, and", sum(scan.intensities.nbytes for scan in scans))
    return PtychoData(
        _concatenated([scan.intensities for scan in scans]),
        np.concatenate([scan.positions for scan in scans]),
        scans[0].geometry,
        _mask(scans),
        scans[0].background,
        probe=next((scan.probe for scan in scans if scan.probe is not None), None),
        source={"path": _path(scans[0]), "options": {}, "beside": {_path(scan): {} for scan in scans[1:]}},
    )


def _path(scan: PtychoData) -> str:
    assert scan.source is not None  # it was loaded
    return scan.source["path"]


def _differ(a: Geometry | None, b: Geometry | None) -> str | None:
    """Name what differs between two geometries, with both values."""
    if a is None or b is None:
        return None if a is b else "unit of positions: one has a geometry, one is in pixels"
    for name, one in dataclasses.asdict(a).items():
        other = getattr(b, name)
        close = math.isclose(one, other, rel_tol=TOLERANCE) if isinstance(one, float) and other else one == other
        if not close:
            return f"{name}: {other} and {one}"
    return None


def _same(a: np.ndarray | LazyFrames | None, b: np.ndarray | LazyFrames | None) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    return a is b


def _concatenated(parts: Sequence[np.ndarray | LazyFrames]) -> np.ndarray | LazyFrames:
    """Put images one after the other; where some stay in their file, all are read on demand."""
    if any(isinstance(part, LazyFrames) for part in parts):
        return LazyFrames(Joined([part if isinstance(part, LazyFrames) else Held(part) for part in parts]))
    return np.concatenate(parts)


def _mask(scans: Sequence[PtychoData]) -> np.ndarray | LazyFrames | None:
    """One mask for all where they agree, else one for each view."""
    first = scans[0].mask
    if all(_same(scan.mask, first) for scan in scans) and (first is None or first.ndim == 2):
        return first
    full = [np.ones((scan.n, scan.n), bool) if scan.mask is None else scan.mask for scan in scans]
    pairs = zip(full, scans, strict=True)
    return _concatenated([m if m.ndim == 3 else np.broadcast_to(m, s.intensities.shape) for m, s in pairs])

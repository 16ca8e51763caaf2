"""The start of a state: the frame of the object, checks of the arguments, and the device."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.arrays import gpu_available
from opty.data import PtychoData
from opty.data.fields import check_extent
from opty.model.scan import Scan
from opty.remedies import here

if TYPE_CHECKING:
    from opty.state.store import Store


def frame(
    positions: np.ndarray, n: int, obj: Any = None, margin: int | None = None
) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the offset (2,) px from positions (N, 2) px to window corners, and the object's shape.

    With an object given the positions are window corners in its frame already; otherwise a margin [px] is left all
    round, for positions that refinement will move: by default a quarter of a pattern.

    Raises ValueError where the object is too small for the positions, or for a margin beside an object.
    """
    if margin is not None and (isinstance(margin, bool) or not isinstance(margin, (int, np.integer)) or margin < 0):
        raise ValueError(f"margin is {margin!r}; give a whole number of pixels from 0 on")
    low, high = np.rint(positions.min(axis=0)), np.rint(positions.max(axis=0))
    if obj is None:
        margin = max(8, n // 4) if margin is None else int(margin)
        rows, cols = (math.ceil(span) + n + 2 * margin for span in np.ptp(positions, axis=0))
        check_extent(positions, n)
        return margin - positions.min(axis=0), (rows, cols)
    if margin is not None:
        raise ValueError(f"margin={margin} beside obj: an object that is given has its own frame; give one of the two")
    if obj.ndim not in (2, 3):
        raise ValueError(f"obj has shape {obj.shape}; expected (rows, columns), or (slices, rows, columns)")
    if (low < 0).any() or (high + n > obj.shape[-2:]).any():
        need = tuple(int(v) for v in high - np.minimum(low, 0) + n)
        where = f"rows {low[0]:.0f} to {high[0] + n:.0f}, columns {low[1]:.0f} to {high[1] + n:.0f}"
        raise ValueError(
            f"obj has shape {obj.shape} but the windows of {n} x {n} cover {where}: the object must be at least "
            f"{need} with positions counted from its corner; leave obj out and a frame is chosen"
        )
    return np.zeros(2), obj.shape[-2:]


def first_object(store: Store, shape: tuple[int, int]) -> np.ndarray:
    """Return the object (H, W), or (L, H, W) of slices or states, with which a state of this model and seed begins."""
    scan = Scan(store.data.views, store.n, shape, store.dtype, store.geometry, seed=store.seed)
    sample = store.model.sample
    assert sample is not None  # every complete model has one
    return sample.initial("obj", scan)


def check_light(data: PtychoData, dtype: Any) -> None:
    """Refuse counts whose squares a number of the precision ``dtype`` has cannot hold."""
    photons, limit = data.photons(), math.sqrt(np.finfo(dtype).max)
    view = int(np.argmax(photons))
    if not photons[view] < limit:
        remedy = here(", or dtype='complex128'", "") if np.dtype(dtype).itemsize == 8 else ""
        raise ValueError(
            f"view {view} holds {photons[view]:.3g} photons, more than {np.dtype(dtype)} computes with ({limit:.1g}): "
            f"give counts{remedy}"
        )


def given_seed(seed: Any) -> int:
    """Return a seed, or raise ValueError where it is no whole number from 0 on."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed is {seed!r}; give a whole number from 0 on")
    return int(seed)


def on_device(device: str | None) -> str:
    """Return the requested device; by default the GPU if there is one."""
    return ("gpu" if gpu_available() else "cpu") if device is None else device


def complex_type(dtype: Any) -> np.dtype:
    """Return complex64 or complex128; raises TypeError for others."""
    try:
        kind = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"dtype is {dtype!r}; choose 'complex64' or 'complex128'") from None
    if kind not in (np.dtype("complex64"), np.dtype("complex128")):
        raise TypeError(f"dtype is {kind}; choose 'complex64' or 'complex128'")
    return kind


def given_threads(threads: int | None) -> int:
    """Return the number of threads requested, by default one for each core this process may use."""
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ValueError(f"threads is {threads!r}; give a number from 1 on, or None for all cores")
    return threads

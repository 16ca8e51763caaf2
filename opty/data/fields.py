"""Checks of the fields of a measurement, one by one; errors name the value and the remedy."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, overload

import numpy as np

from opty.data.lazy_frames import LazyFrames
from opty.memory import size
from opty.remedies import here, loading, option


@overload
def readonly(a: np.ndarray) -> np.ndarray: ...
@overload
def readonly(a: LazyFrames) -> LazyFrames: ...
def readonly(a: np.ndarray | LazyFrames) -> np.ndarray | LazyFrames:
    """Return a read-only view of an array; frames in a file are read-only already."""
    if isinstance(a, LazyFrames):
        return a
    view = a.view()
    view.flags.writeable = False
    return view


def _real_array(name: str, a: Any) -> np.ndarray:
    if hasattr(a, "get") and hasattr(a, "device"):  # a CuPy array; a measurement is held on the host
        a = a.get()
    a = np.asarray(a)
    if a.dtype == bool or a.dtype.kind not in "iuf":
        raise TypeError(f"{name} has dtype {a.dtype}; give real numbers (integers or floats)")
    return a


def divided(images: np.ndarray, factor: int) -> np.ndarray:
    """Return images (..., n, n) whose pixels are divided into factor x factor, which share the counts.

    A mask is repeated. Raises ValueError for a factor that is no whole number from 1 on.
    """
    if isinstance(factor, bool) or not isinstance(factor, (int, np.integer)) or factor < 1:
        raise ValueError(f"pixels are divided by {factor!r}; give a whole number from 1 on")
    if factor == 1:
        return images
    fine = np.repeat(np.repeat(images, factor, axis=-2), factor, axis=-1)
    return fine if images.dtype == bool else fine / np.result_type(images.dtype, np.float32).type(factor**2)


def wider_probe(probe: np.ndarray, factor: int, near: bool) -> np.ndarray:
    """Return a probe (M, n, n) for divided pixels: in a wider window, or, in the near field, with finer pixels."""
    n = probe.shape[-1]
    if near:
        return np.repeat(np.repeat(probe, factor, axis=-2), factor, axis=-1) / factor
    first = factor * n // 2 - n // 2
    out = np.zeros((*probe.shape[:-2], factor * n, factor * n), probe.dtype)
    out[..., first : first + n, first : first + n] = probe
    return out


def check_patterns(a: Any) -> np.ndarray | LazyFrames:
    """Return real intensities (N, n, n), n at least 4; ValueError or TypeError for anything else."""
    a = a if isinstance(a, LazyFrames) else _real_array("intensities", a)
    if a.ndim != 3:
        raise ValueError(f"intensities has shape {a.shape}; expected (views, n, n)")
    if len(a) == 0:
        raise ValueError(f"intensities has shape {a.shape}: there is no view in it")
    if a.shape[1] != a.shape[2] or a.shape[1] < 4:
        raise ValueError(
            f"intensities has shape {a.shape}; patterns must be square and at least 4 x 4: crop them "
            f"({loading('crop', min(a.shape[1:]))}) or pad them"
        )
    return a


def check_mask(mask: Any, shape: tuple[int, ...]) -> np.ndarray | LazyFrames | None:
    """Return a mask (n, n) or (N, n, n) bool that leaves a pixel of each view, or None; ValueError for any other."""
    if mask is None:
        return None
    mask = mask if isinstance(mask, LazyFrames) else np.asarray(mask)
    if mask.shape not in (shape[1:], shape):
        raise ValueError(f"mask has shape {mask.shape}; expected {shape[1:]} (all views alike) or {shape}")
    if isinstance(mask, LazyFrames):
        _check_each(np.concatenate([some.any((1, 2)) for _, some in mask.blocks()]))
        return mask
    other = mask[(mask != 0) & (mask != 1)]
    if other.size:
        raise ValueError(
            f"mask holds {other.flat[0]}; it is 1 where a pixel counts and 0 where it is dead: for codes of "
            f"which 0 is good {here('give mask == 0', 'write a mask of ones and zeros')}"
        )
    mask = np.ascontiguousarray(mask, dtype=bool)
    if not mask.any():
        inverse = here("give ~mask", "write its inverse to a file")
        raise ValueError(f"mask leaves no pixel: it is 1 where a pixel counts; if yours marks bad pixels, {inverse}")
    if mask.ndim == 3:
        _check_each(mask.any((1, 2)))
    return mask


def _check_each(some: np.ndarray) -> None:
    """Refuse a mask that leaves no pixel of a view; ``some`` (N,) is True where it leaves any."""
    if len(empty := np.flatnonzero(~some)):
        raise ValueError(f"mask leaves no pixel in {len(empty)} of {len(some)} views (first: {empty[:5].tolist()})")


def check_positions(positions: Any, views: int) -> np.ndarray:
    """Return positions as (N, 2) float64; ValueError for another shape or number, or one that is not finite."""
    positions = _real_array("positions", positions).astype(np.float64)
    if positions.ndim != 2 or positions.shape[1] != 2:
        raise ValueError(f"positions has shape {positions.shape}; expected ({views}, 2), (row, column) of each view")
    if len(positions) != views:
        raise ValueError(
            f"positions has shape {positions.shape} but intensity holds {views} views: give one position per view"
        )
    if not (finite := np.isfinite(positions).all(1)).all():
        j = int(np.flatnonzero(~finite)[0])
        raise ValueError(f"positions[{j}] is {positions[j].tolist()}: leave that view out or give its position")
    return positions


def check_extent(positions: np.ndarray, n: int) -> None:
    """Refuse positions (N, 2) [px] in the wrong unit, or with an outlier, before an object is made for them.

    An outlier is more than ten times as far from the median as nine tenths of the views are, and than ten patterns.
    """
    if len(positions) < 2:
        return
    span = np.ptp(positions, axis=0)
    height, width = (float(np.ceil(s)) + n for s in span)
    span_text = (
        f"the positions span {span[0]:.3g} x {span[1]:.3g} pixels, for which the object would need {height:.4g} x "
        f"{width:.4g} pixels ({size(height * width * 8)})"
    )
    lengths = f"{option('wavelength')}, {option('distance')}, {option('pixel_size')}"
    hint = "positions are metres with a geometry and pixels without: where a file has them in micrometres, give "
    hint += f"{loading('position_unit', 'um')}, and check the geometry ({lengths})"
    away = np.abs(positions - np.median(positions, axis=0)).max(axis=1)
    outliers = np.flatnonzero(away > 10 * max(np.percentile(away, 90), n))
    if len(outliers):
        j = int(outliers[np.argmax(away[outliers])])
        many = "" if len(outliers) == 1 else f" (and {len(outliers) - 1} more)"
        raise ValueError(
            f"{span_text}: positions[{j}]{many} is {away[j]:.3g} pixels away from the middle of the others: leave it "
            f"out ({loading('leave_out')}) or correct it"
        )
    if height * width > 64 * len(positions) * n * n:
        raise ValueError(f"{span_text}, far more than {len(positions)} views of {n} x {n} can cover: {hint}")
    if 0 < span.max() < 1e-2:
        raise ValueError(f"the positions span {span[0]:.3g} x {span[1]:.3g} pixels: all views lie on one spot; {hint}")


def check_background(background: Any, n: int) -> np.ndarray:
    """Return a background (n, n) float32 [photons]; ValueError where it has another shape or is no intensity."""
    background = _real_array("background", background).astype(np.float32)
    if background.shape != (n, n):
        raise ValueError(f"background has shape {background.shape} but the patterns are {n} x {n}")
    if not (np.isfinite(background) & (background >= 0)).all():
        raise ValueError(f"background has a minimum of {background.min()}; it must be finite and not negative")
    return background


def check_probe(probe: Any, n: int) -> np.ndarray:
    """Return a probe as (M, n, n) complex; ValueError or TypeError for one that does not fit."""
    if hasattr(probe, "get") and hasattr(probe, "device"):
        probe = probe.get()
    probe = np.asarray(probe)
    if probe.ndim == 2:
        probe = probe[None]
    if probe.ndim != 3 or probe.shape[1:] != (n, n):
        raise ValueError(f"probe has shape {probe.shape} but the patterns are {n} x {n}: give one of (modes, {n}, {n})")
    if probe.dtype.kind not in "cfiu":
        raise TypeError(f"probe has dtype {probe.dtype}; give complex numbers")
    if not np.isfinite(probe).all() or not probe.any():
        raise ValueError("probe is zero or not finite: give the starting probe some light")
    return probe if probe.dtype.kind == "c" else probe.astype(np.complex64)


def check_truth(truth: Mapping[str, Any], views: int) -> Mapping[str, np.ndarray]:
    """Return the true values of a simulation, read-only; ValueError for other names or another number of positions."""
    known = {"obj", "probe", "positions"}
    if set(truth) - known:
        raise ValueError(f"truth holds {sorted(truth)}; expected some of {sorted(known)}")
    arrays = {name: readonly(np.asarray(value)) for name, value in truth.items()}
    if "positions" in arrays and arrays["positions"].shape != (views, 2):
        raise ValueError(f"truth['positions'] has shape {arrays['positions'].shape}; expected ({views}, 2)")
    return MappingProxyType(arrays)

"""Compare an object with the truth, once the three freedoms of ptychography are removed.

Data fix an object only up to a complex constant (the probe takes its inverse), a linear phase ramp (the probe takes
the opposite one) and a shift (positions and probe move along).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
import scipy.optimize

from opty.physics.to_host import on_host

ONE_BY_ONE = ": compare slices one by one, obj[0] with truth[0], or their products, obj.prod(0)"
# Largest shift that is searched for [px], and the frame kept around the mask so that it can be followed.
_REACH = 32


@dataclass(frozen=True)
class Alignment:
    """What was removed: constant * obj(r) * exp(i ramp . r) = truth(r - shift), r counted from truth's pixel [0, 0]."""

    constant: complex
    ramp: tuple[float, float]  # rad / px, (row, column)
    shift: tuple[float, float]  # px, (row, column): how far obj lies from the truth
    error: float  # relative residual on the mask, see object_error


def object_error(obj: Any, truth: Any, mask: Any = None, offset: Any = None) -> float:
    """Relative error of an object: min over c, k, s of ||c obj exp(i k r) - truth(r - s)|| / ||truth(r - s)||.

    Parameters
    ----------
    obj : (H', W') complex, reconstructed; one slice of several, or their product.
    truth : (H, W) complex.
    mask : (H, W) bool, pixels of the truth's frame to compare; None: all that obj and truth share.
    offset : whole pixels (row, column) of ``obj`` at which truth's pixel [0, 0] lies; None: their middles coincide. The
        rest of the shift is searched within 32 px.

    Returns
    -------
    float, no unit; 0 is perfect.

    Raises
    ------
    ValueError : shapes that do not go together, fewer than 16 pixels to compare, an object that is zero there.

    Source: the freedoms after Guizar-Sicairos and Fienup, Opt. Express 16, 7264 (2008) and Fienup, Appl. Opt. 36, 8352
    (1997), whose invariant error this extends by the ramp.
    """
    return _fit(obj, truth, mask, offset)[1].error


def align(obj: Any, truth: Any, mask: Any = None, offset: Any = None) -> tuple[np.ndarray, Alignment]:
    """Bring an object into the frame of the truth: constant, phase ramp and sub-pixel shift removed.

    Parameters
    ----------
    obj, truth, mask, offset : as for ``object_error``, which tells how well the two agree.

    Returns
    -------
    aligned : (H, W) complex128, ready to be subtracted from ``truth``; zero where ``obj`` does not reach.
    alignment : ``Alignment`` with ``constant``, ``ramp``, ``shift`` and ``error``.

    Raises
    ------
    ValueError : as for ``object_error``.
    """
    placed, found = _fit(obj, truth, mask, offset)
    return found.constant * _straight(placed, found), found


def moved_along(obj: Any, found: Alignment, shape: tuple[int, ...], offset: Any = None) -> np.ndarray:
    """Return an object (H', W') in the frame (H, W) of a truth, by the ramp and the shift of another one's alignment.

    The constant is left out. ``shape``, ``offset`` : as that one was aligned with.
    """
    return _straight(_placed(obj, shape, None, offset)[0], found)


def _straight(placed: np.ndarray, found: Alignment) -> np.ndarray:
    return _Shifted(placed * _ramp(placed.shape, found.ramp)).at(-np.array(found.shift))


def _fit(obj: Any, truth: Any, mask: Any, offset: Any) -> tuple[np.ndarray, Alignment]:
    obj, truth = on_host(obj, np.complex128), on_host(truth, np.complex128)
    if obj.ndim != 2 or truth.ndim != 2:
        raise ValueError(f"obj has shape {obj.shape}, truth {truth.shape}; both must be (H, W){ONE_BY_ONE}")
    placed, mask = _placed(obj, truth.shape, mask, offset)
    if mask.sum() < 16 or not placed[mask].any() or not truth[mask].any():
        raise ValueError(f"{int(mask.sum())} pixels to compare: obj and truth need 16 in common, and light on them")
    cut = _around(mask)
    error, constant, ramp, shift = _least_squares(placed[cut], truth[cut], mask[cut])
    # The fit counts r from the corner of the cut.
    constant *= np.exp(-1j * (ramp[0] * cut[0].start + ramp[1] * cut[1].start))
    return placed, Alignment(complex(constant), tuple(ramp.tolist()), tuple(shift.tolist()), error)


def _placed(obj: Any, shape: tuple[int, ...], mask: Any, offset: Any) -> tuple[np.ndarray, np.ndarray]:
    """The object cut or padded to the truth's frame, and the mask without what the object does not reach."""
    mask = np.ones(shape, bool) if mask is None else on_host(mask, bool)
    if mask.shape != shape:
        raise ValueError(f"mask has shape {mask.shape} but truth has {shape}")
    offset = (np.array(obj.shape) - shape) // 2 if offset is None else np.rint(offset).astype(int)
    placed, reached = np.zeros(shape, np.complex128), np.zeros(shape, bool)
    first = np.maximum(offset, 0)
    last = np.maximum(np.minimum(offset + shape, obj.shape), first)
    into = tuple(slice(a, b) for a, b in zip(first - offset, last - offset, strict=True))
    placed[into] = obj[first[0] : last[0], first[1] : last[1]]
    reached[into] = True
    return placed, mask & reached


def _around(mask: Any) -> tuple[slice, slice]:
    """The mask's bounding box with a frame for the shift to move in, cut to a size of which a transform is fast."""
    cut = []
    for axis in (1, 0):
        lit = np.flatnonzero(mask.any(axis=axis))
        first, last = max(lit[0] - _REACH, 0), min(lit[-1] + _REACH + 1, mask.shape[1 - axis])
        fast = next(k for k in range(int(last - first), 0, -1) if scipy.fft.next_fast_len(k) == k)
        size = max(fast, lit[-1] + 1 - lit[0])
        more = last - first - size
        first += min(more // 2, lit[0] - first)
        first = max(first, lit[-1] + 1 - size)
        cut.append(slice(int(first), int(first + size)))
    return cut[0], cut[1]


class _Shifted:
    """Sub-pixel shifts of one image; its mirror images stand around it so that no edge rings."""

    def __init__(self, image: np.ndarray):
        self.shape = image.shape
        mirrored = np.block([[image, image[:, ::-1]], [image[::-1], image[::-1, ::-1]]])
        self.spectrum = scipy.fft.fft2(mirrored, overwrite_x=True)
        self.slopes = [-2j * np.pi * scipy.fft.fftfreq(2 * size) for size in image.shape]

    def at(self, shift: Any, derivative: int | None = None) -> np.ndarray:
        """image(r - shift), or its derivative with respect to shift[derivative]."""
        row, col = (np.exp(slope * s) for slope, s in zip(self.slopes, shift, strict=True))
        if derivative == 0:
            row = row * self.slopes[0]
        elif derivative == 1:
            col = col * self.slopes[1]
        moved = scipy.fft.ifft2(self.spectrum * row[:, None] * col, overwrite_x=True)
        return moved[: self.shape[0], : self.shape[1]]


def _least_squares(obj: Any, truth: Any, mask: Any) -> tuple[float, complex, np.ndarray, np.ndarray]:
    """Fit constant, ramp and shift by Levenberg-Marquardt; all six parameters at once, from a guess by correlation.

    The truth is fitted to the object, whose norm is fixed, and not the other way round: both have their smallest
    relative error at the same ramp and shift, sqrt(1 - |<obj, truth>|^2 / (||obj||^2 ||truth||^2)).
    """
    moved, size = _Shifted(truth), np.array(obj.shape)
    shift = _shift_guess(obj, truth, mask)
    ramp = _ramp_guess(obj, moved.at(shift), mask)
    # Ramps in radians over the picture, so that the parameters are of one order.
    row, col = np.indices(obj.shape)[:, mask] / size[:, None]
    seen = obj[mask]
    norm = np.linalg.norm(seen)

    def turned(x: np.ndarray, derivative: int | None = None) -> np.ndarray:
        return moved.at(x[2:4], derivative)[mask] * np.exp(-1j * (x[4] * row + x[5] * col))

    last: dict[bytes, np.ndarray] = {}  # the fit asks for a residual and for its derivatives at the same place

    def residual(x: np.ndarray) -> np.ndarray:
        last.clear()
        unit = last.setdefault(x.tobytes(), turned(x))
        return (complex(x[0], x[1]) * unit - seen).view(float) / norm

    def jacobian(x: np.ndarray) -> np.ndarray:
        unit, scale = last.get(x.tobytes()), complex(x[0], x[1])
        unit = turned(x) if unit is None else unit
        slopes = [scale * turned(x, axis) for axis in (0, 1)]
        columns = [unit, 1j * unit, *slopes, -1j * scale * row * unit, -1j * scale * col * unit]
        return np.stack(columns).view(float).T / norm

    start = np.r_[1, 0, shift, ramp * size]
    unit = turned(start)
    scale = np.vdot(unit, seen) / np.vdot(unit, unit)
    start[:2] = scale.real, scale.imag
    found = scipy.optimize.least_squares(residual, start, jacobian, method="lm", xtol=1e-9, ftol=1e-7, max_nfev=60)
    return (
        float(np.linalg.norm(found.fun)),
        complex(np.vdot(seen, turned(found.x)) / norm**2),
        found.x[4:6] / size,
        found.x[2:4],
    )


def _steps(image: np.ndarray) -> np.ndarray:
    """Products of neighbours (2, H, W): a constant and a ramp leave them alike but for one factor for each axis."""
    return np.stack([np.roll(image, -1, axis) * image.conj() for axis in (0, 1)])


def _inner(mask: Any) -> np.ndarray:
    """Pixels of the mask whose next row and next column are in it too."""
    inner = mask.copy()
    inner[:-1] &= mask[1:]
    inner[:, :-1] &= mask[:, 1:]
    inner[-1], inner[:, -1] = False, False
    return inner if inner.any() else mask


def _shift_guess(obj: Any, truth: Any, mask: Any) -> np.ndarray:
    """Whole-pixel shift (2,) of obj against truth, whatever their ramps."""
    inner = _inner(mask)
    score: Any = 0.0
    for a, b in zip(_steps(obj), _steps(truth), strict=True):
        a, b = (np.where(inner, x - x[inner].mean(), 0) for x in (a, b))
        cross = scipy.fft.fft2(a) * scipy.fft.fft2(b).conj()
        # Half-way to phase correlation: sharp, yet deaf to frequencies that hold noise only.
        weight = np.sqrt(np.abs(cross))
        score = score + np.abs(scipy.fft.ifft2(cross / np.maximum(weight, 1e-12 * weight.max() or 1.0))) ** 2
    away = [np.minimum(np.arange(size), size - np.arange(size)) for size in score.shape]
    score[(away[0][:, None] > _REACH) | (away[1] > _REACH)] = 0
    peak = np.array(np.unravel_index(score.argmax(), score.shape))
    return np.where(peak > np.array(score.shape) / 2, peak - score.shape, peak).astype(float)


def _ramp_guess(obj: Any, moved: np.ndarray, mask: Any) -> np.ndarray:
    """Ramp (2,) [rad / px] that turns obj into the moved truth."""
    inner = _inner(mask)
    return np.array([np.angle(np.vdot(a[inner], b[inner])) for a, b in zip(_steps(obj), _steps(moved), strict=True)])


def _ramp(shape: tuple[int, ...], ramp: Any) -> np.ndarray:
    row, col = (np.exp(1j * slope * np.arange(size)) for slope, size in zip(ramp, shape, strict=True))
    return row[:, None] * col

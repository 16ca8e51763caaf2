"""Copies of object, probe and positions after an iteration, and the parts of them that viewers ask for."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from opty.analysis.illumination import crop_to, lit_by
from opty.analysis.object_states import object_states
from opty.model.sample import transmission
from opty.physics.modes import orthogonal
from opty.plot.modes import MOST_SHOWN

if TYPE_CHECKING:
    from opty.state import BareState

UNLIT = -32768  # in place of the real part of a pixel that no view lights up
_LARGEST = 32000
_CLIPPED = 8.0  # times the root mean square of the parts of lit pixels: the largest number that is sent
_FINEST = 64  # pixels of the window in which the lit area is looked for
_KEPT = 8  # answers that are kept for other viewers
_POSITIONS = 20000  # positions that are sent at most

_serials = itertools.count(1)  # by which viewers tell a new picture


class Part(NamedTuple):
    """Complex numbers (..., h, w) as pairs of int16, which are multiples of ``scale``, and where they lie.

    ``rows``, ``cols`` : of the object, from and to; ``step`` : pixels of the object in one that is sent, along an edge.
    """

    numbers: bytes
    shape: tuple[int, ...]
    scale: float
    rows: tuple[int, int]
    cols: tuple[int, int]
    step: int


class Snapshot:
    """Object (H, W) or (L, H, W), probe (M, n, n), positions (N, 2) px and nominal ones, after an iteration.

    ``mixture`` : the layers of the object are states that are orthogonal, and no slices.

    All arrays are its own, on the host. What viewers see of them is made when the first one asks, in its thread.
    """

    def __init__(
        self,
        iteration: int,
        obj: np.ndarray,
        probe: np.ndarray,
        positions: np.ndarray,
        nominal: np.ndarray,
        pixel: float | None,
        mixture: bool = False,
    ):
        self.iteration, self.pixel, self.mixture = iteration, pixel, mixture
        self.obj, self.probe = obj.astype(np.complex64, copy=False), probe.astype(np.complex64, copy=False)
        self.positions, self.nominal = positions, nominal
        self.serial = next(_serials)
        self._lock = threading.RLock()
        self._answers: dict[Any, Any] = {}

    @classmethod
    def of(cls, p: BareState) -> Snapshot:
        """Copy what is shown of a whole state."""
        obj, probe, positions = (np.array(p.numpy(name)) for name in ("obj", "probe", "positions"))
        if p.model.mixture:
            obj = object_states(p)
        return cls(p.iteration, obj, probe, positions, p.data.positions_px, p.data.pixel, p.model.mixture)

    def facts(self) -> dict[str, Any]:
        """Return sizes and the lit area, for the status that viewers get."""
        rows, cols = self._lit_box
        return {
            "serial": self.serial,
            "iteration": self.iteration,
            "shape": list(self.obj.shape[-2:]),
            "slices": len(self.obj) if self.obj.ndim == 3 else 1,
            "layer": "state" if self.mixture else "slice",
            "lit": [rows.start, rows.stop, cols.start, cols.stop],
            "pixel": self.pixel,
            "powers": self._modes[1],
            "window": self.probe.shape[-1],
            "views": len(self.positions),
        }

    def object_part(self, one: int | None, rows: tuple[int, int], cols: tuple[int, int], most: int) -> Part:
        """Return a part of the object, as means of blocks where it has more than ``most`` pixels along an edge.

        ``one`` : the slice, or the state; None for the product of all slices, or the strongest state.
        """
        height, width = self.obj.shape[-2:]
        top, bottom = _within(rows, height)
        left, right = _within(cols, width)
        step = max(1, -(-max(bottom - top, right - left) // max(1, most)))

        def made() -> Part:
            image = self._transmission if one is None else self.obj[one]
            cut = image[top:bottom, left:right]
            # The mask follows the pixels that are sent: a block shows where its middle is lit.
            lit = self._lit[top:bottom, left:right][step // 2 :: step, step // 2 :: step]
            small = _means(cut, step)
            return _part(small, lit[: small.shape[0], : small.shape[1]], (top, bottom), (left, right), step)

        return self._answer(("object", one, top, bottom, left, right, step), made)

    def probe_part(self, most: int) -> Part:
        """Return the orthogonal modes of the probe, the strongest ones first, at most ``most`` pixels along an edge."""
        n = self.probe.shape[-1]
        step = max(1, -(-n // max(1, most)))

        def made() -> Part:
            small = np.stack([_means(mode, step) for mode in self._modes[0]])
            return _part(small, np.ones(small.shape, bool), (0, n), (0, n), step)

        return self._answer(("probe", step), made)

    def positions_part(self) -> bytes:
        """Return the centres of views now and nominally, (N, 4) float32 px in the frame of the object."""

        def made() -> bytes:
            there = np.concatenate([self.positions, self.nominal + (self.positions - self.nominal).mean(0)], axis=1)
            there += (self.probe.shape[-1] - 1) / 2
            return there[:: -(-len(there) // _POSITIONS)].astype("<f4").tobytes()

        return self._answer("positions", made)

    def _answer(self, asked: Any, made: Callable[[], Any]) -> Any:
        with self._lock:
            if asked not in self._answers:
                while len(self._answers) >= _KEPT:
                    del self._answers[next(iter(self._answers))]
                self._answers[asked] = made()
            return self._answers[asked]

    @functools.cached_property
    def _transmission(self) -> np.ndarray:
        return self.obj[0] if self.mixture else transmission(self.obj, False)

    @functools.cached_property
    def _modes(self) -> tuple[np.ndarray, list[float]]:
        """The orthogonal modes and their shares of the power."""
        modes = orthogonal(self.probe)
        powers = (np.abs(modes) ** 2).sum(axis=(1, 2), dtype=np.float64)
        total = float(powers.sum()) or 1.0
        return modes[:MOST_SHOWN], [float(power) / total for power in powers]

    @functools.cached_property
    def _lit(self) -> np.ndarray:
        """The pixels (H, W) bool that views light up, found on a coarser grid, which is enough for an edge to draw."""
        height, width = self.obj.shape[-2:]
        coarse = max(1, self.probe.shape[-1] // _FINEST)
        power = (np.abs(self.probe) ** 2).sum(0)
        amplitude = np.sqrt(_means(power, coarse))
        shape = (-(-height // coarse) + 1, -(-width // coarse) + 1)
        corners = np.clip(self.positions / coarse, 0, [shape[0] - len(amplitude), shape[1] - len(amplitude)])
        lit = lit_by(corners, amplitude[None], shape)
        return lit.repeat(coarse, axis=0).repeat(coarse, axis=1)[:height, :width]

    @functools.cached_property
    def _lit_box(self) -> tuple[slice, slice]:
        with self._lock:
            return crop_to(self._lit)


def _within(span: tuple[int, int], size: int) -> tuple[int, int]:
    """Return a span cut to 0 ... size, at least one pixel long."""
    first = min(max(0, span[0]), size - 1)
    return first, min(max(first + 1, span[1]), size)


def _means(image: np.ndarray, step: int) -> np.ndarray:
    """Return the means of blocks of step x step pixels; rows and columns over at the end are left out."""
    if step == 1:
        return image
    height, width = (max(1, size // step) for size in image.shape)
    cut = image[: height * step, : width * step]
    return cut.reshape(height, cut.shape[0] // height, width, cut.shape[1] // width).mean(axis=(1, 3))


def _part(image: np.ndarray, lit: np.ndarray, rows: tuple[int, int], cols: tuple[int, int], step: int) -> Part:
    pairs = np.ascontiguousarray(image, np.complex64).view(np.float32).reshape(*image.shape, 2)
    # Few passes, and none for numbers that are not finite where there are none: the run waits for the core.
    with np.errstate(invalid="ignore", over="ignore"):
        shown = pairs[lit] if lit.any() else pairs.reshape(-1, 2)
        if not np.isfinite(shown.sum()):
            shown = shown[np.isfinite(shown)]
        largest = float(max(shown.max(initial=0.0), -shown.min(initial=0.0)))
        most = min(largest, _CLIPPED * float(np.sqrt(np.mean(shown**2) if shown.size else 0)))
        scale = most / _LARGEST or 1.0
        scaled = pairs / scale
        np.clip(scaled, -_LARGEST, _LARGEST, out=scaled)
        numbers = np.nan_to_num(scaled, copy=False).astype("<i2")
    numbers[~lit, 0] = UNLIT
    return Part(numbers.tobytes(), image.shape, scale, rows, cols, step)

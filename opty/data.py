"""PtychoData: what was measured. Never changed by opty, on the host, in the detector's own integer type.

Everything that would make a wrong picture is refused here, before the first iteration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from opty.counts import Counted, checked_counts
from opty.geometry import Geometry
from opty.memory import size
from opty.stack import Stack, in_blocks

FIELDS = ("intensities", "mask", "positions", "geometry", "background", "probe", "truth", "source")


class PtychoData:
    """A ptychographic measurement: one diffraction pattern per scan position.

    Parameters
    ----------
    intensities : (N, n, n) any real dtype [photons or counts], zero frequency in the centre (far field and cone beam)
        or the detector image itself (near field). The integer type is kept, and the memory shared: give a copy if you
        go on writing into the array. Or a ``Stack`` of frames that stay in their file, as from ``opty.load``.
    positions : (N, 2) (row, column) of each view relative to the sample; metres with a ``geometry``, pixels without.
        A larger coordinate moves the window to a larger row or column of the object.
    geometry : wavelength, distances, pixel size; None where only pixels are known.
    mask : (n, n) or (N, n, n); True (non-zero) where the detector pixel counts, False where it is dead or hidden.
    background : (n, n) incoherent background [photons] in the same order as ``intensities``.
    probe : (M, n, n) or (n, n) complex starting probe, centred in its array, where the file brings one.
    truth : what a simulation knows: ``obj`` (H, W), ``probe`` (M, n, n), ``positions`` (N, 2) px window corners in the
        frame of ``obj``.
    source : path and load options of the file it came from, so that results can point to it.

    Raises
    ------
    ValueError, TypeError : shapes that do not agree, NaN or negative intensities on unmasked pixels, no light at all,
        positions that are not finite, a mask with nothing left. The message names the value and the remedy.
    """

    __slots__ = (*FIELDS, "_brightest", "_mean_amplitude", "_photons")

    intensities: np.ndarray | Stack
    positions: np.ndarray
    geometry: Geometry | None
    mask: np.ndarray | Stack | None
    background: np.ndarray | None
    probe: np.ndarray | None
    truth: Mapping[str, np.ndarray] | None
    source: Mapping[str, Any] | None

    def __init__(
        self, intensities, positions, geometry=None, mask=None, background=None, *, probe=None, truth=None, source=None
    ):
        intensities = _patterns(intensities)
        mask = _mask(mask, intensities.shape)
        counted = checked_counts(intensities, mask)
        rest = {"positions": positions, "geometry": geometry, "background": background}
        self._fill(counted, mask, rest | {"probe": probe, "truth": truth, "source": source})

    def _fill(self, counted: Counted, mask: np.ndarray | Stack | None, rest: Mapping[str, Any]) -> None:
        """Check and set all fields but intensities and mask, which were checked together."""
        positions, geometry, background, probe, truth, source = (rest[name] for name in FIELDS[2:])
        set_field, (views, n, _) = object.__setattr__, counted.intensities.shape
        if geometry is not None and not isinstance(geometry, Geometry):
            raise TypeError(f"geometry is a {type(geometry).__name__}; give opty.Geometry(wavelength=, ...) or None")
        set_field(self, "intensities", _readonly(counted.intensities))
        set_field(self, "positions", _readonly(check_positions(positions, views)))
        set_field(self, "geometry", geometry)
        set_field(self, "mask", None if mask is None else _readonly(mask))
        set_field(self, "background", None if background is None else _readonly(check_background(background, n)))
        set_field(self, "probe", None if probe is None else _readonly(check_probe(probe, n)))
        set_field(self, "truth", None if truth is None else _truth(truth, views))
        set_field(self, "source", None if source is None else MappingProxyType(dict(source)))
        set_field(self, "_photons", _readonly(counted.photons))
        set_field(self, "_brightest", counted.brightest)
        set_field(self, "_mean_amplitude", None)

    def __setattr__(self, name, value):
        raise AttributeError(f"PtychoData is immutable; make another one with data.replace({name}=...)")

    def __reduce__(self):
        rest = {name: getattr(self, name) for name in FIELDS[2:]}
        for name in ("truth", "source"):  # mapping proxies cannot be pickled
            rest[name] = None if rest[name] is None else dict(rest[name])
        return _rebuilt, (self._counted, self.mask, rest)

    @property
    def _counted(self) -> Counted:
        return Counted(self.intensities, self._photons, self._brightest)

    def replace(self, **changes) -> PtychoData:
        """Return a copy with some fields changed; takes the constructor's names."""
        if unknown := set(changes) - set(FIELDS):
            raise TypeError(f"PtychoData has no field {sorted(unknown)}; it has {sorted(FIELDS)}")
        fields = {name: getattr(self, name) for name in FIELDS} | changes
        if all(fields[name] is getattr(self, name) for name in FIELDS[:2]):  # counted already
            return _rebuilt(self._counted, self.mask, fields)
        return PtychoData(**fields)

    @property
    def views(self) -> int:
        """Number of views N."""
        return len(self.intensities)

    @property
    def n(self) -> int:
        """Edge of a pattern in pixels."""
        return self.intensities.shape[-1]

    @property
    def pixel(self) -> float | None:
        """Edge of a pixel at the sample [m], or None without a geometry."""
        return None if self.geometry is None else self.geometry.sample_pixel(self.n)

    @property
    def positions_px(self) -> np.ndarray:
        """Positions (N, 2) in sample pixels, float64."""
        return self.positions if self.pixel is None else self.positions / self.pixel

    @property
    def in_file(self) -> bool:
        """Whether the frames stay in their file, to be read batch by batch."""
        return isinstance(self.intensities, Stack)

    def unmasked(self, view: int | slice = slice(None)) -> np.ndarray:
        """Intensities of some views with masked pixels set to zero."""
        if self.mask is None:
            return self.intensities[view]
        mask = self.mask if self.mask.ndim == 2 else self.mask[view]
        return np.where(mask, self.intensities[view], 0)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield (views, intensities (B, n, n) with masked pixels set to zero), all views in order, some at a time.

        To go over all of a measurement that may be larger than the memory.
        """
        for place, images in in_blocks(self.intensities):
            if self.mask is None:
                yield place, images
            else:
                yield place, np.where(self.mask if self.mask.ndim == 2 else self.mask[place], images, 0)

    def photons(self) -> np.ndarray:
        """Photons per view (N,), float64, over unmasked pixels."""
        return self._photons.copy()

    @property
    def brightest(self) -> float:
        """Largest count of an unmasked pixel."""
        return self._brightest

    def mean_amplitude(self) -> np.ndarray:
        """Mean over the views of sqrt(I) (n, n), float64, zero on masked pixels; one pass over all frames, once."""
        if self._mean_amplitude is None:
            total = np.zeros((self.n, self.n))
            for _, images in self.blocks():
                for image in images:
                    total += np.sqrt(image, dtype=np.float64)
            object.__setattr__(self, "_mean_amplitude", _readonly(total / self.views))
        return self._mean_amplitude

    def __repr__(self):
        where = "no geometry (pixels)" if self.pixel is None else f"{self.pixel:.4g} m pixels at the sample"
        extras = [name for name in ("mask", "background", "probe", "truth") if getattr(self, name) is not None]
        stay = f" ({size(self.intensities.nbytes)}, in the file)" if self.in_file else ""
        return (
            f"<PtychoData: {self.views} views of {self.n} x {self.n} {self.intensities.dtype}{stay}, {where}"
            + (f", with {', '.join(extras)}" if extras else "")
            + ">"
        )


def _rebuilt(counted: Counted, mask: np.ndarray | Stack | None, rest: Mapping[str, Any]) -> PtychoData:
    """Return a measurement whose counts were checked before."""
    data = object.__new__(PtychoData)
    data._fill(counted, mask, rest)
    return data


def _readonly(a):
    if isinstance(a, Stack):
        return a
    view = a.view()
    view.flags.writeable = False
    return view


def _real_array(name: str, a) -> np.ndarray:
    if hasattr(a, "get") and hasattr(a, "device"):  # a CuPy array: what was measured lives on the host
        a = a.get()
    a = np.asarray(a)
    if a.dtype == bool or a.dtype.kind not in "iuf":
        raise TypeError(f"{name} has dtype {a.dtype}; give real numbers (integers or floats)")
    return a


def _patterns(a):
    a = a if isinstance(a, Stack) else _real_array("intensities", a)
    if a.ndim != 3:
        raise ValueError(f"intensities has shape {a.shape}; expected (views, n, n)")
    if len(a) == 0:
        raise ValueError(f"intensities has shape {a.shape}: there is no view in it")
    if a.shape[1] != a.shape[2] or a.shape[1] < 4:
        raise ValueError(
            f"intensities has shape {a.shape}; patterns must be square and at least 4 x 4: crop them "
            f"(opty.load: crop={min(a.shape[1:])}) or pad them"
        )
    return a


def _mask(mask, shape):
    if mask is None:
        return None
    mask = mask if isinstance(mask, Stack) else np.asarray(mask)
    if mask.shape not in (shape[1:], shape):
        raise ValueError(f"mask has shape {mask.shape}; expected {shape[1:]} (all views alike) or {shape}")
    if isinstance(mask, Stack):
        _check_each(np.concatenate([some.any((1, 2)) for _, some in mask.blocks()]))
        return mask
    other = mask[(mask != 0) & (mask != 1)]
    if other.size:
        raise ValueError(
            f"mask holds {other.flat[0]}; it is 1 (True) where a pixel counts and 0 where it is dead: for codes of "
            "which 0 is good give mask == 0"
        )
    mask = np.ascontiguousarray(mask, dtype=bool)
    if not mask.any():
        raise ValueError("mask leaves no pixel: it is True where a pixel counts; if yours marks bad pixels, give ~mask")
    if mask.ndim == 3:
        _check_each(mask.any((1, 2)))
    return mask


def _check_each(some: np.ndarray) -> None:
    """Refuse a mask that leaves nothing of a view; ``some`` (N,) says whether it leaves any pixel of it."""
    if len(empty := np.flatnonzero(~some)):
        raise ValueError(f"mask leaves no pixel in {len(empty)} of {len(some)} views (first: {empty[:5].tolist()})")


def check_positions(positions, views: int) -> np.ndarray:
    """Return positions as (N, 2) float64, or say what is wrong with them."""
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
    """Refuse positions (N, 2) [px] in the wrong unit, or with a stray one, before an object is made for them.

    A view is astray that lies ten times farther from the median than nine tenths of all, and ten patterns away.
    """
    if len(positions) < 2:
        return
    span = np.ptp(positions, axis=0)
    height, width = (float(np.ceil(s)) + n for s in span)
    told = (
        f"the positions span {span[0]:.3g} x {span[1]:.3g} pixels, for which the object would need {height:.4g} x "
        f"{width:.4g} pixels ({size(height * width * 8)})"
    )
    hint = "give metres with a Geometry, pixels without, and check the geometry's lengths"
    away = np.abs(positions - np.median(positions, axis=0)).max(axis=1)
    stray = np.flatnonzero(away > 10 * max(np.percentile(away, 90), n))
    if len(stray):
        j = int(stray[np.argmax(away[stray])])
        many = "" if len(stray) == 1 else f" (and {len(stray) - 1} more)"
        raise ValueError(
            f"{told}: positions[{j}]{many} is {away[j]:.3g} pixels away from the middle of the others: leave it out "
            "(opty.load: leave_out=[...]) or correct it"
        )
    if height * width > 64 * len(positions) * n * n:
        raise ValueError(f"{told}, far more than {len(positions)} views of {n} x {n} can cover: {hint}")
    if 0 < span.max() < 1e-2:
        raise ValueError(f"the positions span {span[0]:.3g} x {span[1]:.3g} pixels: all views lie on one spot; {hint}")


def check_background(background, n: int) -> np.ndarray:
    """Return a background (n, n) float32 [photons]; ValueError where it has another shape or is no intensity."""
    background = _real_array("background", background).astype(np.float32)
    if background.shape != (n, n):
        raise ValueError(f"background has shape {background.shape} but the patterns are {n} x {n}")
    if not (np.isfinite(background) & (background >= 0)).all():
        raise ValueError(f"background has a minimum of {background.min()}; it must be finite and not negative")
    return background


def check_probe(probe, n: int) -> np.ndarray:
    """Return a probe as (M, n, n) complex, or say what is wrong with it."""
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


def _truth(truth: Mapping[str, Any], views: int) -> Mapping[str, np.ndarray]:
    known = {"obj", "probe", "positions"}
    if set(truth) - known:
        raise ValueError(f"truth holds {sorted(truth)}; expected some of {sorted(known)}")
    arrays = {name: _readonly(np.asarray(value)) for name, value in truth.items()}
    if "positions" in arrays and arrays["positions"].shape != (views, 2):
        raise ValueError(f"truth['positions'] has shape {arrays['positions'].shape}; expected ({views}, 2)")
    return MappingProxyType(arrays)

"""PtychoData: the measurement, which opty never changes: on the host, in the integer type of the detector.

Data that would make a wrong picture are refused here, before the first iteration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from opty.console import table
from opty.data.counts import Counted, checked_counts
from opty.data.fields import (
    check_background,
    check_mask,
    check_patterns,
    check_positions,
    check_probe,
    check_truth,
    divided,
    readonly,
    wider_probe,
)
from opty.data.lazy_frames import AbsentFrames, Chosen, LazyFrames, in_blocks
from opty.data.scan_grid import laid_out
from opty.geometry import Geometry
from opty.memory import size
from opty.remedies import option
from opty.units import metres
from opty.words import clear_arguments, meant

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from opty.data.feed import Feed

DRAWN_BY: list[Callable[[PtychoData], Figure]] = []  # what draws measurements, the one in use last
FIELDS = ("intensities", "mask", "positions", "geometry", "background", "probe", "truth", "source")


class PtychoData:
    """A ptychographic measurement: one diffraction pattern per scan position.

    Parameters
    ----------
    intensities : (N, n, n) any real dtype [photons or counts], zero frequency in the centre (far field and cone beam)
        or the detector image itself (near field). The integer type is kept, and the memory shared: give a copy if you
        will write into the array later. Or ``LazyFrames``, which stay in their file, as from ``opty.load``. Or, of a
        scan on a grid as 4D-STEM has it, (rows, columns, n, n): the views are laid out line by line.
    positions : (N, 2) (row, column) of each view relative to the sample; metres with a ``geometry``, pixels without.
        A larger coordinate moves the window to a larger row or column of the object. None for a scan on a grid of which
        ``scan_step`` and ``scan_rotation`` are given: see ``opty.data.scan_grid``.
    geometry : wavelength, distances, pixel size; None where only pixels are known.
    mask : (n, n) or (N, n, n); True (non-zero) where the detector pixel counts, False where it is dead or hidden.
    background : (n, n) incoherent background [photons] in the same order as ``intensities``.
    probe : (M, n, n) or (n, n) complex starting probe, centred in its array, where the file brings one.
    truth : the true values of a simulation: ``obj`` (H, W) or (L, H, W), ``probe`` (M, n, n), ``positions`` (N, 2) px,
        window corners in the frame of ``obj``.
    scan_step : distance between neighbouring views of (rows, columns, n, n), one or (between rows, between columns);
        metres with a ``geometry``, pixels without. ``scan_rotation`` : of the scan against the detector [rad].
    source : path and load options of the file it came from, so that results can point to it.

    Raises
    ------
    ValueError, TypeError : shapes that do not agree, NaN or negative intensities on unmasked pixels, no light at all,
        positions that are not finite, a mask with nothing left. The message names the value and the remedy.
    """

    __slots__ = (*FIELDS, "_brightest", "_feed", "_looked", "_mean_amplitude", "_photons")

    intensities: np.ndarray | LazyFrames
    positions: np.ndarray
    geometry: Geometry | None
    mask: np.ndarray | LazyFrames | None
    background: np.ndarray | None
    probe: np.ndarray | None
    truth: Mapping[str, np.ndarray] | None
    source: Mapping[str, Any] | None
    _photons: np.ndarray
    _brightest: float
    _feed: Feed | None
    _looked: bool
    _mean_amplitude: np.ndarray | None

    @clear_arguments("PtychoData", of_instance=True)
    def __init__(
        self,
        intensities: Any,
        positions: Any = None,
        geometry: Geometry | None = None,
        mask: Any = None,
        background: Any = None,
        *,
        probe: Any = None,
        truth: Mapping[str, Any] | None = None,
        source: Mapping[str, Any] | None = None,
        scan_step: float | Sequence[float] | None = None,
        scan_rotation: float = 0.0,
    ) -> None:
        intensities, positions, mask = laid_out(intensities, positions, mask, scan_step, scan_rotation)
        intensities = check_patterns(intensities)
        mask = check_mask(mask, intensities.shape)
        counted = checked_counts(intensities, mask)
        rest = {"positions": positions, "geometry": geometry, "background": background}
        self._fill(counted, mask, rest | {"probe": probe, "truth": truth, "source": source})

    def _fill(self, counted: Counted, mask: np.ndarray | LazyFrames | None, rest: Mapping[str, Any]) -> None:
        """Check and set all fields but intensities and mask, which were checked together."""
        positions, geometry, background, probe, truth, source = (rest[name] for name in FIELDS[2:])
        set_field, (views, n, _) = object.__setattr__, counted.intensities.shape
        if geometry is not None and not isinstance(geometry, Geometry):
            raise TypeError(f"geometry is a {type(geometry).__name__}; give opty.Geometry(wavelength=, ...) or None")
        set_field(self, "intensities", readonly(counted.intensities))
        set_field(self, "positions", readonly(check_positions(positions, views)))
        set_field(self, "geometry", geometry)
        set_field(self, "mask", None if mask is None else readonly(mask))
        set_field(self, "background", None if background is None else readonly(check_background(background, n)))
        set_field(self, "probe", None if probe is None else readonly(check_probe(probe, n)))
        set_field(self, "truth", None if truth is None else check_truth(truth, views))
        set_field(self, "source", None if source is None else MappingProxyType(dict(source)))
        set_field(self, "_photons", readonly(counted.photons))
        set_field(self, "_brightest", counted.brightest)
        set_field(self, "_mean_amplitude", None)
        set_field(self, "_feed", None)
        set_field(self, "_looked", False)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"PtychoData is immutable; make another one with data.replace({name}=...)")

    def __reduce__(self) -> tuple[Any, ...]:
        rest = {name: getattr(self, name) for name in FIELDS[2:]}
        for name in ("truth", "source"):  # mapping proxies cannot be pickled
            rest[name] = None if rest[name] is None else dict(rest[name])
        return _rebuilt, (self._counted, self.mask, rest)

    @property
    def _counted(self) -> Counted:
        return Counted(self.intensities, self._photons, self._brightest)

    def replace(self, **changes: Any) -> PtychoData:
        """Return a copy with some fields changed; takes the constructor's names."""
        if unknown := sorted(set(changes) - set(FIELDS)):
            raise TypeError(f"PtychoData has no field {unknown[0]!r}{meant(unknown[0], FIELDS)}")
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
        return isinstance(self.intensities, LazyFrames) and self.absent is None

    @property
    def absent(self) -> str | None:
        """Why the frames are missing, or None where they are not: a result can open without its measurement."""
        return self.intensities.reason if isinstance(self.intensities, AbsentFrames) else None

    def first_look(self) -> bool:
        """Return whether nobody has asked before, so that what is wrong with a measurement is said once."""
        first = not self._looked
        object.__setattr__(self, "_looked", True)
        return first

    def need_frames(self) -> None:
        """Raise SourceError with the reason and the remedy where the frames are missing."""
        if isinstance(self.intensities, AbsentFrames):
            self.intensities.refuse()

    def without_frames(self, reason: str, remedy: str, source: bool) -> PtychoData:
        """Return the measurement without its frames, and without masks that stay in their file; see ``AbsentFrames``.

        ``source`` : whether the frames are unchanged from their source, so that a result may point to it.
        """
        if self.absent is not None:
            return self
        frames = AbsentFrames(self.intensities.shape, self.intensities.dtype, reason, remedy)
        mask = AbsentFrames(self.mask.shape, bool, reason, remedy) if isinstance(self.mask, LazyFrames) else self.mask
        rest = {name: getattr(self, name) for name in FIELDS[2:]} | ({} if source else {"source": None})
        return absent_measurement(frames, self._photons, self._brightest, mask, rest)

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
        if (mean := self._mean_amplitude) is None:
            total = np.zeros((self.n, self.n))
            for _, images in self.blocks():
                for image in images:
                    total += np.sqrt(image, dtype=np.float64)
            mean = readonly(total / self.views)
            object.__setattr__(self, "_mean_amplitude", mean)
        return mean

    def know_mean_amplitude(self, mean: np.ndarray) -> None:
        """Take note of what ``mean_amplitude`` is, where it was found by several processes together."""
        object.__setattr__(self, "_mean_amplitude", readonly(mean))

    @property
    def has_mean_amplitude(self) -> bool:
        """Whether ``mean_amplitude`` is known already, and costs no pass over the frames."""
        return self._mean_amplitude is not None

    @property
    def feed(self) -> Feed | None:
        """Where more views of the scan come from, while it is still measured (``opty.load(path, follow=True)``)."""
        return self._feed

    def fed(self, feed: Feed) -> PtychoData:
        """Return the measurement, which notes where more views come from."""
        object.__setattr__(self, "_feed", feed)
        return self

    def counted_before(
        self, intensities: np.ndarray, positions: np.ndarray, photons: np.ndarray, brightest: float
    ) -> PtychoData:
        """Return the measurement with other views, whose counts were checked: ``photons`` (N,) and ``brightest``."""
        rest = {name: getattr(self, name) for name in FIELDS[2:]} | {"truth": None}
        return _rebuilt(Counted(intensities, photons, brightest), self.mask, rest | {"positions": positions})

    def subdivided(self, factor: int) -> PtychoData:
        """Return the measurement with each pixel divided into factor x factor, which share its counts: for ``Bin``.

        In the far field the window at the sample is that much wider, and a probe lies in its middle; in the near field
        the pixels at the sample are that much finer, and those of a probe are repeated.
        Raises ValueError for frames that stay in a file: opty.load(..., subdivide=factor) divides them as they are
        read.
        """
        if isinstance(self.intensities, LazyFrames) or isinstance(self.mask, LazyFrames):
            raise ValueError(f"these frames stay in their file: divide their pixels with {option('subdivide', factor)}")
        near = self.geometry is not None and self.geometry.propagation == "near"
        changes: dict[str, Any] = {"truth": None, "source": None, "intensities": divided(self.intensities, factor)}
        for name in ("mask", "background"):
            changes[name] = None if getattr(self, name) is None else divided(getattr(self, name), factor)
        if self.geometry is not None:
            changes["geometry"] = replace(self.geometry, pixel_size=self.geometry.pixel_size / factor)
        if self.probe is not None:
            changes["probe"] = wider_probe(self.probe, factor, near)
        return self.replace(**changes)

    def part(self, views: slice, stays: bool) -> PtychoData:
        """Return some neighbouring views, of which there may be none; frames in a file are read unless ``stays``.

        The counts were checked with all views.
        """
        frames, mask = (_some(a, views, stays) for a in (self.intensities, self.mask))
        rest = {name: getattr(self, name) for name in FIELDS[2:]} | {"truth": None, "source": None}
        counted = Counted(frames, self._photons[views], self._brightest)
        return _rebuilt(counted, mask, rest | {"positions": self.positions[views]})

    def plot(self) -> Figure:
        """Return a matplotlib figure: mean and maximum of the frames, mask, and the photons of each view.

        It is ``opty.plot.data``. Raises SourceError where the frames are not here.
        """
        return DRAWN_BY[-1](self)

    def _repr_html_(self) -> str:
        stay = self.absent or ("in the file, read batch by batch" if self.in_file else "in memory")
        told = {
            "views": f"{self.views} of {self.n} x {self.n} pixels, {self.intensities.dtype}",
            "frames": f"{size(self.intensities.nbytes)}, {stay}",
            "positions": "in metres" if self.geometry is not None else "in pixels; no geometry",
        }
        told |= {} if self.geometry is None else self.geometry.lines()
        told |= {} if self.pixel is None else {"at the sample": f"pixels of {metres(self.pixel)}"}
        extras = [name for name in ("mask", "background", "probe", "truth") if getattr(self, name) is not None]
        return table((told | ({"with": ", ".join(extras)} if extras else {})).items())

    def __repr__(self) -> str:
        where = "no geometry (pixels)" if self.pixel is None else f"{self.pixel:.4g} m pixels at the sample"
        extras = [name for name in ("mask", "background", "probe", "truth") if getattr(self, name) is not None]
        stay = f" ({size(self.intensities.nbytes)}, in the file)" if self.in_file else ""
        stay = f" (not here: {self.absent})" if self.absent is not None else stay
        return (
            f"<PtychoData: {self.views} views of {self.n} x {self.n} {self.intensities.dtype}{stay}, {where}"
            + (f", with {', '.join(extras)}" if extras else "")
            + ">"
        )


def _some(images: Any, views: slice, stays: bool) -> Any:
    """Return some views of frames (N, n, n), or of masks; a mask (n, n) is that of all."""
    if images is None or images.ndim == 2:
        return images
    if not isinstance(images, LazyFrames):
        return images[views]
    index = np.arange(len(images))[views]
    if not len(index):
        return np.zeros((0, *images.shape[1:]), images.dtype)
    return LazyFrames(Chosen(images, index)) if stays else images[views]


def absent_measurement(
    frames: AbsentFrames, photons: np.ndarray, brightest: float, mask: Any, rest: Mapping[str, Any]
) -> PtychoData:
    """Return a measurement without its frames, of which photons (N,) of each view and brightest pixel are known.

    ``rest`` : the other fields of PtychoData but the mask.
    """
    photons = np.asarray(photons, np.float64)
    if photons.shape != frames.shape[:1] or not (photons >= 0).all() or not np.isfinite(photons).all():
        raise ValueError(f"photons of the views: expected ({frames.shape[0]},) numbers from 0 on, got {photons.shape}")
    mask = mask if isinstance(mask, AbsentFrames) else check_mask(mask, frames.shape)
    return _rebuilt(Counted(frames, photons, float(brightest)), mask, rest)


def _rebuilt(counted: Counted, mask: np.ndarray | LazyFrames | None, rest: Mapping[str, Any]) -> PtychoData:
    """Return a measurement whose counts were checked before."""
    data = object.__new__(PtychoData)
    data._fill(counted, mask, rest)
    return data

"""The virtual experiment: scan an object with a probe and count the photons, some views at a time."""

from __future__ import annotations

import dataclasses
import inspect
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import scipy.fft

from opty.data import PtychoData
from opty.data.fields import check_probe
from opty.geometry import Geometry
from opty.kernels import numpy_backend
from opty.model.complete import complete, first_leaves, fitting
from opty.model.compose import Model
from opty.model.detection import Bin, Saturation, shared
from opty.model.host_views import HostViews
from opty.model.scan import Scan
from opty.physics.propagation import Propagator, phase_ramp
from opty.remedies import here
from opty.simulate.detector import Detector, integrated
from opty.simulate.exposure import Exposure
from opty.simulate.probes.varying import check_given
from opty.simulate.stage import reached

# Complex values in the waves of a chunk of views: 8 MB at single precision, a few times that while it is worked on.
_CHUNK = 1 << 20
# What reads the expected intensities as they are.
_EXACT = Detector(counting=False, dtype="float32")
_EXACTLY = "Detector(counting=False, dtype='float32')"
_EXACTLY_IN_FILE = 'counting false and dtype "float32" in [detector]'


def experiment(*arguments: Any, **named: Any) -> PtychoData:
    """Measure an object: exit waves, propagation to the detector, photon counting.

    I_j = b_j sum_m |D [P_m(r - f_j) O(r + w_j)]|^2 + background, D the unitary propagation to the detector
    (``opty.physics.propagation``), true position = whole pixels w_j + fraction f_j. The probe is moved by the fraction
    in Fourier space, exact for a probe within the band, and what a reconstruction does: without noise the truth
    has a misfit of zero. Another ``model`` makes other exit waves of object and probe.

    Parameters
    ----------
    obj : (H, W) complex transmission, (L, H, W) for ``Slices`` and ``Object(states=L)``; it must hold every window.
    probe : (n, n) or (M, n, n) complex, incoherent modes, centred in the array.
    positions : (N, 2) (row, column) [px], nominal. Only differences matter: the scan is put in
        the middle of the object by a whole number of pixels.
    photons : mean number of photons per view behind the object, to which the probe is scaled.
    dose : the same for the whole scan: total number of photons. Give one of the two, or neither: then there is no
        noise, and intensities are in the units of the probe's power.
    geometry : a ``Geometry`` to have positions in metres, and for "near" and "cone"; None: far field, pixels.
    position_error : error of the stage [px]: a number e for uniform random errors between -e and +e
        on each axis, (N, 2), or errors of ``simulate.stage``, one or a list.
    exposure : an ``Exposure``: fluctuation of the beam, background, a stage that moves.
    detector : a ``Detector``; None: counts as uint32 with photons or a dose, exact float32 without.
    seed : of the position errors, the fluctuation, the bad pixels and the noise, each from its own random stream.
    model : as for PtychoState: elements of ``opty.model``, or their text. None: a thin object.
    leaves : values of the model's other leaves by name, where not those at the start; OPR modes go with the probe.

    Returns
    -------
    PtychoData with the nominal ``positions`` (window corners in the frame of ``obj``; metres with a geometry), the
    detector's ``mask``, the exposure's ``background``, and ``truth``: ``obj``, ``probe`` (M, n, n) in sqrt(photons),
    ``positions`` (N, 2) px where the stage really was (halfway through the view where it moves).

    Raises
    ------
    ValueError : an object too small (the message names the size needed), noise without photons, shapes that do not go
        together; TypeError : a geometry, an exposure or a detector that is none.

    Source: Guzzi et al., PeerJ CS 8, e1036 (2022), Eq. 3 and supplement, "SciComPty simulator".
    """
    return Experiment(*arguments, **named).measure()


class Experiment:
    """An experiment whose views have yet to be taken: takes what ``experiment`` takes.

    ``measure()`` takes all views into memory, ``write(path, experiment)`` puts them into a file as they are made.
    Attributes, as PtychoData has them: ``views``, ``n``, ``positions``, ``geometry``, ``mask``, ``background``,
    ``probe`` (None: no starting guess), ``truth``; and ``dtype`` of the intensities.
    """

    probe = None

    def __init__(
        self,
        obj: Any,
        probe: Any,
        positions: Any,
        photons: float | None = None,
        *,
        dose: float | None = None,
        geometry: Geometry | None = None,
        position_error: Any = None,
        exposure: Exposure | None = None,
        detector: Detector | None = None,
        seed: int = 0,
        model: Any = None,
        leaves: Mapping[str, Any] | None = None,
    ):
        obj, probe = _complex(obj), check_probe(probe, np.shape(probe)[-1])
        self.n = n = probe.shape[-1]
        self.geometry = _of_type("geometry", geometry, Geometry)
        self.model = complete(model, self.geometry, n)
        self.exposure = _of_type("exposure", exposure, Exposure) or Exposure()
        nominal = _checked(positions)
        self.views = len(nominal)
        photons = _per_view(photons, dose, self.views)
        self.detector = _limited(_detector(_of_type("detector", detector, Detector), photons), self.model)
        true = reached(nominal, position_error, np.random.default_rng([seed, 0]))
        self._leaves = self._other_leaves(obj, probe, nominal, leaves or {})
        move = _placement(np.concatenate([nominal[:, None], self.exposure.places(true)], axis=1), obj.shape[-2:], n)
        nominal, true = nominal + move, true + move
        self._places = self.exposure.places(true)
        self._brightness = self.exposure.brightness(self.views, [seed, 2])
        self._bad = self.detector.bad_pixels(n, [seed, 3])
        self._noise = [seed, 1]
        self._threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._propagator = Propagator(geometry, n, numpy_backend, np.result_type(obj, probe))
        self.positions = nominal * (1.0 if geometry is None else geometry.sample_pixel(n))
        self.mask, self.background = self._bad.mask, self.exposure.background_image(n)
        self.truth = {"obj": obj, "probe": probe, "positions": true}
        self._spectrum = scipy.fft.fft2(probe, workers=self._threads)
        if photons is not None:
            self.truth["probe"], gain = self._scaled(photons)
            self._leaves |= {name: gain * a for name, a in self._leaves.items() if name == "opr_modes"}
            self._spectrum = scipy.fft.fft2(self.truth["probe"], workers=self._threads)

    @property
    def dtype(self) -> np.dtype:
        """Number type of the intensities."""
        return np.dtype(self.detector.dtype)

    def measure(self, progress: bool = False) -> PtychoData:
        """Take all views; ``progress`` shows a bar."""
        intensities = np.empty((self.views, self.n, self.n), self.dtype)
        for views, patterns in self.patterns(progress):
            intensities[views] = patterns
        return PtychoData(
            intensities, self.positions, self.geometry, self.mask, self.background, probe=self.probe, truth=self.truth
        )

    def patterns(self, progress: bool = False) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the views in scan order, some at a time: a slice of views and their patterns (B, n, n)."""
        from tqdm import tqdm

        noise = np.random.default_rng(self._noise)
        with tqdm(total=self.views, unit="view", disable=not progress, dynamic_ncols=True) as bar:
            for views in self._chunks():
                patterns = self.detector.read(self._expected(views), noise, self._bad)
                for element in self.model.detection:
                    if isinstance(element, Bin):  # shares of a pixel were counted one by one: Poisson's law adds up
                        patterns = shared(patterns, element.k)
                yield views, patterns
                bar.update(views.stop - views.start)

    def _expected(self, views: slice) -> np.ndarray:
        """Expected photons (B, n, n) of some views, as the detector has its pixels in a row."""
        places = self._places[views]
        near = self._propagator.kind == "near"
        total: Any = 0.0
        for k in range(places.shape[1]):
            v = self._seen(views, places[:, k])
            there = v.at_detector(v.exit_waves(), True)
            if self.detector.pixel_integration:
                total += integrated(there, near, self._threads)
            else:
                total += (np.abs(there) ** 2).sum(axis=1)
        total = v.seen(total)
        total *= (self._brightness[views] / places.shape[1])[:, None, None]
        pattern = self.detector.blur(self._propagator.from_kernel_order(total))
        return pattern if self.background is None else pattern + self.background

    def _seen(self, views: slice, positions: np.ndarray) -> HostViews:
        """Return some views at positions (B, 2) px, as the model sees them."""
        estimates = {**self._leaves, "obj": self.truth["obj"], "probe": self.truth["probe"]}
        places = {"positions": positions, "geometry": self.geometry, "views": np.arange(self.views)[views]}
        v = HostViews(self.model, estimates, **places, threads=self._threads, propagator=self._propagator)
        if "opr_modes" in self._leaves:
            return v  # each view has a probe of its own
        v.fraction = positions - v.corners
        row, col = phase_ramp(v.fraction, self.n, np, self._spectrum.dtype)
        moved = self._spectrum[None] * row[:, None]
        moved *= col[:, None]
        v.fields["illum"] = scipy.fft.ifft2(moved, overwrite_x=True, workers=self._threads)
        return v

    def _other_leaves(
        self, obj: np.ndarray, probe: np.ndarray, positions: np.ndarray, given: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        """Return the model's leaves beside object and probe, and refuse arrays that do not fit the model."""
        dtype = np.result_type(obj, probe)
        scan = Scan(self.views, self.n, obj.shape[-2:], dtype, self.geometry, given=probe, positions=positions)
        first = first_leaves(self.model, scan)
        if unknown := sorted(given.keys() - (first.keys() - {"obj", "probe"})):
            others = ", ".join(sorted(first.keys() - {"obj", "probe"})) or "none"
            raise ValueError(f"leaves holds {unknown[0]!r}; beside obj and probe the model {self.model!r} has {others}")
        fitting(self.model, "obj", obj, first["obj"])
        check_given(self.model, first.keys() - given.keys())
        found = {name: value for name, value in first.items() if name not in ("obj", "probe")}
        return found | {name: fitting(self.model, name, np.asarray(a), first[name]) for name, a in given.items()}

    def _scaled(self, photons: float) -> tuple[np.ndarray, float]:
        """The probe scaled so that exit waves carry, on the mean over views, this number of photons, and the factor."""
        probe, power = self.truth["probe"], 0.0
        for views in self._chunks():
            places = self._places[views]
            for k in range(places.shape[1]):
                waves = self._seen(views, places[:, k]).exit_waves()
                each = np.array([np.vdot(wave, wave).real for wave in waves])
                power += float(each @ self._brightness[views]) / places.shape[1]
        power /= self.views
        if not (math.isfinite(power) and power > 0):
            raise ValueError(f"the exit waves have a mean power of {power:g}: probe and object let no light pass")
        gain = math.sqrt(photons / power)
        return (probe * gain).astype(probe.dtype), gain

    def _chunks(self) -> Iterator[slice]:
        size = self.truth["probe"].size * (4 if self.detector.pixel_integration else 1)
        batch = max(1, _CHUNK // size)
        for first in range(0, self.views, batch):
            yield slice(first, min(first + batch, self.views))


def _complex(obj: Any) -> np.ndarray:
    obj = np.asarray(obj)
    if obj.ndim not in (2, 3):
        raise ValueError(f"obj has shape {obj.shape}; expected (H, W), or (L, H, W) for several slices or states")
    return obj if obj.dtype.kind == "c" else obj.astype(np.complex64)


def _of_type(name: str, value: Any, kind: type) -> Any:
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name} is a {type(value).__name__}; give a {kind.__name__}, or None")
    return value


def _checked(positions: Any) -> np.ndarray:
    """Return positions as (N, 2) float64 px; ValueError for anything else."""
    nominal = np.array(positions, dtype=np.float64)
    if nominal.ndim != 2 or nominal.shape[1] != 2 or len(nominal) == 0 or not np.isfinite(nominal).all():
        raise ValueError(f"positions has shape {nominal.shape}; expected (N, 2) finite numbers, (row, column) in px")
    return nominal


def _per_view(photons: float | None, dose: float | None, views: int) -> float | None:
    """Photons per view from the one of the two that is given."""
    if photons is not None and dose is not None:
        raise ValueError(f"photons, {photons!r} (a view), and dose, {dose!r} (the scan), say the same thing: give one")
    name, value = ("photons", photons) if dose is None else ("dose", dose)
    if value is None:
        return None
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} is {value!r}; give a positive, finite number of photons")
    return value if dose is None else value / views


def _detector(detector: Detector | None, photons: float | None) -> Detector:
    if detector is None:
        return _EXACT if photons is None else Detector()
    if photons is None and (detector.counting or detector.read_noise or np.dtype(detector.dtype).kind != "f"):
        raise ValueError(
            "counts and noise need photons (mean per view) or dose (of the scan); without them the detector must be "
            f"exact: {here(_EXACTLY, _EXACTLY_IN_FILE)} without read_noise"
        )
    return detector


def _limited(detector: Detector, model: Model) -> Detector:
    """Return a detector that reads no more than the model says."""
    if any(isinstance(element, Bin) for element in model.detection):
        detector = dataclasses.replace(detector, dtype="float32")  # shares of counts
    levels = [element.level for element in model.detection if isinstance(element, Saturation)]
    if not levels or detector.full_scale <= min(levels):
        return detector
    if np.dtype(detector.dtype).kind != "f" and min(levels) % 1:
        raise ValueError(f"{model!r}: counts are whole numbers; give a whole number of photons as the level")
    return dataclasses.replace(detector, saturation=min(levels))


def _placement(places: np.ndarray, shape: tuple[int, ...], n: int) -> np.ndarray:
    """Whole pixels (2,) that put the windows at all places (N, K, 2) in the middle of an object of this shape."""
    first, last = np.floor(places.min(axis=(0, 1))), np.ceil(places.max(axis=(0, 1)))
    needed = (last - first + n).astype(int)
    if (needed > shape).any():
        raise ValueError(
            f"the object has {shape[0]} x {shape[1]} pixels but this scan with {n} x {n} windows needs "
            f"{needed[0]} x {needed[1]}: give a larger object or a smaller scan"
        )
    return (np.array(shape) - needed) // 2 - first


_signature = inspect.signature(Experiment).replace(return_annotation=PtychoData)
experiment.__signature__ = _signature  # type: ignore[attr-defined]

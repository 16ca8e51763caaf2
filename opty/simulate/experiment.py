"""The virtual experiment: scan an object with a probe and count the photons."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import scipy.fft

from opty.backend import on_numpy
from opty.data import PtychoData, check_probe
from opty.propagate import phase_ramp
from opty.simulate.detector import count

# Complex values in the waves of one chunk of views: about 32 MB at single precision.
_CHUNK = 1 << 22


def experiment(
    obj, probe, positions, photons=None, *, position_error=None, geometry=None, read_noise=0.0, dtype=None, seed=0
) -> PtychoData:
    """Measure an object: exit waves, far field, photon counting.

    I_j = sum_m |F [P_m(r - f_j) O(r + w_j)]|^2, F unitary, true position = whole pixels w_j + fraction f_j. The probe
    is moved by the fraction in Fourier space, which is exact for a probe within the band.

    Parameters
    ----------
    obj : (H, W) complex transmission; it must hold every window.
    probe : (n, n) or (M, n, n) complex, incoherent modes, centred in the array.
    positions : (N, 2) (row, column) [px] at which the views were asked for. Only differences matter: the scan is put in
        the middle of the object by a whole number of pixels.
    photons : mean number of photons per view, to which the probe is scaled; counts then follow Poisson statistics.
        None: no noise, in the units of the probe's power.
    position_error : what the stage adds to the positions [px]: a number e for uniform random errors between -e and +e
        on each axis, or (N, 2).
    geometry : a ``Geometry`` ("far" or "cone", whose patterns have the same modulus) to have positions in metres.
    read_noise : standard deviation of the read-out noise [photons]; see ``simulate.detector.count``.
    dtype : of the intensities; None: uint32 for counts, float32 without noise.
    seed : of the position errors and of the noise, which have streams of their own.

    Returns
    -------
    PtychoData with ``positions`` as asked for (window corners in the frame of ``obj``; metres with a geometry) and
    ``truth``: ``obj``, ``probe`` (M, n, n) in sqrt(photons), ``positions`` (N, 2) px where the stage really was.

    Raises
    ------
    ValueError : an object too small (the message names the size needed), a near-field geometry, noise without photons.

    Source: Guzzi et al., PeerJ CS 8, e1036 (2022), Eq. 3 and supplement, "SciComPty simulator".
    """
    obj = _complex_image(obj)
    probe = check_probe(probe, np.shape(probe)[-1])
    n = probe.shape[-1]
    if geometry is not None and geometry.propagation == "near":
        raise ValueError("geometry.propagation is 'near': the experiment simulates 'far' and 'cone' patterns only")
    if photons is None and (read_noise or (dtype is not None and np.dtype(dtype).kind != "f")):
        raise ValueError(f"read_noise={read_noise!r}, dtype={dtype!r}: noise and counts need photons= (mean per view)")
    nominal, true = _stage(positions, position_error, np.random.default_rng([seed, 0]))
    move = _placement(np.concatenate([nominal, true]), obj.shape, n)
    nominal, true = nominal + move, true + move
    if photons is not None:
        probe = _scaled(probe, obj, true, photons)
        dtype = dtype or "uint32"
    intensities = np.empty((len(true), n, n), dtype or "float32")
    noise = np.random.default_rng([seed, 1])
    for views, waves in _exit_waves(obj, probe, true):
        pattern = scipy.fft.fftshift((np.abs(on_numpy.fft2(waves)) ** 2).sum(axis=1), axes=(-2, -1))
        if photons is None:
            intensities[views] = pattern
        else:
            intensities[views] = count(pattern, seed=noise, dtype=dtype, read_noise=read_noise)
    pixel = 1.0 if geometry is None else geometry.sample_pixel(n)
    return PtychoData(intensities, nominal * pixel, geometry, truth={"obj": obj, "probe": probe, "positions": true})


def _complex_image(obj) -> np.ndarray:
    obj = np.asarray(obj)
    if obj.ndim != 2:
        raise ValueError(f"obj has shape {obj.shape}; expected (H, W)")
    return obj if obj.dtype.kind == "c" else obj.astype(np.complex64)


def _stage(positions, error, rng) -> tuple[np.ndarray, np.ndarray]:
    """Positions asked for and positions reached, (N, 2) float64 px both."""
    nominal = np.array(positions, dtype=np.float64)
    if nominal.ndim != 2 or nominal.shape[1] != 2 or len(nominal) == 0 or not np.isfinite(nominal).all():
        raise ValueError(f"positions has shape {nominal.shape}; expected (N, 2) finite numbers, (row, column) in px")
    if error is None:
        return nominal, nominal
    if np.ndim(error) == 0:
        return nominal, nominal + rng.uniform(-abs(error), abs(error), nominal.shape)
    error = np.asarray(error, dtype=np.float64)
    if error.shape != nominal.shape or not np.isfinite(error).all():
        raise ValueError(f"position_error has shape {error.shape}; give one number or finite {nominal.shape}, in px")
    return nominal, nominal + error


def _placement(positions, shape, n: int) -> np.ndarray:
    """Whole pixels (2,) that put all windows in the middle of an object of this shape."""
    first, last = np.floor(positions.min(axis=0)), np.ceil(positions.max(axis=0))
    needed = (last - first + n).astype(int)
    if (needed > shape).any():
        raise ValueError(
            f"the object has {shape[0]} x {shape[1]} pixels but this scan with {n} x {n} windows needs "
            f"{needed[0]} x {needed[1]}: give a larger object or a smaller scan"
        )
    return (np.array(shape) - needed) // 2 - first


def _scaled(probe, obj, positions, photons: float) -> np.ndarray:
    """The probe scaled so that the exit waves carry, on the mean over views, this number of photons."""
    power = sum(np.vdot(waves, waves).real for _, waves in _exit_waves(obj, probe, positions)) / len(positions)
    if not (photons > 0 and math.isfinite(photons) and power > 0):
        raise ValueError(f"photons={photons!r} with a mean exit power of {power:g}: both must be positive and finite")
    return (probe * math.sqrt(photons / power)).astype(probe.dtype)


def _exit_waves(obj, probe, positions) -> Iterator[tuple[slice, np.ndarray]]:
    """Exit waves (B, M, n, n) of a chunk of views after the other, each with its slice of views."""
    n = probe.shape[-1]
    corners = np.rint(positions).astype(int)
    fraction = positions - corners
    spectrum = scipy.fft.fft2(probe)
    batch = max(1, _CHUNK // probe.size)
    for start in range(0, len(positions), batch):
        views = slice(start, min(start + batch, len(positions)))
        row, col = phase_ramp(fraction[views], n, np, probe.dtype)
        shifted = scipy.fft.ifft2(spectrum * (row * col)[:, None])
        yield views, shifted * on_numpy.take_windows(obj, corners[views], n)[:, None]

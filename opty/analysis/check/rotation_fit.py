"""How a scan on a grid is turned against the detector, by the frames that a known probe makes of a weak object.

The centre of mass is one number of a frame, and a wide probe leaves little of it. Where the probe is known, the whole
frame counts: a frequency q of the object makes the frequency R^-1 q of the scan in detector pixel k with the strength
Gamma_k(q) = A*(k) A(k - q) - A(k) A*(k + q), A the Fourier transform of the probe. The angle of R at which this
explains most of the frames is that of the scan.

Source: Rodenburg, McCallum, Nellist, Ultramicroscopy 48, 304 (1993), for Gamma; Pennycook et al., Ultramicroscopy 151,
160 (2015).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.fft
from scipy.optimize import minimize_scalar

from opty.data import PtychoData

FREQUENCIES = 64  # of the scan: those with the most light that changes
FEW = 12  # of them are enough to find about where the angle is
PADDED = 2  # times the scan: between its own frequencies, too, an object has some
PIXELS = 1200  # of the detector, at most
NUMBERS = 4 << 20  # pixels times views that are held at once
COARSE = 72  # angles around the circle
SAME = 0.97  # of the most explained: as good
RELATIVE = 0.02  # of the brightest mean pixel: darker ones are left out


@dataclass(frozen=True)
class Fit:
    """An angle [rad], and how much of the change in the frames it explains, in parts of what noise alone would have.

    ``skewness`` : of the phase that it finds in the object.
    """

    angle: float
    explained: float
    skewness: float


class ProbeFit:
    """Frames of a grid ``shape`` with steps [m or px], to be compared with what the starting probe makes of them."""

    def __init__(self, data: PtychoData, shape: tuple[int, int], steps: list[float], transpose: bool):
        assert data.probe is not None
        pixel = data.pixel or 1.0
        self.wave = scipy.fft.ifftshift(data.probe[0].astype(np.complex128))
        frames, index = _frames(data, transpose)
        mean = frames.mean(axis=0)
        scan = ((frames - mean) / np.sqrt(mean)).astype(np.float32).reshape(*shape, -1)
        wide = (PADDED * shape[0], PADDED * shape[1])
        spectra = scipy.fft.fft2(scan, wide, axes=(0, 1)).reshape(wide[0] * wide[1], -1)
        q = np.stack(np.meshgrid(*map(np.fft.fftfreq, wide, steps), indexing="ij"), -1).reshape(-1, 2) * pixel
        power = (np.abs(spectra) ** 2).sum(axis=1)
        power[(q == 0).all(axis=1)] = 0.0
        half = (q[:, 0] > 0) | ((q[:, 0] == 0) & (q[:, 1] > 0))  # the others are their complex conjugates
        power[~half] = 0.0
        best = np.argsort(power)[::-1][: min(FREQUENCIES, int(half.sum()))]
        self.shape, self.chosen = wide, best
        self.noise = float(len(frames))  # of |spectrum|^2 in one pixel, whose counts have a variance of their mean
        self.q, self.spectra, self.index, self.root = q[best], spectra[best], index, np.sqrt(mean)
        self.places = np.fft.fftfreq(data.n) * data.n  # of the wave [px], its middle at 0
        self.pupil = self._far(self.wave)

    def phases(self, angle: float, count: int = FREQUENCIES) -> tuple[np.ndarray, np.ndarray]:
        """Return, for the ``count`` strongest frequencies, the object's spectrum and the power that it explains."""
        c, s = math.cos(angle), math.sin(angle)
        q = self.q[:count] @ np.array([[c, -s], [s, c]]).T
        row, column = (np.exp(2j * np.pi * q[:, axis, None] * self.places) for axis in (0, 1))
        minus = self._far(self.wave * row[:, :, None] * column[:, None, :])
        plus = self._far(self.wave * row.conj()[:, :, None] * column.conj()[:, None, :])
        gamma = (self.pupil.conj() * minus - self.pupil * plus.conj()) / self.root
        weight = np.maximum((np.abs(gamma) ** 2).sum(axis=1), 1e-300)
        found = (gamma.conj() * self.spectra[:count]).sum(axis=1)
        return found / (1j * weight), np.abs(found) ** 2 / weight

    def best(self) -> Fit:
        """Return the angle that explains most: the best of many around the circle, made finer."""
        angles = np.arange(COARSE) * (2 * math.pi / COARSE)
        values = [self.phases(a, FEW)[1].sum() for a in angles]
        start = angles[int(np.argmax(values))]
        step = 2 * math.pi / COARSE
        fine = minimize_scalar(
            lambda a: -self.phases(a)[1].sum(),
            bounds=(start - step, start + step),
            method="bounded",
            options={"xatol": 1e-3},
        )
        angle = float(fine.x)
        other = float(self.phases(angle + math.pi)[1].sum())
        skewness = self._skewness(angle)
        if -other < SAME * float(fine.fun) and skewness < 0:  # half a turn fits as well: see ScanRotation
            angle, skewness = angle + math.pi, -skewness
        return Fit(math.remainder(angle, 2 * math.pi), -float(fine.fun) / (self.noise * len(self.q)), skewness)

    def _skewness(self, angle: float) -> float:
        """Skewness of the object's phase, made of its frequencies as they are seen along the scan."""
        estimates, explained = self.phases(angle)
        phase = np.zeros(self.shape, complex)
        phase.reshape(-1)[self.chosen] = estimates * (explained > 4 * self.noise)
        return float((np.fft.ifft2(phase).real ** 3).mean())

    def _far(self, wave: np.ndarray) -> np.ndarray:
        """Return the amplitudes of waves (..., n, n) on the chosen pixels of the detector."""
        far = scipy.fft.fftshift(scipy.fft.fft2(wave), axes=(-2, -1))
        return far.reshape(*wave.shape[:-2], -1)[..., self.index]


def _frames(data: PtychoData, transpose: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return counts (N, K) of the pixels that are lit on the mean, and their numbers in the flattened frame."""
    total = np.zeros((data.n, data.n))
    for _, images in data.blocks():
        total += images.sum(axis=0, dtype=np.float64)
    order = total.T if transpose else total
    lit = np.flatnonzero(order.reshape(-1) > RELATIVE * order.max())
    most = max(16, min(PIXELS, NUMBERS // data.views))
    index = lit[:: max(1, -(-len(lit) // most))]
    out = np.empty((data.views, len(index)))
    for place, images in data.blocks():
        turned = np.swapaxes(images, 1, 2) if transpose else images
        out[place] = turned.reshape(len(images), -1)[:, index]
    return out, index

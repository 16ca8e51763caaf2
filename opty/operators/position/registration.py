"""Sub-pixel shift between two complex images, for many pairs at once; in the hot path of position refinement."""

from __future__ import annotations

import numpy as np

from opty.kernels.positions.correlation_peaks import NEWTON, ROUNDING, near_waves, reach_of, soft_disc


class Registration:
    """Finds the shift d by which ``moved(r)`` resembles ``fixed(r - d)``, under a soft radial mask, means taken off.

    d is the maximum of |c(d)|, c the cross-correlation as a trigonometric polynomial: first on whole pixels up to 6 px
    away by a partial discrete Fourier transform, then by Newton steps on the polynomial itself, which needs no
    upsampled grid. Source: Guizar-Sicairos, Thurman, Fienup, Opt. Lett. 33, 156 (2008) for the partial transform.
    """

    def __init__(self, n: int, backend, dtype):
        self.backend, self.xp = backend, backend.xp
        real = np.dtype(dtype).type(0).real.dtype
        self.mask = backend.asarray(soft_disc(n), dtype=real)
        self.share = (self.mask / self.mask.sum()).reshape(-1, 1)
        q = 2 * np.pi * np.fft.fftfreq(n)
        self.reach = reach_of(n)
        self.q = backend.asarray(q)
        self.near = backend.asarray(near_waves(n), dtype=dtype)
        self.powers = backend.asarray(np.stack([np.ones(n), 1j * q, -(q**2)], axis=1), dtype=dtype)

    def peak(self, fixed, moved):
        """Return shifts (B, 2) px, float64, of windows ``moved`` (B, n, n) against ``fixed`` (B, n, n)."""
        moved, fixed = self._contrast(moved), self._contrast(fixed)
        seen = (self._power(moved) > 0) & (self._power(fixed) > 0)
        spectrum = self.backend.fft2(moved, True)
        spectrum *= self.backend.fft2(fixed, True).conj()
        d = self._whole_pixel(spectrum)
        start = d
        for _ in range(NEWTON):
            d = self._newton(spectrum, d)
            d = self.xp.clip(d, start - 1, start + 1)
        return self.xp.where(seen[:, None], d, 0)

    def _contrast(self, images):
        """Return images (B, n, n) less their mean, under the mask: it stands still, and would hold them.

        What is left of an image without structure is rounding, and becomes zero.
        """
        mean = images.reshape(len(images), 1, -1) @ self.share
        left = (images - mean) * self.mask
        return left * (self.xp.abs(left).max(axis=(1, 2), keepdims=True) > ROUNDING * self.xp.abs(mean))

    @staticmethod
    def _power(images):
        return (images.real**2 + images.imag**2).sum(axis=(1, 2))

    def _whole_pixel(self, spectrum):
        height = self.xp.abs(self.near @ spectrum @ self.near.T)
        side = height.shape[-1]
        best = height.reshape(len(height), -1).argmax(axis=1)
        return self.xp.stack([best // side, best % side], axis=1).astype(np.float64) - self.reach

    def _newton(self, spectrum, d):
        """One Newton step on |c(d)|^2, with the exact derivatives of c."""
        waves = self.xp.exp(1j * d[:, :, None] * self.q)
        rows, cols = (waves[:, k, :, None] * self.powers for k in (0, 1))
        moments = rows.swapaxes(1, 2) @ (spectrum @ cols.astype(spectrum.dtype)).astype(np.complex128)
        c, cy, cx = moments[:, 0, 0], moments[:, 1, 0], moments[:, 0, 1]
        cyy, cxx, cxy = moments[:, 2, 0], moments[:, 0, 2], moments[:, 1, 1]
        here = c.conj()
        gy, gx = (here * cy).real, (here * cx).real
        hyy = (here * cyy).real + abs(cy) ** 2
        hxx = (here * cxx).real + abs(cx) ** 2
        hxy = (here * cxy).real + (cy.conj() * cx).real
        det = hyy * hxx - hxy * hxy
        # Away from a maximum (or on an image without structure) a Newton step means nothing: stay.
        good = (det > 0) & (hyy < 0)
        det = self.xp.where(good, det, 1)
        step = self.xp.stack([(hxx * gy - hxy * gx) / det, (hyy * gx - hxy * gy) / det], axis=1)
        return d - self.xp.where(good[:, None], step, 0)

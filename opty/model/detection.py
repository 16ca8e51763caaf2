"""What the detector does to intensities: the elements on the left of the propagation, behind |Psi|^2."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from opty.model.element import Element
from opty.model.sums import state_power
from opty.remedies import option

if TYPE_CHECKING:
    from opty.data import PtychoData
    from opty.model.views import ModelViews

_ABOVE = 1.5  # times its level: more no saturated pixel reads, after a flat-field correction either
_REACH = 4.0  # standard deviations at which a Gaussian ends, as in scipy.ndimage


class Detection(Element, register=False):
    """A linear map D of intensities without negative numbers, Ihat = D sum_s |Psi_s|^2, and its transpose.

    It stands on the left of the propagation, ``Blur(0.8) * FarField() * Object()``. ``see`` and ``pull`` get images
    (B, n, n) real in the order of the waves, and leave them as they are; a background comes on top of what is seen.
    """

    detects: ClassVar[bool] = True
    censors: ClassVar[bool] = False  # True: with what a prediction is compared depends on the prediction
    kept = 1.0  # real images of the views, whose number does not grow with the states

    def see(self, v: ModelViews, intensity: Any) -> Any:
        """Return D I, (B, n, n), of intensities (B or 1, n, n) at the detector."""
        raise NotImplementedError

    def pull(self, v: ModelViews, values: Any) -> Any:
        """Return the transpose of D applied to values (B or 1, n, n) of the pixels."""
        raise NotImplementedError

    def compared(self, v: ModelViews, measured: Any, predicted: Any) -> Any:
        """Return what predicted intensities (B, n, n) are compared with: the measured ones (B, n, n), as they are."""
        return measured


class Blur(Detection):
    """A detector that spreads the light of a pixel over its neighbours: Ihat = D sum_s |Psi_s|^2.

    Light that spreads over the rim of the detector is lost, as in ``opty.simulate.Detector(psf=)``.

    Parameters
    ----------
    sigma : standard deviation of a Gaussian point spread [px], one number or (row, column).
    psf : in its place, the point spread itself, rows of numbers from 0 on, of an odd count each way, whose middle is
        the pixel that the light falls on; their sum is the share of the light that is seen.

    Projections multiply the waves by sqrt(D^T(I / Ihat) / D^T 1), the root of a step of Richardson and Lucy;
    likelihoods are followed along Psi D^T(dL/dIhat), which is their gradient.
    Source: Richardson, J. Opt. Soc. Am. 62, 55 (1972); Lucy, Astron. J. 79, 745 (1974).
    """

    sigma: float | tuple[float, float] | None = None
    psf: tuple[tuple[float, ...], ...] | None = None

    def check(self) -> None:
        if (self.sigma is None) == (self.psf is None):
            raise ValueError(f"{self!r}: give either sigma, in pixels, or psf")
        if self.sigma is not None and not min(self._sigmas()) > 0:
            raise ValueError(f"{self!r}: give a sigma above 0, in pixels")
        if self.psf is not None:
            rows, columns = len(self.psf), {len(row) for row in self.psf}
            if not rows % 2 or len(columns) != 1 or not next(iter(columns)) % 2:
                raise ValueError(f"{self!r}: psf has rows of one length, an odd count of rows and of columns")
            if min(map(min, self.psf)) < 0 or not sum(map(sum, self.psf)) > 0:
                raise ValueError(f"{self!r}: psf has numbers from 0 on, and not zeros alone")

    def _sigmas(self) -> tuple[float, float]:
        assert self.sigma is not None
        return self.sigma if isinstance(self.sigma, tuple) else (self.sigma, self.sigma)

    def see(self, v: ModelViews, intensity: Any) -> Any:
        if self.psf is not None:
            return self._spread(v, intensity, self.psf)
        rows, columns = self._matrices(v)
        return rows @ intensity @ columns.T

    def pull(self, v: ModelViews, values: Any) -> Any:
        if self.psf is not None:
            return self._spread(v, values, tuple(row[::-1] for row in self.psf[::-1]))
        rows, columns = self._matrices(v)
        return rows.T @ values @ columns

    def _matrices(self, v: ModelViews) -> Any:
        """Return D along rows and along columns: products of matrices keep dark pixels from becoming negative."""
        if (key := (self, v.n)) not in v.sweep:
            made = (_gaussian(sigma, v.n, v.propagator.kind) for sigma in self._sigmas())
            v.sweep[key] = tuple(v.backend.asarray(a, dtype=v.real_dtype) for a in made)
        return v.sweep[key]

    def _spread(self, v: ModelViews, image: Any, psf: tuple[tuple[float, ...], ...]) -> Any:
        near, half = v.propagator.kind == "near", v.n // 2
        image = image if near else v.xp.roll(image, (half, half), (-2, -1))
        up, across = len(psf) // 2, len(psf[0]) // 2
        wide = v.xp.pad(image, ((0, 0), (up, up), (across, across)))
        out = v.xp.zeros_like(image)
        for i, row in enumerate(psf):
            for j, share in enumerate(row):
                first = 2 * up - i, 2 * across - j
                if share:
                    out += wide[:, first[0] : first[0] + v.n, first[1] : first[1] + v.n] * v.real_dtype.type(share)
        return out if near else v.xp.roll(out, (-half, -half), (-2, -1))


class Bin(Detection):
    """A detector whose pixels are coarser than the samples of the wave: each pixel adds up k x k of them.

    The pixels of the measurement have to be divided, ``data.subdivided(k)`` or ``opty.load(..., subdivide=k)``: k x k
    of them share the counts of one, so that Ihat = D |Psi|^2 with D the mean over them. In the far field the window at
    the sample is k times as wide, with pixels as they were; in the near field its pixels are k times finer.

    Parameters
    ----------
    k : samples of the wave along the edge of a pixel, from 2 on.

    Raises ValueError for patterns of which k is no divisor, and for those whose pixels were not divided.
    Source: Batey et al., Phys. Rev. A 89, 043812 (2014) (reciprocal-space upsampling).
    """

    k: int

    def check(self) -> None:
        if self.k < 2:
            raise ValueError(f"{self!r}: give how many samples of the wave lie along the edge of a pixel, from 2 on")

    def check_before_run(self, geometry: Any, n: int) -> None:
        if n % self.k:
            raise ValueError(
                f"{self!r}: patterns of {n} x {n} pixels are no {self.k} x {self.k} samples each; {self._way}"
            )

    def check_measurement(self, data: PtychoData) -> None:
        if data.absent is not None:
            return
        pattern = data.intensities[:1][0]
        if not np.allclose(pattern, shared(pattern, self.k), rtol=1e-5, atol=0, equal_nan=True):
            raise ValueError(
                f"{self!r}: the {self.k} x {self.k} samples of a pixel share its counts, and these do not; {self._way}"
            )

    @property
    def _way(self) -> str:
        return f"divide the pixels of the measurement, {option('subdivide', self.k)}"

    def see(self, v: ModelViews, intensity: Any) -> Any:
        return self._mean(v, intensity)

    def pull(self, v: ModelViews, values: Any) -> Any:
        return self._mean(v, values)

    def _mean(self, v: ModelViews, image: Any) -> Any:
        """Return each sample's share of its pixel; in the order of the transform pixels may begin within a block."""
        off = 0 if v.propagator.kind == "near" else v.n // 2 % self.k
        if not off:
            return shared(image, self.k)
        return v.xp.roll(shared(v.xp.roll(image, (off, off), (-2, -1)), self.k), (-off, -off), (-2, -1))


def shared(images: Any, k: int) -> Any:
    """Return images (..., n, n) in which k x k pixels share what they have: their mean."""
    *rest, n, _ = images.shape
    tiles = images.reshape(*rest, n // k, k, n // k, k)
    mean = tiles.mean(axis=(-3, -1), keepdims=True, dtype=np.result_type(images.dtype, np.float32))
    return mean.repeat(k, axis=-3).repeat(k, axis=-1).reshape(images.shape)


class Saturation(Detection):
    """A detector that reads no more than a level: where it reads that, at least so much light was there.

    A pixel with I >= level counts as max(I, Ihat): it is explained by any Ihat >= I and pulls a darker one up, where a
    mask would say nothing of it.

    Parameters
    ----------
    level : the reading from which a pixel is saturated, in the unit of the data [photons].

    Leave these pixels unmasked. Projections, misfits, likelihoods and positions all compare with max(I, Ihat); the
    Poisson likelihood of a saturated pixel is taken to be its largest value from Ihat = I on. Readings up to half above
    the level, as a flat-field correction makes them, are saturated as well.
    Raises ValueError for a level that is not positive, and for counts more than half above it.
    Source: a censored measurement: Tobin, Econometrica 26, 24 (1958).
    """

    level: float
    censors = True
    kept = 0.0

    def check(self) -> None:
        if not self.level > 0:
            raise ValueError(f"{self!r}: give the reading of a saturated pixel, above 0")

    def check_measurement(self, data: PtychoData) -> None:
        if data.brightest > _ABOVE * self.level:
            raise ValueError(
                f"{self!r}: frames read {data.brightest:.6g}, which a detector that reads no more than "
                f"{self.level:.6g} cannot: give the reading of a saturated pixel, in the unit of the counts"
            )

    def see(self, v: ModelViews, intensity: Any) -> Any:
        return intensity

    def pull(self, v: ModelViews, values: Any) -> Any:
        return values

    def compared(self, v: ModelViews, measured: Any, predicted: Any) -> Any:
        return v.xp.where(measured >= self.level, v.xp.maximum(measured, predicted), measured)


@functools.lru_cache(maxsize=16)
def _gaussian(sigma: float, n: int, kind: str) -> np.ndarray:
    """Return the matrix (n, n) of a Gaussian point spread, in the order of the waves."""
    reach = int(_REACH * sigma + 0.5)
    apart = np.arange(n)[:, None] - np.arange(n)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    matrix = np.where(abs(apart) <= reach, np.exp(-0.5 * (apart / sigma) ** 2), 0) / weights.sum()
    if kind == "near":
        return matrix
    order = np.fft.ifftshift(np.arange(n))
    return matrix[np.ix_(order, order)]


def put_modulus(v: ModelViews, there: Any, intensity: Any, mask: Any, background: Any, difference: bool) -> Any:
    """Put the measured modulus on detector waves (B, S, n, n), in place, through what the detector does.

    Psi sqrt(D^T(I / Ihat) / D^T 1), or that minus Psi if ``difference``; masked pixels ask for nothing.
    Returns sum w (sqrt I - sqrt Ihat)^2 as a scalar on the device.
    """
    xp, tiny = v.xp, np.finfo(v.real_dtype).tiny ** 0.5
    seen = v.seen(state_power(xp, there))
    seen = xp.maximum(seen if background is None else seen + background, tiny)
    measured = v.compared(intensity.astype(v.real_dtype), seen)
    ratio, gap = measured / seen, xp.sqrt(measured) - xp.sqrt(seen)
    if mask is not None:
        ratio, gap = xp.where(mask, ratio, 1), gap * mask
    whole = v.pulled(xp.ones((1, v.n, v.n), v.real_dtype))
    factor = xp.sqrt(v.pulled(ratio) / xp.maximum(whole, tiny))
    there *= (factor - difference)[:, None]
    return (gap * gap).sum(dtype=np.float64)

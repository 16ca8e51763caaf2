"""The smooth part of an image: what products of Legendre polynomials of low order describe over the lit pixels."""

from __future__ import annotations

import numpy as np
import scipy.linalg

ORDER = 4  # largest sum of the orders along rows and columns: 15 polynomials


class SmoothPart:
    """Projects images (H, W) onto the polynomials, which are orthonormal in the mean over the lit pixels.

    image ~ sum_m c_m phi_m, <phi_m phi_n>_lit = delta_mn, so that sum_m c_m^2 is the mean square of the smooth part.
    """

    def __init__(self, lit: np.ndarray):
        self.lit = lit
        self.sides = [_legendre(np.flatnonzero(lit.any(axis=1 - axis)), lit.shape[axis]) for axis in (0, 1)]
        self.orders = [(i, j) for i in range(ORDER + 1) for j in range(ORDER + 1 - i)]
        pairs = [np.einsum("ri,rk->rik", side, side).reshape(len(side), -1) for side in self.sides]
        count = ORDER + 1
        products = (pairs[0].T @ lit @ pairs[1]).reshape(count, count, count, count) / lit.sum()
        gram = np.array([[products[i, k, j, m] for k, m in self.orders] for i, j in self.orders])
        self.root = np.linalg.cholesky(gram)

    def coefficients(self, image: np.ndarray) -> np.ndarray:
        """Return c (15,) of an image; outside the lit pixels it is not looked at."""
        moments = self.sides[0].T @ np.where(self.lit, image, 0) @ self.sides[1] / self.lit.sum()
        seen = np.array([moments[order] for order in self.orders])
        return np.asarray(scipy.linalg.solve_triangular(self.root, seen, lower=True))

    def image(self, coefficients: np.ndarray) -> np.ndarray:
        """Return sum_m c_m phi_m (H, W)."""
        weights = np.zeros((ORDER + 1, ORDER + 1))
        for order, weight in zip(
            self.orders, scipy.linalg.solve_triangular(self.root.T, coefficients, lower=False), strict=True
        ):
            weights[order] = weight
        return np.asarray(self.sides[0] @ weights @ self.sides[1].T)

    def variance(self, covariance: np.ndarray) -> np.ndarray:
        """Return the variance (H, W) of sum_m c_m phi_m, of the covariance (15, 15) of the coefficients."""
        values, vectors = np.linalg.eigh(covariance)
        parts = zip(values, vectors.T, strict=True)
        return np.asarray(sum(max(value, 0.0) * self.image(vector) ** 2 for value, vector in parts))


def _legendre(lit: np.ndarray, size: int) -> np.ndarray:
    """Return the polynomials (size, 5) along a side, from -1 to 1 between the first and the last lit place."""
    x = (2 * np.arange(size) - lit[0] - lit[-1]) / max(lit[-1] - lit[0], 1)
    return np.polynomial.legendre.legvander(np.clip(x, -1, 1), ORDER)

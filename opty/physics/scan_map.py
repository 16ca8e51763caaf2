"""How far scan positions are from the truth, and what a whole scan has in common."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from opty.physics.to_host import on_host

ScanModel = Literal["affine", "drift", "affine+drift"]

_ROUNDS = 20  # of reweighting; the weights settle in a few
_HUBER = 1.345  # standard deviations within which a view counts in full (95 percent efficient on normal errors)


def position_error(positions: Any, truth: Any, affine: bool = False) -> float:
    """Mean distance between positions and truth, mean_j |f_j - g_j|, after the mean offset is taken off both.

    Parameters
    ----------
    positions, truth : (N, 2), in one unit [px]; the common offset cannot be measured and does not count.
    affine : leave out the best affine map (scale, rotation, shear) too, which near-field data hardly determine.

    Returns
    -------
    float [unit of the positions].

    Raises
    ------
    ValueError : shapes other than (N, 2), or that differ.

    Source: Guzzi et al., PeerJ CS 8, e1036 (2022), supplement Eqs. 5 and 6.
    """
    positions, truth = _both(positions, truth)
    difference = positions - truth
    difference = difference - difference.mean(axis=0)
    if affine:
        design = truth - truth.mean(axis=0)
        difference = difference - design @ np.linalg.lstsq(design, difference, rcond=None)[0]
    return float(np.linalg.norm(difference, axis=1).mean())


@dataclass(frozen=True, eq=False)
class ScanMap:
    """Positions t + A (x - c) + drift (tau - 1/2) of a scan with nominal positions x; A = R S D.

    R = [[cos, -sin], [sin, cos]] of ``rotation`` [rad], S = [[1, shear], [0, 1]], D = diag(``scale``), (row, column),
    as in ``opty.simulate.stage.Affine``; ``drift`` (row, column) from the first view to the last [px]; ``positions``
    (N, 2).
    """

    positions: np.ndarray
    scale: tuple[float, float]
    rotation: float
    shear: float
    drift: tuple[float, float]

    def parameters(self) -> dict[str, float]:
        """Return the parameters by name: scale_row, scale_column, shear, rotation, drift_row, drift_column."""
        return {
            "scale_row": self.scale[0],
            "scale_column": self.scale[1],
            "shear": self.shear,
            "rotation": self.rotation,
            "drift_row": self.drift[0],
            "drift_column": self.drift[1],
        }


def scan_map(positions: Any, nominal: Any, kind: ScanModel = "affine") -> ScanMap:
    """Fit the map of a whole scan from its nominal positions to the actual ones; outliers have small weights.

    Parameters
    ----------
    positions, nominal : (N, 2) (row, column), in one unit [px], in the order of the scan.
    kind : "affine", "drift" or "affine+drift".

    Returns
    -------
    ScanMap. For views on one line, the part of A that the scan does not determine is that of the identity.

    Raises
    ------
    ValueError : shapes other than (N, 2), or that differ; an unknown kind.

    Source: Huber, Ann. Math. Stat. 35, 73 (1964) for the weights.
    """
    positions, nominal = _both(positions, nominal)
    if kind not in get_args(ScanModel):
        raise ValueError(f"kind is {kind!r}; choose one of {', '.join(get_args(ScanModel))}")
    offset = nominal - nominal.mean(axis=0)
    time = np.linspace(-0.5, 0.5, len(nominal))[:, None] if len(nominal) > 1 else np.zeros((1, 1))
    parts = [np.ones_like(time), *([offset] if "affine" in kind else []), *([time] if "drift" in kind else [])]
    design = np.concatenate(parts, axis=1)
    fit = _robust(design, positions - nominal)
    matrix, drift = np.eye(2), np.zeros(2)
    if "affine" in kind:
        matrix = matrix + fit[1:3].T
    if "drift" in kind:
        drift = fit[-1]
    (scale_row, scale_column, shear), rotation = _parts(matrix)
    return ScanMap(
        nominal + design @ fit, (scale_row, scale_column), rotation, shear, (float(drift[0]), float(drift[1]))
    )


def _robust(design: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the coefficients (K, 2) of design (N, K) that fit wanted (N, 2) under Huber's weights."""
    # Columns are scaled to one size, so that the least norm of lstsq shares undetermined parts evenly.
    size = np.linalg.norm(design, axis=0)
    size[size == 0] = 1
    weight = np.ones((len(design), 1))
    for _ in range(_ROUNDS):
        fit = np.linalg.lstsq(weight * design / size, weight * wanted, rcond=1e-9)[0] / size[:, None]
        far = np.linalg.norm(wanted - design @ fit, axis=1, keepdims=True)
        # The median length of a two-dimensional normal error is 1.177 standard deviations.
        near = _HUBER * np.median(far) / 1.177
        weight = np.sqrt(near / np.maximum(far, near)) if near > 0 else weight
    return fit


def _parts(matrix: np.ndarray) -> tuple[tuple[float, float, float], float]:
    """Return ((scale_row, scale_column, shear), rotation) of a matrix R S D."""
    q, u = np.linalg.qr(matrix)
    signs = np.where(np.diag(u) < 0, -1.0, 1.0)
    q, u = q * signs, u * signs[:, None]
    shear = u[0, 1] / u[1, 1] if u[1, 1] else 0.0
    return (float(u[0, 0]), float(u[1, 1]), float(shear)), math.atan2(q[1, 0], q[0, 0])


def _both(positions: Any, truth: Any) -> tuple[np.ndarray, np.ndarray]:
    positions, truth = on_host(positions, np.float64), on_host(truth, np.float64)
    if positions.shape != truth.shape or positions.ndim != 2 or positions.shape[1] != 2 or len(truth) == 0:
        raise ValueError(f"positions has shape {positions.shape}, truth {truth.shape}; both must be (N, 2)")
    return positions, truth

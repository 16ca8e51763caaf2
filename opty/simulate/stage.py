"""How a stage departs from its nominal positions.

Each error is a value with ``move(positions, rng)`` -> (N, 2): where the stage really is. Lengths are in the unit of the
positions, pixels in ``experiment``, which applies several errors one after the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Gaussian:
    """Independent normal errors of standard deviation ``sigma`` on each axis [px]."""

    sigma: float

    def __post_init__(self) -> None:
        _not_negative("Gaussian(sigma)", self.sigma)

    def move(self, positions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the true positions (N, 2)."""
        return positions + rng.normal(0, self.sigma, positions.shape)


@dataclass(frozen=True)
class Uniform:
    """Independent errors, uniform between -``reach`` and +``reach`` on each axis [px]."""

    reach: float

    def __post_init__(self) -> None:
        _not_negative("Uniform(reach)", self.reach)

    def move(self, positions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the true positions (N, 2)."""
        return positions + rng.uniform(-self.reach, self.reach, positions.shape)


@dataclass(frozen=True)
class Drift:
    """Sample and beam drift apart in the course of the scan: steadily, and by a random walk.

    Parameters
    ----------
    by : (row, column) distance from the first view to the last [px].
    walk : standard deviation of the random step between neighbouring views on each axis [px].
    """

    by: tuple[float, float] = (0.0, 0.0)
    walk: float = 0.0

    def __post_init__(self) -> None:
        if np.shape(self.by) != (2,) or not np.isfinite(self.by).all():
            raise ValueError(f"Drift: by is {self.by!r}; give two finite lengths, (row, column) in px")
        _not_negative("Drift(walk)", self.walk)

    def move(self, positions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the true positions (N, 2); the first one is exact."""
        steady = np.linspace(0, 1, len(positions))[:, None] * np.asarray(self.by, float)
        steps = rng.normal(0, self.walk, positions.shape)
        steps[0] = 0
        return positions + steady + np.cumsum(steps, axis=0)


@dataclass(frozen=True)
class Backlash:
    """Play in the drive: the stage follows its motor only once the motor has crossed the play.

    x_j = clip(x_(j-1), motor_j - play / 2, motor_j + play / 2) on each axis: positions reached from two sides differ
    by ``play`` [px].

    Source: the play operator, Krasnosel'skii, Pokrovskii, Systems with Hysteresis (1989).
    """

    play: float

    def __post_init__(self) -> None:
        _not_negative("Backlash(play)", self.play)

    def move(self, positions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the true positions (N, 2); the first one is exact."""
        reached, half = positions.copy(), self.play / 2
        for j in range(1, len(positions)):
            reached[j] = np.clip(reached[j - 1], positions[j] - half, positions[j] + half)
        return reached


@dataclass(frozen=True)
class Affine:
    """Axes that are turned, oblique or wrongly calibrated: x' = c + R S D (x - c), c the middle of the scan.

    Parameters
    ----------
    rotation : angle of R = [[cos, -sin], [sin, cos]] in (row, column) [rad].
    shear : s of S = [[1, s], [0, 1]]: rows move by s for each column (no unit).
    scale : (row, column) factors of D, or one for both (no unit).
    """

    rotation: float = 0.0
    shear: float = 0.0
    scale: float | tuple[float, float] = 1.0

    def __post_init__(self) -> None:
        scale = np.broadcast_to(self.scale, 2) if np.shape(self.scale) in ((), (2,)) else np.zeros(2)
        if not (np.isfinite(scale) & (scale > 0)).all():
            raise ValueError(f"Affine: scale is {self.scale!r}; give one positive factor, or two, (row, column)")
        for name in ("rotation", "shear"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"Affine: {name} is {getattr(self, name)!r}; give a finite number")

    @property
    def matrix(self) -> np.ndarray:
        """R S D (2, 2), for (row, column) vectors."""
        c, s = math.cos(self.rotation), math.sin(self.rotation)
        turn, shear = np.array([[c, -s], [s, c]]), np.array([[1, self.shear], [0, 1]])
        return turn @ shear @ np.diag(np.broadcast_to(np.asarray(self.scale, float), 2))

    def move(self, positions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the true positions (N, 2)."""
        middle = (positions.min(axis=0) + positions.max(axis=0)) / 2
        return middle + (positions - middle) @ self.matrix.T


StageError = Gaussian | Uniform | Drift | Backlash | Affine


def reached(positions: np.ndarray, error: Any, rng: np.random.Generator) -> np.ndarray:
    """Return where the stage really was (N, 2) float64.

    Parameters
    ----------
    positions : (N, 2) float64, nominal [px].
    error : None; a number e, which is ``Uniform(e)``; (N, 2) errors [px]; one error of this module, or a list of them,
        the first of which acts first.
    rng : numpy Generator.

    Raises
    ------
    ValueError, TypeError : anything else.
    """
    if error is None:
        return positions
    if isinstance(error, StageError):
        return error.move(positions, rng)
    if isinstance(error, (list, tuple)) and error and all(isinstance(one, StageError) for one in error):
        for one in error:
            positions = one.move(positions, rng)
        return positions
    try:
        given = np.asarray(error, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"position_error is {error!r}; give a number, (N, 2) in px, or errors of opty.simulate.stage"
        ) from None
    if given.ndim == 0:
        return Uniform(abs(float(given))).move(positions, rng)
    if given.shape != positions.shape or not np.isfinite(given).all():
        raise ValueError(f"position_error has shape {given.shape}; give one number or finite {positions.shape}, in px")
    return positions + given


def _not_negative(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} is {value!r}; give zero or more, in px")

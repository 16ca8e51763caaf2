"""Where the light of a probe lies in its array."""

from __future__ import annotations

import numpy as np

_ROUNDS = 200  # in which the centre settles; a few do where the probe is dark at the edges


def centre_of_light(power: np.ndarray) -> np.ndarray:
    """Return how far the centre of mass of powers (n, n) lies off the pixel n // 2, (2,) [px].

    The centre is that of the largest range that lies evenly around it, so that an even noise does not draw it to the
    middle of the array.
    """
    return np.array([_centre(power.sum(axis=1 - axis)) for axis in (0, 1)])


def _centre(line: np.ndarray) -> float:
    """Return how far the centre of mass of powers (n,) lies off the middle, over a range that is even around it."""
    place = np.arange(len(line)) - len(line) // 2
    if not line.sum() > 0:
        return 0.0
    c = float((line * place).sum() / line.sum())
    for _ in range(_ROUNDS):
        half = min(c - place[0], place[-1] - c) + 0.5
        seen = line * np.clip(half + 0.5 - np.abs(place - c), 0, 1)
        if not seen.sum() > 0:
            break
        c, last = float((seen * place).sum() / seen.sum()), c
        if abs(c - last) < 1e-6:
            break
    return c

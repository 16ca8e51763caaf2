"""Two results of one recipe: equal bits, equal up to a power of two, or how different."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Bits:
    """Which parts have equal bits; ``power`` : k, where P is 2^k and O 2^-k times the other's; None where not."""

    obj: bool
    probe: bool
    positions: bool
    history: bool
    power: int | None

    @property
    def same(self) -> bool:
        """Whether all is equal, up to the power of two."""
        return self.positions and self.history and self.power is not None


def bits(mine: Arrays, theirs: Arrays) -> Bits:
    """Compare two results bit for bit. Series that only one history has do not count."""
    series = [name for name in mine if name.startswith("history ") and name in theirs]
    obj, probe, positions = (_equal(mine[name], theirs[name]) for name in ("obj", "probe", "positions"))
    power = 0 if obj and probe else _power(mine, theirs)
    return Bits(obj, probe, positions, all(_equal(mine[name], theirs[name]) for name in series), power)


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def _power(mine: Arrays, theirs: Arrays) -> int | None:
    """Return k where P = 2^k P' and O = 2^-k O' exactly, or None."""
    tops = [float(np.abs(arrays["probe"]).max()) for arrays in (mine, theirs)]
    if mine["probe"].shape != theirs["probe"].shape or not all(0 < top < math.inf for top in tops):
        return None
    mantissa, exponent = math.frexp(tops[0] / tops[1])
    if mantissa != 0.5:
        return None
    k, kind = exponent - 1, mine["probe"].real.dtype.type
    if _equal(mine["probe"], theirs["probe"] * kind(2.0**k)) and _equal(mine["obj"], theirs["obj"] * kind(2.0**-k)):
        return k
    return None


def difference(mine: Arrays, theirs: Arrays) -> float:
    """Return the largest difference of object, probe and positions, over the largest value of each; no unit.

    The power of two that brings the probes nearest together is taken off first.
    """
    norms = [float(np.linalg.norm(arrays["probe"])) for arrays in (mine, theirs)]
    if any(mine[name].shape != theirs[name].shape for name in ("obj", "probe", "positions")) or not all(norms):
        return math.inf
    g = 2.0 ** round(math.log2(norms[0] / norms[1])) if all(map(math.isfinite, norms)) else 1.0
    pairs = [(mine["obj"], theirs["obj"] / g), (mine["probe"], theirs["probe"] * g)]
    pairs.append((mine["positions"], theirs["positions"]))
    found = [float(np.abs(a - b).max() / (np.abs(b).max() or 1.0)) for a, b in pairs]
    return math.inf if any(map(math.isnan, found)) else max(found)

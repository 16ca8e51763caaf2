"""How well the counts can tell positions: the Cramer-Rao bound, object and probe unknown as well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.algebra.operator import Identity
from opty.errors import RecipeError
from opty.state.views import Batch, Opened, memory_batch

if TYPE_CHECKING:
    from opty.state import BareState

_UNKNOWN = ("obj", "probe", "positions")
_DIM = 1e-6  # of the most light: an object pixel that has less is no unknown
_EXACT = 1e-10  # of the sum of squares at the start, where conjugate gradients end


@dataclass(frozen=True)
class PositionBound:
    """What ``position_bound`` found [px].

    ``rms`` : the least root mean square error of positions, both axes together, that an unbiased estimate may have,
    where object and probe are unknown too; ``known`` : where both are known. What the data cannot tell, or hardly, is
    left out of both: the common offset, and in the near field an affine map. ``iterations`` : of conjugate gradients,
    the most for one system.
    """

    rms: float
    known: float
    iterations: int


def position_bound(p: BareState, samples: int | None = 2, seed: int = 0, iterations: int = 2000) -> PositionBound:
    """Return the Cramer-Rao bound of the positions of a state whose estimates stand for the truth; counts of Poisson.

    F_kl = sum (dI/dk) (dI/dl) / I over pixels that count, I the expected counts of the state, k and l the real and
    imaginary parts of all pixels of object and probe, and the positions. The bound is the trace of the block of
    positions of F^-1, with a projection Q that takes the common offset off (in the near field, an affine map):
    rms^2 = tr(Q F^-1 Q) / N. F is never made: its products with vectors are a pass forward and back, and systems are
    solved by conjugate gradients. The phase ramp, and the scale between object and probe, which no data tell, move no
    position, and stay out by themselves.

    Parameters
    ----------
    p : state; its object, probe and positions are taken for true. The counts of its data do not enter.
    samples : random vectors of signs from which the trace is estimated (Hutchinson); None for all 2 N coordinates.
    seed : of those. iterations : the most for one system; 100 views of 128 x 128 take about 200, each as long as two
        sweeps.

    Raises RecipeError for a model that is no thin object, RuntimeError where a system needs more iterations.

    Source: Cramer-Rao bound of Poisson counts: Bouchet, Dong, Maestre, Juffmann, Phys. Rev. Applied 15, 024047 (2021),
    for known probes; trace: Hutchinson, Commun. Stat. Simul. Comput. 18, 1059 (1989).
    """
    if not p.model.thin:
        raise RecipeError(f"position_bound: the model {p.model!r} is no thin object; it knows those only")
    system = _Fisher(p)
    views = p.data.views
    rng = np.random.default_rng(seed)
    if samples is None:
        vectors: Any = np.eye(2 * views).reshape(-1, views, 2)
    else:
        vectors = rng.choice([-1.0, 1.0], (samples, views, 2))
    total, most = 0.0, 0
    for vector in vectors:
        right = system.gauged(vector)
        solution, count = system.solved(right, iterations)
        total, most = total + float((right * solution).sum()), max(most, count)
    return PositionBound(float(np.sqrt(total / (samples or 1) / views)), system.known(), most)


class _Fisher:
    """The information of all counts on object, probe and positions, as a map of (obj, probe, positions), complex128."""

    def __init__(self, p: BareState):
        self.store = _in_double_precision(p)._live
        xp = self.xp = self.store.xp
        self.near = self.store.measured.propagator.kind == "near"
        places = self.store.backend.to_host(self.store.leaves["positions"])
        basis = (
            np.ones((len(places), 1)) if not self.near else np.c_[np.ones(len(places)), places - places.mean(axis=0)]
        )
        self.gauge = np.linalg.qr(basis)[0]
        light, seen = (xp.zeros(self.store.leaves[name].shape[-2:]) for name in ("obj", "probe"))
        self.curvature = np.zeros((len(places), 2, 2))
        for b in self._batches():
            power = xp.broadcast_to(b.illum_power, (b.size, b.n, b.n))
            b.place(light, xp.ascontiguousarray(power))
            seen += (xp.abs(b.patches) ** 2).sum(axis=0)
            self._looked_at(b)
        lit = light > _DIM * light.max()
        # Of a wave only the modulus is measured: half of 4 |P|^2. The squares of these numbers precondition.
        self.scales = (
            xp.where(lit, 1 / xp.sqrt(2 * xp.where(lit, light, 1)), 0),
            1 / xp.sqrt(2 * seen + 1e-3 * seen.max()),
            xp.asarray(1 / np.sqrt(np.trace(self.curvature, axis1=1, axis2=2) / 2))[:, None],
        )

    def gauged(self, positions: np.ndarray) -> np.ndarray:
        """Return displacements (N, 2) without what the data do not tell."""
        return positions - self.gauge @ (self.gauge.T @ positions)

    def known(self) -> float:
        """Return the bound where object and probe are known."""
        variance = np.linalg.inv(self.curvature)
        trace = np.trace(variance, axis1=1, axis2=2)
        # tr(Q V Q) with Q = 1 - B B^T on each axis.
        trace = trace.sum() - ((self.gauge**2).sum(axis=1) * trace).sum()
        return float(np.sqrt(trace / len(variance)))

    def solved(self, right: np.ndarray, most: int) -> tuple[np.ndarray, int]:
        """Return the positions (N, 2) of F^-1 (0, 0, right), and the number of iterations."""
        xp = self.xp
        zeros = (xp.zeros_like(self.store.leaves[name]) for name in ("obj", "probe"))
        residual = self._scaled((*zeros, xp.asarray(right)))
        x = tuple(0 * a for a in residual)
        direction, rest = residual, _dot(residual, residual)
        first = rest
        for count in range(most):
            if rest <= _EXACT * first:
                return self.store.backend.to_host(x[2] * self.scales[2]), count
            pushed = self._scaled(self._times(self._scaled(direction)))
            step = rest / _dot(direction, pushed)
            x = tuple(a + step * d for a, d in zip(x, direction, strict=True))
            residual = tuple(r - step * f for r, f in zip(residual, pushed, strict=True))
            before, rest = rest, _dot(residual, residual)
            direction = tuple(r + (rest / before) * d for r, d in zip(residual, direction, strict=True))
        raise RuntimeError(
            f"position_bound: {most} iterations left {np.sqrt(rest / first):.2g} of a system; give more iterations"
        )

    def _scaled(self, change: Any) -> Any:
        return tuple(a * scale for a, scale in zip(change, self.scales, strict=True))

    def _times(self, change: Any) -> Any:
        """Return F times a change of object, probe and positions."""
        xp = self.xp
        obj, probe, positions = (xp.zeros_like(a) for a in change)
        for b in self._batches():
            unit, counts = self._detector(b)
            moved = b.at_detector(
                b.tangent({"obj": change[0], "probe": change[1], "positions": change[2][b.selection]})
            )
            slope = 4 * (unit.real * moved.real + unit.imag * moved.imag).sum(axis=1) * counts
            chi = b.from_detector(unit * slope[:, None])
            b.place(obj, b.gather("obj", chi)[0])
            probe += b.gather("probe", chi)[0]
            positions[b.selection] += b.gather("positions", chi)[0]
        return obj, probe, positions

    def _looked_at(self, b: Batch) -> None:
        """Write the information (B, 2, 2) on the position of each view, object and probe known."""
        xp, host = self.xp, self.store.backend.to_host
        unit, counts = self._detector(b)
        slopes = []
        for axis in np.eye(2):
            moved = b.at_detector(b.tangent({"positions": xp.broadcast_to(xp.asarray(axis), (b.size, 2))}))
            slopes.append((unit.real * moved.real + unit.imag * moved.imag).sum(axis=1))
        for i, row in enumerate(slopes):
            for j, column in enumerate(slopes):
                self.curvature[b.number, i, j] = host(4 * (row * column * counts).sum(axis=(1, 2)))

    def _detector(self, b: Batch) -> tuple[Any, Any]:
        """Return the detector waves over the root of all that falls there, and the mask, 1 where there is none."""
        there = b.at_detector(b.exit_waves())
        intensity = (self.xp.abs(there) ** 2).sum(axis=1)
        if self.store.incoherent is not None:
            intensity += self.store.incoherent
        there = there / self.xp.sqrt(self.xp.maximum(intensity, 1e-300))[:, None]
        mask = self.store.measured.mask_of(b.selection)
        return there, 1.0 if mask is None else mask.astype(float)

    def _batches(self) -> Iterator[Batch]:
        size, views = memory_batch(self.store), self.store.data.views
        opened = Opened(wanted=frozenset(_UNKNOWN))
        for first in range(0, views, size):
            b = Batch.at(self.store, np.arange(first, min(first + size, views)))
            yield Batch(self.store, b.leaves["index"], b.number, b.corners, b.fraction, opened)


def _dot(a: Any, b: Any) -> float:
    return float(sum((x.real * y.real + x.imag * y.imag).sum() for x, y in zip(a, b, strict=True)))


def _in_double_precision(p: BareState) -> BareState:
    """Return a state of the same estimates in complex128."""
    store = p._live
    kept = ("obj", "probe", "positions", "background", "intensity_factors")
    host = {name: p.numpy(name) for name in kept if name in store.leaves}
    host |= {name: host[name].astype(np.complex128) for name in ("obj", "probe")}
    if "background" in host:
        host["background"] = host["background"].astype(np.float64)
    return type(p).restore(
        store.data,
        host,
        seed=store.seed,
        iteration=0,
        history={},
        device=store.backend.name,
        threads=store.threads,
        deterministic=store.deterministic,
        origin=store.origin,
        recipe=Identity(),
        model=store.model,
    )

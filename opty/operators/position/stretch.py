"""PosStretch: the affine map that the whole scan has in common, positions and object together."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import map_coordinates

from opty.algebra.leaf import Leaf
from opty.algebra.operator import Identity, Operator
from opty.operators.position.affine import AffineStep, affine_step
from opty.operators.position.check import GIVEN, PLACE, gone, rms
from opty.operators.position.refinement import kept_inside
from opty.state.light import rough_light

TURN = Leaf("stretch_turn", "9", scale=0)
_SAMPLED = 16  # views at least on which the curvature is measured
_GAIN, _MOST = 1.5, 3.0  # by which the step is multiplied: at first, and at most
_TOLD = 3.0  # standard errors of a step that tells what it has left
_LONGEST = 2.0  # px that a view may go at once
_SURE = 5.0  # times what noise makes of it, where nothing has moved the positions
_STILL = 1e-6  # px
_HIDDEN, _HELD = 3.0, 8.0  # times the step that is asked for: what is left, under one mode and under several


class PosStretch(
    Operator,
    reads=f"obj probe positions background {GIVEN.name} {PLACE.name} {TURN.name}",
    writes="obj positions",
    slots=(GIVEN, PLACE, TURN),
):
    """Stretch, turn and shear all positions at once, and the object with them, by what the counts ask for.

    An affine map of the whole scan is what a refinement of single views finds last: the object follows it, and no view
    asks to be moved. Here positions go to c + (I + g B)(x - c), c their mean, and the object goes along,
    O(r) <- O(c + (I + g B)^-1 (r - c)), by cubic splines. B is the Gauss-Newton step of its four numbers, object and
    probe held; a probe that follows the map in part makes it too short, and g, from 1 to 3, makes up for that: 1.5 at
    first, then what the last step has left of the one before.

    What noise makes of it is taken off the step: it is multiplied by 1 - least^2 / z^2, z^2 the mean square of its
    numbers over what noise makes of them. Nothing moves where z is below ``least``, and, as long as the positions are
    those given, below 5; nor where the model is no thin object. Where ``PosCorrect`` holds views, the places to which
    it holds them go along.

    Incoherent modes take a stretch up within ten to twenty sweeps, and then make others look better: of several modes
    the step tells in the sweeps that follow ``RestartModes``, and while views are off by about a pixel. Near the end
    of a fit it would move right positions: there give ``several=False``.

    Stands left of some sweeps: ``(PosStretch() * (PosCorrect() * rPIE()) ** 4) ** 10``. It costs about two sweeps.
    ``FindPositions`` has it at 1/4 and 1/2, and under one mode at the full resolution.

    Parameters
    ----------
    least : times what noise makes of the step, from which on it is taken.
    several : False for nothing where the probe has several modes.

    Reads obj, probe, positions, background; writes obj (H, W), positions (N, 2) px, position_place (N, 2) px where a
    refinement has begun, and its memory stretch_turn (9,): B and g B of the last step, and g.
    History: "stretch_iteration"; "stretch_found", rms length of the step B over the views [px]; "stretch_error", its
    standard error; "stretch_moved", rms length of what was done [px].
    Source: opty's own; g: secant method (Barzilai, Borwein, IMA J. Numer. Anal. 8, 141 (1988)).
    """

    least: float = 2.5
    several: bool = True
    scale_free = True
    projects = True
    outdates = True
    scratch_arrays = 1.0

    def check(self) -> None:
        if not self.least > 0:
            raise ValueError(f"PosStretch(least={self.least}): give a multiple of the noise, above 0")

    def fixed(self, leaves: frozenset[str]) -> Operator | None:
        return None if leaves.isdisjoint({"obj", "positions"}) else Identity()

    def apply(self, s: Any) -> None:
        if not s.store.model.thin_object or (len(s.probe) > 1 and not self.several):
            return
        host = s.backend.to_host
        found = asked_step(s.store)
        away = _beside_mean(host(s.positions))
        size, error = sizes(found, away)
        s.create(TURN.name)
        matrix, gain = self._step(s, found, away, error)
        s.stretch_turn = s.xp.asarray([*found.matrix.ravel(), *matrix.ravel(), gain])
        for name, value in (("iteration", s.iteration), ("found", size), ("error", error)):
            s.record(f"stretch_{name}", value)
        moved = away @ matrix.T
        s.record("stretch_moved", rms(moved))
        if not matrix.any():
            return
        centre = host(s.positions).mean(axis=0) + s.data.n // 2
        s.obj = s.backend.asarray(_mapped(host(s.obj), np.eye(2) + matrix, centre).astype(s.dtype))
        if s.create(GIVEN.name):
            s.position_given += s.positions
        s.positions = kept_inside(s, s.positions + s.backend.asarray(moved))
        if s.has(PLACE.name):
            s.position_place = s.position_place + s.backend.asarray(moved)

    def _step(self, s: Any, found: AffineStep, away: np.ndarray, error: float) -> tuple[np.ndarray, float]:
        """Return the step to take, (2, 2), and g."""
        *before, gain = s.backend.to_host(s.stretch_turn).tolist()
        last, taken = (np.reshape(numbers, (2, 2)) for numbers in (before[:4], before[4:]))
        gain = gain or _GAIN
        if rms(away @ taken.T) > _TOLD * error:
            closed = ((away @ (last - found.matrix).T) * (away @ taken.T)).sum() / ((away @ taken.T) ** 2).sum()
            gain = float(np.sqrt(gain / min(max(closed, 1 / _MOST), 1.0)))
        z = times_noise(found)
        still = not s.has(GIVEN.name) or rms(gone(s)) < _STILL
        if z < (_SURE if still else self.least):
            return np.zeros((2, 2)), gain
        matrix = gain * (1 - (self.least / z) ** 2) * found.matrix
        return matrix * min(1.0, _LONGEST / np.linalg.norm(away @ matrix.T, axis=1).max()), gain


def asked_step(store: Any) -> AffineStep:
    """Return the step that the views of a store ask for, its curvature from 16 of them or more."""
    return affine_step(store, max(1, store.data.views // _SAMPLED), rough_light(store))


def stretch_left(store: Any) -> float:
    """Return how far views may be off by an affine map of the whole scan, rms px.

    The step that the views ask for, or what noise makes of it where that is more, times what a probe that follows the
    map leaves of it: 3 of one mode, 8 of several, which hold a stretch.
    """
    size, error = sizes(asked_step(store), _beside_mean(store.backend.to_host(store.leaves["positions"])))
    return (_HIDDEN if len(store.leaves["probe"]) == 1 else _HELD) * max(size, error)


def _beside_mean(positions: np.ndarray) -> np.ndarray:
    return positions - positions.mean(axis=0)


def sizes(found: AffineStep, away: np.ndarray) -> tuple[float, float]:
    """Return how far a step moves views, and its standard error, both rms px; ``away`` (N, 2) px from their mean."""
    spread = away.T @ away / len(away)
    size = float(np.sqrt(np.trace(found.matrix @ spread @ found.matrix.T)))
    covariance = found.covariance.reshape(2, 2, 2, 2)
    return size, float(np.sqrt(max(np.einsum("ijik,jk->", covariance, spread), 0.0)))


def times_noise(found: AffineStep) -> float:
    """Return a step over what noise makes of it, sqrt(b . Cov^-1 b / 4)."""
    b = found.matrix.ravel()
    return float(np.sqrt(max(b @ np.linalg.pinv(found.covariance, hermitian=True) @ b, 0.0) / len(b)))


def _mapped(obj: np.ndarray, matrix: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return images (..., H, W) moved by a map about a centre, O(c + matrix^-1 (r - c)), by cubic splines."""
    grid = np.indices(obj.shape[-2:], dtype=float) - centre[:, None, None]
    from_where = np.tensordot(np.linalg.inv(matrix), grid, 1) + centre[:, None, None]
    flat = obj.reshape(-1, *obj.shape[-2:])
    parts = [[map_coordinates(a, from_where, order=3, mode="nearest") for a in (o.real, o.imag)] for o in flat]
    return np.array([re + 1j * im for re, im in parts]).reshape(obj.shape)

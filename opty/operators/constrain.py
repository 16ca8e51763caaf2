"""Freedoms of the problem, fixed: the scale between object and probe, the basis of modes and of object states."""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.algebra.operator import Operator
from opty.algebra.protocols import State
from opty.errors import RecipeError
from opty.model.sample import transmission
from opty.operators import variation
from opty.physics.modes import orthogonal_basis
from opty.state.light import light_on, rough_light
from opty.state.misfit import compare


class ScaleObjProbe(Operator, reads="obj probe positions background", writes="obj probe"):
    """Scale object and probe: predicted photons equal measured ones, and the lit object has a mean magnitude of one.

    First P <- P sqrt(sum (I - b) / sum (Ihat - b)), b the background, then O <- O / g, P <- P g with
    g = sum |O| W / sum W, W = sum_j S_j the light that fell on each pixel: the probe's power is then the photons that a
    view would have through a clear object. |O| is that of the product of several slices, and sqrt(sum_l |O_l|^2) of a
    mixture.

    Reads obj, probe, positions, background; writes obj, probe (kept memory, which would no longer fit, is dropped).
    Source: Favre-Nicolin et al., J. Appl. Cryst. 53, 1404 (2020) for the operator; the convention of scale is opty's.
    """

    over_ranks = True
    outdates = True
    projects = True

    def apply(self, s: State) -> None:
        sums = compare(s)
        dark = _background_photons(s)
        measured, predicted = sums.measured - dark, sums.predicted - dark
        if not (measured > 0 and predicted > 0):
            raise ValueError(
                f"there is nothing to scale: {measured:.4g} photons measured and {predicted:.4g} predicted above a "
                f"background of {dark:.4g}; check the background, and that probe and object are not zero"
            )
        variation.scale_probe(s, s.xp.asarray((measured / predicted) ** 0.5, dtype=s.real_dtype))
        light = light_on(s.store)
        obj = s.obj
        mean = (s.xp.abs(transmission(obj, s.model.mixture)) * light).sum() / light.sum()
        obj /= each_slice(s, mean)
        variation.scale_probe(s, mean)


def _background_photons(s: State) -> float:
    """Return the photons that the background brings to the unmasked pixels of all views."""
    if s.incoherent is None:
        return 0.0
    seen = s.data.views if s.measured.seen is None else s.measured.seen
    return float((s.incoherent * seen).sum())


def each_slice(s: State, factor: Any) -> Any:
    """Return by what to multiply each slice, or state, of the object so that waves are multiplied by factor."""
    return factor if s.obj.ndim == 2 or s.model.mixture else factor ** (1 / len(s.obj))


class ProbePower(
    Operator,
    reads="obj probe kept_obj_velocity kept_probe_velocity",
    writes="obj probe kept_obj_velocity kept_probe_velocity kept_waves",
):
    """Give the probe a power: P <- P g, O <- O / g with g = sqrt(photons / sum |P|^2); no pattern changes.

    Parameters: photons, the power of all modes together; None for the photons of the brightest view.
    Reads and writes obj (H, W), probe (M, n, n) and the velocities of a momentum, in the same way; leaves kept exit
    waves as they are.
    Source: the power constraint of pty-chi and tike; PyNX (Favre-Nicolin et al., J. Appl. Cryst. 53, 1404 (2020)).
    """

    over_ranks = True

    photons: float | None = None
    outdates = True

    def check(self) -> None:
        if self.photons is not None and not self.photons > 0:
            raise ValueError(
                f"ProbePower(photons={self.photons}): give a number above 0, or None for the brightest view"
            )

    def apply(self, s: State) -> None:
        wanted = float(s.data.photons().max()) if self.photons is None else self.photons
        power = (s.xp.abs(s.probe) ** 2).sum(dtype=np.float64)
        if not (wanted > 0 and power > 0):
            raise ValueError(
                f"ProbePower: no power to give: {wanted:.4g} photons wanted, the probe has {float(power):.4g}"
            )
        gain = s.xp.sqrt(wanted / power).astype(s.real_dtype)
        s.obj = s.obj / each_slice(s, gain)
        variation.scale_probe(s, gain)
        if s.has("kept_probe_velocity"):
            s.kept_probe_velocity = s.kept_probe_velocity * gain
        if s.has("kept_obj_velocity"):
            s.kept_obj_velocity = s.kept_obj_velocity / each_slice(s, gain)


class Orthogonalise(Operator, reads="probe", writes="probe kept_waves kept_probe_velocity kept_obj_velocity"):
    """Turn the probe modes into orthogonal ones, the strongest first; predicted intensities do not change.

    P' = U^H P with U the eigenvectors of the Gram matrix <P_a, P_b>. Kept exit waves and the velocity of a
    momentum are turned with the probe; other kept memory, in the old basis, is dropped.

    Of a probe that varies the first mode, which alone does, stays as it is: the others are turned among themselves.

    Reads and writes probe (M, n, n); writes kept_waves (N, M, n, n) and kept_probe_velocity (M, n, n) where there are
    any; leaves kept_obj_velocity as it is.
    Source: Thibault, Menzel, Nature 494, 68 (2013); Odstrcil et al., Opt. Express 24, 8360 (2016).
    """

    over_ranks = True
    scale_free = True
    estimates = False
    outdates = True

    def apply(self, s: State) -> None:
        probe = s.probe
        modes = len(probe)
        flat = probe.reshape(modes, -1)
        gram = s.backend.to_host(flat.conj() @ flat.T).astype(np.complex128)
        if variation.varies(s) and modes == 1:
            return
        turn = np.eye(modes, dtype=np.complex128)
        first = 1 if variation.varies(s) else 0
        turn[first:, first:] = orthogonal_basis(gram[first:, first:])
        u = s.backend.asarray(turn, dtype=s.dtype)
        s.probe = (u @ flat).reshape(probe.shape)
        if s.has("kept_probe_velocity"):
            s.kept_probe_velocity = (u @ s.kept_probe_velocity.reshape(modes, -1)).reshape(probe.shape)
        if s.has("kept_waves"):
            waves = s.kept_waves
            for j in range(len(waves)):  # one view at a time: the kept waves may fill the memory
                waves[j] = (u @ waves[j].reshape(modes, -1)).reshape(probe.shape)


class OrthogonaliseStates(
    Operator,
    reads="obj probe positions",
    writes="obj kept_waves kept_obj_velocity kept_probe_velocity",
):
    """Turn the states of a mixture into orthogonal ones, the strongest first; predicted intensities do not change.

    O' = U^H O with U the eigenvectors of the Gram matrix sum_r W(r) conj(O_a) O_b, W = sum_jm |P_m|^2 the light that
    fell on each pixel. No pattern tells states from a constant unitary mix of them, and a run ends with any: this one
    is the same for all of them. Kept exit waves and the velocity of a momentum are turned along; other kept memory, in
    the old basis, is dropped.

    Reads obj (L, H, W), probe and positions; writes obj, and kept_waves and kept_obj_velocity where there are any;
    leaves kept_probe_velocity as it is.
    Raises RecipeError for a model without states of the object.
    Source: Thibault, Menzel, Nature 494, 68 (2013).
    """

    over_ranks = True
    scale_free = True
    estimates = False
    outdates = True

    def check_model(self, model: Any) -> None:
        if not model.mixture:
            raise RecipeError(f"{self!r}: the object of {model!r} is no mixture of states: leave the step out")

    def apply(self, s: State) -> None:
        u = s.backend.asarray(states_turn(s, rough_light(s.store)), dtype=s.dtype)
        s.obj = s.xp.tensordot(u, s.obj, 1)
        if s.has("kept_obj_velocity"):
            s.kept_obj_velocity = s.xp.tensordot(u, s.kept_obj_velocity, 1)
        if s.has("kept_waves"):
            waves, (count, n, _) = s.kept_waves, s.wave_shape
            for j in range(len(waves)):  # one view at a time: the kept waves may fill the memory
                each = waves[j].reshape(-1, len(u), s.model.states_behind_object * n * n)
                waves[j] = (u @ each).reshape(count, n, n)


def states_turn(s: State, light: Any) -> np.ndarray:
    """Return the unitary (L, L) that makes the states of a mixture orthogonal under a light (H, W), strongest first."""
    flat = s.obj.reshape(len(s.obj), -1)
    gram = flat.conj() @ (flat * light.reshape(-1)).T
    return orthogonal_basis(s.backend.to_host(gram).astype(np.complex128))

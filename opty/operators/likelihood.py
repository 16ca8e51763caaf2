"""The likelihood of the data: three noise models, and the gradient of the log-likelihood over all views."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from opty.algebra.leaf import Leaf
from opty.algebra.operator import ViewOperator
from opty.algebra.protocols import State, Views
from opty.kernels.likelihood.noise import MODELS
from opty.model.probe import OPR_MODES, OPR_WEIGHTS
from opty.operators import variation
from opty.operators.fourier import intensity_of
from opty.operators.merge import OBJ_WEIGHT, PROBE_WEIGHT
from opty.state.leaves import OBJ, PROBE

Noise = Literal["poisson", "gaussian", "amplitude"]

# dL/dO* goes as P with the scale, dL/dP* as O.
OBJ_GRADIENT = OBJ.like("obj_gradient", unit="1", scale=1)
PROBE_GRADIENT = PROBE.like("probe_gradient", unit="1/sqrt(photons)", scale=-1)
_SUMS = (OBJ_GRADIENT, PROBE_GRADIENT, OBJ_WEIGHT, PROBE_WEIGHT)
LIKELIHOOD = Leaf("likelihood", "1", scale=0)
# The parts that a probe has that varies: the gradient, and the light by which it is divided.
OPR_MODES_GRADIENT = OPR_MODES.like(
    "opr_modes_gradient", unit="1/sqrt(photons)", scale=-1, part_of="probe_gradient"
).as_part()
OPR_WEIGHTS_GRADIENT = OPR_WEIGHTS.like("opr_weights_gradient", part_of="probe_gradient").as_part()
OPR_MODES_LIGHT = OPR_MODES.like("opr_modes_light", unit="1", dtype="real", scale=-2, part_of="probe_weight").as_part()
OPR_WEIGHTS_LIGHT = OPR_WEIGHTS.like("opr_weights_light", unit="photons", part_of="probe_weight").as_part()
OF_VARIATION = (OPR_MODES_GRADIENT, OPR_WEIGHTS_GRADIENT, OPR_MODES_LIGHT, OPR_WEIGHTS_LIGHT)


class LikelihoodGradient(
    ViewOperator,
    reads="waves illum patches probe obj_gradient probe_gradient obj_weight probe_weight",
    writes="predicted",
    slots=(*_SUMS, LIKELIHOOD),
):
    """Add up the gradient of L = -log likelihood: dL/dO* = sum_jm conj(P_m) chi_jm, dL/dP_m* = sum_j conj(O_j) chi_jm.

    chi = F^-1 [w dL/dIhat Psi], Ihat = sum_m |Psi_m|^2 + background; a small step changes L by 2 Re <gradient, step>.
    Sums over unmasked pixels: poisson L = sum [Ihat - I + I log(I / Ihat)], gaussian sum (I - Ihat)^2 / (I + 1),
    amplitude 4 sum (sqrt I - sqrt Ihat)^2; a perfect fit of counted photons has about 0.5, 1 and 1 a pixel. What is
    followed for poisson continues as a straight line where Ihat < I / 4; the history holds the exact formula.

    Parameters: noise, the model of the noise.
    Reads waves (B, M, n, n), illum, patches; writes obj_gradient (H, W) and probe_gradient (M, n, n) complex, and
    obj_weight (H, W) = sum |P|^2, probe_weight (n, n) = sum |O|^2, from zero in each sweep, predicted (B, n, n), and
    likelihood (1,) = L.
    Of a probe that varies also opr_modes_gradient (K, n, n), opr_weights_gradient (N, K), and the light of each.
    Measures the misfit.
    History: "llk" = L per unmasked pixel, of the object and probe before the step, and "llk_iteration".
    Source: Thibault, Guizar-Sicairos, New J. Phys. 14, 063004 (2012), Eqs. 4 to 9; Favre-Nicolin et al., J. Appl.
    Cryst. 53, 1404 (2020) for the normalisations.
    """

    over_ranks = True

    noise: Noise = "poisson"
    scale_free = True
    gathers = frozenset({"obj", "probe"})
    scratch_waves = (7.0, 5.5)
    scratch_slices = (0.0, 1.5, 0.0)
    projects = True  # tells the plan that the sweep compares with the data
    counts = True
    measures = True

    def begin(self, s: State) -> None:
        names, parts = ([leaf.name for leaf in leaves] for leaves in (_SUMS, OF_VARIATION))
        s.drop(*names, *parts)
        if variation.varies(s):
            variation.prepare(s)
            names += parts
        for name in names:
            s.create(name)
        s.memo["sum"] = s.xp.zeros((), np.float64)

    def apply(self, s: State, b: Views) -> None:
        model = NoiseModel(self.noise, s, b)
        there = b.at_detector(b.waves)
        predicted = b.predicted = model.predicted(s, there)
        step = model.weighted(s.xp.sqrt(model.measured) - s.xp.sqrt(predicted))
        b.add_misfit(s.xp.vdot(step, step))
        s.memo["sum"] += model.values(predicted).sum(dtype=np.float64)
        there *= b.pulled(model.slope(predicted))[:, None]
        chi = b.from_detector(there)
        direction, weight = b.gather("obj", chi)
        b.place(s.obj_gradient, direction)
        b.place(s.obj_weight, weight)
        direction, weight = b.gather("probe", chi)
        s.probe_gradient = s.probe_gradient + direction
        s.probe_weight = s.probe_weight + weight.sum(axis=0)
        if variation.varies(s):
            self._of_variation(s, b, chi, weight)

    def _of_variation(self, s: State, b: Views, chi: Any, seen: Any) -> None:
        s.opr_modes_gradient += b.gather("opr_modes", chi)[0]
        self.add_light(s, b.selection, b.gather("opr_weights", chi)[0], seen)

    @staticmethod
    def add_light(s: State, rows: Any, along: Any, seen: Any) -> None:
        """Note the gradient of the views' OPR weights (B, K), and the light of modes and weights; seen: |O_j|^2."""
        squares = LikelihoodGradient.squares(s, rows)
        s.opr_weights_gradient[rows] = along
        s.opr_modes_light += (squares.T @ seen.reshape(len(seen), -1)).reshape(s.opr_modes_light.shape)
        s.opr_weights_light[rows] = variation.curvature(s, seen)

    @staticmethod
    def squares(s: State, rows: Any) -> Any:
        """Return the squares of the views' OPR weights (B, K), no less than what is faint."""
        return s.xp.maximum(s.opr_weights[rows] ** 2, variation.FAINT)

    def finish(self, s: State) -> None:
        likelihood = s.total(s.memo["sum"])
        s.likelihood = likelihood.reshape(1)
        s.expect("llk", s.backend.number(likelihood, s.measured.pixels))
        s.record("llk_iteration", s.iteration + 1)


class NoiseModel:
    """What a batch's pixels say of predicted intensities (B, n, n) [photons], by one of the models of the noise."""

    def __init__(self, noise: Noise, s: State, b: Views):
        self.xp, self.model, self.views = s.xp, MODELS[noise], b
        self.floor = np.finfo(s.real_dtype).tiny ** 0.5
        self.mask = s.measured.mask_of(b.selection)

    def predicted(self, s: State, waves: Any) -> Any:
        """Return Ihat of detector waves (B, M, n, n), kept above zero far below one photon."""
        power = intensity_of(s, self.views, waves)
        predicted = self.xp.maximum(power, self.floor, out=power)
        self.measured = self.views.measured(predicted)
        return predicted

    def weighted(self, values: Any) -> Any:
        """Return values, zero on masked pixels; may work in place."""
        if self.mask is not None:
            values *= self.mask
        return values

    def values(self, predicted: Any) -> Any:
        """L of each pixel."""
        return self.weighted(self.model.value(predicted, self.measured))

    def slope(self, predicted: Any) -> Any:
        """dL/dIhat of each pixel."""
        return self.weighted(self.model.slope(predicted, self.measured))

    def change(self, predicted: Any, more: Any) -> Any:
        """L(Ihat + more) - L(Ihat) of each pixel."""
        change = self.model.change(predicted, self.measured, more)
        if self.views.model.censors:
            there = predicted + more
            other = self.views.measured(there)
            apart = self.model.value(there, other) - self.model.value(predicted, self.measured)
            change = self.xp.where(other == self.measured, change, apart)
        return self.weighted(change)

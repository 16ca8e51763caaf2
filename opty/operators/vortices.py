"""A phase of the object that closes: no vortices, which a thick sample leaves in a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.algebra.operator import Operator
from opty.algebra.protocols import State
from opty.errors import RecipeError
from opty.operators.merge import each
from opty.physics.vortices import without_vortices
from opty.state.light import rough_light

_DIM = 0.05  # of the brightest light: a pixel with that much is known by half


class RemoveVortices(
    Operator, reads="obj probe positions kept_obj_velocity kept_waves", writes="obj kept_obj_velocity kept_waves"
):
    """Give the object a phase that closes around every pixel, where it does not: O <- |O| exp(i u), u single-valued.

    u = argmin sum_e w_e (u_b - u_a - wrap(arg O_b - arg O_a))^2 over the pairs e = (a, b) of neighbours, wrap the
    shortest difference, w from the light and |O|^2. Where the phase goes round a point, waves cancel in it: within 3 px
    |O| rises to its local mean. An object that has no such point in the light stays as it is, to the bit.

    For a sample that changes the phase by several turns, while the run has not settled: ``(Before(100, Every(10,
    RemoveVortices())) * rPIE()) ** 120``. O = exp(i u) of a projected index u [rad] has no vortices; engines leave
    some, and unwrapping fails around them. Where the phase of the sample itself changes by more than pi from pixel to
    pixel, it has points around which it does not close, and each use disturbs them: the last part of a run is without.

    History: "vortices", how many points there were, of all slices.
    Reads obj (H, W), each of several slices by itself, probe and positions; writes obj, and where it changes it drops
    the object's velocity and kept exit waves. Computed on the host; u to within 0.01 rad
    where there is light.
    Raises RecipeError for a mixture of states, which may be zero in points.
    Source: Ghiglia, Romero, J. Opt. Soc. Am. A 11, 107 (1994) for u.
    """

    over_ranks = True
    scale_free = True
    estimates = False

    def check_model(self, model: Any) -> None:
        if model.mixture:
            raise RecipeError(
                f"{self!r}: states of a mixture {model.sample!r} may be zero where others are not, with a phase that "
                "goes round the point: leave the step out"
            )

    def apply(self, s: State) -> None:
        light = np.asarray(s.backend.to_host(rough_light(s.store)), np.float64)
        weight = light / (light + _DIM * light.max())
        total = 0
        for slice_ in each(s.obj):
            total += self._closed(s, slice_, weight)
        s.record("vortices", float(total))
        if total:
            s.drop("kept_obj_velocity", "kept_waves")

    def _closed(self, s: State, image: Any, weight: np.ndarray) -> int:
        """Give an image (H, W) such a phase, in place; return how many vortices it had."""
        closed, count = without_vortices(np.asarray(s.backend.to_host(image)), weight, s.threads)
        if count:
            image[...] = s.xp.where(s.xp.asarray(weight > 0), s.xp.asarray(closed.astype(s.dtype)), image)
        return count

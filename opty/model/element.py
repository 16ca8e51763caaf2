"""Element: one piece of physics between the probe and the detector, an immutable value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from opty.algebra.leaf import Leaf
from opty.algebra.value import Value
from opty.algebra.value_class import ValueClass, unmade
from opty.errors import RecipeError

if TYPE_CHECKING:
    from opty.data import PtychoData
    from opty.model.compose import Model
    from opty.model.scan import Scan
    from opty.model.views import ModelViews

ELEMENTS: dict[str, type[Element]] = {}
LEAVES: dict[str, Leaf] = {}  # of all elements, by name


class Element(Value, register=False):
    """What happens to the waves of a view in one place: a beam, a sample, a propagation.

    Elements are written from the detector to the source, ``FarField() * Object() * Probe()``: the wave passes the
    rightmost first. A subclass declares its parameters as annotated fields, as an operator does, the arrays that it
    brings to the state in ``leaves``, and three maps. Waves are (B, S, n, n) complex, B views and S incoherent states::

        class Tilt(opty.model.Element):
            leaves = (opty.Leaf("slope", "view 2", unit="rad/px", scale=0, role="estimate"),)

            def initial(self, name, scan):
                return np.zeros((scan.views, 2))

            def forward(self, v, wave):
                v.memory["ramp"] = ramp(v.xp, v.rows("slope"), v.n)
                v.memory["tilted"] = wave * v.memory["ramp"]
                return v.memory["tilted"]
            ...

    Source: the composition of maps with an adjoint and a derivative each is that of ODL and sigpy; that of
    ptychography as elements is opty's.
    """

    leaves: ClassVar[tuple[Leaf, ...]] = ()
    source: ClassVar[bool] = False  # True: makes the waves, and stands on the right of all others
    propagates: ClassVar[bool] = False  # True: brings them to the detector, and stands on the left
    detects: ClassVar[bool] = False  # True: acts on intensities, and stands on the left of the propagation
    side: ClassVar[str] = ""  # "beam": between object and source; "exit": between the propagation and the object
    moves_beam: ClassVar[bool] = False  # True: works on spectra; see ``Model.moves_beam``
    thin: ClassVar[bool] = False  # True: of a model whose exit waves are P O, for which there are fused kernels
    sliced: ClassVar[bool] = False  # True: slices with free space between them, for which there are fused kernels
    mixture: ClassVar[bool] = False  # True: its object is thin, and the first axis counts incoherent states, not slices
    moved_by: ClassVar[frozenset[str]] = frozenset()  # leaves of the scan on which its map depends: positions
    closed: ClassVar[bool] = False  # True: with the other leaves fixed, the nearest waves that it makes are known (DM)
    kept: ClassVar[float] = 1.0  # arrays (B, S, n, n) that a pass keeps for the way back, for the estimate of memory
    obj_step: ClassVar[float] = 1.0  # the step of the object that converges; the smallest of a model's elements counts
    probe_step: ClassVar[float] = 1.0
    _registry: ClassVar[dict[str, Any]] = ELEMENTS
    _kind: ClassVar[str] = "element"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for leaf in () if isinstance(cls.leaves, property) else cls.leaves:  # of an element that is not here
            if not isinstance(leaf, Leaf) or leaf.role != "estimate" or leaf.optional or not leaf.name.isidentifier():
                raise TypeError(
                    f"{cls.__name__}.leaves holds {leaf!r}: give opty.Leaf(..., role='estimate') with a name that can "
                    "be written after p., such as 'tilt'"
                )
            LEAVES[leaf.name] = leaf

    def check_before_run(self, geometry: Any, n: int) -> None:
        """Refuse a measurement that the element cannot describe: ``geometry`` (or None), windows of n x n pixels."""

    def check_measurement(self, data: PtychoData) -> None:
        """Refuse a measurement whose frames or views the element cannot describe."""

    def doubt(self, data: PtychoData) -> str | None:
        """Say what of the element is probably wrong for a measurement that it can describe; None for nothing."""
        return None

    def initial(self, name: str, scan: Scan) -> np.ndarray:
        """Return the first value of the leaf ``name``; subclasses with leaves override it."""
        raise RecipeError(f"{type(self).__name__} has the leaf {name!r} but no initial(self, name, scan)")

    def states_behind(self, count: int) -> int:
        """Return how many incoherent states come out of ``count``."""
        return count

    def forward(self, v: ModelViews, wave: Any) -> Any:
        """Return the waves (B, S', n, n) behind the element; what its way back needs goes into ``v.memory``.

        A source gets None. The incoming waves must not be changed.
        """
        raise RecipeError(f"{type(self).__name__} has no forward(self, v, wave): define what it does to waves")

    def illuminate(self, v: ModelViews) -> Any:
        """Return, of a source, the probe as each view sees it, (B or 1, M, n, n)."""
        return v.as_seen(v.leaf("probe"))

    def tangent(self, v: ModelViews, dwave: Any, changes: dict[str, Any]) -> Any:
        """Return the change (B, S', n, n) of the waves behind the element, to first order, or None for no change.

        ``dwave`` : that of the incoming waves, or None; ``changes`` : of some leaves of the model, by name, in the
        shape of the leaf, or of the views' rows (B, ...) of a leaf over views.
        """
        raise RecipeError(f"{type(self).__name__} has no tangent(self, v, dwave, changes): define its derivative")

    def backward(self, v: ModelViews, chi: Any, power: Any) -> tuple[Any, Any]:
        """Return chi and power in front of the element: the adjoint of ``tangent`` applied to chi (B, S', n, n).

        For each of its leaves that ``v.wants(name)`` it calls ``v.add(name, direction, weight)``. ``power`` (B, n, n),
        or what broadcasts to it, is the diagonal of the squared derivative behind the element: a weight is the power of
        what multiplies the leaf times it, and in front of the element it is power times what the waves are multiplied
        by. None stands for one.
        """
        raise RecipeError(f"{type(self).__name__} has no backward(self, v, chi, power): define its adjoint")

    def __mul__(self, other: Any) -> Model:
        from opty.model.compose import product

        if isinstance(other, ValueClass):
            raise RecipeError(unmade(other))
        return product(self, other)

    def __rmul__(self, other: Any) -> Any:
        from opty.model.compose import refuse_factor

        raise refuse_factor(other, self)

"""The leaves of every state, and the fields of every batch. Memory of operators is declared in their class lines.

Those of a model are declared by its elements (opty/model), object and probe too. What else a state holds, its store
declares: ``store.declared`` (see store.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from opty.algebra.leaf import Leaf
from opty.algebra.operator import Operator, slot_named
from opty.model.element import LEAVES
from opty.model.geometry_numbers import GEOMETRY_LEAVES
from opty.model.probe import PROBE
from opty.model.sample import OBJ

POSITIONS = Leaf("positions", "view 2", unit="px", scale=0, role="estimate")
BACKGROUND = Leaf(
    "background", "row col", unit="photons", dtype="real", grid="detector", scale=0, role="estimate", optional=True
)
INTENSITY_FACTORS = Leaf("intensity_factors", "view", scale=0, role="estimate", optional=True)
HELD_POWER = Leaf("held_power", "3", unit="photons", scale=0)  # see runtime/probe_power.py
WINDOWS_MOVED = Leaf("windows_moved", "2", unit="px", scale=0)  # all windows together, since the state was laid out

_WAVES = Leaf("waves", "batch state row col", unit="sqrt(photons)", dtype="complex", grid="window", scale=0)
_FIELDS = (
    Leaf("index", "batch", dtype="int64", scale=0),
    Leaf("illum", "batch mode row col", unit="sqrt(photons)", dtype="complex", grid="window", scale=1),
    Leaf("patches", "batch slice row col", dtype="complex", grid="window", scale=-1),
    _WAVES,
    _WAVES.like("delta"),
    Leaf("predicted", "batch row col", unit="photons", dtype="real", grid="detector", scale=0),
)


def _by_name(*leaves: Leaf) -> Mapping[str, Leaf]:
    return MappingProxyType({leaf.name: leaf for leaf in leaves})


OF_RUNS = _by_name(HELD_POWER)  # memory that a run keeps itself
ESTIMATED = _by_name(OBJ, PROBE, POSITIONS, BACKGROUND, INTENSITY_FACTORS, *GEOMETRY_LEAVES)
FIELDS = _by_name(*_FIELDS)


def declared(name: str, op: Operator | None = None) -> Leaf | None:
    """Return what a name means to an operator: its memory, an estimate, a field of a batch, memory of a run or of
    another operator.

    None for an undeclared name: an array that the user put into the state, or a field of the user's own.
    """
    own = next((leaf for leaf in op.slots if leaf.name == name), None) if op is not None else None
    known = (leaves.get(name) for leaves in (ESTIMATED, FIELDS, LEAVES, OF_RUNS))
    return own or next((leaf for leaf in known if leaf), None) or slot_named(name)

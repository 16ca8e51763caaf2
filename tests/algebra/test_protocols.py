"""The author's contract: what opty's operators use of ``s`` and ``b`` is listed, and all that is listed is there."""

import ast
import inspect
from pathlib import Path

import numpy as np
import pytest

import opty
from opty import Anderson, ViewOperator, rPIE
from opty.algebra.leaf import PARTS
from opty.algebra.operator import REGISTRY
from opty.algebra.protocols import Measured, State, Views
from opty.model.element import LEAVES
from opty.operators import QuasiNewtonStep
from opty.operators.position.patient import PatientPosCorrect
from opty.state.leaves import ESTIMATED, FIELDS

FILES = sorted(Path(opty.__file__).parent.glob("operators/**/*.py"))
OWN_OF_OPTY = {"s": {"store"}, "b": {"leaves"}}  # of steps that look at all arrays; no part of the contract


def members(protocol):
    """Return the names that a protocol lists."""
    return {name for name in (*protocol.__annotations__, *vars(protocol)) if not name.startswith("_")}


def attributes():
    """Return all attributes that are looked up in opty's operators."""
    nodes = (node for path in FILES for node in ast.walk(ast.parse(path.read_text())))
    return [node for node in nodes if isinstance(node, ast.Attribute)]


def used(name):
    """Return the attributes of the variable ``name`` in opty's operators."""
    nodes = (node for path in FILES for node in ast.walk(ast.parse(path.read_text())))
    return {
        n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == name
    }


def declared():
    slots = {leaf.name for cls in REGISTRY.values() if isinstance(cls.slots, tuple) for leaf in cls.slots}
    slots |= {leaf.name for op in (Anderson(), QuasiNewtonStep()) for leaf in op.slots}  # as many as are asked for
    slots |= {leaf.name for leaf in PatientPosCorrect.slots}  # what a plan puts in place of PosCorrect
    return slots | ESTIMATED.keys() | FIELDS.keys() | LEAVES.keys() | set().union(*PARTS.values())


@pytest.mark.parametrize(("name", "protocol"), [("s", State), ("b", Views)])
def test_what_operators_use_is_listed(name, protocol):
    complex_parts = {"real", "imag"}  # of arrays that happen to be called b
    assert used(name) - declared() - OWN_OF_OPTY[name] - complex_parts <= members(protocol)


def test_what_they_use_of_the_measurement_is_listed():
    found = {node.attr for node in attributes() if ast.unparse(node.value) in ("s.measured", "measured")}
    assert found - {"propagator"} <= members(Measured)


class LooksAtAll(ViewOperator, reads="patches illum delta obj probe positions", writes="obj"):
    """Looks at all that the protocols list."""

    joins_before_update = True

    def begin(self, s):
        for name in members(State):
            assert getattr(s, name) is not None or name == "incoherent", name
        for name in members(Measured):
            assert getattr(s.measured, name) is not None or name == "seen", name
        assert s.wave_shape == (2, 16, 16)

    def apply(self, s, b):
        for name in members(Views):
            getattr(b, name)
        direction, weight = b.gather("obj", b.delta)
        hand = (b.illum.conj() * b.delta).sum(axis=1)
        assert np.abs(direction - hand).max() <= 1e-5 * np.abs(hand).max()
        assert weight.shape[-2:] == direction.shape[-2:] == (s.n, s.n)
        back = b.from_detector(b.at_detector(b.delta))
        assert np.abs(back - b.delta).max() <= 1e-5 * np.abs(b.delta).max()
        assert b.windows(s.obj).shape == (b.size, s.n, s.n)
        s.obj[...] = s.obj


def test_what_is_listed_is_there():
    from small_scans import scan, state

    q = LooksAtAll() * rPIE(batch=4) * state(scan(modes=2), modes=2)
    assert q.iteration == 1


@pytest.mark.parametrize("protocol", [State, Views, Measured])
def test_each_method_says_what_it_returns(protocol):
    for name, method in inspect.getmembers(protocol, inspect.isfunction):
        if not name.startswith("_") and name in members(protocol):
            assert method.__doc__, name
            assert method.__doc__.startswith(("Return", "Add", "Append", "Free", "Make")), name

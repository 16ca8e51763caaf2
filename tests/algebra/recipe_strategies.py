"""Hypothesis strategies that draw recipes.

``operators`` : any recipe of every registered operator, parameters by their annotations; ``turns`` : bodies of loops
that run on a small scan, of several iterations, with schedules on steps, view steps, observers and engines.
"""

from __future__ import annotations

import dataclasses
import types
import typing

from hypothesis import reject
from hypothesis import strategies as st

import opty
from opty.algebra.compose import compose
from opty.algebra.operator import REGISTRY, Operator

OWN = {name: cls for name, cls in REGISTRY.items() if cls.__module__.startswith("opty.")}
VIEW_STEPS = {name: cls for name, cls in OWN.items() if issubclass(cls, opty.ViewOperator)}

untils = st.builds(opty.Until, tol=st.floats(0, 1), max_turns=st.integers(1, 99))


def value(hint, name=""):
    """Draw a value that an annotation allows; numbers are such that every operator takes them."""
    runs = name in ("recipe", "again") or (name == "first" and hint == Operator | None)
    if runs:  # of an operator that runs one: it must be one that runs
        return st.sampled_from([opty.rPIE(), opty.PosCorrect() * opty.LSQML(batch=8), opty.ePIE(batch=4) ** 3])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return st.one_of([value(h, name) for h in typing.get_args(hint)])
    if typing.get_origin(hint) is typing.Literal:
        return st.sampled_from(typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return st.lists(value(typing.get_args(hint)[0]), min_size=2, max_size=4).map(tuple)
    drawn = {
        bool: st.booleans(),
        int: st.integers(2, 60),
        float: st.floats(1e-3, 0.999) | st.just(1e-20) if name == "inertia" else st.floats(1e-3, 0.999),
        str: st.sampled_from(["spacing", "tilt"])
        if name == "leaf"
        else st.sampled_from(["probe", "obj positions"])
        if name == "leaves"
        else st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
        type(None): st.none(),
        opty.Until: untils,
    }
    return st.deferred(lambda: operators) if hint is Operator else drawn[hint]


def made(cls):
    """Draw an operator of a class, with some of its parameters given."""
    hints = typing.get_type_hints(cls)
    fields = dataclasses.fields(cls)
    if cls is opty.Sweep:
        hints["body"] = None
    given = {f.name: view_bodies if hints[f.name] is None else value(hints[f.name], f.name) for f in fields}
    needed = {f.name: given[f.name] for f in fields if f.default is f.default_factory}
    optional = {name: s for name, s in given.items() if name not in needed}
    return st.fixed_dictionaries(needed, optional=optional).map(lambda kw: built(cls, kw))


def built(cls, parameters):
    """Make an operator; parameters that do not go together are drawn anew."""
    try:
        return cls(**parameters)
    except ValueError:
        reject()


view_bodies = st.lists(st.one_of([made(cls) for cls in VIEW_STEPS.values()]), min_size=1, max_size=3).map(
    lambda steps: compose(*steps)
)
CONTROLS = [opty.Every, opty.After, opty.Before]
LOOSE = [cls for name, cls in OWN.items() if name not in ("Compose", "Repeat")]
atoms = st.one_of([made(cls) for cls in LOOSE if not {"op", "body"} & set(cls.__dataclass_fields__)])
operators = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, min_size=2, max_size=4).map(lambda steps: compose(*steps))
        | st.tuples(inner, st.integers(0, 5) | untils).map(lambda pair: pair[0] ** pair[1])
        | st.tuples(st.sampled_from(CONTROLS), st.integers(1, 9), inner).map(lambda t: t[0](t[1], t[2]))
        | st.builds(opty.Sweep, view_bodies, st.none() | st.just("all") | st.integers(1, 8))
    ),
    max_leaves=8,
)


class Noted(Operator):
    """Records at which iterations it ran, for the tests."""

    of: int = 0

    def apply(self, s):
        s.record(f"marked_{self.of}", s.iteration)


def marks(p, of=0):
    """Return the iterations at which ``Noted(of)`` ran."""
    return [int(v) for v in p.history.get(f"marked_{of}", [])]


engines = st.sampled_from([opty.AP(), opty.ePIE(batch=4), opty.DM()])
often = st.integers(1, 7)
schedules = st.one_of(
    st.tuples(st.just(opty.Every), often, st.none() | often).map(lambda t: lambda op: t[0](t[1], op, first=t[2])),
    st.tuples(often, often).map(lambda t: lambda op: opty.Every(t[0], opty.Every(t[1], op))),
    st.tuples(often, often).map(lambda t: lambda op: opty.After(t[0], opty.Every(t[1], op))),
    st.tuples(often, often).map(lambda t: lambda op: opty.Every(t[0], opty.Before(3 * t[1], op))),
)
scheduled = st.one_of(
    st.tuples(schedules, st.builds(Noted, st.integers(0, 1)) | st.just(opty.Orthogonalise())).map(lambda t: t[0](t[1])),
    often.map(lambda n: opty.Misfit(every=n)),
    st.tuples(schedules, st.integers(1, 2), engines).map(lambda t: t[0](Noted(2) * t[2] ** t[1])),
    st.tuples(schedules, schedules).map(
        lambda t: opty.Sweep(t[0](opty.ProbeUpdate()) * t[1](opty.ObjUpdate()) * opty.FourierProject(), batch=6)
    ),
)


def turns(*others):
    """Draw what a loop repeats: engines, repeated or not, loops, schedules and ``others``, in any order."""
    steps = st.one_of(scheduled, scheduled, *others)
    run = st.tuples(engines, st.integers(1, 3)).map(lambda t: t[0] ** t[1])
    flat = st.tuples(st.lists(steps, max_size=2), run, st.lists(steps | run, max_size=2)).map(
        lambda t: compose(*t[0], t[1], *t[2])
    )
    nested = st.tuples(flat, st.integers(1, 3), st.lists(steps | run, max_size=2)).map(
        lambda t: compose(*t[2], t[0] ** t[1])
    )
    return flat | nested

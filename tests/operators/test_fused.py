"""Fused steps give what the steps one by one give, to rounding; and they touch nothing that is kept."""

import pytest
from small_scans import TOLERANCE, close, same, scan, state

import opty
from opty import (
    AP,
    DM,
    Every,
    FourierProject,
    Misfit,
    ObjUpdate,
    Orthogonalise,
    PosCorrectAdam,
    ProbeUpdate,
    Sweep,
    ViewOperator,
    ePIE,
    rPIE,
)
from opty.operators import AccumObj, AccumProbe, LoadKeptWaves

RECIPES = [
    ePIE(),
    ePIE(batch=4),
    rPIE(),
    rPIE(batch="all"),
    AP(),
    DM(),
    DM(beta=0.8),
    PosCorrectAdam() * rPIE(batch=3),
    Every(2, PosCorrectAdam()) * rPIE(),
    (Every(3, Orthogonalise()) * Misfit() * ePIE()),
    DM() * rPIE(),
    Sweep(AccumProbe() * AccumObj()),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=repr)
def test_fused_is_unfused(recipe):
    """In single precision, behind a mask; tests/operators/test_check_operator.py has each operator in double."""
    p = state(scan(modes=2, mask=2, background=True), wrong=0.1)
    fused = recipe**3 * p
    with opty.unfused():
        plain = recipe**3 * p
    # Adam divides shifts by their own size, which makes the smallest ones count like the largest.
    slack = 300 if "Adam" in repr(recipe) else 10
    assert close(fused, plain, slack * TOLERANCE["complex64"])


@pytest.mark.parametrize(
    "body", [ObjUpdate() * FourierProject() * LoadKeptWaves(), AccumObj() * FourierProject() * LoadKeptWaves()]
)
@pytest.mark.parametrize("order", ["scan", "random"])
def test_kept_waves_are_not_worked_in(p, body, order):
    kept = DM() * p
    recipe = Sweep(body, batch=5, order=order)
    before = kept.numpy("kept_waves")
    fused = recipe * kept
    assert (kept.numpy("kept_waves") == before).all()
    assert (fused.numpy("kept_waves") == before).all() if "kept_waves" in fused.slots else True
    with opty.unfused():
        assert close(fused, recipe * kept, 1e-5)


MINE = opty.Leaf("mine", "view state row col", dtype="complex", grid="window")


class FromSlot(ViewOperator, reads="illum patches", writes="waves", slots=MINE):
    """Keeps waves of its own and hands out the very array, for the tests."""

    def begin(self, s):
        s.create("mine")

    def apply(self, s, b):
        s.mine[b.selection] = b.illum * b.patches[:, None]
        b.waves = s.mine[b.selection]


def test_a_view_of_a_slot_is_not_worked_in(p):
    recipe = Sweep(ProbeUpdate() * ObjUpdate() * FourierProject() * FromSlot(), batch=1, order="scan")
    fused = recipe * p
    with opty.unfused():
        plain = recipe * p
    assert close(fused, plain, 1e-5)


def test_unfused_ends_with_its_block(p):
    with opty.unfused():
        assert "fused:" not in str(ePIE().explain(p))
        with pytest.raises(RuntimeError), opty.unfused():
            raise RuntimeError
        assert "fused:" not in str(ePIE().explain(p))
    assert "fused: Project, Update" in str(ePIE().explain(p))
    assert same(ePIE() * p, ePIE() * p)

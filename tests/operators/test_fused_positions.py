"""Refinements of positions that sense in fused steps on a GPU: the numbers of their own steps, one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from small_scans import close, scan, state

import opty
from opty import (
    LSQML,
    PosCorrect,
    PosCorrectAdam,
    PosCorrectGain,
    PosCorrectGradient,
    PosCorrectSerial,
    Sweep,
    ePIE,
    rPIE,
)
from opty.fusion.positions import REFINEMENTS
from opty.operators.position.patient import PatientPosCorrect

BY_FIT = [PosCorrect(hold=0.0), PatientPosCorrect(hold=0.0), PosCorrectGradient()]
BY_SHIFT = [PosCorrectAdam(), PosCorrectGain(), PosCorrectSerial()]
ENGINES = [rPIE(), rPIE(batch=5), LSQML(batch=4)]


def astray(dtype, modes=2, n=16, mask=2, views=12, **options):
    """Return a state near the truth whose positions are off by up to half a pixel."""
    data = scan(views=views, n=n, modes=modes, mask=mask, background=True)
    p = state(data, wrong=0.1, dtype=dtype, **options)
    return p.replace(positions=p.positions + np.random.default_rng(3).uniform(-0.5, 0.5, (views, 2)))


def test_each_refinement_is_tried_here():
    assert {type(op) for op in (*BY_FIT, *BY_SHIFT)} == set(REFINEMENTS)


@pytest.mark.covering
@pytest.mark.parametrize("refinement", [*BY_FIT, *BY_SHIFT], ids=repr)
@pytest.mark.parametrize(
    ("engine", "dtype"),
    [
        (ENGINES[0], "complex128"),
        (ENGINES[1], "complex128"),
        (ENGINES[2], "complex64"),
        *(
            pytest.param(*rest, marks=pytest.mark.slow)
            for rest in zip(ENGINES, ("complex64", "complex64", "complex128"), strict=True)
        ),
    ],
    ids=repr,
)
def test_the_numbers_of_the_cpu(gpu, refinement, engine, dtype):
    p, recipe = astray(dtype), refinement * engine
    q = p.to("gpu")
    assert "Sense" in recipe.explain(q)
    by_fit = refinement in BY_FIT
    assert ("Sense" in recipe.explain(p)) == by_fit, "on a CPU shifts are sensed step by step"
    if by_fit:
        with opty.unfused():
            plain = recipe**3 * p
        assert close(recipe**3 * p, plain, 2e-4 if dtype == "complex64" else 1e-8)
    p, q = recipe**3 * p, recipe**3 * q  # from the second sweep on they go by what they remember
    assert close(q, p, 2e-4 if dtype == "complex64" else 1e-8)
    series = ["position_signal", "position_step", "object_change", "position_error"]
    for name in series:
        assert q.history[name] == pytest.approx(p.history[name], rel=2e-3 if dtype == "complex64" else 1e-6)


def test_what_counts_tell_is_what_it_is_on_the_cpu(gpu, monkeypatch):
    """All views are looked at once in so many sweeps; then they move by it."""
    monkeypatch.setattr("opty.operators.position.correct._PARTS", 2)
    p, recipe = astray("complex128", modes=1, views=6), PosCorrect(wait=False) * rPIE(batch=6)
    q, p = recipe**4 * p.to("gpu"), recipe**4 * p
    assert close(q, p, 1e-7)
    for name in ("position_evidence", "position_uncertainty", "position_estimate"):
        assert np.allclose(q.numpy(name), p.numpy(name), rtol=1e-6, atol=1e-9)
    assert abs(p.positions - p.numpy("position_given")).max() > 1e-4


@pytest.mark.parametrize("refinement", [BY_FIT[0], BY_SHIFT[0]], ids=repr)
def test_at_a_size_with_transforms_of_our_own(gpu, refinement):
    p, recipe = astray("complex64", n=32, modes=1, views=6), refinement * rPIE()
    assert close(recipe**2 * p.to("gpu"), recipe**2 * p, 5e-4)


@pytest.mark.parametrize("refinement", [BY_FIT[0], BY_SHIFT[0]], ids=repr)
def test_sweeps_are_captured_and_give_the_bits_of_plain_ones(gpu, monkeypatch, refinement):
    from opty.runtime import graph_replay as replay

    q, recipe = astray("complex64", deterministic=True).to("gpu"), (refinement * rPIE()) ** 4
    found, captured = [], gpu.captured
    monkeypatch.setattr(gpu, "captured", lambda work: found.append(captured(work)) or found[-1])
    replayed = recipe * q
    assert 0 < len(found) < 8, "places stay where they are from sweep to sweep"
    monkeypatch.setattr(replay, "FEW", 1000)
    plain = recipe * q
    assert np.array_equal(gpu.to_host(replayed.positions), gpu.to_host(plain.positions))


@pytest.mark.parametrize(
    "recipe",
    [
        PosCorrectAdam(signal="detector") * ePIE(),
        PosCorrect(weights="coverage") * ePIE(),
        opty.After(3, PosCorrect()) * ePIE(),
    ],
    ids=repr,
)
def test_what_does_not_fit_is_left_as_it_is(gpu, recipe):
    p = astray("complex128")
    q = p.to("gpu")
    assert "Sense" not in recipe.explain(q)
    assert close(recipe**2 * q, recipe**2 * p, 1e-8)


def test_the_order_of_sensing_and_updates_does_not_matter():
    p = astray("complex128")
    body = Sweep(opty.ProbeUpdate() * opty.ObjUpdate(), batch=3)
    with opty.unfused():
        plain = (PosCorrect() * body) ** 3 * p
    assert close((PosCorrect() * body) ** 3 * p, plain, 1e-9)

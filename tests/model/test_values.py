"""Models as values: products, text, JSON, what is refused, and what is filled in."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from small_scans import scan, state
from user_elements import Tilt

import opty
from opty.errors import RecipeError
from opty.model import Blur, ConeBeam, FarField, FlyScan, NearField, Object, Probe, Slices, from_json, parse


@pytest.mark.parametrize(
    "model",
    [
        FarField() * Object() * Probe(modes=3),
        NearField() * Slices(3, spacing=(1e-6, 2e-6)) * Probe(),
        ConeBeam() * Slices(2, spacing=2e-9) * Probe(2),
    ],
    ids=repr,
)
def test_a_model_is_its_text_and_its_json(model):
    assert parse(repr(model)) == model == from_json(model.to_json()) == pickle.loads(pickle.dumps(model))
    assert hash(parse(repr(model))) == hash(model)


def test_products_are_flat_and_associative():
    a, b, c = FarField(), Object(), Probe()
    assert (a * b) * c == a * (b * c)
    assert ((a * b) * c).elements == (a, b, c)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Probe() * Object(), "stands on the right"),
        (lambda: Object() * FarField(), "stands on the left"),
        (lambda: Object() * Object(), "two elements bring the leaf 'obj'"),
        (lambda: Object() * opty.rPIE(), "elements multiply elements"),
        (lambda: opty.rPIE() * Object(), "multiplies an operator"),
        (lambda: Object() * Probe, "write Probe()"),
        (lambda: 3 * Object(), "elements multiply elements"),
        (lambda: Slices(1, spacing=1e-6), "two slices or more"),
        (lambda: Slices(3, spacing=(1e-6,)), "2 gaps"),
        (lambda: Slices(2, spacing=-1e-6), "above 0"),
        (lambda: parse("FarField() * Slice(2, 1e-6)"), "did you mean Slices"),
        (lambda: parse("FarField() ** 2"), "not allowed in a model"),
        (lambda: parse("rPIE()"), "unknown element 'rPIE'"),
        (lambda: from_json('{"opty": 2, "model": []}'), "update opty"),
        (lambda: from_json('{"opty": 1, "recipe": {}}'), "expected"),
    ],
)
def test_what_makes_no_model_is_refused(wrong, says):
    with pytest.raises((RecipeError, ValueError), match=says.replace("(", r"\(").replace(")", r"\)")):
        wrong()


def test_what_is_left_out_is_filled_in():
    data = scan(views=4, modes=2)
    assert opty.PtychoState(data, modes=3).model == FarField() * Object() * Probe(modes=3)
    assert opty.PtychoState(data, model="Object() * Probe(modes=2)").model == FarField() * Object() * Probe(modes=2)
    assert opty.PtychoState(data, model=Object()).model == FarField() * Object() * Probe(modes=1)
    probe = Probe(2, variable=2)
    assert opty.PtychoState(data, model=probe).model == FarField() * Object() * probe
    flown = opty.PtychoState(data, model=Blur(0.7) * FlyScan(2, travel=(0, 1)) * Probe(2)).model
    assert flown == Blur(0.7) * FarField() * Object() * FlyScan(2, travel=(0, 1)) * Probe(2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"model": Object() * Probe(), "modes": 2}, "modes=2 beside model"),
        ({"model": NearField() * Object()}, "propagation='far'"),
        ({"model": Tilt() * Probe()}, "has no object"),
        ({"model": 7}, "give elements"),
        ({"model": Slices(2, spacing=1e-6)}, "needs the wavelength"),
        ({"model": Object(), "obj": np.ones((2, 60, 60))}, "obj has shape"),
    ],
)
def test_a_state_refuses_a_model_that_does_not_fit(arguments, says):
    with pytest.raises((RecipeError, ValueError), match=says):
        opty.PtychoState(scan(views=4), **arguments)


def test_a_state_shows_its_model_and_another_probe_changes_it():
    p = state(scan(views=4, modes=2), modes=2)
    assert repr(p.model) == "FarField() * Object() * Probe(modes=2)"
    assert p.replace(probe=p.numpy("probe")[:1]).model == FarField() * Object() * Probe(modes=1)


def test_the_model_is_in_the_file_and_goes_on(tmp_path):
    p = opty.rPIE() * state(scan(views=4, modes=2), modes=2)
    p.save(tmp_path / "p.h5")
    q = opty.load(tmp_path / "p.h5")
    assert q.model == p.model
    assert pickle.loads(pickle.dumps(p)).model == p.model

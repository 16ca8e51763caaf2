"""A scene for the tests of models: an object that is one thing or another while a view is taken."""

from __future__ import annotations

import numpy as np
from thick_scene import GEOMETRY, SIZE, aperture, layer, places

import opty
from opty.model import Object
from opty.simulate import experiment

TWO = Object(states=2)
SHARES = np.array([0.65, 0.35])


def truth():
    """Return two states (2, H, W), whose shares of the time are 0.65 and 0.35."""
    rng = np.random.default_rng(7)
    return np.sqrt(SHARES)[:, None, None] * np.array([layer(rng, 1.2), layer(rng, 1.0)])


def simulated(**asked):
    """Return data of two states and a starting probe of another defocus; ``asked`` : of ``experiment``."""
    positions = places(np.random.default_rng(8))
    return experiment(truth(), aperture(50.0), positions, geometry=GEOMETRY, model=TWO, **asked), aperture(53.0)


def mixed_state(scene, model=TWO, **machine):
    """Return the state at the start, in the truth's frame."""
    data, probe = scene
    obj = opty.PtychoState(data, probe, model=model, margin=8).numpy("obj")[..., :SIZE, :SIZE]
    assert obj.shape[-2:] == (SIZE, SIZE)
    p = opty.PtychoState(data, probe, obj=obj, model=model, **machine)
    return p.replace(positions=data.truth["positions"])


def mixed(obj, seed=0):
    """Return states (L, H, W) in another unitary mix, which no pattern tells from them."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(2, len(obj), len(obj))).T @ [1, 1j])[0]
    return np.tensordot(turn, obj, 1)

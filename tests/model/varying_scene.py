"""A scene for the tests of a probe that varies: a thin object, an aperture whose light wanders and flickers."""

from __future__ import annotations

import numpy as np
from thick_scene import SIZE, aperture, layer, places

import opty
from opty.model import Object, Probe
from opty.simulate import experiment, probes

VARIATIONS = 3


def simulated(drift=False, photons=None, **scan):
    """Return the data of a probe that varies: (data, starting probe, true weights)."""
    rng = np.random.default_rng(11)
    positions = places(rng, **scan)
    each = probes.unsteady(aperture(50.0)[0], len(positions), weighting=0.2, intensity=0.1, drift=drift, seed=3)
    mean, leaves = probes.variation(each, VARIATIONS)
    model = Object() * Probe(variable=VARIATIONS)
    data = experiment(layer(rng, 1.2), mean, positions, photons, model=model, leaves=leaves)
    return data, aperture(56.0), leaves["opr_weights"]


def varying_state(varying, variable=VARIATIONS, modes=1, **machine):
    """Return the state at the start: a flat object in the truth's frame, a probe of another defocus."""
    data, probe, _ = varying
    flat = np.ones((SIZE, SIZE), np.complex64)
    p = opty.PtychoState(data, probe, obj=flat, model=Object() * Probe(modes, variable), **machine)
    return p.replace(positions=data.truth["positions"])


def agreement(p, weights):
    """Return the canonical correlations of the weights found with the true ones, the best first."""
    one, other = (np.linalg.qr(w - w.mean(axis=0))[0] for w in (p.numpy("opr_weights").astype(float), weights))
    return np.linalg.svd(one.T @ other)[1]

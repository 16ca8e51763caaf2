"""A thin scene for the tests of models: one object, an aperture, and what is asked of the experiment."""

from __future__ import annotations

import numpy as np
import pytest
from thick_scene import SIZE, aperture, layer, places

import opty
from opty import AP, LSQML, ML, ePIE, mPIE, rPIE
from opty.simulate import experiment


def simulated(positions=None, **asked):
    """Return data and a starting probe of another defocus; ``asked`` : of ``experiment``."""
    rng = np.random.default_rng(11)
    positions = places(rng) if positions is None else positions
    return experiment(layer(rng, 1.2), aperture(50.0), positions, **asked), aperture(56.0)


def thin_state(scene, model=None, truth=True, **machine):
    """Return the state at the start: a flat object in the truth's frame."""
    data, probe = scene
    p = opty.PtychoState(data, probe, obj=np.ones((SIZE, SIZE), np.complex64), model=model, **machine)
    return p.replace(positions=data.truth["positions"]) if truth else p


def every_engine(rpie=0.05, lsqml=0.15):
    """Parametrize a test by ``recipe`` and ``times``, the share of the first misfit below which it has to come."""
    shares = (
        (rPIE(alpha=0.1, batch=4) ** 8, rpie),
        (ePIE(batch=4) ** 8, 0.05),
        (mPIE() ** 10, 0.05),
        (LSQML(batch=8) ** 8, lsqml),
        (ML("amplitude") ** 12, 0.1),
        (AP() ** 12, 0.4),
    )
    return pytest.mark.parametrize(("recipe", "times"), shares, ids=repr)

"""States at another scale, for the tests of the scale between object and probe."""

import numpy as np
from small_scans import everything

from opty import AP, DM, LBFGS, LSQML, ML, RAAR, ePIE, mPIE, rPIE
from opty.kernels.update import scaling
from opty.ptycho_state import PtychoState
from opty.state.light import light_on

ENGINES = [ePIE(), rPIE(), rPIE(batch=4), mPIE(), LSQML(batch=4), AP(), DM(), RAAR(), ML(), ML("amplitude"), LBFGS()]
BY_TURNS = rPIE().fix("probe") * rPIE().fix("obj")


def switched_off(monkeypatch):
    """Never bring a scale back, while a test runs."""
    monkeypatch.setattr(scaling, "WEAK", np.inf)
    monkeypatch.setattr(scaling, "STRONG", -np.inf)
    power_not_held(monkeypatch)


def power_not_held(monkeypatch):
    """Let the power of the probe drift along live sweeps, while a test runs."""
    monkeypatch.setattr("opty.runtime.probe_power.HeldPower.swept", lambda *given: None)


def without_it(recipe, p, monkeypatch):
    """Return ``recipe * p`` in which no scale is brought back."""
    with monkeypatch.context() as patch:
        switched_off(patch)
        return recipe * p


def scaled(p, octaves):
    """Return the state with P 2^octaves, O 2^-octaves, and all that goes with them; in arrays of its own."""
    store = p._live.fork(set(p._live.leaves))
    for name, leaf in store.leaves.items():
        leaf *= leaf.dtype.type(2.0 ** (octaves * store.declared[name].scale))
    return PtychoState._of(store)


def is_scaled(q, r):
    """Return by how many octaves the probe of r is stronger, all else being the same bits; the history is not looked at
    where it has the unit of the object.
    """
    a, b = everything(q), everything(r)
    octaves = np.log2(abs(b["probe"]).max() / abs(a["probe"]).max())
    assert octaves == round(octaves)
    names = a.keys() - {"history:object_change"}
    assert a.keys() == b.keys()
    for name in names:
        leaf = q._live.declared.get(name)
        factor = 2.0 ** (octaves * (leaf.scale if leaf else 0))
        assert np.array_equal(a[name] * a[name].dtype.type(factor), b[name]), name
    return octaves


def ratio(p):
    """Return by how many octaves the probe's amplitude is too weak for the brightest view."""
    return 0.5 * np.log2(p.data.photons().max() / (abs(p.numpy("probe")) ** 2).sum())


def power_of(p):
    """Return the power of the probe [photons]."""
    return float((abs(p.numpy("probe")) ** 2).sum())


def power_against_dark(p):
    """Return the power of the probe times the mean of |O|^2 where there is hardly any light."""
    light = light_on(p._live)
    mean = (light**2).sum() / light.sum()
    weights = mean / (mean + 100 * light)
    return power_of(p) * float((abs(p.numpy("obj")) ** 2 * weights).sum() / weights.sum())

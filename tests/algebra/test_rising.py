"""A run that goes wrong with finite numbers is said to: once, and never for a run that is well."""

import contextlib
import warnings

import numpy as np
import pytest
from small_scans import scan, state

import opty
from opty import AP, DM, LSQML, ML, RAAR, Every, MisfitWarning, ePIE, mPIE, rPIE
from opty.runtime.misfit_monitor import FAR_ABOVE, SETTLING, MisfitMonitor


def said(misfits, sweep=1, monitor=None):
    """Return the iterations at which something is said, and what."""
    monitor = MisfitMonitor(rounding=1e-12) if monitor is None else monitor
    looks = ((k, monitor.look(sweep, k, misfit)) for k, misfit in enumerate(misfits, start=1))
    return [(k, text) for k, text in looks if text]


FALLING = [0.5 * 0.8**k for k in range(30)]
WRONG = {
    "five rises in a row": ([*FALLING, *(FALLING[-1] * 1.01**k for k in range(1, 6))], 35, "rose in 5 turns in a row"),
    "ten times the least": ([*FALLING, 1.1 * FAR_ABOVE * FALLING[-1]], 31, "times the least of the run"),
    "up and down above one": ([9.3, 8.7, 10.1, 9.6, 12.0], 3, "worse than no light at all"),
    "above one for long": ([5 - 0.01 * k for k in range(20)], SETTLING + 1, "worse than no light at all"),
}
WELL = {
    "falls": FALLING,
    "wavers": [*FALLING, *(FALLING[-1] * (1 + 5e-4 * k) for k in range(9))],
    "up and down": [0.1 * (1 + 0.5 * (k % 2)) for k in range(40)],
    "overshoots early": [0.2, 0.02, 0.19, 0.05, 0.01, 0.009],
    "starts too bright": [80.0, 20.0, 3.0, 0.5, 0.1],
    "rounding": [1e-3, 1e-15, 5e-13, 2e-15, 9e-13],
}


@pytest.mark.parametrize(("misfits", "at", "text"), WRONG.values(), ids=WRONG)
def test_what_goes_wrong_is_said_once(misfits, at, text):
    ((where, what),) = said([*misfits, *misfits[-3:]])
    assert where == at
    assert text in what


@pytest.mark.parametrize("misfits", WELL.values(), ids=WELL)
def test_what_is_well_is_not_complained_of(misfits):
    assert not said(misfits)


def test_each_sweep_has_a_least_misfit_of_its_own():
    monitor = MisfitMonitor(rounding=1e-12)
    assert not said([1e-5, 1e-6], 1, monitor)
    assert not said([1e-2, 9e-3], 2, monitor)
    monitor.forget()  # the difference map ran
    assert not said([0.1, 0.09], 1, monitor)


@pytest.mark.parametrize(
    "recipe",
    [
        rPIE(alpha=0.0, probe_step=3.0) ** 40,
        ePIE(obj_step=6.0, probe_step=6.0) ** 40,
        rPIE(0.0, 0.0, 1, 2.5, 2.5) ** 40,
    ],
    ids=repr,
)
def test_steps_that_are_too_long_are_noticed(recipe):
    p = state(scan(views=20), wrong=0.5)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            recipe * p
        except opty.DivergedError:
            return
    assert [w.category for w in caught] == [MisfitWarning]
    assert "a smaller step of the probe update" in str(caught[0].message)


@pytest.mark.parametrize(
    "recipe",
    [ePIE(), rPIE(), mPIE(), AP(), LSQML(), ML(), DM() * rPIE(), (rPIE() ** 5 * DM() ** 10) ** 2, RAAR() ** 5 * ML()],
    ids=repr,
)
@pytest.mark.parametrize("wrong", [0.0, 0.2, 1.0])
def test_healthy_runs_are_not_complained_of(recipe, wrong):
    p = state(scan(views=20), wrong=wrong)
    bright = p.replace(probe=5 * p.numpy("probe"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recipe**20 * p
        recipe**20 * bright


@pytest.mark.parametrize("engine", [rPIE(), AP(), LSQML()], ids=repr)
@pytest.mark.parametrize("turns", [1, 2])
def test_misfits_of_two_resolutions_are_not_compared(engine, turns):
    """Each turn ends on coarse patterns, whose misfit is another one: that of the next iteration is no rise."""
    rng = np.random.default_rng(1)
    p = state(scan(views=20, n=32, photons=1e5), wrong=0.3)
    noisy = rng.poisson(p.data.intensities).astype(np.float32)
    p = state(p.data.replace(intensities=noisy), wrong=0.3)
    recipe = (engine**turns * opty.Coarse(2, rPIE() ** 4)) ** 12
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        q = recipe * p
    assert len(q.history["misfit"]) == q.iteration == 12 * (turns + 4)


def test_a_loop_does_not_end_by_the_misfit_of_coarse_patterns(monkeypatch):
    p = state(scan(views=12, n=32), wrong=0.3)
    seen = []
    settled = opty.Until.settled
    monkeypatch.setattr(opty.Until, "settled", lambda rule, misfits: seen.append(misfits) or settled(rule, misfits))
    recipe = (Every(3, opty.Coarse(2, ePIE() ** 2)) * rPIE()) ** opty.Until(tol=0, max_turns=6)
    q = recipe * p
    misfits = q.history["misfit"].tolist()
    own = [0, 1, 2, 5, 8, 11]  # coarse after iterations 3, 6, 9: two of them each time
    assert seen[-1] == (misfits[own[-3]], misfits[own[-2]])  # asked before the last turn
    assert len(misfits) == q.iteration


def test_what_rises_on_coarse_patterns_is_said_to_be_there():
    p = state(scan(views=20, n=32), wrong=0.5)
    recipe = opty.Coarse(2, ePIE(obj_step=6.0, probe_step=6.0) ** 40)
    said = pytest.warns(MisfitWarning, match=r"at iteration \d+.*, inside Coarse\(2, \.\.\.\); try a")
    with said, contextlib.suppress(opty.DivergedError):
        recipe * p


def test_what_rises_on_the_way_of_a_search_is_not_said():
    """What tries other positions asks at its end whether they explain more."""
    p = state(scan(views=20, n=32), wrong=0.5)
    worse = ePIE(obj_step=6.0, probe_step=6.0) ** 40
    for recipe, said in ((worse, True), (opty.HoldOut(rPIE()) * worse, False)):
        with warnings.catch_warnings(record=True) as caught, contextlib.suppress(opty.DivergedError):
            warnings.simplefilter("always")
            opty.Coarse(2, recipe) * p
        assert any("inside Coarse" in str(one.message) for one in caught) is said

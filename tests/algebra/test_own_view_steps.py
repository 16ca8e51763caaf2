"""View steps of a user's own: where the plan puts what they read, what it refuses, and how their misfit is measured."""

import numpy as np
import pytest
from small_scans import close, same, scan, state

import opty
from opty import EffectError, FourierProject, ObjUpdate, ProbeUpdate, Sweep, Until, ViewOperator, rPIE
from opty.operators import AccumObj, AccumProbe, ExitWave, MergeObj, MergeProbe


class OwnModulus(ViewOperator, reads="waves", writes="waves delta"):
    """The Fourier projection written by a user, without masks and background."""

    def apply(self, s, b):
        propagator = s.measured.propagator
        there = propagator.forward(b.waves, b.fraction, False, s.threads)
        measured = s.xp.sqrt(s.measured.intensity_of(b.selection))[:, None]
        there *= measured / s.xp.sqrt((s.xp.abs(there) ** 2).sum(axis=1, keepdims=True))
        b.delta = propagator.adjoint(there, b.fraction, True, s.threads).astype(s.dtype) - b.waves
        b.waves = b.waves + b.delta


class OwnModulusMeasured(OwnModulus, reads="waves", writes="waves delta"):
    """The same, which says what its misfit is."""

    measures = True

    def apply(self, s, b):
        super().apply(s, b)
        b.add_misfit(s.xp.asarray(7.0))


class WavesOnly(OwnModulus, reads="waves", writes="waves"):
    """Projects without a difference: the class says that it compares with the data."""

    projects = True

    def apply(self, s, b):
        propagator = s.measured.propagator
        there = propagator.forward(b.waves, b.fraction, False, s.threads)
        measured = s.xp.sqrt(s.measured.intensity_of(b.selection))[:, None]
        there *= measured / s.xp.sqrt((s.xp.abs(there) ** 2).sum(axis=1, keepdims=True))
        b.waves = propagator.adjoint(there, b.fraction, True, s.threads).astype(s.dtype)


class ProbeByView(ViewOperator, reads="illum", writes="illum"):
    """Each view sees a probe of another brightness."""

    def apply(self, s, b):
        b.illum = b.illum * (1 + 0.1 * s.xp.asarray(b.number % 3, dtype=s.real_dtype))[:, None, None, None]


class ObjectDimmed(ViewOperator, reads="patches", writes="patches"):
    """The object as the views see it lets less light pass."""

    def apply(self, s, b):
        b.patches = b.patches * s.xp.asarray(0.5, dtype=s.real_dtype)


class WavesDimmed(ViewOperator, reads="waves", writes="waves"):
    """Changes the exit waves before they are projected."""

    def apply(self, s, b):
        b.waves *= 0.9


STEPS = ProbeUpdate(step=0.5) * ObjUpdate(alpha=0.05)


@pytest.mark.parametrize("options", [{}, {"fractional": False}, {"modes": 2}, {"mask": 2}, {"mask": 3}], ids=str)
@pytest.mark.parametrize("batch", [1, 5])
def test_the_misfit_of_an_own_projection_is_measured(options, batch):
    p = state(scan(**options))
    own, opty_s = (Sweep(STEPS * projection, batch=batch) for projection in (OwnModulus(), FourierProject()))
    first, expected = (own * p).history["misfit"], (opty_s * p).history["misfit"]
    assert expected[0] > 1e-3
    # The first batch sees the same waves; later ones differ where masked pixels are projected.
    np.testing.assert_allclose(first, expected, rtol=0.2 if "mask" in options else 1e-5)
    until = own ** Until(tol=0.3, max_turns=20) * p
    assert 2 < until.iteration < 20
    assert abs(np.diff(until.history["misfit"][-2:])[0]) <= 0.3 * until.history["misfit"][-2]


def test_a_projection_without_a_difference_is_measured_too(p):
    own = MergeProbe() * MergeObj() * Sweep(AccumObj() * AccumProbe() * WavesOnly(), batch=5, order="scan")
    opty_s = MergeProbe() * MergeObj() * Sweep(AccumObj() * AccumProbe() * FourierProject(), batch=5, order="scan")
    np.testing.assert_allclose((own**3 * p).history["misfit"], (opty_s**3 * p).history["misfit"], rtol=1e-4)


def test_a_step_that_measures_by_itself_is_believed(p):
    q = Sweep(STEPS * OwnModulusMeasured(), batch=4) * p
    assert q.history["misfit"][0] == pytest.approx(3 * 7.0 / p.data.photons().sum())


@pytest.mark.gpu
def test_the_misfit_is_measured_on_a_gpu(gpu, p):
    q, r = (Sweep(STEPS * OwnModulus(), batch=4) ** 3 * state for state in (p, p.to("gpu")))
    np.testing.assert_allclose(q.history["misfit"], r.history["misfit"], rtol=1e-4)


@pytest.mark.parametrize("fractional", [False, True])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("change", [ProbeByView(), ObjectDimmed()], ids=repr)
def test_exit_waves_are_made_of_what_was_changed_before(change, batch, fractional):
    p = state(scan(fractional=fractional))
    by_hand = Sweep(STEPS * FourierProject() * ExitWave() * change, batch=batch)
    for opened in (Sweep(STEPS * FourierProject() * change, batch=batch), Sweep(STEPS * change, batch=batch)):
        assert same(opened * p, by_hand * p)
        assert not close(opened * p, Sweep(STEPS, batch=batch) * p, 1e-3)
        with opty.unfused():
            stepwise = opened * p
        assert close(opened * p, stepwise, 2e-5)


def test_the_projection_follows_the_last_change_of_the_waves(p):
    assert same(Sweep(STEPS * WavesDimmed()) * p, Sweep(STEPS * FourierProject() * WavesDimmed() * ExitWave()) * p)


def test_what_is_changed_after_its_use_opens_first(p):
    """A step that reads delta needs the projection before it, whatever it writes."""

    class BrightensLater(ViewOperator, reads="delta illum", writes="illum"):
        def apply(self, s, b):
            b.illum = 2 * b.illum

    with opty.unfused():
        plan = str(Sweep(ObjUpdate() * BrightensLater()).explain(p)).partition("\n")[2]
    places = [plan.index(name) for name in ("ExitWave", "FourierProject", "BrightensLater", "ObjUpdate")]
    assert places == sorted(places)


UNREAD = {
    "left of an engine": ((OwnModulus() * rPIE()) ** 3, "'delta' and 'waves'"),
    "alone": (Sweep(OwnModulus()), "'delta' and 'waves'"),
    "opty's own": (Sweep(FourierProject()), "FourierProject"),
    "after its use": (Sweep(ProbeByView() * ObjUpdate()), "'illum'"),
    "replaced before its use": (Sweep(STEPS * FourierProject() * ExitWave() * ExitWave()), "ExitWave"),
    "in a loop": ((rPIE() * Sweep(ObjectDimmed() * STEPS)) ** 2, "'patches'"),
}


@pytest.mark.parametrize(("recipe", "named"), UNREAD.values(), ids=UNREAD)
def test_a_step_whose_outputs_no_step_reads_is_refused(p, recipe, named):
    for use in (lambda: recipe * p, recipe.explain, lambda: next(recipe.iter(p))):
        with pytest.raises(EffectError, match="no later step of the sweep reads: it would change nothing") as caught:
            use()
    assert named in str(caught.value)

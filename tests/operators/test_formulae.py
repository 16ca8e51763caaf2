"""Each step against the formula of its docstring, written out in loops on four views."""

import numpy as np
import pytest
from by_hand import View, merged_obj, merged_probe, order, photons, pie
from small_scans import TOLERANCE, scan, state

import opty
from opty import AP, DM, ObjUpdate, ProbeUpdate, Sweep, ViewOperator, ePIE, rPIE
from opty.operators import AccumObj, AccumProbe, MergeObj, MergeProbe

SEEN: dict = {}


class Catch(ViewOperator, reads="index illum patches waves delta"):
    """Keeps what a batch holds, for the tests."""

    def apply(self, s, b):
        for k, j in enumerate(b.index.tolist()):
            SEEN[j] = {name: np.array(getattr(b, name)[k % len(getattr(b, name))]) for name in sorted(self.reads)}


def agree(got, expected, p, factor=1):
    got = np.asarray(got)
    assert got.shape == np.shape(expected)
    assert abs(got - expected).max() <= factor * TOLERANCE[str(p.dtype)] * abs(np.asarray(expected)).max()


@pytest.mark.parametrize("batch", [1, 3, "all"])
def test_waves_and_projection(four, batch):
    SEEN.clear()
    q = Sweep(Catch() * ObjUpdate(step=1e-12), batch=batch) * four
    total = 0.0
    for j in range(4):
        v = View(four, j)
        new, squares = v.projected()
        total += squares
        agree(SEEN[j]["illum"], v.illum, four)
        agree(SEEN[j]["patches"], v.window, four)
        agree(SEEN[j]["waves"], new, four)
        agree(SEEN[j]["delta"], new - v.waves, four, factor=10)
    assert q.history["misfit"][0] == pytest.approx(total / photons(four), rel=10 * TOLERANCE[str(four.dtype)])
    assert opty.misfit(four) == pytest.approx(total / photons(four), rel=10 * TOLERANCE[str(four.dtype)])


def test_the_projection_puts_the_measured_modulus_where_it_was_measured(four):
    SEEN.clear()
    Sweep(Catch()) * four
    for j in range(4):
        v = View(four, j)
        there = sum(abs(np.fft.fftshift(np.fft.fft2(w, norm="ortho"))) ** 2 for w in SEEN[j]["waves"])
        before = sum(abs(np.fft.fftshift(np.fft.fft2(w, norm="ortho"))) ** 2 for w in v.waves)
        if four.data.background is None:
            agree(there[v.mask], v.intensity[v.mask], four, factor=10)
        agree(there[~v.mask], before[~v.mask], four, factor=10) if (~v.mask).any() else None


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.1, 0.7)])
def test_object_and_probe_update(four, alpha, beta, batch):
    q = Sweep(ProbeUpdate(beta=beta, step=0.8) * ObjUpdate(alpha=alpha, step=0.9), batch=batch) * four
    obj, probe, misfit = pie(four, alpha, beta, batch, 0.9, 0.8)
    agree(q.obj, obj, four, factor=5)
    agree(q.probe, probe, four, factor=5)
    assert q.history["misfit"][0] == pytest.approx(misfit, rel=20 * TOLERANCE[str(four.dtype)])


def test_three_iterations_of_pie_over_the_whole_scan():
    p = state(scan(modes=2, mask=2), dtype="complex128")
    for batch in (1, 5):
        q, direct = rPIE(alpha=0.2, beta=0.6, batch=batch, obj_step=0.9, probe_step=0.7) ** 3 * p, p
        for k in range(3):
            obj, probe, misfit = pie(direct, 0.2, 0.6, batch, 0.9, 0.7)
            assert q.history["misfit"][k] == pytest.approx(misfit, rel=1e-9)
            direct = (Sweep(ObjUpdate()) * direct).replace(obj=obj, probe=probe)  # moves the iteration on
        agree(q.obj, obj, p, factor=100)
        agree(q.probe, probe, p, factor=100)


def test_the_updates_commute(four):
    a = Sweep(ProbeUpdate() * ObjUpdate(), batch=2) * four
    b = Sweep(ObjUpdate() * ProbeUpdate(), batch=2) * four
    agree(a.obj, b.obj, four)
    agree(a.probe, b.probe, four)


def test_dark_pixels_bring_nothing_and_break_nothing():
    data = scan(views=4, fractional=False)
    for make in (rPIE(alpha=0.0, beta=0.0), ePIE(), rPIE(alpha=0.0, batch=4)):
        p = state(data, obj=np.zeros((37, 39), complex))
        q = make * p
        assert np.isfinite(q.obj).all()
        assert np.isfinite(q.probe).all()
        assert (q.probe == p.probe).all()


@pytest.mark.parametrize("inertia", [1e-3, 0.5])
def test_alternating_projections(four, inertia):
    recipe = (
        MergeProbe(inertia) * MergeObj(inertia) * Sweep(AccumProbe() * AccumObj() * opty.FourierProject(), order="scan")
    )
    waves = [View(four, j).projected()[0] for j in range(4)]
    q = recipe * four
    agree(q.obj, merged_obj(four, waves, inertia), four, factor=5)
    agree(q.probe, merged_probe(four, waves, inertia), four, factor=5)
    assert not q.slots
    named = AP() * four
    probe_step, obj_step = AP().expand().steps[:2]
    agree(named.obj, merged_obj(four, waves, obj_step.inertia), four, factor=5)
    agree(named.probe, merged_probe(four, waves, probe_step.inertia), four, factor=5)


def test_sums_do_not_depend_on_the_batch(four):
    sweep = AccumProbe() * AccumObj() * opty.FourierProject()
    one, three = (Sweep(sweep, batch=b, order="scan") * four for b in (1, 3))
    for name in ("obj_sum", "obj_weight", "probe_sum", "probe_weight"):
        agree(one.slots[name], three.numpy(name), four)
    again = Sweep(sweep, order="scan") * one
    agree(again.slots["obj_sum"], one.numpy("obj_sum"), four)  # from zero in each sweep


def test_merging_without_light_keeps_what_was_there():
    p = state(scan(views=4, span=6))
    q = MergeObj(inertia=0) * Sweep(AccumObj()) * p
    dark = (Sweep(AccumObj()) * p).slots["obj_weight"] == 0
    assert dark.any()
    assert (q.obj[dark] == p.obj[dark]).all()
    agree(q.obj[~dark], p.obj[~dark], p, factor=20)


@pytest.mark.parametrize("beta", [1.0, 0.7])
def test_difference_map(four, beta):
    """psi + beta [Pi(2 P O - psi) - P O], the object, then the probe with the new object (Thibault et al. 2009)."""
    p, psi = four, None
    for turn in range(3):
        views = [View(p, j) for j in range(4)]
        psi = [v.waves for v in views] if psi is None else psi
        squares = 0.0
        new = []
        for v, wave in zip(views, psi, strict=True):
            there, misfit = v.projected(2 * v.waves - wave)
            squares += misfit
            new.append(wave + beta * (there - v.waves))
        obj = merged_obj(p, new, 0.1)
        probe = merged_probe(p, new, 1e-3, obj)
        q = DM(beta) ** (turn + 1) * four
        factor = 10 * 4**turn
        agree(q.obj, obj, four, factor)
        agree(q.probe, probe, four, factor)
        agree(q.slots["kept_waves"], np.array(new), four, factor)
        assert q.history["misfit"][turn] == pytest.approx(squares / photons(four), rel=1e-3)
        p, psi = four.replace(obj=obj, probe=probe), new


def test_the_probe_of_the_difference_map_needs_the_new_object(four):
    q = DM() * four
    waves = q.slots["kept_waves"]
    old = merged_probe(four, waves, MergeProbe().inertia)
    assert abs(q.probe - old).max() > 1e-3 * abs(old).max()


def test_sweeps_take_views_in_the_order_of_their_seed():
    p = state(scan(), seed=11)
    q = ePIE() * p
    r = Sweep(ePIE().expand().body, batch=1, order="scan") * p
    assert (q.obj != r.obj).any()
    assert [b.tolist() for b in order(p, 12)] == [np.random.default_rng([11, 0]).permutation(12).tolist()]

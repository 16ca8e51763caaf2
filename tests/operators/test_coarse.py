"""Coarse: a recipe at a lower resolution, the way down and the way up."""

import numpy as np
import pytest
from small_scans import close, same, scan, state

import opty
from opty import Coarse, Identity, Log, Operator, PosCorrect, Save, ePIE, rPIE
from opty.data.parts import coarser, kept_light
from opty.operators.coarse import Level
from opty.simulate import experiment, scans


def smooth(n=32, near=False, photons=None):
    """25 views of a smooth object under a smooth probe, which half the pixels resolve, and the state of the truth."""
    y, x = np.mgrid[:72, :72] / 72
    obj = (0.8 + 0.2 * np.sin(7 * x + 2) * np.cos(5 * y)) * np.exp(0.6j * np.sin(6 * x * y + 3 * y))
    r = np.hypot(*(np.mgrid[:n, :n] - n // 2))
    probe = np.exp(-((r / (0.2 * n)) ** 2) + 0.02j * r**2)
    geometry = opty.Geometry(1e-10, 0.05 * n * 1e-14 / 1e-10, 1e-7, propagation="near") if near else None
    data = experiment(obj, probe, scans.raster((5, 5), 7, jitter=1, seed=1), photons=photons, geometry=geometry)
    truth = data.truth
    return data, opty.PtychoState(data, probe=truth["probe"], obj=truth["obj"], device="cpu", threads=1)


def test_a_recipe_that_does_nothing_changes_nothing(p):
    q = rPIE() * p
    assert same(Coarse(2, Identity()) * q, q)


@pytest.mark.parametrize("near", [False, True])
def test_the_truth_is_the_truth_at_half_the_resolution(near):
    """Patterns, probe, object and positions go down together: every second view one pixel off fits much worse."""
    _, p = smooth(near=near)
    low = Level(p._live, 2).down()
    assert low.probe.shape == (1, 16, 16)
    assert low.data.n == 16
    moved = low.replace(positions=low.positions + 0.5 * (-1) ** np.arange(25)[:, None])
    assert opty.misfit(low) < (2e-4 if near else 5e-6)  # binned pixels are means; half a pixel beside, 1e-2
    assert opty.misfit(low) < (0.5 if near else 0.05) * opty.misfit(moved)


def test_the_middle_of_the_patterns_is_kept_and_binned_pixels_add_up():
    far, _ = smooth()
    near, _ = smooth(near=True)
    mask = np.ones((32, 32), bool)
    mask[10, 11] = False
    assert np.array_equal(coarser(far, 2).intensities, far.intensities[:, 8:24, 8:24])
    binned = coarser(near.replace(mask=mask), 2)
    assert binned.intensities[3, 4, 7] == pytest.approx(near.intensities[3, 8:10, 14:16].sum(), rel=1e-5)
    assert np.argwhere(~binned.mask).tolist() == [[5, 5]]
    assert binned.pixel == pytest.approx(2 * near.pixel)
    assert coarser(far, 3).n == 10  # 32 / 10 times wider pixels
    share = far.intensities[:, 8:24, 8:24].sum() / far.intensities.sum()
    assert kept_light(far, 2) == pytest.approx(share)
    assert kept_light(near, 2) == 1


def test_pixels_are_where_they_were():
    """The centre of a window, n // 2, is the same place at every resolution; 30 pixels become 15."""
    for n, factor in ((32, 2), (30, 2), (33, 3), (32, 3)):
        data = scan(views=5, n=n)
        p = state(data)
        level = Level(p._live, factor)
        m = n // factor
        low = level.down()
        assert np.allclose((low.positions + m // 2) * n / m, p.positions + n // 2)  # where they are in the object
        nominal = low.data.positions_px + low.origin
        assert np.allclose((nominal + m // 2) * n / m, p.data.positions_px + p.origin + n // 2)
        power = (abs(p.numpy("probe")) ** 2).sum()
        assert (abs(low.numpy("probe")) ** 2).sum() <= power * 1.0001


def test_a_coarse_picture_is_a_start_for_the_fine_one():
    data, _ = smooth(photons=1e6)
    p = opty.PtychoState(data, probe=data.truth["probe"], device="cpu", threads=1)
    q = Coarse(2, ePIE() ** 15) * p
    assert q.iteration == 15
    assert q.history["iteration"].tolist() == list(range(1, 16))
    assert opty.misfit(q) < 0.05 * opty.misfit(p)
    assert opty.misfit(ePIE() ** 5 * q) < opty.misfit(ePIE() ** 5 * p)


def test_it_goes_on_where_it_was_and_nests(p):
    p = state(scan(n=32, views=9))
    recipe = Coarse(2, PosCorrect(hold=0.0) * ePIE()) * rPIE()
    assert same(recipe**3 * p, recipe * (recipe**2 * p))
    q = Coarse(2, Coarse(2, ePIE() ** 2) * ePIE()) * p
    assert q.iteration == 3
    assert q.obj.shape == p.obj.shape
    assert q.probe.shape == p.probe.shape


def test_positions_come_up_with_their_mean(p):
    q = Coarse(2, (PosCorrect(hold=0.0) * ePIE()) ** 2) * p
    assert abs(q.positions - p.positions).max() > 1e-3
    assert np.allclose(q.positions.mean(axis=0), p.positions.mean(axis=0))
    assert np.array_equal(q.numpy("position_given"), p.numpy("positions"))


def test_it_is_left_out_where_the_middle_keeps_too_little():
    data, p = smooth()
    share = kept_light(data, 2)
    assert (Coarse(2, ePIE(), keep=share - 0.01) * p).iteration == 1
    assert same(Coarse(2, ePIE(), keep=min(1.0, share + 0.01)) * p, p) or share > 0.99
    assert same(Coarse(4, ePIE(), keep=0.1) * p, p), "8 pixels along an edge are not worth it"


def test_a_gpu_does_the_same(standin_gpu):
    recipe = Coarse(2, rPIE(batch="all"))
    p = state(scan(views=6), dtype="complex128")
    assert close(recipe * p.to("gpu"), recipe * p, 1e-7)


def test_the_plan_and_the_text_tell_what_runs(p):
    recipe = Coarse(2, (PosCorrect() * rPIE()) ** 4, keep=0.5)
    assert opty.parse(repr(recipe)) == recipe
    assert opty.from_json(recipe.to_json()) == recipe
    told = recipe.explain(p)
    assert "on a separate state:" in told
    assert "repeat 4 times" in told


class SpoilsTheProbe(Operator, reads="probe", writes="probe"):
    """Divides by zero."""

    def apply(self, s):
        s.probe *= np.nan


def test_what_diverges_there_leaves_the_state_before(p):
    with pytest.raises(opty.DivergedError) as error:
        Coarse(2, SpoilsTheProbe() * rPIE()) * rPIE() * p
    assert same(error.value.state, rPIE() * p)


def test_what_cannot_work_is_refused(p, tmp_path):
    with pytest.raises(ValueError, match="from 2 up"):
        Coarse(1, ePIE())
    with pytest.raises(ValueError, match="from 0 to 1"):
        Coarse(2, ePIE(), keep=2.0)
    with pytest.raises(opty.RecipeError, match="on the left of Coarse"):
        Coarse(2, Save(str(tmp_path / "x.h5")) * ePIE())
    with pytest.raises(opty.RecipeError, match="8 are the least"):
        Coarse(3, ePIE()) * p
    _, near = smooth(near=True)
    with pytest.raises(opty.RecipeError, match="does not divide 32"):
        Coarse(3, ePIE()) * near
    Coarse(2, Log() * ePIE()) * p

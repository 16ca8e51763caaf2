"""Several slices through every engine, positions, files and pictures."""

from __future__ import annotations

import numpy as np
import pytest
from thick_scene import GEOMETRY, SPACING, slice_errors, thick_state
from told_memory import assert_told

import opty
from opty import DM, LSQML, ML, RAAR, Refine, ScaleObjProbe, rPIE
from opty.errors import RecipeError
from opty.model import Probe, Slices
from opty.ptycho_state import PtychoState


@pytest.mark.parametrize(
    ("recipe", "bound"),
    [
        (rPIE(alpha=0.02, batch=4) ** 20, 0.04),
        (LSQML(batch=8) ** 20, 0.04),
        (ML("amplitude") ** 30, 0.06),
        (opty.AP() ** 30, 0.1),
    ],
    ids=["rPIE", "LSQML", "ML", "AP"],
)
def test_engines_find_both_slices(thick, recipe, bound):
    p = thick_state(thick)
    q = recipe * p
    assert max(slice_errors(q)) < bound < 0.9 * min(slice_errors(p))
    assert q.history["misfit"][-1] < 0.05 * q.history["misfit"][0]


@pytest.mark.parametrize("recipe", [DM(), RAAR()], ids=repr)
def test_the_difference_map_refuses_them(thick, recipe):
    with pytest.raises(RecipeError, match="nearest waves"):
        recipe * thick_state(thick)


@pytest.mark.parametrize(("factor", "sweeps", "bound"), [(1.2, 35, 0.02), (1.0, 20, 0.001)])
def test_a_wrong_spacing_is_found_and_a_right_one_stays(thick, factor, sweeps, bound):
    p = (Refine("spacing") * rPIE(alpha=0.1, batch=4)) ** sweeps * thick_state(thick, spacing=factor * SPACING)
    assert abs(p.spacing[0] / SPACING - 1) < bound
    assert p.history["spacing"][-1] == pytest.approx(p.spacing[0])
    assert len(p.history["spacing"]) == sweeps
    assert p.history["spacing_error"][-1] < 0.01 * SPACING


def test_gaps_grow_by_one_factor(thick):
    data, probe = thick
    gaps = 0.8 * SPACING, 0.4 * SPACING
    p = opty.PtychoState(data, probe, model=Slices(3, gaps) * Probe())
    q = (Refine("spacing") * rPIE(alpha=0.1, batch=8)) ** 16 * p
    assert q.spacing[0] / q.spacing[1] == pytest.approx(2)
    assert q.history["spacing"][-1] == pytest.approx(q.spacing.mean())


def test_a_run_in_parts_is_the_run(thick, tmp_path):
    recipe = Refine("spacing") * rPIE(batch=8)
    whole = recipe**4 * thick_state(thick, spacing=1.1 * SPACING)
    half = recipe**2 * thick_state(thick, spacing=1.1 * SPACING)
    half.save(tmp_path / "half.h5")
    other = recipe**2 * opty.load(tmp_path / "half.h5")
    for name in ("obj", "probe", "spacing"):
        np.testing.assert_array_equal(whole.numpy(name), other.numpy(name))
    again = opty.rerun(tmp_path / "half.h5")
    assert again.identical


def test_another_scale_changes_no_bit(thick):
    p = thick_state(thick)
    store = p._live.fork(set(p._live.leaves))
    store.leaves["probe"] *= 8
    store.leaves["obj"][0] /= 8
    recipe = rPIE(batch=8) ** 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("opty.kernels.update.scaling.WEAK", np.inf)
        patch.setattr("opty.kernels.update.scaling.STRONG", -np.inf)
        a, b = recipe * p, recipe * PtychoState._of(store)
    np.testing.assert_array_equal(a.numpy("obj")[1], b.numpy("obj")[1])
    np.testing.assert_array_equal(a.numpy("obj")[0], 8 * b.numpy("obj")[0])


def test_the_scale_is_brought_back(thick):
    p = thick_state(thick)
    store = p._live.fork(set(p._live.leaves))
    store.leaves["probe"] /= 64
    store.leaves["obj"][0] *= 64
    q = rPIE(batch=8) * PtychoState._of(store)
    power = (abs(q.numpy("probe")) ** 2).sum()
    assert 0.2 < power / q.data.photons().max() < 5


def test_scale_obj_probe_keeps_the_product(thick):
    p = rPIE(batch=8) * thick_state(thick)
    q = ScaleObjProbe() * p.replace(probe=3 * p.numpy("probe"))
    assert opty.misfit(q) == pytest.approx(opty.misfit(ScaleObjProbe() * p), rel=1e-4)


def test_leaves_of_the_model_are_read_and_replaced(thick):
    p = thick_state(thick)
    assert p.spacing.shape == (1,)
    q = p.replace(leaves={"spacing": [2 * SPACING]})
    assert q.spacing[0] == 2 * SPACING
    with pytest.raises(ValueError, match="no leaf of the model"):
        p.replace(leaves={"tilts": [1]})
    with pytest.raises(ValueError, match="spacing has shape"):
        p.replace(leaves={"spacing": [1, 2]})
    with pytest.raises(AttributeError):
        _ = p.spacings


@pytest.mark.parametrize("recipe", [rPIE(alpha=0.02, batch=4), LSQML(batch=8)], ids=repr)
def test_positions_behind_two_slices_come_home(thick, recipe):
    data, _ = thick
    truth = data.truth["positions"]
    wrong = truth + np.random.default_rng(1).uniform(-1.5, 1.5, truth.shape)
    p = (opty.PosCorrect(wait=False) * recipe) ** 30 * thick_state(thick, positions=np.clip(wrong, 0, 31))

    def error(positions, affine):
        return opty.analysis.position_error(positions, truth, affine)

    # An affine map of all positions is nearly as good with another probe: it goes slowly.
    assert error(p.numpy("positions"), affine=True) < 0.04 * error(wrong, affine=True)
    assert error(p.numpy("positions"), affine=False) < 0.3 * error(wrong, affine=False)


RECIPES = (
    rPIE(alpha=0.1),
    rPIE(alpha=0.1, batch=5),
    opty.mPIE(batch=4),
    LSQML(batch=5),
    ML(),
    ML("amplitude"),
    opty.AP(),
)


@pytest.mark.parametrize("whole", [False, True], ids=["sub-pixel", "whole"])
@pytest.mark.parametrize("count", [2, 3])
def test_fused_steps_do_what_plain_ones_do(thick, count, whole):
    data, probe = thick
    modes = np.concatenate([probe, 0.3 * probe[:, ::-1]])
    p = opty.PtychoState(data, modes, model=Slices(count, SPACING), device="cpu", threads=1, dtype="complex128")
    p = rPIE(alpha=0.1, batch=8) ** 2 * (p.replace(positions=np.rint(p.positions)) if whole else p)
    for recipe in [*RECIPES, *(one.fix(name) for one in RECIPES[1:4] for name in ("obj", "probe"))]:
        fused = recipe**2 * p
        with opty.unfused():
            plain = recipe**2 * p
        for name in ("obj", "probe"):
            one, other = fused.numpy(name), plain.numpy(name)
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-11 * abs(other).max(), err_msg=f"{recipe} {name}")


@pytest.mark.parametrize("count", [2, 3])
def test_a_gap_takes_four_transforms_a_view(thick, count):
    """Two on the way forward and two on the way back; of LSQML four more for the lengths, of ML for each trial."""
    from benchmarks.bare import counted

    data, probe = thick
    p = opty.PtychoState(data, probe, model=Slices(count, SPACING), device="cpu", threads=1)
    p = p.replace(positions=np.rint(p.positions))
    for recipe, bare, gap in ((rPIE(), 2, 4), (rPIE(batch=8), 2, 4), (opty.AP(), 2, 4), (LSQML(batch=8), 2, 8)):
        with counted("cpu") as found:
            _ = recipe * p
        images = sum(times * transform.images for transform, times in found.items())
        assert images == (bare + gap * (count - 1)) * data.views, recipe


@pytest.mark.covering
@pytest.mark.parametrize(("count", "modes"), [(2, 1), (2, 2), (3, 1), (12, 1)])
def test_explain_tells_the_memory_of_slices(count, modes):
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 12, (24, 2))
    beam = rng.normal(size=(2, modes, 64, 64)) * np.hanning(64)[:, None] * np.hanning(64)
    probe = 9 * (beam[0] + 1j * beam[1])
    frames = np.broadcast_to((abs(np.fft.fft2(probe, norm="ortho")) ** 2).sum(axis=0), (24, 64, 64))
    data = opty.PtychoData(rng.poisson(frames).astype("uint16"), places * GEOMETRY.sample_pixel(64), geometry=GEOMETRY)
    p = opty.PtychoState(data, probe, device="cpu", threads=1, model=Slices(count, 1e-8) * Probe())
    for recipe in (rPIE(batch=8), LSQML(batch=8), ML(), opty.AP(), Refine("spacing") * rPIE(batch=8)):
        assert_told(recipe, p, 0.1)


def test_three_and_twelve_slices_converge(thick):
    """Of a sample of two: more slices than it has explain it too."""
    data, probe = thick
    for count in (3, 12):
        model = Slices(count, SPACING / (count - 1)) * Probe()
        p = opty.PtychoState(data, probe, model=model)
        for recipe in (rPIE(alpha=0.05, batch=8), LSQML(batch=8)):
            q = recipe**4 * p
            assert q.history["misfit"][-1] < 0.3 * q.history["misfit"][0]

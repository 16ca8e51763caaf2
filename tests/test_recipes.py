"""The named recipes: fixed point, phase freedom, names that agree, and misfits that fall."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from small_scans import close, drift, everything, same, scan, seen, shifted, smooth, state, true_probe

import opty
from opty import (
    AP,
    DM,
    LBFGS,
    LSQML,
    ML,
    RAAR,
    ObjUpdate,
    PosCorrect,
    PosCorrectAdam,
    ProbeUpdate,
    PtychoState,
    Sweep,
    ePIE,
    mPIE,
    rPIE,
)
from opty.simulate import experiment, objects, probes, scans

ENGINES = [ePIE(), ePIE(batch=4), rPIE(), rPIE(batch="all"), AP(), DM(), DM(beta=0.7)]


@pytest.mark.parametrize("engine", ENGINES, ids=repr)
@pytest.mark.parametrize(("modes", "mask", "background"), [(1, 0, False), (2, 2, True)])
def test_the_truth_is_a_fixed_point(engine, modes, mask, background):
    p = state(scan(modes=modes, mask=mask, background=background), wrong=0)
    q = engine**20 * p
    # In single precision the difference map adds up rounding where little light falls: 1.1e-5 in the worst pixel.
    assert drift(p, q) < (2e-5 if isinstance(engine, DM) else 1e-5)
    assert (q.history["misfit"] < 1e-9).all()


@pytest.mark.parametrize("engine", ENGINES, ids=repr)
def test_the_truth_is_a_fixed_point_in_double_precision(engine):
    p = state(scan(modes=2), wrong=0, dtype="complex128")
    assert drift(p, engine**20 * p) < 1e-10


@pytest.mark.parametrize("engine", [*ENGINES, PosCorrectAdam() * rPIE(batch=3)], ids=repr)
def test_a_global_phase_of_the_object_stays_what_it_is(engine):
    p = state(scan(modes=2), dtype="complex128")
    turn = np.exp(1.234j)
    a, b = engine**4 * p, engine**4 * p.replace(obj=p.obj * turn)
    assert abs(b.obj - turn * a.obj).max() < 1e-8
    assert abs(b.probe - a.probe).max() < 1e-8 * abs(a.probe).max()
    assert np.allclose(b.history["misfit"], a.history["misfit"], rtol=1e-8)


@pytest.mark.parametrize("engine", ENGINES, ids=repr)
def test_brighter_data_and_probe_are_the_same_problem(engine):
    data = scan(modes=2)
    bright = data.replace(intensities=data.intensities * 1e4)
    a = engine**3 * state(data, dtype="complex128")
    b = engine**3 * state(bright, probe=100 * state(data, dtype="complex128").probe, dtype="complex128")
    assert abs(a.obj - b.obj).max() < 1e-8
    assert abs(100 * a.probe - b.probe).max() < 1e-6 * abs(a.probe).max()


@pytest.mark.parametrize("batch", [1, 4, "all"])
def test_epie_is_rpie_without_regularisation(batch):
    p = state(scan(modes=2))
    same_steps = {"obj_step": ePIE().obj_step, "probe_step": ePIE().probe_step}
    assert same(ePIE(batch=batch) ** 3 * p, rPIE(alpha=1, beta=1, batch=batch, **same_steps) ** 3 * p)


def test_the_names_stand_for_their_steps():
    p = state(scan())
    step = rPIE().probe_step
    by_hand = Sweep(ProbeUpdate(step=step) * ObjUpdate(alpha=0.3) * opty.FourierProject(), batch=3)
    assert same(rPIE(alpha=0.3, batch=3) ** 2 * p, by_hand**2 * p)
    assert rPIE(alpha=0.3).expand() == Sweep(
        ProbeUpdate(step=step) * ObjUpdate(alpha=0.3) * opty.FourierProject(), batch=1
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: rPIE(alpha=7),
        lambda: rPIE(beta=-1),
        lambda: rPIE(batch=0),
        lambda: ePIE(batch=-1),
        lambda: DM(beta=0),
        lambda: DM(beta=3),
        lambda: ePIE(obj_step=0),
    ],
)
def test_recipes_refuse_parameters_at_once(make):
    with pytest.raises(ValueError, match=r"give a"):
        make()


@pytest.fixture(scope="module")
def simulated():
    """64 views of 32 x 32 at fractional positions, noise of 1e5 photons, starting probe of the wrong curvature."""
    rng, n = np.random.default_rng(4), 32
    grid = np.stack(np.meshgrid(np.arange(8) * 4.0, np.arange(8) * 4.0, indexing="ij"), -1).reshape(-1, 2)
    positions = 8 + grid + rng.uniform(-1, 1, grid.shape)
    obj = (0.8 + 0.15 * smooth(rng, (76, 78), 2).real) * np.exp(0.5j * smooth(rng, (76, 78), 3).real)
    probe = true_probe(n, photons=1e5)
    patterns = []
    for position in positions:
        _, illum, window = seen(obj, probe, position)
        patterns.append(sum(abs(np.fft.fftshift(np.fft.fft2(w, norm="ortho"))) ** 2 for w in illum * window))
    data = opty.PtychoData(
        rng.poisson(np.array(patterns)).astype(np.uint32),
        positions,
        truth={"obj": obj, "probe": probe, "positions": positions},
    )
    x = np.arange(n) - n / 2
    guess = abs(probe) * np.exp(0.004j * (x[:, None] ** 2 + x**2))
    return opty.PtychoState(data, probe=guess, obj=np.ones(obj.shape), device="cpu", threads=1)


@pytest.mark.parametrize(
    ("engine", "turns", "factor"),
    [
        (rPIE(batch=1), 20, 30),
        (rPIE(batch=4), 20, 30),
        (rPIE(batch=16), 30, 20),
        (rPIE(batch="all"), 60, 10),
        (ePIE(), 20, 20),
        (AP(), 60, 10),
        (DM(), 60, 5),
    ],
    ids=repr,
)
def test_the_misfit_falls(simulated, engine, turns, factor):
    q = engine**turns * simulated
    assert opty.misfit(q) * factor < opty.misfit(simulated)
    assert q.history["misfit"].shape == (turns,)
    truth = simulated.data.truth["obj"][12:60, 12:60]
    start, end = (
        1 - abs(np.vdot(truth, x)) / np.linalg.norm(truth) / np.linalg.norm(x)
        for x in (simulated.obj[12:60, 12:60], q.obj[12:60, 12:60])
    )
    assert end < start


def test_positions_are_refined(simulated):
    rng = np.random.default_rng(8)
    true = simulated.data.truth["positions"]
    wrong = np.clip(true + rng.uniform(-1, 1, true.shape), 0, None)
    start = rPIE() ** 5 * simulated.replace(positions=wrong, probe=simulated.data.truth["probe"])
    q = (PosCorrectAdam(step=0.1) * rPIE()) ** 40 * start

    def error(p):
        e = p.positions - true
        return np.sqrt(((e - e.mean(axis=0)) ** 2).mean())

    assert error(q) < 0.6 * error(start)
    assert opty.misfit(q) < 0.7 * opty.misfit(rPIE() ** 40 * start)


def test_every_probe_moves_by_its_fraction():
    """One view at a fraction of a pixel: probe and object are found where they were measured."""
    data = scan(views=6)
    rounded = data.replace(positions=np.rint(data.positions), truth=None)
    truth = data.truth
    exact = state(data, wrong=0)
    off = opty.PtychoState(rounded, probe=truth["probe"], obj=truth["obj"], device="cpu")
    assert opty.misfit(exact) < 1e-9
    assert opty.misfit(off) > 1e-4
    assert abs(shifted(shifted(truth["probe"], (0.3, 0.2)), (-0.3, -0.2)) - truth["probe"]).max() < 1e-10


def test_modes_that_are_not_there_are_not_made():
    p = state(scan(), dtype="complex128")
    two = p.replace(probe=np.concatenate([p.probe, 1e-9 * p.probe]))
    q, one = rPIE() ** 3 * two, rPIE() ** 3 * p
    assert abs(q.obj - one.obj).max() < 1e-6
    assert close(one, rPIE() ** 3 * p, 0)
    assert set(everything(q)) == set(everything(one))


@pytest.mark.parametrize("engine", [AP(), DM(), RAAR(), ML(), LBFGS(), LSQML(batch=8), mPIE(), rPIE(batch=4)], ids=repr)
def test_positions_are_refined_in_every_engine(engine):
    probe = probes.defocus(probes.aperture(32, 20, edge=2), wavelength=1e-9, pixel=20e-9, distance=4e-5)
    scan = scans.raster((6, 6), step=4, jitter=1, seed=0)
    obj = objects.two_images((70, 70))
    data = experiment(obj, probe, scan, photons=1e7, position_error=1.0, seed=0)
    start = PtychoState(data, probe=probe * np.sqrt(1e7))
    p = (PosCorrect() * engine) ** 60 * engine**10 * start
    before, after = (opty.analysis.errors(q)["position_affine"] for q in (start, p))
    assert after < 0.35 * before
    assert opty.misfit(p) < 0.7 * opty.misfit(engine**70 * start)


def test_kept_waves_move_along_with_their_views():
    p = DM() ** 3 * state(scan())
    q = PosCorrect(hold=0) * p
    assert (q.slots["kept_waves"] == p.slots["kept_waves"]).all()
    assert abs(q.positions - p.positions).max() > 1e-3
    r = (PosCorrect() * ML()) ** 3 * p
    assert "kept_direction_obj" in r.slots

"""RestartModes: incoherent modes begun anew, and what comes of it kept where it explains more."""

import numpy as np
import pytest

import opty
from opty import LSQML, Fix, PosCorrect, RecipeError, RestartModes, Save, rPIE
from opty.operators.restart_modes import restarted
from opty.simulate import experiment, objects, probes, scans

ENGINE = LSQML(batch=6)


def scan(modes=None, seed=1):
    """36 views of 32 x 32 at right positions under a beam of three modes, or of given ones; true probe, flat object."""
    beam = probes.two_images(32, 24)
    data = experiment(
        objects.two_images((76, 76)),
        probes.modes(beam, (1.0, 0.3, 0.15)) if modes is None else modes,
        scans.raster((6, 6), 5, jitter=1, seed=seed),
        photons=1e7,
        geometry=opty.Geometry(1e-10, 1.0, 1e-4),
        seed=seed,
    )
    return opty.PtychoState(data, probe=data.truth["probe"], device="cpu", threads=1, margin=10)


def soiled(p):
    """The same with noise in the place of all modes but the first."""
    rng = np.random.default_rng(3)
    probe = p.numpy("probe").copy()
    noise = rng.normal(size=(2, 2, 32, 32))
    noise = noise[0] + 1j * noise[1]
    probe[1:] = noise * np.linalg.norm(probe[1:]) / np.linalg.norm(noise)
    return p.replace(probe=probe)


def powers(probe):
    lengths = np.linalg.svd(probe.reshape(len(probe), -1), compute_uv=False) ** 2
    return lengths / lengths.sum()


def test_the_strongest_mode_stays_and_the_others_begin_as_in_a_new_state():
    rng = np.random.default_rng(0)
    probe = scan().numpy("probe")
    turn = np.linalg.qr(rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)))[0]
    mixed = np.tensordot(turn, probe, 1).astype(probe.dtype)  # the same beam: its strongest mode is the first
    made = restarted(mixed)
    assert made.dtype == probe.dtype
    assert np.linalg.norm(made) == pytest.approx(np.linalg.norm(probe), rel=1e-5)
    first = probe[0] / np.linalg.norm(probe[0])
    assert abs(np.vdot(first, made[0])) == pytest.approx(np.linalg.norm(made[0]), rel=1e-5)
    np.testing.assert_allclose(powers(made), np.array([1, 0.02, 0.02]) / 1.04, rtol=1e-4)
    row = np.arange(32) - 15.5
    for mode, axis in ((made[1], row[:, None]), (made[2], row[None])):
        # The first mode times a line in one coordinate, made orthogonal: from (1, row, column) times it.
        terms = np.stack([first.ravel(), (first * row[:, None]).ravel(), (first * row[None]).ravel()])
        basis = np.linalg.qr(terms.T)[0]
        assert np.linalg.norm(basis.conj().T @ mode.ravel()) == pytest.approx(np.linalg.norm(mode), rel=1e-5)
        along = abs(np.vdot(mode, first * axis)) / np.linalg.norm(mode)
        assert along > 0.9 * np.linalg.norm(first * axis - first * np.vdot(first, first * axis))


def test_modes_that_are_wrong_begin_anew():
    p = ENGINE**4 * soiled(scan())
    q = RestartModes(ENGINE**10, turns=3) * p
    alone = ENGINE**40 * p
    assert q.iteration == p.iteration + 40
    assert q.history["modes_after"][0] < q.history["modes_before"][0] == pytest.approx(opty.misfit(p))
    assert q.history["modes_after"][0] == pytest.approx(opty.misfit(q))
    assert q.history["misfit"][-1] < 0.9 * alone.history["misfit"][-1]
    assert np.array_equal(q.positions, p.positions)


def test_modes_that_were_right_are_not_lost():
    beam = probes.two_images(32, 24)
    p = ENGINE**20 * scan(probes.zernike(beam, (1, 4, 6), (1.0, 0.3, 0.15), phase=1.0))
    q = RestartModes(ENGINE**3, turns=2) * p
    assert q.iteration == p.iteration + 9
    assert q.history["modes_after"][-1] >= q.history["modes_before"][-1]
    for name in ("obj", "probe", "positions"):
        assert np.array_equal(getattr(q, name), getattr(p, name))


def test_a_single_mode_is_left_alone():
    p = scan(probes.two_images(32, 24))
    q = RestartModes(ENGINE**3) * p
    assert q.iteration == 0
    assert np.array_equal(q.probe, p.probe)
    assert "modes_after" not in q.history


def test_a_fixed_probe_and_recipes_that_cannot_stand_inside():
    assert repr(Fix("probe", RestartModes(rPIE())).expand()) == "Identity()"
    held = Fix("positions", RestartModes((PosCorrect() * rPIE()) ** 8)).expand()
    assert "PosCorrect" not in repr(held)
    assert "RestartModes" in repr(held)
    with pytest.raises(RecipeError, match="inside RestartModes"):
        RestartModes(Save("x.h5") * rPIE())
    with pytest.raises(ValueError, match=r"turns=0"):
        RestartModes(rPIE(), turns=0)

"""The real scans, from file to picture."""

import click.testing
import numpy as np
import pytest

import opty
from opty import After, PosCorrectAdam, rPIE
from opty.cli import main


@pytest.mark.slow
def test_siemens_star_from_the_command_line(shared_data, tmp_path):
    result, picture = tmp_path / "star.h5", tmp_path / "star.png"
    command = ["reconstruct", str(shared_data / "siemens-star-small.npz.bz2"), "--modes", "3"]
    command += ["--recipe", "rPIE(alpha=0.05)**6", "-o", str(result), "--plot", str(picture), "--device", "cpu"]
    run = click.testing.CliRunner().invoke(main, command)
    assert run.exit_code == 0, run.output
    assert picture.stat().st_size > 10_000
    p = opty.load(result, device="cpu")
    assert opty.analysis.r_factor(p) <= 0.1795
    assert opty.analysis.mean_square(p) <= 0.358  # 0.376 after two iterations
    assert spoke_contrast(p) > 0.85


def spoke_contrast(p):
    """Return the phase step between bars and gaps along a circle around the star's centre, as measured [rad]."""
    phase = np.angle(p.obj)
    (row, col), radius = (243, 219), 100
    turn = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
    along = phase[(row + radius * np.sin(turn)).astype(int), (col + radius * np.cos(turn)).astype(int)]
    along = np.angle(np.exp(1j * (along - np.angle(np.exp(1j * along).mean()))))
    return np.percentile(along, 90) - np.percentile(along, 10)


def test_two_iterations_of_three_modes(star):
    p = opty.PtychoState(star, modes=3)
    p = rPIE(alpha=0.05) ** 2 * p
    assert p.iteration == 2
    assert p.history["misfit"][-1] < 0.02


@pytest.mark.slow
def test_near_field_scan_gains_from_position_refinement(shared_data):
    file = shared_data / "PETRAIII_P25_Near_Field_Ptycho.cxi"
    start = opty.PtychoState(opty.load(file, propagation="near", focus_to_sample=3.65e-3), device="cpu")
    recipe = After(5, PosCorrectAdam(step=0.1)) * rPIE(alpha=0.3)
    p = recipe**5 * start
    assert (p.positions == start.positions).all()
    assert opty.misfit(p) < 0.0072
    refined = recipe**10 * p
    assert opty.misfit(refined) < 0.0037  # above 0.0055 with the positions of the file
    assert np.hypot(*(refined.positions - start.positions).T).mean() == pytest.approx(0.52, abs=0.1)


def test_near_field_scan_gains_from_background_and_intensity(shared_data):
    file = shared_data / "PETRAIII_P25_Near_Field_Ptycho.cxi"
    start = opty.PtychoState(opty.load(file, propagation="near", focus_to_sample=3.65e-3), device="cpu")
    step = opty.PosCorrectGradient() * rPIE(alpha=0.3, beta=0.3, batch=20, probe_step=1)
    less, more = (r**15 * start for r in (step, opty.BackgroundUpdate() * opty.IntensityUpdate() * step))
    assert opty.misfit(more) < 0.0029
    assert opty.misfit(more) < 0.92 * opty.misfit(less)
    assert more.intensity_factors.std() > 0.005
    assert more.background.mean() > 0.1

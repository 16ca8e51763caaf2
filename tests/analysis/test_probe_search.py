"""A starting probe by the curvature that predicts held-out views best."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

import opty
from benchmarks.wrong_scans import draw
from opty.analysis import find_probe, held_out_misfit
from opty.analysis.probe_search import start_of
from opty.cli import main
from opty.simulate import experiment

N, SIZE = 48, 96
PIXEL, WAVELENGTH = 2e-8, 1e-10
GEOMETRY = opty.Geometry(WAVELENGTH, PIXEL * N * 5e-5 / WAVELENGTH, 5e-5)


def simulated(curvature, seed=0, photons=1e5, geometry=GEOMETRY):
    """Return a scan of a defocused aperture over a textured object, without a starting probe, and its truth."""
    rng = np.random.default_rng(seed)
    q = np.fft.fftfreq(N)
    radius = np.hypot(q[:, None], q)
    pupil = np.exp(1j * np.pi * curvature * radius**2) / (1 + np.exp((radius - 0.2) / 0.008))
    probe = np.fft.fftshift(np.fft.ifft2(pupil))
    smooth = np.exp(-(_radius(SIZE) ** 2) * 60)
    noise = [np.fft.ifft2(np.fft.fft2(rng.normal(size=(SIZE, SIZE))) * smooth).real for _ in "ab"]
    a, b = ((x - x.min()) / np.ptp(x) for x in noise)
    grid = np.stack(np.meshgrid(np.arange(9), np.arange(9), indexing="ij"), -1).reshape(-1, 2) * 4.0
    places = grid + rng.uniform(-1, 1, grid.shape)
    return experiment((1 - 0.4 * a) * np.exp(1.2j * b), probe, places, photons, seed=seed, geometry=geometry)


def _radius(n):
    q = np.fft.fftfreq(n)
    return np.hypot(q[:, None], q)


@pytest.fixture(scope="module")
def found():
    return find_probe(simulated(-90.0), threads=1)


def test_the_defocus_of_the_probe_is_found(found):
    assert found.decided
    assert found.curvature == pytest.approx(-90, rel=0.06)
    assert found.defocus == pytest.approx(-90 * PIXEL**2 / WAVELENGTH, rel=0.06)
    assert found.score == min(found.scores.values())


def test_its_picture_is_the_object_where_the_flat_phase_finds_none(found):
    data = simulated(-90.0)
    truth = data.truth
    lit = opty.analysis.illuminated(truth["positions"], truth["probe"], truth["obj"].shape)
    recipe = opty.rPIE(alpha=0.1) ** 25
    errors = []
    for probe in (found.probe, None):
        p = recipe * opty.PtychoState(data, probe)
        errors.append(opty.analysis.object_error(p.numpy("obj"), truth["obj"], mask=lit))
    assert errors[0] < 0.12 < 1.5 * errors[0] < errors[1]


def test_held_out_views_tell_a_wrong_probe_that_fits():
    data = simulated(-90.0)
    right, wrong = data.truth["probe"], np.conj(data.truth["probe"])[:, ::-1, ::-1]
    recipe = opty.rPIE(alpha=0.1) ** 5
    assert held_out_misfit(data, right, recipe) < 0.5 * held_out_misfit(data, wrong, recipe)
    assert held_out_misfit(data, 1e-3 * right, recipe) == pytest.approx(held_out_misfit(data, right, recipe), rel=1e-5)


@pytest.mark.slow
def test_a_cone_beam_is_searched_as_the_far_field_is():
    data = simulated(60.0)
    lengths = {"wavelength": 1e-10, "distance": 1.0, "pixel_size": 50e-6}
    cone = opty.Geometry(**lengths, focus_to_sample=2e-3, propagation="cone")
    far, other = (find_probe(_in_pixels(data, g), threads=1) for g in (opty.Geometry(**lengths), cone))
    assert np.array_equal(far.probe, other.probe)


def _in_pixels(data, geometry):
    return data.replace(positions=data.positions_px * geometry.sample_pixel(data.n), geometry=geometry, truth=None)


def test_what_cannot_be_searched_is_said():
    near = opty.Geometry(1e-10, 1e-3, 1e-8, propagation="near")
    data = simulated(60.0)
    with pytest.raises(ValueError, match="'near'"):
        find_probe(data.replace(geometry=near))
    few = data.replace(intensities=data.intensities[:4], positions=data.positions[:4], truth=None)
    with pytest.raises(ValueError, match="has 4 views"):
        find_probe(few)


def test_the_command_line_searches_where_the_file_has_no_probe(tmp_path):
    opty.save(tmp_path / "scan.cxi", simulated(-90.0).replace(truth=None))
    args = ["reconstruct", str(tmp_path / "scan.cxi"), "--recipe", "rPIE()**2", "-o", str(tmp_path / "a.h5")]
    done = CliRunner().invoke(main, [*args, "--threads", "1"])
    assert done.exit_code == 0, done.output
    assert "a search found one: defocus -0.0003" in done.output
    p = opty.load(tmp_path / "a.h5")
    assert opty.rerun(tmp_path / "a.h5").identical
    plain = CliRunner().invoke(main, [*args, "--probe", "mean", "--overwrite"])
    assert plain.exit_code == 0
    assert "a search" not in plain.output
    assert opty.misfit(p) < 0.5 * opty.misfit(opty.load(tmp_path / "a.h5"))
    again = CliRunner().invoke(
        main, ["reconstruct", str(tmp_path / "a.h5"), "--probe", "mean", "-o", str(tmp_path / "b.h5")]
    )
    assert again.exit_code != 0
    assert "leave --probe mean out" in again.output


def test_a_gap_is_filled_with_the_light_around_it():
    r2 = sum((np.indices((32, 32)) - 16) ** 2)
    counts = np.repeat(np.rint(1e4 * np.exp(-r2 / 60))[None], 12, axis=0).astype(np.uint32)
    mask = np.ones((32, 32), bool)
    mask[:, 18:20] = False
    places = np.random.default_rng(0).uniform(0, 20, (12, 2))
    geometry = opty.Geometry(1e-10, 1.0, 55e-6)
    gap, whole = (
        start_of(opty.PtychoData(counts, places * geometry.sample_pixel(32), geometry, mask=m), 3.0)
        for m in (mask, None)
    )
    assert np.linalg.norm(gap - whole) < 0.06 * np.linalg.norm(whole)


@pytest.mark.slow
def test_a_constant_on_all_pixels_is_no_several_modes(tmp_path, monkeypatch):
    """The reconstruct command asks whether there is a floor before it speaks of modes."""
    monkeypatch.setattr("opty.analysis.check.trials.searched_excess", lambda *_: (0.65, 0.14))
    data = draw(3)
    level = 0.12 * data.intensities[:].mean()
    floored = np.random.default_rng(5).poisson(data.intensities[:] + level).astype(np.uint32)
    scan = tmp_path / "scan.cxi"
    opty.save(scan, data.replace(intensities=floored, probe=None, truth=None))
    found = CliRunner().invoke(main, ["reconstruct", str(scan), "-o", str(tmp_path / "out.h5"), "--recipe", "rPIE()"])
    assert "several modes" not in found.output
    assert "--dark" in found.output

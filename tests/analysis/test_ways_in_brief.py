"""Positions with axes exchanged or turned are said before a run that starts from a probe; right ones are not."""

import numpy as np
import pytest
from click.testing import CliRunner

from opty.analysis.check.frame_statistics import look_at_frames
from opty.analysis.check.in_brief import ways_in_brief
from opty.cli import main
from opty.physics.optics import aperture_probe

TURNED = {
    "(column, row)": lambda p: p[:, ::-1],
    "(row, -column)": lambda p: p * [1, -1],
    "(-row, -column)": lambda p: -p,
    "(-column, row)": lambda p: np.column_stack([p[:, 1], -p[:, 0]]),
}


def said(data):
    return ways_in_brief(data, look_at_frames(data))


def test_right_positions_are_left_alone(right):
    """From the true probe, from one that is another, out of focus otherwise, and without one, which a search finds."""
    assert said(right).every == ()
    other = aperture_probe(32, 1.5e-10, 1e-7, 2.4e-4, defocus=2.2e-3)
    assert said(right.replace(probe=other)).every == ()
    assert said(right.replace(probe=None, positions=right.positions[:, ::-1])).every == ()


@pytest.mark.parametrize("way", TURNED)
def test_the_way_is_named(right, way):
    (problem,) = said(right.replace(positions=TURNED[way](right.positions), truth=None)).problems
    assert f"the positions fit as {way}," in problem


def test_positions_that_fit_in_no_way(right):
    """Frames in another order: it is said that something is wrong, and that the long check finds out."""
    order = np.random.default_rng(2).permutation(right.views)
    found = said(right.replace(intensities=right.intensities[order], truth=None))
    assert found.ok
    (line,) = found.warnings
    assert "held-out views are predicted no better than by the mean pattern" in line
    assert "opty.analysis.health(data) finds out" in line


def test_few_photons_tell_nothing(right):
    dim = np.random.default_rng(3).binomial(right.intensities[:], 3e-4).astype(np.uint16)
    assert said(right.replace(intensities=dim, positions=right.positions[:, ::-1], truth=None)).every == ()


def test_reconstruct_refuses_a_file_without_geometry(right, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrays = {"diff": right.intensities, "probe0": right.probe}
    np.savez("swapped.npz", pos=right.positions[:, ::-1], **arrays)
    np.savez("right.npz", pos=right.positions, **arrays)
    run = ["-o", "out.h5", "--recipe", "rPIE()**2", "--device", "cpu", "--overwrite"]
    refused = CliRunner().invoke(main, ["reconstruct", "swapped.npz", *run])
    assert refused.exit_code == 1
    assert "swapped.npz would be pointless: the positions fit as (column, row)" in refused.stderr
    assert "--transpose" in refused.stderr
    for line in (["right.npz", *run], ["swapped.npz", *run, "--force"]):
        outcome = CliRunner().invoke(main, ["reconstruct", *line])
        assert outcome.exit_code == 0, outcome.stderr
        assert ("the positions fit as" in outcome.stderr) == ("--force" in line)

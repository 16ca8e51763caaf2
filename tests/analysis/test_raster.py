"""A perfect raster is found, by whatever lattice, and scans with jitter or without a lattice are not."""

import numpy as np
import pytest

import opty
from opty.analysis.check.raster import in_step, of_raster
from opty.simulate import scans


def data(positions):
    return opty.PtychoData(np.ones((len(positions), 16, 16)), positions)


@pytest.mark.parametrize("turn", [0, 17])
@pytest.mark.parametrize("jitter", [0, 1])
def test_a_raster_is_found(jitter, turn):
    a = np.deg2rad(turn)
    positions = scans.raster((12, 15), 8, jitter) @ np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    found = of_raster(data(positions))
    assert not found.problems
    assert "raster with a step of" in found.warnings[0]
    assert in_step(positions)[0] > 0.75


def test_lines_of_one_pitch_are_a_raster():
    lines = scans.raster((12, 15), 8)
    lines[:, 1] += np.random.default_rng(0).uniform(-4, 4, len(lines))
    assert in_step(lines)[0] > 0.7


@pytest.mark.parametrize(
    "positions",
    [
        scans.raster((12, 15), 8, 3),
        scans.raster((30, 30), 8, 4, seed=1),
        scans.fermat(300, 8),
        scans.concentric(9, 8),
        scans.raster((12, 15), 2),
        scans.raster((4, 4), 8),
    ],
    ids=["3 of 8", "4 of 8", "Fermat", "circles", "fine", "few"],
)
def test_others_are_not(positions):
    assert not of_raster(data(positions)).warnings

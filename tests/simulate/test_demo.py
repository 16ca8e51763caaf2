"""The demo scan has the flaws that it says it has."""

import numpy as np
import pytest

from opty.analysis import illuminated, position_error
from opty.simulate import demo_scan

pytest.importorskip("skimage")


def test_demo_scan_is_as_described():
    data = demo_scan()
    assert data.intensities.shape == (196, 128, 128)
    assert data.intensities.dtype == np.uint32
    assert data.photons().mean() == pytest.approx(1e6, rel=1e-3)
    stage = data.truth["positions"] - data.positions_px
    assert 1.8 < np.abs(stage).max() <= 2
    assert position_error(data.positions_px, data.truth["positions"]) == pytest.approx(1.53, abs=0.12)
    fraction = data.truth["positions"] - np.rint(data.truth["positions"])
    assert fraction.std() == pytest.approx(1 / np.sqrt(12), rel=0.1)


def test_demo_probe_is_a_guess_with_the_power_of_the_data():
    data = demo_scan()
    power = (np.abs(data.probe) ** 2).sum()
    assert power == pytest.approx(data.photons().mean(), rel=1e-4)
    true, guess = data.truth["probe"][0], data.probe[0]
    likeness = np.abs(np.vdot(true, guess)) / (np.linalg.norm(true) * np.linalg.norm(guess))
    assert 0.6 < likeness < 0.95


def test_demo_covers_most_of_its_scan():
    data = demo_scan(seed=1)
    lit = illuminated(data.truth["positions"], data.truth["probe"], data.truth["obj"].shape)
    assert lit.sum() > 40_000
    assert not np.array_equal(data.intensities, demo_scan().intensities)

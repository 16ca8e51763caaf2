"""The ready scans have the flaws that they say they have."""

import numpy as np
import pytest

from opty.analysis import illuminated, position_error
from opty.simulate import Detector, demo_scan, experiment, misplaced_scan

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


@pytest.mark.parametrize("near", [False, True])
def test_a_misplaced_scan_is_the_seeds_test(near):
    data = misplaced_scan(near=near, seed=3)
    assert data.intensities.shape == (100, 128, 128)
    wrong = position_error(data.positions_px, data.truth["positions"])
    assert wrong == pytest.approx(6.4 * np.sqrt(np.pi / 2), rel=0.15)
    truth, exact = data.truth, Detector(counting=False, dtype="float32")
    clean = experiment(truth["obj"], truth["probe"], truth["positions"], 1e6, geometry=data.geometry, detector=exact)
    lit = clean.intensities > 0.01 * clean.intensities.mean()
    noise = data.intensities[lit] / clean.intensities[lit] - 1
    assert np.median(abs(noise)) / 0.6745 == pytest.approx(0.01, rel=0.02)
    assert (abs(data.probe) ** 2).sum() == pytest.approx(data.photons().mean(), rel=1e-4)
    assert abs(np.angle(data.probe)).max() == 0
    other = misplaced_scan(near=near, seed=4)
    assert abs(other.positions - data.positions).max() > 0


def test_a_misplaced_scan_can_count_photons_in_several_modes():
    data = misplaced_scan(error=2.0, photons=1e4, modes=2)
    assert data.intensities.dtype == np.uint32
    assert data.photons().mean() == pytest.approx(1e4, rel=0.02)
    assert abs(data.truth["positions"] - data.positions_px).max() < 3
    power = (abs(data.truth["probe"]) ** 2).sum(axis=(1, 2))
    assert power[0] / power[1] == pytest.approx(2, rel=1e-4)

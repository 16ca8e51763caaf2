"""Position errors: each with its own statistics or its own formula."""

import numpy as np
import pytest

from opty.simulate import scans, stage

SCAN = scans.raster((30, 40), step=5)


def moved(error, positions=SCAN, seed=0):
    return stage.reached(positions, error, np.random.default_rng(seed)) - positions


def test_gaussian_and_uniform_errors_have_their_spread():
    normal, flat = moved(stage.Gaussian(1.5)), moved(stage.Uniform(1.5))
    assert normal.std(axis=0) == pytest.approx([1.5, 1.5], rel=0.06)
    assert np.abs(normal).max() > 3 * 1.5
    assert flat.std(axis=0) == pytest.approx([1.5 / np.sqrt(3)] * 2, rel=0.06)
    assert 1.45 < np.abs(flat).max() <= 1.5
    np.testing.assert_array_equal(moved(1.5), flat)
    np.testing.assert_array_equal(moved(stage.Gaussian(1.5)), normal)
    assert not np.array_equal(moved(stage.Gaussian(1.5), seed=1), normal)


def test_drift_is_steady_and_walks():
    steady = moved(stage.Drift(by=(3, -1)))
    np.testing.assert_allclose(steady, np.linspace(0, 1, 1200)[:, None] * [3, -1], atol=1e-12)
    walk = moved(stage.Drift(walk=0.1))
    assert walk[0].tolist() == [0, 0]
    assert np.diff(walk, axis=0).std() == pytest.approx(0.1, rel=0.05)


def test_backlash_separates_the_two_directions():
    there_and_back = np.stack([np.r_[0:20, 20:-1:-1], np.zeros(41)], axis=1).astype(float)
    lag = moved(stage.Backlash(3.0), there_and_back)
    np.testing.assert_allclose(lag[5:20, 0], -1.5)  # going up, behind
    np.testing.assert_allclose(lag[24:, 0], 1.5)  # coming down, behind on the other side
    assert (lag[:, 1] == 0).all()
    still = moved(stage.Backlash(3.0), there_and_back)[20:23, 0] + there_and_back[20:23, 0]
    np.testing.assert_allclose(still, 18.5)  # while the motor crosses the play


def test_affine_turns_about_the_middle_of_the_scan():
    middle = (SCAN.min(axis=0) + SCAN.max(axis=0)) / 2
    true = stage.reached(SCAN, stage.Affine(rotation=0.1), None)
    assert np.linalg.norm(true - middle, axis=1) == pytest.approx(np.linalg.norm(SCAN - middle, axis=1))
    row, col = (SCAN - middle).T
    np.testing.assert_allclose(
        true - middle, np.cos(0.1) * (SCAN - middle) + np.sin(0.1) * np.stack([-col, row], axis=1)
    )
    np.testing.assert_allclose(stage.Affine(scale=(2, 3)).matrix, np.diag([2, 3]))
    np.testing.assert_allclose(stage.Affine(scale=1.01, shear=0.2).matrix, [[1.01, 0.202], [0, 1.01]])
    np.testing.assert_allclose(moved(stage.Affine(scale=1.1)), 0.1 * (SCAN - middle), atol=1e-9)


def test_errors_act_one_after_the_other():
    first = stage.reached(SCAN, stage.Affine(scale=2.0), None)
    both = stage.reached(SCAN, [stage.Affine(scale=2.0), stage.Drift(by=(1, 0))], np.random.default_rng(0))
    np.testing.assert_allclose(both - first, np.linspace(0, 1, 1200)[:, None] * [1, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: stage.Gaussian(-1), "sigma.* is -1"),
        (lambda: stage.Uniform(float("inf")), "reach.* is inf"),
        (lambda: stage.Drift(by=(1, 2, 3)), r"by is \(1, 2, 3\)"),
        (lambda: stage.Backlash(-0.5), "play.* is -0.5"),
        (lambda: stage.Affine(scale=(1, 0)), r"scale is \(1, 0\)"),
        (lambda: stage.Affine(shear=float("nan")), "shear is nan"),
        (lambda: moved(np.zeros((3, 2))), r"position_error has shape \(3, 2\)"),
        (lambda: moved("far"), "errors of opty.simulate.stage"),
        (lambda: moved([stage.Gaussian(1), 2]), "errors of opty.simulate.stage"),
    ],
)
def test_senseless_errors_are_refused(make, says):
    with pytest.raises((ValueError, TypeError), match=says):
        make()

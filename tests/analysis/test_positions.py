"""Errors of positions."""

import numpy as np
import pytest

from opty.analysis import position_error


def test_a_common_offset_does_not_count():
    truth = np.random.default_rng(0).uniform(0, 100, (50, 2))
    assert position_error(truth + np.array([12.3, -400.0]), truth) == pytest.approx(0, abs=1e-10)


def test_it_is_the_mean_distance():
    truth = np.zeros((4, 2))
    positions = np.array([[3.0, 4.0], [-3.0, -4.0], [0.0, 1.0], [0.0, -1.0]])
    assert position_error(positions, truth) == pytest.approx((5 + 5 + 1 + 1) / 4)
    assert position_error(positions + 7, truth - 2) == pytest.approx(3)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 2\), truth \(3, 2\)"):
        position_error(np.zeros((4, 2)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"must be \(N, 2\)"):
        position_error(np.zeros((2, 4)), np.zeros((2, 4)))

"""Errors of positions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opty.analysis import position_error, scan_map
from opty.simulate import stage


def test_a_common_offset_does_not_count():
    truth = np.random.default_rng(0).uniform(0, 100, (50, 2))
    assert position_error(truth + np.array([12.3, -400.0]), truth) == pytest.approx(0, abs=1e-10)


def test_it_is_the_mean_distance():
    truth = np.zeros((4, 2))
    positions = np.array([[3.0, 4.0], [-3.0, -4.0], [0.0, 1.0], [0.0, -1.0]])
    assert position_error(positions, truth) == pytest.approx((5 + 5 + 1 + 1) / 4)
    assert position_error(positions + 7, truth - 2) == pytest.approx(3)


def test_the_best_affine_map_may_be_left_out():
    rng = np.random.default_rng(1)
    truth, rest = rng.uniform(-50, 50, (40, 2)), rng.normal(0, 0.1, (40, 2))
    design = np.c_[truth, np.ones(40)]
    rest -= design @ np.linalg.lstsq(design, rest, rcond=None)[0]
    positions = truth @ np.array([[1.02, 0.01], [-0.03, 0.99]]) + rest + 5
    assert position_error(positions, truth, affine=True) == pytest.approx(np.linalg.norm(rest, axis=1).mean(), rel=1e-6)
    assert position_error(positions, truth) > 5 * position_error(positions, truth, affine=True)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    rotation=st.floats(-0.3, 0.3),
    shear=st.floats(-0.2, 0.2),
    rows=st.floats(0.8, 1.25),
    columns=st.floats(0.8, 1.25),
    drift=st.tuples(st.floats(-9, 9), st.floats(-9, 9)),
)
def test_the_map_of_a_scan_is_that_of_its_stage(rotation, shear, rows, columns, drift):
    nominal = np.random.default_rng(2).uniform(0, 90, (60, 2))
    errors = [stage.Affine(rotation, shear, (rows, columns)), stage.Drift(by=drift)]
    found = scan_map(stage.reached(nominal, errors, np.random.default_rng(0)) + 7, nominal, "affine+drift")
    assert (found.rotation, found.shear) == pytest.approx((rotation, shear), abs=1e-9)
    assert found.scale == pytest.approx((rows, columns), abs=1e-9)
    assert found.drift == pytest.approx(drift, abs=1e-7)


def test_views_astray_hardly_bend_the_map():
    rng = np.random.default_rng(3)
    nominal = rng.uniform(0, 90, (60, 2))
    true = stage.Affine(rotation=0.02, scale=1.03).move(nominal, rng)
    positions = true + rng.normal(0, 0.05, true.shape)
    positions[:4] += 15
    found = scan_map(positions, nominal)
    assert (*found.scale, found.rotation) == pytest.approx((1.03, 1.03, 0.02), abs=2e-3)
    plain = np.linalg.lstsq(np.c_[nominal, np.ones(60)], positions, rcond=None)[0][:2].T
    assert abs(plain - [[1.03 * np.cos(0.02), -0.0206], [0.0206, 1.03 * np.cos(0.02)]]).max() > 6e-3


def test_what_a_line_cannot_tell_stays():
    nominal = np.c_[np.zeros(20), np.arange(20.0)]
    found = scan_map(nominal * 1.1, nominal)
    assert found.scale == pytest.approx((1, 1.1))
    one = scan_map(np.zeros((1, 2)), np.ones((1, 2)), "affine+drift")
    assert (one.positions == 0).all()
    assert one.parameters()["scale_row"] == 1


def test_an_unknown_kind_of_map_is_refused():
    with pytest.raises(ValueError, match=r"'linear'; choose one of affine, drift, affine\+drift"):
        scan_map(np.zeros((3, 2)), np.zeros((3, 2)), "linear")


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 2\), truth \(3, 2\)"):
        position_error(np.zeros((4, 2)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"must be \(N, 2\)"):
        position_error(np.zeros((2, 4)), np.zeros((2, 4)))

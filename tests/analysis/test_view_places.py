"""Positions that are off, one by one or as a whole, are said before a run; right ones are not."""

import re

import numpy as np
import pytest

import opty
from opty.analysis.check.frame_statistics import look_at_frames
from opty.analysis.check.health import tried_out
from opty.analysis.check.view_places import moved, places_in_brief, views_move
from opty.data.scan_grid import rotated


def said(data, **options):
    return places_in_brief(data, look_at_frames(data), data.probe, **options).every


def test_right_positions_stay_and_nothing_is_said(right):
    assert views_move(right, right.probe) is None
    assert said(right) == ()


@pytest.mark.parametrize(
    ("matrix", "pattern", "value", "within"),
    [
        (np.eye(2) / 1.5, r"position_scale=([\d.]+)", 1.5, 0.06),
        (rotated(np.eye(2), np.deg2rad(10)), r"scan_rotation='([-\d.]+)deg", -10, 1),
        (np.array([[1, 0.26], [0, 1]]), r"for a shear of ([-\d.]+)", -0.26, 0.03),
    ],
)
def test_a_map_of_all_positions_is_named(right, matrix, pattern, value, within):
    (line,) = said(right.replace(positions=right.positions @ matrix))
    assert float(re.search(pattern, line)[1]) == pytest.approx(value, abs=within)


def test_positions_that_are_off_by_chance_are_said_unless_they_will_be_refined(right):
    away = np.random.default_rng(0).normal(0, 1.5, right.positions.shape)  # px: the scan has no geometry
    off = right.replace(positions=right.positions + away)
    found = views_move(off, off.probe)
    assert found.ratio < 0.8
    assert 0.5 < moved(found, off.n) < 4
    (line,) = said(off)
    assert "refined one by one" in line
    assert "(PosCorrect() * rPIE()) ** 60" in line
    assert said(off, one_by_one=False) == ()


@pytest.mark.slow
@pytest.mark.parametrize("one_by_one", [True, False])
def test_so_they_are_by_the_short_runs_of_check(right, one_by_one):
    away = np.random.default_rng(0).normal(0, 1.5, right.positions.shape)
    told = tried_out(right.replace(positions=right.positions + away), one_by_one).every
    assert any("refined one by one" in line for line in told) is one_by_one


def test_few_views_tell_nothing(right):
    few = right.replace(intensities=right.intensities[:8], positions=2 * right.positions[:8], truth=None)
    assert said(few) == ()


def test_the_recipe_says_whether_positions_are_refined():
    from opty.cli.starts import moves_views

    assert moves_views(opty.parse("rPIE()**3 * FindPositions()"))
    assert moves_views((opty.PosCorrect() * opty.rPIE()) ** 3)
    assert not moves_views(opty.rPIE() ** 3)

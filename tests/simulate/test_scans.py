"""Scans: grid, jitter, density of the spiral, overlap."""

import numpy as np
import pytest
import scipy.spatial

from opty.simulate import scans


def test_raster_goes_row_by_row_in_the_unit_of_the_step():
    positions = scans.raster((2, 3), step=0.5e-6)
    np.testing.assert_allclose(positions, 0.5e-6 * np.array([[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]))


def test_jitter_is_uniform_bounded_and_seeded():
    positions = scans.raster((40, 50), step=10, jitter=3, seed=4)
    moved = positions - scans.raster((40, 50), step=10)
    assert np.abs(moved).max() <= 3
    assert moved.std() == pytest.approx(3 / np.sqrt(3), rel=0.05)
    np.testing.assert_array_equal(positions, scans.raster((40, 50), step=10, jitter=3, seed=4))
    assert not np.array_equal(positions, scans.raster((40, 50), step=10, jitter=3, seed=5))


def test_fermat_has_the_density_of_a_raster_and_no_lattice():
    positions = scans.fermat(1000, step=8)
    assert positions[0].tolist() == [0, 0]
    inside = np.hypot(*positions.T) < 100
    assert inside.sum() == pytest.approx(np.pi * 100**2 / 8**2, rel=0.02)
    nearest = scipy.spatial.cKDTree(positions).query(positions, k=2)[0][:, 1]
    assert nearest.min() > 0.5 * 8
    assert len(np.unique(positions.round(6)[:, 0])) > 990


def test_overlap_and_step_are_each_others_inverse():
    assert scans.overlap(12, 60) == pytest.approx(0.8)
    assert scans.overlap(scans.step_for_overlap(0.65, 3e-6), 3e-6) == pytest.approx(0.65)
    with pytest.raises(ValueError, match="overlap is 1"):
        scans.step_for_overlap(1, 60)


@pytest.mark.parametrize(
    "make",
    [
        lambda: scans.raster((0, 3), 1),
        lambda: scans.raster((2, 3), 0),
        lambda: scans.raster((2, 3), 1, jitter=-1),
        lambda: scans.fermat(0, 1),
        lambda: scans.fermat(5, -1),
    ],
)
def test_impossible_scans_are_refused(make):
    with pytest.raises(ValueError, match="give"):
        make()

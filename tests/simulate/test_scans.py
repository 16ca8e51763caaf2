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
        lambda: scans.concentric(0, 1),
        lambda: scans.concentric(2, 1, first=0),
        lambda: scans.lissajous(10, (5, 0)),
        lambda: scans.lissajous(10, (5, 5), cycles=(2, 4)),
        lambda: scans.fly_lines((2, 3), 1, pitch=0),
        lambda: scans.travel(np.zeros((6, 2)), line=4),
        lambda: scans.travel(np.zeros((6, 2)), duty=1.5),
        lambda: scans.mean_overlap(np.zeros((1, 2)), 3),
    ],
)
def test_impossible_scans_are_refused(make):
    with pytest.raises(ValueError, match="give"):
        make()


def test_circles_have_their_radii_and_their_views():
    positions = scans.concentric(rings=6, step=4, first=6)
    assert len(positions) == 1 + 6 * 6 * 7 // 2
    radii, counts = np.unique(np.hypot(*positions.T).round(9), return_counts=True)
    np.testing.assert_allclose(radii, 4 * np.arange(7))
    np.testing.assert_array_equal(counts, [1, 6, 12, 18, 24, 30, 36])
    nearest = scipy.spatial.cKDTree(positions).query(positions, k=2)[0][:, 1]
    assert nearest == pytest.approx(4, rel=0.06)


def test_lissajous_spans_its_size_and_does_not_repeat():
    positions = scans.lissajous(400, (60, 90), cycles=(7, 8))
    np.testing.assert_allclose(np.ptp(positions, axis=0), [60, 90], rtol=2e-3)
    assert scipy.spatial.cKDTree(positions).query(positions, k=2)[0][:, 1].min() > 0.1
    t = 2 * np.pi * (np.arange(400) + 0.5) / 400
    np.testing.assert_allclose(positions, np.stack([30 * np.sin(7 * t), 45 * np.sin(8 * t)], axis=1), atol=1e-9)


def test_fly_lines_run_there_and_back():
    positions = scans.fly_lines((3, 4), step=2, pitch=5)
    np.testing.assert_allclose(positions[:, 1], [0, 2, 4, 6, 6, 4, 2, 0, 0, 2, 4, 6])
    np.testing.assert_allclose(positions[:, 0], np.repeat([0, 5, 10], 4))
    moved = scans.travel(positions, duty=0.5, line=4)
    np.testing.assert_allclose(moved[:, 0], 0)
    np.testing.assert_allclose(moved[:, 1], np.repeat([1, -1, 1], 4))
    curve = scans.lissajous(1000, (60, 90), cycles=(1, 2))
    t = 2 * np.pi * (np.arange(1000) + 0.5) / 1000
    speed = np.stack([30 * np.cos(t), 90 * np.cos(2 * t)], axis=1) * 2 * np.pi / 1000
    np.testing.assert_allclose(scans.travel(curve)[1:-1], speed[1:-1], atol=1e-4)


def test_scans_come_from_files(tmp_path):
    metres = np.array([[0, 1.5e-6], [2e-6, -3e-6], [4.25e-6, 0]])
    np.save(tmp_path / "a.npy", metres)
    np.savetxt(tmp_path / "b.txt", metres, header="row column")
    np.savetxt(tmp_path / "c.csv", metres, delimiter=",")
    for name in ("a.npy", "b.txt", "c.csv"):
        np.testing.assert_allclose(scans.from_file(tmp_path / name, pixel=1e-8), metres / 1e-8)
    np.savetxt(tmp_path / "d.txt", np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"d.txt holds an array of \(4, 3\)"):
        scans.from_file(tmp_path / "d.txt")


def test_the_grid_fills_the_object_and_the_overlap_is_told():
    rows, columns = scans.grid((2500, 2500), 1024, 154)  # Listing 1 of the seed: 85 percent of 1024
    assert (rows, columns) == (10, 10)
    assert scans.grid((300, 400), 64, 20, jitter=2.5) == (12, 17)
    with pytest.raises(ValueError, match="holds no 64 x 64 window"):
        scans.grid((60, 400), 64, 20)
    assert scans.mean_overlap(scans.raster((10, 10), 154), 1024) == pytest.approx(0.85, abs=5e-4)
    assert scans.mean_overlap(scans.fermat(400, 8), 40) == pytest.approx(1 - 8 / 40, abs=0.05)

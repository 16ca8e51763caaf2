"""Which pixels are lit, counted by hand."""

import numpy as np
import pytest

from opty.analysis import illuminated


def test_views_are_counted_pixel_by_pixel():
    probe = np.zeros((2, 4, 4), complex)
    probe[0, 1:3, 1:3], probe[1, 1, 1] = 3, 4j  # amplitude 5 at one pixel, 3 at three others
    positions = [[0, 0], [0.4, 0], [1, 0], [2, 3]]
    once = illuminated(positions, probe, (8, 8), min_views=1)
    assert sorted(map(tuple, np.argwhere(once).tolist())) == [
        (1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (3, 4), (3, 5), (4, 4), (4, 5),
    ]  # fmt: skip
    thrice = illuminated(positions, probe, (8, 8))
    assert np.argwhere(thrice).tolist() == [[2, 1], [2, 2]]
    brightest = illuminated(positions, probe, (8, 8), min_views=1, threshold=0.7)
    assert np.argwhere(brightest).tolist() == [[1, 1], [2, 1], [3, 4]]


def test_views_are_counted_as_in_plain_loops():
    rng = np.random.default_rng(0)
    probe = rng.normal(size=(2, 16, 16)) * np.hanning(16)[:, None] * np.hanning(16)
    positions = rng.uniform(0, 30, (60, 2))
    amplitude = np.sqrt((probe**2).sum(axis=0))
    count = np.zeros((50, 50), int)
    for row, column in np.rint(positions).astype(int):
        count[row : row + 16, column : column + 16] += amplitude > 0.1 * amplitude.max()
    np.testing.assert_array_equal(illuminated(positions, probe, (50, 50)), count >= 3)


def test_windows_outside_are_refused():
    with pytest.raises(ValueError, match=r"from \[0, -1\] to \[4, 3\]"):
        illuminated([[0, -1]], np.ones((4, 4)), (8, 8))
    with pytest.raises(ValueError, match="outside an object"):
        illuminated([[5, 0]], np.ones((4, 4)), (8, 8))

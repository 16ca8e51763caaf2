"""Which views to load."""

import numpy as np
import pytest

from opty.io.prepare.frames import Frames
from opty.io.prepare.views import as_json, chosen


@pytest.mark.parametrize(
    "views",
    [
        None,
        slice(2, 8),
        slice(None, None, 3),
        slice(None, None, -2),
        "2:8",
        "::3",
        ":-2",
        [3, 1, 1, -1],
        np.arange(4),
        [5],
    ],
)
def test_same_views_from_memory_and_from_hdf5_and_through_json(tmp_path, views):
    import h5py

    array = np.arange(60).reshape(10, 3, 2)
    index = views if not isinstance(views, str) else slice(*(int(v) if v else None for v in views.split(":")))
    expected = array if views is None else array[index]
    np.testing.assert_array_equal(Frames(array).read(chosen(views, 10)), expected)
    np.testing.assert_array_equal(Frames(array).read(chosen(as_json(views), 10)), expected)
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["a"] = array
        f["raster"] = array.reshape(2, 5, 3, 2)
        for name in f:
            np.testing.assert_array_equal(Frames(f[name]).read(chosen(views, 10)), expected)


@pytest.mark.parametrize(
    ("views", "error", "message"),
    [
        ([0, 10], ValueError, "views has 10, but the file holds the views 0 to 9"),
        ([-11], ValueError, "views has -11"),
        ([], ValueError, "leaves none of the 10 views"),
        ("12:20", ValueError, "leaves none of the 10 views"),
        ("first", ValueError, "is no slice"),
        ("a:b", ValueError, "whole numbers"),
        (5, TypeError, "give a slice"),
        ([0.5], TypeError, "give a slice"),
        ([True, False], TypeError, "give a slice"),
    ],
)
def test_choices_that_make_no_sense(views, error, message):
    with pytest.raises(error, match=message):
        chosen(views, 10)

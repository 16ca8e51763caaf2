"""The option ``views``: which of the views in a file to load."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from opty.remedies import named, option


def chosen(views: Any, total: int, leave_out: Any = None) -> slice | np.ndarray:
    """Turn the options into a slice with a positive step, or into an array of indices.

    ``views`` is None (all), a slice, the text of one ("::4", "0:100"), or a list of indices; negative ones count from
    the end. ``leave_out`` : the same, of views that are left out; their numbers are those in the file. Raises
    ValueError for an empty choice or an index beyond ``total``, TypeError for anything else.
    """
    if views is None and leave_out is None:
        return slice(0, total)
    index = np.arange(total) if views is None else numbers("views", views, total)
    if leave_out is not None:
        index = index[~np.isin(index, numbers("leave_out", leave_out, total))]
    if len(index) == 0:
        given = [option(name, a) for name, a in (("views", views), ("leave_out", leave_out)) if a is not None]
        raise ValueError(f"{' and '.join(given)} leaves none of the {total} views")
    step = int(index[1] - index[0]) if len(index) > 1 else 1
    if step > 0 and (np.diff(index) == step).all():
        return slice(int(index[0]), int(index[-1]) + 1, step)
    return index


def as_json(views: Any) -> str | list[int] | None:
    """Return the option in a form that JSON can hold and ``chosen`` understands."""
    if isinstance(views, slice):
        parts = [views.start, views.stop] + ([] if views.step is None else [views.step])
        return ":".join("" if part is None else str(operator.index(part)) for part in parts)
    return views if views is None or isinstance(views, str) else [int(j) for j in views]


def numbers(name: str, views: Any, total: int) -> np.ndarray:
    """Return the numbers of views that a slice, its text or a list means; ``name`` of the option, for messages."""
    if isinstance(views, str):
        views = _slice(name, views)
    return np.arange(total)[views] if isinstance(views, slice) else _indices(name, views, total)


def _slice(name: str, text: str) -> slice:
    parts = text.split(":")
    wrong = f"{option(name, text)} is no slice; write"
    if not 2 <= len(parts) <= 3:
        raise ValueError(f"{wrong} start:stop or start:stop:step, as in '0:100' or '::4'")
    try:
        return slice(*(int(part) if part.strip() else None for part in parts))
    except ValueError:
        raise ValueError(f"{wrong} whole numbers, as in '0:100' or '::4'") from None


def _indices(name: str, views: Any, total: int) -> np.ndarray:
    index = np.asarray(views)
    if index.ndim != 1 or (index.size and index.dtype.kind not in "iu"):
        raise TypeError(f"{option(name, views)}; give a slice, its text ('0:100'), or a list of view numbers")
    index = index.astype(np.int64)
    if (bad := (index < -total) | (index >= total)).any():
        raise ValueError(f"{named(name)} has {index[bad][0]}, but the file holds the views 0 to {total - 1}")
    return np.where(index < 0, index + total, index)

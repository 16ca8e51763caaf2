"""Arrays of any backend, brought to where the analysis runs."""

from __future__ import annotations

from typing import Any

import numpy as np


def on_host(a: Any, dtype: Any = None) -> np.ndarray:
    """Return an array, a list or a CuPy array as a NumPy array."""
    if hasattr(a, "get") and hasattr(a, "device"):
        a = a.get()
    return np.asarray(a, dtype)

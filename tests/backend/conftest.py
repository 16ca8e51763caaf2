"""Fixtures of the backend tests."""

import sys
from pathlib import Path

import numpy as np
import pytest

from opty.backend import get, why_no_gpu

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from standin_plugin import standin_gpu

__all__ = ["gpu", "standin_gpu"]
KINDS = ["standin"] if why_no_gpu() else ["standin", pytest.param("device", marks=pytest.mark.gpu)]


@pytest.fixture(params=KINDS)
def gpu(request):
    """opty.backend.on_cupy, over the stand-in and, where there is one, over a device."""
    return request.getfixturevalue("standin_gpu") if request.param == "standin" else get("gpu")


@pytest.fixture
def rng():
    """Return random numbers that are others in each run; the seed is printed where a test fails."""
    entropy = np.random.SeedSequence().entropy
    print(f"np.random.default_rng({entropy})")
    return np.random.default_rng(entropy)

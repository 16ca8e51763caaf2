"""Fixtures of the tests of kernels."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))


@pytest.fixture
def rng():
    """Return random numbers that are others in each run; the seed is printed where a test fails."""
    entropy = np.random.SeedSequence().entropy
    print(f"np.random.default_rng({entropy})")
    return np.random.default_rng(entropy)

"""Fixtures of the tests of models, and where their modules are found."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import thick_scene


@pytest.fixture(scope="session")
def thick():
    """Two slices and a starting probe; see thick_scene.py."""
    return thick_scene.simulated()

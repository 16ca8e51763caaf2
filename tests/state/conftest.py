"""Fixtures: small scans, and where their module is found."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import small_scans


@pytest.fixture
def p():
    """A state of 12 views of 16 x 16 at fractional positions, object and probe somewhat wrong."""
    return small_scans.state(small_scans.scan())

"""Small blocks, so that a small scan takes several of them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from small_scans import N

import opty.data.lazy_frames
import opty.io.prepare.frames
import opty.state.streaming


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of a few views, so that small scans take several: seven to look at all, five ahead in a sweep."""
    frame = 2 * N * N
    for module in (opty.data.lazy_frames, opty.io.prepare.frames):
        monkeypatch.setattr(module, "BLOCK", 7 * frame)
    monkeypatch.setattr(opty.state.streaming, "READ_AHEAD", 5 * frame)

"""Small blocks, so that a small scan takes several of them; and the GPU of tests/backend."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.append(str(Path(__file__).resolve().parents[1] / "backend"))

from small_scans import N
from standin_plugin import standin_gpu

import opty.io.prepare.frames
import opty.stack
import opty.state.supply

__all__ = ["standin_gpu"]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of a few views, so that small scans take several: seven to look at all, five ahead in a sweep."""
    frame = 2 * N * N
    for module in (opty.stack, opty.io.prepare.frames):
        monkeypatch.setattr(module, "BLOCK", 7 * frame)
    monkeypatch.setattr(opty.state.supply, "READ_AHEAD", 5 * frame)

"""Fixtures of the backend tests."""

import sys
from pathlib import Path

import pytest

from opty.backend import get, why_no_gpu

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]
from standin_plugin import standin_gpu

__all__ = ["gpu", "standin_gpu"]
KINDS = ["standin"] if why_no_gpu() else ["standin", pytest.param("device", marks=pytest.mark.gpu)]


@pytest.fixture(params=KINDS)
def gpu(request):
    """opty.backend.on_cupy, over the stand-in and, where there is one, over a device."""
    return request.getfixturevalue("standin_gpu") if request.param == "standin" else get("gpu")

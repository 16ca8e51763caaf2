"""The fixture ``standin_gpu``: the GPU backend on the CPU, with the stand-in for CuPy in standin/; ``gpu``: both."""

from __future__ import annotations

import contextlib
import importlib
import shutil
import sys
from pathlib import Path

import pytest

from opty.backend import get, why_no_gpu

FOLDER = Path(__file__).resolve().parent / "standin"
_OVER_CUPY = (
    "cupy_backend",
    "carrier",
    "kernels",
    "fused_sense_gpu",
    "passes",
    "fused_gpu",
    "fused_fit_gpu",
    "graphs",
    "locked_gpu",
    "lookout",
    "registration_gpu",
)  # what opty.backend imports only with CuPy
_OURS = ("cupy.", "cupyx.", *(f"opty.backend.{name}." for name in _OVER_CUPY))
KINDS = ["standin"] if why_no_gpu() else ["standin", pytest.param("device", marks=pytest.mark.gpu)]
_loaded: dict[str, object] = {}  # the stand-in's modules stay, with the kernels that they have compiled


@contextlib.contextmanager
def standin_cupy():
    """Make ``import cupy`` find the stand-in, and everything as it was afterwards; yields opty.backend.cupy_backend."""
    backend = importlib.import_module("opty.backend")
    before = _take_out(backend)
    sys.modules.update(_loaded)
    sys.path.insert(0, str(FOLDER))
    _forget(backend)
    try:
        yield importlib.import_module("opty.backend.cupy_backend")
    finally:
        sys.path.remove(str(FOLDER))
        _loaded.update({name: m for name, m in _take_out(backend).items() if not name.startswith("opty")})
        sys.modules.update(before)
        for name in _OVER_CUPY:
            if f"opty.backend.{name}" in before:
                setattr(backend, name, before[f"opty.backend.{name}"])
        _forget(backend)


@pytest.fixture
def standin_gpu(tmp_path_factory):
    """opty.backend.cupy_backend over the stand-in: "gpu" works everywhere in opty while the test runs. Needs g++."""
    if shutil.which("g++") is None:
        pytest.skip("no g++: the CUDA kernels cannot be compiled for the CPU")
    with standin_cupy() as cupy_backend:
        raw = sys.modules["cupy._raw"]
        if raw.FOLDER is None:
            base = tmp_path_factory.getbasetemp()
            # Workers of pytest-xdist have folders side by side; what one compiles the others find.
            raw.FOLDER = (base.parent if base.name.startswith("popen-") else base) / "standin_kernels"
            raw.FOLDER.mkdir(exist_ok=True)
        yield cupy_backend


@pytest.fixture(params=KINDS)
def gpu(request):
    """opty.backend.cupy_backend, over the stand-in and, where there is one, over a device."""
    return request.getfixturevalue("standin_gpu") if request.param == "standin" else get("gpu")


def _take_out(backend) -> dict[str, object]:
    """Take out what stands on a CuPy: modules, and attributes of opty.backend, where ``from`` looks first."""
    for name in _OVER_CUPY:
        vars(backend).pop(name, None)
    ours = [name for name in sys.modules if f"{name}.".startswith(_OURS)]
    return {name: sys.modules.pop(name) for name in ours}


def _forget(backend) -> None:
    """Let opty.backend look for a device anew."""
    for value in vars(backend).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()

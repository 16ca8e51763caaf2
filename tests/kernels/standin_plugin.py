"""The fixture ``standin_gpu``: the GPU backend on the CPU, with the stand-in for CuPy in standin/; ``gpu``: both."""

from __future__ import annotations

import contextlib
import importlib
import re
import shutil
import sys
from pathlib import Path

import pytest

import opty
from opty.arrays import why_no_gpu
from opty.kernels import backend_for

FOLDER = Path(__file__).resolve().parent / "standin"
_PACKAGES = ("opty.arrays", "opty.kernels")
_IMPORT = re.compile(r"^(?:from|import) (cupy\S*|opty\.(?:arrays|kernels)\S*)(?: import (.+))?$", re.MULTILINE)


def over_cupy() -> set[str]:
    """Return the modules of opty.arrays and opty.kernels that import CuPy, or one another that does, when imported."""
    root, imported = Path(opty.__file__).parent.parent, {}
    for path in (file for package in _PACKAGES for file in (root / package.replace(".", "/")).rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        found = _IMPORT.findall(path.read_text(encoding="utf-8"))
        imported[name] = {
            one for source, names in found for one in (source, *(f"{source}.{part}" for part in names.split(", ")))
        }
    over = {name for name, of in imported.items() if any(one.partition(".")[0] in ("cupy", "cupyx") for one in of)}
    while more := {name for name, of in imported.items() if name not in over and of & over}:
        over |= more
    return over


_OVER_CUPY = over_cupy()
KINDS = ["standin"] if why_no_gpu() else ["standin", pytest.param("device", marks=pytest.mark.gpu)]
_loaded: dict[str, object] = {}  # the stand-in's modules stay, with the kernels that they have compiled


@contextlib.contextmanager
def standin_cupy():
    """Make ``import cupy`` find the stand-in, and everything as it was afterwards; yields opty.kernels.cupy_backend."""
    before = _take_out()
    sys.modules.update(_loaded)
    sys.path.insert(0, str(FOLDER))
    why_no_gpu.cache_clear()
    try:
        yield importlib.import_module("opty.kernels.cupy_backend")
    finally:
        sys.path.remove(str(FOLDER))
        _loaded.update({name: m for name, m in _take_out().items() if not name.startswith("opty")})
        sys.modules.update(before)
        for name in _OVER_CUPY & before.keys():
            package, _, attribute = name.rpartition(".")
            setattr(sys.modules[package], attribute, before[name])
        why_no_gpu.cache_clear()


@pytest.fixture
def standin_gpu(tmp_path_factory):
    """opty.kernels.cupy_backend over the stand-in: "gpu" works everywhere in opty while the test runs. Needs g++."""
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
    """opty.kernels.cupy_backend, over the stand-in and, where there is one, over a device."""
    return request.getfixturevalue("standin_gpu") if request.param == "standin" else backend_for("gpu")


def _take_out() -> dict[str, object]:
    """Take out what stands on a CuPy: modules, and attributes of their packages, where ``from`` looks first."""
    for name in _OVER_CUPY:
        package, _, attribute = name.rpartition(".")
        vars(sys.modules.get(package, opty)).pop(attribute, None)
    ours = [name for name in sys.modules if name in _OVER_CUPY or name.partition(".")[0] in ("cupy", "cupyx")]
    return {name: sys.modules.pop(name) for name in ours}

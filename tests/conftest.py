"""Fixtures shared by all tests; ``gpu`` and ``standin_gpu`` are those of backend/standin_plugin.py."""

import signal
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent / "backend"))
from standin_plugin import gpu, standin_gpu

__all__ = ["gpu", "standin_gpu"]
SHARED = Path(__file__).resolve().parents[2] / "shared"


def _folder(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"no {folder}: the real data and the common benchmark are not part of the project")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the two real X-ray datasets; skips where it is absent."""
    return _folder("data")


@pytest.fixture(scope="session")
def shared_bench() -> Path:
    """Folder with the common benchmark (make_bench.py, objerr.py); skips where it is absent."""
    return _folder("bench")


@pytest.fixture(autouse=True)
def ctrl_c_works():
    """Undo an inherited SIG_IGN (nohup, background jobs), under which Ctrl-C could not be tested."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def registry_as_it_was():
    """Forget the operators that a test defined: another test may use the same name."""
    from opty.algebra.operator import REGISTRY

    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)

"""Fixtures shared by all tests; ``gpu`` and ``standin_gpu`` are those of kernels/standin_plugin.py."""

import gc
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import opty

sys.path.append(str(Path(__file__).resolve().parents[1]))
sys.path.append(str(Path(__file__).resolve().parent / "kernels"))
from standin_plugin import gpu, standin_gpu

__all__ = ["gpu", "standin_gpu"]
SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_finish():
    """Keep what the run holds to its end, thousands of tests, out of every garbage collection from here on."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the two real X-ray datasets; skips where it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"no {folder}: the real data are not part of the project")
    return folder


class BenchmarkScan(NamedTuple):
    """The start of a scan of benchmarks/, and what tells the error of a state's object."""

    start: opty.PtychoState
    error: Callable[[opty.PtychoState], float]


@pytest.fixture(scope="session")
def scan_a() -> BenchmarkScan:
    """Scan A of benchmarks/: 256 views of 128 x 128 without noise."""
    from benchmarks import cases, scans

    arrays = scans.pictured(cases.A)
    return BenchmarkScan(scans.start(arrays, device="cpu"), scans.Truth(arrays).error)


@pytest.fixture(scope="session")
def small_a() -> BenchmarkScan:
    """A scan like A, 144 views of 64 x 64. Bars on it are a tenth above the worst of three draws of the scan."""
    from benchmarks import scans

    arrays = scans.pictured(scans.Scan("A", (12, 12), 64, 6))
    return BenchmarkScan(scans.start(arrays, device="cpu"), scans.Truth(arrays).error)


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

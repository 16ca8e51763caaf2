"""Fixtures shared by all tests; ``gpu`` and ``standin_gpu`` are those of kernels/standin_plugin.py.

What ``@pytest.mark.covering`` does is in covering.py.
"""

import bz2
import gc
import io
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import opty

sys.path.append(str(Path(__file__).resolve().parents[1]))
sys.path.append(str(Path(__file__).resolve().parent / "kernels"))
sys.path.append(str(Path(__file__).resolve().parent))
import covering
from standin_plugin import gpu, standin_gpu

__all__ = ["gpu", "standin_gpu"]
SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.hookimpl(tryfirst=True)  # before -m chooses by marks
def pytest_collection_modifyitems(items):
    """Take the cases of the default run."""
    covering.mark_the_rest(items)


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


@pytest.fixture(scope="session")
def star(shared_data) -> opty.PtychoData:
    """The Siemens star, 516 views of 128 x 128: to unpack it takes seconds."""
    return opty.load(shared_data / "siemens-star-small.npz.bz2")


@pytest.fixture(scope="session")
def star_file(shared_data, tmp_path_factory) -> Path:
    """A file with the first 70 views of the Siemens star, for commands, each of which unpacks it."""
    name = "siemens-star-small.npz.bz2"
    out = tmp_path_factory.mktemp("star") / name
    whole = bz2.decompress((shared_data / name).read_bytes())
    with np.load(io.BytesIO(whole)) as arrays, bz2.open(out, "wb") as less:
        np.savez(less, data=arrays["data"][:, :70], scan=arrays["scan"][:, :70], probe=arrays["probe"])
    return out


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
def figures_closed():
    """Leave no figure of pyplot's behind."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(autouse=True)
def registry_as_it_was():
    """Forget the operators that a test defined: another test may use the same name."""
    from opty.algebra.operator import REGISTRY

    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)

"""The recipes on the common benchmark scans (noise-free, 256 views of 128 x 128; 196 of 256 x 256 with three modes).

The bars are what other packages and a plain NumPy script reached on the same work, from the same start.
"""

import importlib.util
from dataclasses import dataclass

import numpy as np
import pytest

import opty
from opty import AP, Orthogonalise, PtychoData, PtychoState, ePIE, rPIE


@dataclass
class Scan:
    start: PtychoState
    obj: np.ndarray
    probe: np.ndarray
    error: object  # of a state's object over the illuminated area, by the benchmark's own measure


def _module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _scan(bench, folder, **size):
    _module(bench / "make_bench.py").make(folder / "scan.npz", **size)
    with np.load(folder / "scan.npz") as z:
        scan = {name: z[name] for name in z.files}
    measure = _module(bench / "objerr.py")
    lit = measure.coverage_mask(scan["pos"], scan["diff"].shape[-1], scan["obj"].shape, scan["probe"])
    start = PtychoState(PtychoData(scan["diff"], scan["pos"]), probe=scan["probe0"], obj=scan["obj0"], device="cpu")
    return Scan(start, scan["obj"], scan["probe"], lambda p: measure.objerr(p.obj, scan["obj"], lit))


@pytest.fixture(scope="module")
def scan_a(shared_bench, tmp_path_factory):
    return _scan(shared_bench, tmp_path_factory.mktemp("a"), n=128, grid=16, step=12, modes=1, seed=0)


@pytest.mark.slow
def test_ap_200(scan_a):
    assert scan_a.error(AP() ** 200 * scan_a.start) <= 0.0271


@pytest.mark.slow
def test_epie_50(scan_a):
    assert scan_a.error(ePIE() ** 50 * scan_a.start) <= 0.016


@pytest.mark.slow
def test_rpie_50_and_100(scan_a):
    p = rPIE(alpha=0.1, beta=1) ** 50 * scan_a.start
    assert scan_a.error(p) <= 0.0075
    assert scan_a.error(rPIE(alpha=0.1, beta=1) ** 50 * p) <= 0.0031


@pytest.mark.parametrize(("batch", "factor"), [(1, 1e4), (4, 1e4), (16, 500), ("all", 100)])
def test_rpie_converges_for_any_batch(scan_a, batch, factor):
    p = rPIE(alpha=0.1, batch=batch) ** 20 * scan_a.start
    assert opty.misfit(p) < opty.misfit(scan_a.start) / factor
    assert (np.diff(p.history["misfit"]) < 0).all()


@pytest.mark.slow
def test_rpie_with_three_modes(shared_bench, tmp_path):
    scan = _scan(shared_bench, tmp_path, n=256, grid=14, step=24, modes=3, seed=1)
    p = rPIE() ** 50 * scan.start
    assert opty.misfit(p) <= opty.misfit(scan.start) / 20
    powers = [(np.abs((Orthogonalise() * q).probe) ** 2).sum((1, 2)) for q in (scan.start, p)]
    share = [w[1:].sum() / w.sum() for w in powers]
    assert share[1] > 10 * share[0]  # the weak modes, nearly absent at the start, come up

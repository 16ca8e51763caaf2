"""Scans A and B of benchmarks/ keep their numbers, and the recipes on them (noise-free, 256 views of 128 x 128, one
mode; 196 of 256 x 256, three modes).

The bars of PIE are what other packages and a plain NumPy script reached on the same work, from the same start. AP,
which takes longer, batches and modes run on scans of the same kind with at most a quarter of the pixels; AP misses its
bar after two thirds of the iterations. The checksums were taken of arrays that agree bit for bit with those that the
other packages were given.
"""

import hashlib
import importlib
import pkgutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))

import benchmarks
import opty
from benchmarks import cases, scans
from opty import AP, Orthogonalise, ePIE, rPIE

# Norm, and sum under the weights default_rng(0).random: the last bits of a transform depend on processor and library.
SUMS = {
    "A": {
        "diff": (13750997.54, 2144603186),
        "probe": (6021.923566, -2679.206318 + 20883.71304j),
        "obj": (228.9113415, 34939.88716 - 2464.429972j),
        "probe0": (4094.47933, 661.1964253 + 17706.15345j),
    },
    "B": {
        "diff": (31186977.75, 8567672184),
        "probe": (13824.9472, 7712.983365 + 47938.50643j),
        "obj": (417.2893506, 116130.4149 - 8213.9364j),
        "probe0": (9358.02073, 2855.629629 + 37537.65732j),
    },
}
POSITIONS = {  # SHA-256 of the float64
    "A": "dd233879477903bc589442c7036c3d2f3abada0ab3af48aab42ed7517a67e68b",
    "B": "15b33b38d6d0d0688b06a7a6351d54ac5155b77d6cb91c2ffc53c9453e1be368",
}


@pytest.mark.parametrize("scan", [cases.A, pytest.param(cases.B, marks=pytest.mark.slow)], ids=lambda scan: scan.name)
def test_the_scans_keep_their_numbers(scan):
    arrays = scans.pictured(scan)
    assert set(arrays) == {"pos", "obj0", *SUMS[scan.name]}
    assert (arrays["obj0"] == np.ones_like(arrays["obj"])).all()
    assert hashlib.sha256(arrays["pos"].tobytes()).hexdigest() == POSITIONS[scan.name]
    for name, (norm, total) in SUMS[scan.name].items():
        array = arrays[name]
        assert array.dtype == ("float32" if name == "diff" else "complex64")
        flat = array.ravel().astype(complex)
        assert np.linalg.norm(flat) == pytest.approx(norm, rel=1e-6), name
        assert flat @ np.random.default_rng(0).random(flat.size) == pytest.approx(total, rel=1e-6), name


def test_patterns_follow_from_the_truth_and_the_start_has_their_power():
    scan = scans.Scan("B", (3, 4), 32, 4, modes=3)
    a = scans.pictured(scan)
    assert a["diff"].shape == (12, 32, 32)
    assert a["obj"].shape == a["obj0"].shape == (32 + 4 * 2 + 8, 32 + 4 * 3 + 8)
    for pattern, (row, column) in zip(a["diff"], a["pos"].astype(int), strict=True):
        waves = a["probe"] * a["obj"][row : row + 32, column : column + 32]
        expected = sum(abs(np.fft.fftshift(np.fft.fft2(wave)) / 32) ** 2 for wave in waves)
        np.testing.assert_allclose(pattern, expected, rtol=1e-4, atol=1e-6 * expected.max())
    assert (abs(a["probe0"]) ** 2).sum() == pytest.approx(a["diff"].sum((1, 2)).mean(), rel=1e-5)


def test_ap_100(small_a):
    assert small_a.error(AP() ** 100 * small_a.start) <= 0.078


@pytest.mark.slow
def test_epie_50(scan_a):
    assert scan_a.error(ePIE() ** 50 * scan_a.start) <= 0.016


@pytest.mark.slow
def test_rpie_50(scan_a):
    assert scan_a.error(rPIE(alpha=0.1, beta=1) ** 50 * scan_a.start) <= 0.0075


@pytest.mark.parametrize(("batch", "factor"), [(1, 6500), (4, 1500), (16, 190), ("all", 28)])
def test_rpie_converges_for_any_batch(small_a, batch, factor):
    p = rPIE(alpha=0.1, batch=batch) ** 20 * small_a.start
    assert opty.misfit(p) < opty.misfit(small_a.start) / factor
    assert (np.diff(p.history["misfit"]) < 0).all()


def test_rpie_with_three_modes():
    start = scans.start(scans.pictured(scans.Scan("B", (10, 10), 64, 6, modes=3)), device="cpu")
    p = rPIE(alpha=0.05) ** 20 * start
    assert opty.misfit(p) <= opty.misfit(start) / 20
    powers = [(np.abs((Orthogonalise() * q).probe) ** 2).sum((1, 2)) for q in (start, p)]
    share = [w[1:].sum() / w.sum() for w in powers]
    assert share[1] > 300 * share[0]  # the weak modes, nearly absent at the start, come up


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(benchmarks.__path__)])
def test_every_benchmark_finds_what_it_imports(name):
    assert importlib.import_module(f"benchmarks.{name}").__doc__

"""Do error bars hold what they should? ``python -m benchmarks.error_bars small|A PHOTONS ... [--seed S]``.

Scan A of the benchmarks, 256 views of 128 x 128, or a small one of its kind, 144 views of 32 x 32. The same scan is
measured 50 times, each time with other Poisson counts, and reconstructed. ``opty.analysis.uncertainty`` of the first
result by 20 refits. Prints, and writes to benchmarks/results/ under the date: the shares of the deviations of all
50 from their mean, times sqrt(50 / 49), over the lit pixels, that lie within one bar and within 1.96; the median ratio
of the bars to the true spread; spread and bias of the object, relative to it.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np

import opty
from benchmarks import cases, scans
from benchmarks.record import keep
from opty.analysis import align, uncertainty
from opty.analysis.gauges import without_gauges
from opty.analysis.illumination import lit_area

SCENES = {"small": scans.Scan("A", (12, 12), 32, 3), "A": cases.A}
REFIT, REFITS, DIM = opty.ML() ** 60, 20, 1e5


def whole(photons: float) -> opty.Recipe:
    """Return the recipe of a reconstruction; with few photons a long one fits their noise."""
    turns, before = (60, 20) if photons < DIM else (80, 40)
    return opty.ML() ** turns * opty.rPIE(alpha=0.1) ** before


def measured(arrays: dict[str, np.ndarray], photons: float, seed: list[int]) -> opty.PtychoState:
    """Return the start of the scan with ``photons`` a view, its counts drawn by ``seed``."""
    scale = photons / arrays["diff"].sum(axis=(1, 2)).mean()
    counts = np.random.default_rng(seed).poisson(arrays["diff"] * scale).astype(np.float32)
    begin = {"probe": arrays["probe0"] * np.sqrt(scale), "obj": arrays["obj0"]}
    return opty.PtychoState(opty.PtychoData(counts, arrays["pos"]), **begin, device="cpu", threads=1)


def covered(deviations: np.ndarray, bars: np.ndarray) -> dict[str, float]:
    """Return the shares (K, pixels) within one bar and 1.96, and the median ratio of the bars to the true spread."""
    count = len(deviations)
    size = np.abs(deviations) * np.sqrt(count / (count - 1)) / bars
    return {
        "within 1": round(float((size < 1).mean()), 4),
        "within 1.96": round(float((size < 1.96).mean()), 4),
        "bar / spread": round(float(np.median(bars / deviations.std(axis=0, ddof=1))), 3),
    }


def judge(scene: str, photons: float, seed: int, n: int) -> dict:
    """Reconstruct n measurements, and compare their spread with the error bars of the first."""
    arrays, recipe, begun = scans.pictured(SCENES[scene]), whole(photons), time.process_time()
    first = recipe * measured(arrays, photons, [22, seed, 0])
    reference, lit = first.numpy("obj").astype(complex), lit_area(first)
    found = uncertainty(first, REFIT, REFITS, seed=seed)
    objects = []
    for k in range(n):
        p = recipe * measured(arrays, photons, [22, seed, k])
        obj, _ = align(p.numpy("obj"), reference, lit, offset=(0, 0))
        objects.append(without_gauges(obj, reference, lit)[lit])
    every = np.array(objects)
    mean = every.mean(axis=0)
    drawn = np.zeros_like(reference)
    drawn[lit] = mean
    true, _ = align(arrays["obj"].astype(complex), drawn, lit, offset=(0, 0))
    phase = covered(np.angle(every * mean.conj()), found.phase[lit])
    magnitude = covered(np.abs(every) - np.abs(every).mean(axis=0), found.magnitude[lit])
    norm = np.linalg.norm(mean)
    return {
        "scene": scene,
        "photons": photons,
        "seed": seed,
        "reconstructions": n,
        **{f"phase {name}": value for name, value in phase.items()},
        **{f"magnitude {name}": value for name, value in magnitude.items()},
        **{f"factor {name}": round(value, 3) for name, value in found.scale.items()},
        "spread": round(float(np.sqrt((np.abs(every - mean) ** 2).sum(axis=1).mean()) / norm), 5),
        "bias": round(float(np.linalg.norm(true[lit] - mean) / norm), 5),
        "seconds": round(time.process_time() - begun),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scene", choices=SCENES)
    parser.add_argument("photons", type=float, nargs="+")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--reconstructions", type=int, default=50)
    given = parser.parse_args()
    for photons in given.photons:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", opty.MisfitWarning)
            row = judge(given.scene, photons, given.seed, given.reconstructions)
        print(row, flush=True)
        keep(Path(__file__).with_name("results"), "error-bars", [row], ["scene", "photons", "seed"])


if __name__ == "__main__":
    main()

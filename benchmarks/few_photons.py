"""What few photons make of a clear object beside rPIE: ``python -m benchmarks.few_photons FIRST LAST``.

Scans drawn by seed: 100 views of 48 x 48 of a pure phase object under a defocused beam that the start knows, 1e3, 1e4
and 1e5 photons a view. Runs ``rPIE() ** 30`` and ``rPIE() ** 120``. Prints, and writes to benchmarks/results/ under the
date: the error of the object, its mean magnitude where there is light (1 in truth), and how much stronger the probe is
than at the start.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import opty
from benchmarks.record import keep
from opty import rPIE
from opty.simulate import experiment, objects, probes, scans

N, PHOTONS, SWEEPS = 48, (1e3, 1e4, 1e5), (30, 120)


def judge(seed: int, photons: float, sweeps: int) -> dict:
    """Return what a run makes of a scan."""
    square = (np.arange(N) - N // 2) ** 2
    beam = probes.aperture(N, N // 2, edge=2) * np.exp(0.02j * np.add.outer(square, square))
    sample = objects.random_phase((N + 70, N + 70), feature=6, phase_range=(0, 1.0), seed=seed)
    data = experiment(sample, beam, scans.raster((10, 10), step=5, jitter=1.5, seed=seed), photons=photons, seed=seed)
    p = opty.PtychoState(data, data.truth["probe"], device="cpu", threads=1, seed=seed)
    q = rPIE() ** sweeps * p
    lit = opty.analysis.illuminated(np.rint(q.positions).astype(int), q.probe, q.obj.shape)
    return {
        "seed": seed,
        "photons": photons,
        "sweeps": sweeps,
        "error": round(opty.analysis.errors(q)["object"], 4),
        "magnitude": round(float(np.abs(q.obj)[lit].mean()), 3),
        "probe times": round(float((np.abs(q.probe) ** 2).sum() / (np.abs(p.probe) ** 2).sum()), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    given = parser.parse_args()
    for seed in range(given.first, given.last + 1):
        for photons in PHOTONS:
            for sweeps in SWEEPS:
                row = judge(seed, photons, sweeps)
                print(row, flush=True)
                keep(Path(__file__).with_name("results"), "few-photons", [row], ["seed", "photons", "sweeps"])


if __name__ == "__main__":
    main()

"""Does PosCorrect leave right positions where they are? ``python -m benchmarks.rough_starts FIRST LAST``.

Scans drawn by seed: 49 views of 48 x 48 of two pictures, 1e6 photons a view, a beam that the start knows but for a
phase that is wrong in each pixel by 0.1 rad, so that many sweeps pass before the object has its features. Positions are
right, or off by a Gaussian of 1.5 px on each axis. Runs ``(PosCorrect() * rPIE()) ** 100``, the same with
``PosCorrect(wait=False)``, and ``rPIE() ** 100`` alone. Prints, and writes to benchmarks/results/ under the date: the
mean distance of the positions from the truth [px], the mean offset taken off, and the error of the object.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np

import opty
from benchmarks.record import keep
from opty import PosCorrect, rPIE
from opty.physics.scan_map import position_error
from opty.simulate import experiment, objects, probes, scans, stage

N, VIEWS, SWEEPS, WRONG = 48, (7, 7), 100, 1.5
RUNS = {"waits": PosCorrect(), "does not wait": PosCorrect(wait=False)}


def draw(seed: int, wrong: float) -> opty.PtychoState:
    """Draw a scan by seed; return the state at its start."""
    square = (np.arange(N) - N // 2) ** 2
    beam = probes.aperture(N, N // 2, edge=2) * np.exp(0.02j * np.add.outer(square, square))
    data = experiment(
        objects.two_images((N + 60, N + 60)),
        beam,
        scans.raster(VIEWS, step=6, jitter=1.5, seed=seed),
        photons=1e6,
        position_error=stage.Gaussian(wrong) if wrong else 0.0,
        seed=seed,
    )
    start = beam * np.exp(0.1j * np.random.default_rng(seed).normal(size=beam.shape))
    return opty.PtychoState(data, probe=start, device="cpu", threads=1, seed=seed)


def judge(seed: int, wrong: float) -> dict:
    """Return what the runs leave of a scan."""
    p = draw(seed, wrong)
    truth = p.data.truth["positions"]
    row = {"seed": seed, "wrong": wrong, "start": round(position_error(p.positions, truth), 3)}
    for name, refinement in RUNS.items():
        q = (refinement * rPIE()) ** SWEEPS * p
        row[name] = round(position_error(q.positions, truth), 3)
        row[f"object, {name}"] = round(opty.analysis.errors(q)["object"], 3)
    alone = rPIE() ** SWEEPS * p
    return row | {"object, no refinement": round(opty.analysis.errors(alone)["object"], 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    given = parser.parse_args()
    for seed in range(given.first, given.last + 1):
        for wrong in (0.0, WRONG):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", opty.MisfitWarning)
                row = judge(seed, wrong)
            print(row, flush=True)
            keep(Path(__file__).with_name("results"), "rough-starts", [row], ["seed", "wrong"])


if __name__ == "__main__":
    main()

"""Does PosCorrect leave right positions where they are? ``python -m benchmarks.rough_starts FIRST LAST [--size]``.

Scans drawn by seed: 49 views of 48 x 48 of two pictures, 1e6 photons a view, a beam that the start knows but for a
phase that is wrong in each pixel by 0.1 rad, so that many sweeps pass before the object has its features. Positions are
right, or off by a Gaussian of 1.5 px on each axis. With --size: 36 views under a beam of two pictures, of which the
start knows the size alone, 1e7 photons, positions off by 2 px on each axis. Runs ``(PosCorrect() * rPIE()) ** 100``,
the same with ``PosCorrect(wait=False)``, and ``rPIE() ** 100`` alone. Prints, and writes to benchmarks/results/ under
the date: the mean distance of the positions from the truth [px], the mean offset taken off, and the error of the
object.
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
SIZE_ALONE = 2.0  # px on each axis by which positions are off where the start knows the size of the beam alone
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


def draw_size(seed: int) -> opty.PtychoState:
    """Draw a scan by seed whose start knows the size of the beam alone."""
    data = experiment(
        objects.two_images((110, 110)),
        probes.two_images(N, 36),
        scans.raster((6, 6), 6, jitter=1, seed=seed),
        photons=1e7,
        position_error=stage.Gaussian(SIZE_ALONE),
        seed=seed,
    )
    start = probes.aperture(N, 36, edge=2) * np.sqrt(data.photons().mean())
    return opty.PtychoState(data, probe=start.astype("complex64"), device="cpu", threads=1)


def judge(p: opty.PtychoState, seed: int, wrong: float) -> dict:
    """Return what the runs leave of a scan."""
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
    parser.add_argument("--size", action="store_true")
    given = parser.parse_args()
    for seed in range(given.first, given.last + 1):
        for wrong in (SIZE_ALONE,) if given.size else (0.0, WRONG):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", opty.MisfitWarning)
                row = judge(draw_size(seed) if given.size else draw(seed, wrong), seed, wrong)
            print(row, flush=True)
            keep(Path(__file__).with_name("results"), "rough-starts", [row], ["seed", "wrong"])


if __name__ == "__main__":
    main()

"""Errors put on the positions of a real scan: ``python -m benchmarks.real_positions FILE [--sigma 5] [--seeds 1 2]``.

A Gaussian of ``--sigma`` px on each axis is added. ``(PosCorrect() * rPIE()) ** 60`` with three modes goes on from
there, alone and after ``FindPositions()``, and from the positions of the file. Prints, and writes to
benchmarks/results/ under the date: misfit, mean distance [px] from the positions refined from those of the file (the
mean offset taken off), CPU seconds, and what was warned of.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np

import opty
from benchmarks.record import keep
from opty import FindPositions, PosCorrect, rPIE
from opty.physics.scan_map import position_error

REFINED = (PosCorrect() * rPIE()) ** 60
RECIPES = {"PosCorrect() alone": REFINED, "after FindPositions()": REFINED * FindPositions()}


def row(data: opty.PtychoData, recipe: opty.Operator, name: str, near: np.ndarray | None) -> tuple[dict, np.ndarray]:
    """Run a recipe; return its row and the positions that it ends with. ``near`` : what these are compared with."""
    start, began = opty.PtychoState(data, modes=3, threads=1, device="cpu"), time.process_time()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        p = recipe * start
    seconds, positions = time.process_time() - began, p.positions
    found = {"recipe": name, "misfit": float(f"{opty.misfit(p):.5g}"), "seconds": round(seconds, 1)}
    found["apart"] = 0.0 if near is None else round(float(position_error(positions, near)), 3)
    return found | {"warnings": [str(one.message) for one in said]}, positions


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path, help="a measurement with positions and a starting probe")
    parser.add_argument("--sigma", type=float, default=5.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    data = opty.load(given.file)
    first, refined = row(data, REFINED, "positions of the file", None)
    rows = [{"file": given.file.name, "sigma": 0.0, "seed": 0} | first]
    for seed in given.seeds:
        wrong = np.random.default_rng(seed).normal(0, given.sigma * (data.pixel or 1), data.positions.shape)
        for name, recipe in RECIPES.items():
            found, _ = row(data.replace(positions=data.positions + wrong), recipe, name, refined)
            rows.append({"file": given.file.name, "sigma": given.sigma, "seed": seed} | found)
    for one in rows:
        print(one, flush=True)
    print(keep(Path(__file__).with_name("results"), "real-positions", rows, ("file", "sigma", "seed", "recipe")))


if __name__ == "__main__":
    main()

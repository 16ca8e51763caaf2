"""What ``PosCorrect()`` does beside AP, DM and RAAR: right positions, and the same wrong by a pixel.

Scans of ``benchmarks.first_line``, drawn by seed: one mode, positions right, a rough start. The wrong ones are off by a
Gaussian of 1 px on each axis.

python -m benchmarks.beside_averages SEED ...    run, print, and keep
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np

import opty
from benchmarks.drawn_scans import object_error
from benchmarks.first_line import draw
from opty import AP, DM, RAAR, PosCorrect
from opty.analysis import position_error

FILE = Path(__file__).parent / "results" / "beside_averages.json"
ENGINES = (AP(), DM(), RAAR())
SWEEPS, WRONG = 150, 1.0


def rows(seed: int) -> list[dict]:
    """Return a row for each engine and each error of the positions."""
    data, rough = draw(seed)
    places, truth = data.positions, data.truth
    off = WRONG * np.random.default_rng([31, seed]).normal(size=places.shape)
    found = []
    for wrong in (0.0, WRONG):
        given = places + wrong * off
        bare = data.replace(positions=given - np.minimum(given.min(axis=0), 0), truth=None)
        start = opty.PtychoState(bare, rough, device="cpu", threads=1, margin=20)
        for engine in ENGINES:
            row = {"seed": seed, "engine": repr(engine), "wrong": round(position_error(given, places), 3)}
            for name, recipe in (("held", engine), ("refined", PosCorrect() * engine)):
                with warnings.catch_warnings(record=True) as said:
                    warnings.simplefilter("always")
                    try:
                        q = recipe**SWEEPS * start
                    except opty.DivergedError:
                        row |= {f"object_{name}": None}
                        continue
                row |= {f"object_{name}": round(object_error(q, truth), 4)}
                if name == "refined":
                    row |= {"left": round(position_error(q.numpy("positions"), places), 3), "warnings": len(said)}
            found.append(row)
    return found


def main(*seeds: str) -> None:
    """Run some seeds and keep what was found."""
    kept = json.loads(FILE.read_text()) if FILE.exists() else []
    for seed in map(int, seeds):
        new = rows(seed)
        for row in new:
            print(row, flush=True)
        kept = [row for row in kept if row["seed"] != seed] + new
        FILE.write_text("[\n" + ",\n".join(json.dumps(row) for row in kept) + "\n]\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

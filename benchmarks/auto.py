"""How near ``opty.auto`` comes to the best of sixty recipes, on scans drawn by seed.

python -m benchmarks.auto list SEED ...     the sixty on each scan, from the searched probe and the right way round
python -m benchmarks.auto judge SEED ...    auto on each scan, as a user gets it; beside the best of the list
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np

import opty
from benchmarks.drawn_scans import Drawn, draw, object_error
from benchmarks.recipe_list import recipes

RESULTS = Path(__file__).parent / "results"
MINUTES = 5.0


def straight(drawn: Drawn) -> opty.PtychoData:
    """Return the data of a scan with its positions turned back: the list is spared to find that out."""
    if "turned" not in drawn.wrong:
        return drawn.data
    swap, row, column = drawn.wrong["turned"]
    positions = drawn.data.positions * np.array([row, column])
    return drawn.data.replace(positions=positions[:, ::-1] if swap else positions)


def list_rows(seed: int) -> list[dict]:
    """Return a row for each of the sixty on a drawn scan: recipe, modes, object error, CPU seconds."""
    drawn = draw(seed)
    data, rows = straight(drawn), []
    probe = opty.analysis.find_probe(data, threads=1).probe
    for recipe, modes in recipes():
        began = time.process_time()
        try:
            p = recipe * opty.PtychoState(data, probe=probe, modes=modes, threads=1)
            row = {"error": None, "seconds": time.process_time() - began}
            row["error"] = object_error(p, drawn.data.truth)
        except opty.DivergedError:
            row = {"error": None, "seconds": time.process_time() - began}
        rows.append({"seed": seed, "modes": modes, "recipe": repr(recipe), **row})
    return rows


def best_of(rows: list[dict]) -> dict:
    """Return the row of the least error."""
    return min((row for row in rows if row["error"] is not None), key=lambda row: row["error"])


def judged(seed: int) -> dict:
    """Return what auto made of a drawn scan."""
    drawn = draw(seed)
    began = time.process_time()
    found = opty.auto(drawn.data.replace(truth=None), minutes=MINUTES, threads=1)
    seconds = time.process_time() - began
    turned = drawn.wrong.get("turned")
    return {
        "seed": seed,
        "wrong": {name: repr(value) for name, value in drawn.wrong.items()},
        "turned": turned is not None,
        "options": found.options,
        "expression": found.expression,
        "error": object_error(found.state, drawn.data.truth),
        "verdict": found.verdict.word,
        "seconds": seconds,
    }


def main(command: str, *seeds: str) -> None:
    """Run a command on some seeds, and keep what came out."""
    warnings.simplefilter("ignore")
    for seed in map(int, seeds):
        file = RESULTS / "auto" / f"{command}-{seed}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        if command == "list":
            rows = list_rows(seed)
            file.write_text(json.dumps(rows, indent=1) + "\n")
            best = best_of(rows)
            print(seed, draw(seed).wrong, f"best {best['error']:.4f} in {best['seconds']:.1f} s: {best['recipe']}")
        else:
            row = judged(seed)
            file.write_text(json.dumps(row, indent=1) + "\n")
            print(row)
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

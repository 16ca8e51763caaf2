"""How near ``opty.auto`` comes to the best of sixty recipes, on scans drawn by seed.

python -m benchmarks.auto list SEED ...     the sixty on each scan, from the searched probe and the right way round
python -m benchmarks.auto judge SEED ...    auto on each scan, as a user gets it
python -m benchmarks.auto table SEED ...    what is recorded of both, and how many scans reach each mark
python -m benchmarks.auto real FOLDER       auto on the two real scans, the star without its probe

Run judge twice in a new checkout: the first run compiles loops, some twenty seconds that count in its time.
"""

from __future__ import annotations

import json
import re
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import opty
from benchmarks.drawn_scans import Drawn, draw, object_error
from benchmarks.recipe_list import recipes

RESULTS = Path(__file__).parent / "results"
MINUTES = 5.0
ABANDONED = 1.6  # times the best error so far, from which on a recipe does not go on half-way
NEAR, TIMES = 1.1, 20.0  # times the best error, and one run of the recipe that was chosen: what auto may have
MARKS = "right orientation", "at most 1.1 times the best error", "at most 20 times one run", "no wrong one is right"
WRONG = 1.5, 0.15  # an error so many times the best one, and so far above it, is that of a wrong picture


def straight(drawn: Drawn) -> opty.PtychoData:
    """Return the data of a scan with its positions turned back: the list is spared to find that out."""
    if "turned" not in drawn.wrong:
        return drawn.data
    swap, row, column = drawn.wrong["turned"]
    positions = drawn.data.positions * np.array([row, column])
    return drawn.data.replace(positions=positions[:, ::-1] if swap else positions)


def list_rows(seed: int) -> list[dict]:
    """Return a row for each of the sixty on a drawn scan: recipe, modes, object error, CPU seconds.

    A recipe of one engine whose error half-way is more than ``ABANDONED`` times the best so far does not go on; its row
    has the error half-way. Those of three modes run first, so that this is early low.
    """
    drawn = draw(seed)
    data, rows = straight(drawn), []
    probe = opty.analysis.find_probe(data, threads=1).probe
    best = np.inf
    for recipe, modes in sorted(recipes(), key=lambda pair: (pair[1] != 3, pair[1])):
        began = time.process_time()
        p = opty.PtychoState(data, probe=probe, modes=modes, threads=1)
        error, abandoned = _run(recipe, p, drawn, best)
        best = min(best, np.inf if error is None else error)
        seconds = round(time.process_time() - began, 2)
        rows.append(
            {"modes": modes, "recipe": repr(recipe), "error": error, "abandoned": abandoned, "seconds": seconds}
        )
    return rows


def _run(recipe: opty.Operator, p: opty.PtychoState, drawn: Drawn, best: float) -> tuple[float | None, bool]:
    """Return the error after a recipe, None where it diverges, and whether it was abandoned half-way."""
    parts = re.findall(r"\*\* (\d+)", repr(recipe))
    half = int(parts[0]) // 2 if len(parts) == 1 and "Find" not in repr(recipe) else None
    try:
        for q in recipe.iter(p):
            if q.iteration == half and (error := object_error(q, drawn.data.truth)) > ABANDONED * best:
                return error, True
    except opty.DivergedError:
        return None, False
    return object_error(q, drawn.data.truth), False


def best_of(rows: list[dict]) -> dict:
    """Return the row of the least error."""
    return min((row for row in rows if row["error"] is not None), key=lambda row: row["error"])


def judged(seed: int) -> dict:
    """Return what auto made of a drawn scan, and the CPU time of one run of its recipe."""
    drawn = draw(seed)
    began = time.process_time()
    found = opty.auto(drawn.data.replace(truth=None), minutes=MINUTES, threads=1)
    seconds = time.process_time() - began
    start = opty.analysis.find_probe(found.data, threads=1).probe
    began = time.process_time()
    again = found.recipe * opty.PtychoState(found.data, start, modes=len(found.state.probe), threads=1)
    winner = time.process_time() - began
    return {
        "seed": seed,
        "wrong": {name: repr(value) for name, value in drawn.wrong.items()},
        "options": found.options,
        "expression": found.expression,
        "error": object_error(found.state, drawn.data.truth),
        "oriented": oriented(found.data.positions, drawn.data.truth["positions"]),
        "verdict": found.verdict.word,
        "reasons": found.verdict.reasons,
        "trials": len(found.trials),
        "seconds": round(seconds, 1),
        "winner_seconds": round(winner, 2),
        "again": bool(np.array_equal(again.obj, found.state.obj)),
    }


def oriented(positions: np.ndarray, truth: np.ndarray) -> bool:
    """Say whether positions (N, 2) have the orientation of the true ones, or are turned by half a turn: its twin."""
    at, true = positions - positions.mean(axis=0), truth - truth.mean(axis=0)
    matrix = np.linalg.lstsq(at, true, rcond=None)[0]
    matrix /= np.sqrt(abs(np.linalg.det(matrix)))
    return bool(np.abs(matrix - np.sign(matrix[0, 0]) * np.eye(2)).max() < 0.2)


def is_wrong(error: float, best: float) -> bool:
    """Say whether a picture is wrong: 1.5 times the error of the best, and 0.15 above it."""
    return error > WRONG[0] * best and error > best + WRONG[1]


def table(seeds: tuple[int, ...]) -> None:
    """Print what is recorded of scans, a line each, and how many of them reach each mark."""
    print("| seed | what is wrong | auto | modes | best of sixty | over it | CPU s, over one run | verdict |")
    print("|---|---|---|---|---|---|---|---|")
    marks: dict[str, list[bool]] = {name: [] for name in MARKS}
    for seed in seeds:
        row, rows = (json.loads((RESULTS / "auto" / f"{name}-{seed}.json").read_text()) for name in ("judge", "list"))
        best, times = best_of(rows), row["seconds"] / row["winner_seconds"]
        over, wrong = row["error"] / best["error"], is_wrong(row["error"], best["error"])
        reached = row["oriented"], over <= NEAR, times <= TIMES, not (wrong and row["verdict"] == "right")
        for name, one in zip(MARKS, reached, strict=True):
            marks[name].append(one)
        modes = re.search(r"modes=(\d+)", row["expression"])
        error = f"{row['error']:.3f}" + ", **wrong orientation**" * (not row["oriented"])
        scale = f", x {row['options']['position_scale']}" if "position_scale" in row["options"] else ""
        cells = [f"{seed}", in_words(row["wrong"]), error + scale, modes.group(1) if modes else "1"]
        cells += [f"{best['error']:.3f}, `{best['recipe']}`, {best['modes']}", f"{over:.2f}"]
        cells += [f"{row['seconds']:.0f}, {times:.0f}", row["verdict"] + ", a wrong picture" * wrong]
        print(f"| {' | '.join(cells)} |")
    for name, ones in marks.items():
        print(f"{name}: {sum(ones)} of {len(ones)}")


def in_words(wrong: Mapping[str, str]) -> str:
    """Return what is wrong with a scan, as ``judged`` keeps it, in few words."""
    said = [f"{wrong['modes']} mode" + "s" * (wrong["modes"] != "1"), f"{float(wrong['photons']):.0e} photons"]
    if (off := float(wrong["positions off [px]"])) > 0:
        said.append(f"positions off by {off:.1f} px")
    if "distance wrong" in wrong:
        said.append("distance 5 % too " + ("long" if float(wrong["distance wrong"]) > 1 else "short"))
    names = {"turned": "turned", "gaps": "gaps", "centre off [px]": "centre off"}
    return ", ".join(said + [word for name, word in names.items() if name in wrong]).replace("e+0", "e")


def real(folder: str) -> None:
    """Print and keep what auto makes of the two real scans, and of the star the same recipe from the file's probe."""
    near = {"propagation": "near", "focus_to_sample": 3.65e-3}
    files = (("siemens-star-small.npz.bz2", {}, 5.0), ("PETRAIII_P25_Near_Field_Ptycho.cxi", near, 3.0))
    rows = []
    for name, options, minutes in files:
        data = opty.load(Path(folder) / name, **options)
        began = time.process_time()
        found = opty.auto(data.replace(probe=None), minutes=minutes, threads=1)
        row = {"file": name, "seconds": round(time.process_time() - began, 1), "expression": found.expression}
        row |= {"options": repr(found.options), "verdict": str(found.verdict), **_fit("", found.state)}
        if data.probe is not None:
            given = found.recipe * opty.PtychoState(data, modes=len(found.state.probe), threads=1)
            row |= _fit("from the file's probe: ", given)
        rows.append(row)
        print(row, flush=True)
    (RESULTS / "auto" / "real.json").write_text(json.dumps(rows, indent=1) + "\n")


def _fit(name: str, p: opty.PtychoState) -> dict[str, float]:
    return {f"{name}misfit": opty.misfit(p), f"{name}R-factor": opty.analysis.r_factor(p)}


def main(command: str, *seeds: str) -> None:
    """Run a command on some seeds, and keep what came out."""
    warnings.simplefilter("ignore")
    time.perf_counter = time.process_time  # a machine that others use as well gives the same trials
    if command == "table":
        return table(tuple(map(int, seeds)))
    if command == "real":
        return real(*seeds)
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
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Does each remedy that check names improve the result? Scans with one fault, reconstructed without and with it.

python -m benchmarks.remedies SEED ...           every fault
python -m benchmarks.remedies SEED ... 'late by one' ...     these alone
python -m benchmarks.remedies table              the table of docs/auto_figures.md, from what is recorded
"""

from __future__ import annotations

import ast
import json
import re
import sys
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
from scipy import ndimage

import opty
from benchmarks.wrong_scans import RECIPE, draw, picture_error, wrong
from opty.analysis import find_probe, illuminated, object_error
from opty.analysis.check.health import health
from opty.io.prepare.preparation import Preparation

RESULTS = Path(__file__).parent / "results" / "remedies"
OPTIONS = {one.name for one in fields(Preparation)}
FROM_OTHERS = (
    "zero frequency in the corner",
    "pedestal",
    "swapped",
    "flipped",
    "distance 5 %",
    "row scale 10 %",
    "pixel size x 2",
    "amplitudes",
    "logarithms",
    "squared",
)  # of benchmarks.wrong_scans
BETTER = 0.98  # times the error without: less is an improvement; more than its inverse is harm
NO_RUN = 9.0  # stands for the error of a run that was refused or diverged


def faults(data: opty.PtychoData, seed: int) -> Iterator[tuple[str, Callable[[], opty.PtychoData]]]:
    """Yield each fault by name, and a function that makes the scan so."""
    rng = np.random.default_rng([21, seed])
    counts, places, n = np.asarray(data.intensities), data.positions, data.n
    some = np.sort(rng.choice(np.arange(5, data.views), 4, replace=False))
    spots = rng.integers(0, n, (12, 2))

    def frames(change: Callable[[np.ndarray], None]) -> Callable[[], opty.PtychoData]:
        def made() -> opty.PtychoData:
            out = counts.copy()
            change(out)
            return data.replace(intensities=out)

        return made

    def hot(out: np.ndarray) -> None:
        out[:, spots[:, 0], spots[:, 1]] = 3 * counts.max()

    def dead(out: np.ndarray) -> None:
        out[:, n // 2 - 2 : n // 2 + 2, n // 2 + 3] = 0

    def saturated(out: np.ndarray) -> None:
        np.minimum(out, int(0.25 * counts.max()), out=out)

    def marked(out: np.ndarray) -> None:
        out[:, n // 2 + 4 : n // 2 + 6] = 2**32 - 1

    def missing(out: np.ndarray) -> None:
        out[some] = 0

    def frozen(out: np.ndarray) -> None:
        out[some] = out[some - 1]

    def full(out: np.ndarray) -> None:
        out[some] = 65535

    def bright(out: np.ndarray) -> None:
        out[some] = rng.poisson(80.0 * counts[some])

    def exposures(out: np.ndarray) -> None:
        out[data.views // 2 :] = rng.binomial(counts[data.views // 2 :].astype(np.int64), 0.4)

    def flicker(out: np.ndarray) -> None:
        out[...] = rng.binomial(counts.astype(np.int64), rng.uniform(0.6, 1, data.views)[:, None, None])

    yield "hot pixels", frames(hot)
    yield "dead pixels", frames(dead)
    yield "saturated pixels", frames(saturated)
    yield "marks in a gap", frames(marked)
    yield "missing frames", frames(missing)
    yield "frozen frames", frames(frozen)
    yield "full frames", frames(full)
    yield "bright frames", frames(bright)
    yield "two exposures", frames(exposures)
    yield "flicker of 40 %", frames(flicker)
    yield "late by one", lambda: data.replace(intensities=np.roll(counts, -1, 0))
    yield "reversed frames", lambda: data.replace(intensities=counts[::-1])
    yield "centre off", lambda: data.replace(intensities=np.roll(counts, (n // 10, -n // 12), (1, 2)))
    turn = np.deg2rad(5.0)
    spun = places @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    yield "turned by 5 degrees", lambda: data.replace(positions=spun)
    known = dict(wrong(data, seed))
    yield from ((name, known[name]) for name in FROM_OTHERS)


def remedies(texts: tuple[str, ...]) -> tuple[dict, opty.Operator, list[str]]:
    """Return the options of load in what check said, the recipe, and calls of replace that it names."""
    options, recipe, calls = {}, RECIPE, []
    for text in texts:
        for name, value in re.findall(r"(\w+)=('[^']*'|\[[^\]]*\]|\([^)]*\)|[\w.+-]+)", text):
            if name in OPTIONS:
                given = ast.literal_eval(value)
                several = name in options and name in ("mask", "leave_out")
                options[name] = [*_many(options[name]), *_many(given)] if several else given
        if "IntensityUpdate() * rPIE()" in text:
            recipe = (opty.IntensityUpdate() * opty.rPIE(alpha=0.05)) ** 30
        calls += re.findall(r"data\.replace\(intensities=(.*)\)$", text)
    return options, recipe, calls


def _many(value: object) -> list:
    return list(value) if isinstance(value, list) else [value]


def error(data: opty.PtychoData, truth: dict, recipe: opty.Operator = RECIPE, turned: dict | None = None) -> float:
    """Return the error of a user's picture, turned back where the detector image was ``turned``."""
    try:
        start = find_probe(data, threads=1).probe if data.probe is None else None
        p = recipe * opty.PtychoState(data, start, threads=1)
    except (ValueError, opty.DivergedError):
        return NO_RUN
    p = _turned_back(p, **(turned or {}))
    found = picture_error(p, truth) if p.data.n == truth["probe"].shape[-1] else _coarser_error(p, truth)
    return min(round(found, 4), NO_RUN)


def _turned_back(p: opty.PtychoState, transpose: bool = False, flip: str | None = None) -> opty.PtychoState:
    """Return a state whose object and positions are those of the detector image as it was."""
    obj, at = p.numpy("obj"), p.numpy("positions")
    for axis, name in enumerate(("rows", "columns")):
        if flip in (name, "both"):
            obj = np.flip(obj, axis)
            at[:, axis] = obj.shape[axis] - p.data.n - at[:, axis]
    if transpose:
        obj, at = obj.T, at[:, ::-1]
    data = p.data.replace(positions=at * (p.pixel or 1.0), truth=None)
    return opty.PtychoState(data, p.numpy("probe"), obj=np.ascontiguousarray(obj), device="cpu")


def _coarser_error(p: opty.PtychoState, truth: dict) -> float:
    """Return the error where the frames were cut, so that pixels are larger: the object is brought to those of the
    truth, and its twin not looked at.
    """
    times = p.data.n / truth["probe"].shape[-1]
    size = np.array(p.obj.shape[-2:]) / times
    grid = np.meshgrid(*(np.arange(int(edge)) * times for edge in size), indexing="ij")
    obj = p.numpy("obj")
    fine = sum(part * ndimage.map_coordinates(of, grid, order=3) for part, of in ((1, obj.real), (1j, obj.imag)))
    middle = (p.numpy("positions") + p.data.n // 2).mean(axis=0) / times
    there = (truth["positions"] + truth["probe"].shape[-1] // 2).mean(axis=0)
    lit = illuminated(truth["positions"], truth["probe"], truth["obj"].shape)
    return object_error(fine, truth["obj"], lit, np.rint(middle - there).astype(int))


def rows(seed: int, only: tuple[str, ...]) -> Iterator[dict]:
    """Yield a row for each fault of a scan."""
    clean = draw(seed)
    truth = clean.truth
    best = error(clean.replace(truth=None), truth)
    for name, made in faults(clean, seed):
        if only and name not in only:
            continue
        row = {"seed": seed, "fault": name, "right": best}
        try:
            data = made().replace(truth=None)
        except (ValueError, TypeError) as refused:
            yield row | {"said": [str(refused)], "remedy": "refused", "without": None, "with": None}
            continue
        said = health(data)
        options, recipe, calls = remedies((*said.problems, *said.warnings))
        row |= {"said": [*said.problems, *said.warnings], "remedy": repr(options) if options else ""}
        row["remedy"] += "IntensityUpdate" * (recipe is not RECIPE) + " ".join(calls)
        row["without"] = error(data, truth)
        mended = data
        for call in calls:
            mended = data.replace(intensities=eval(call, {"data": data, "np": np}))
        if options:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "scan.cxi"
                opty.save(file, mended, format="cxi")
                mended = opty.load(file, **options)
        turned = {name: options[name] for name in ("transpose", "flip") if name in options}
        row["with"] = error(mended, truth, recipe, turned) if row["remedy"] else None
        yield row


def effect(row: dict) -> str:
    """Return what a remedy did."""
    if row["remedy"] == "refused":
        return "refused"
    if row["with"] is None:
        return "no remedy"
    if row["with"] <= BETTER * row["without"]:
        return "better"
    return "worse" if row["with"] * BETTER > row["without"] else "alike"


def table() -> None:
    """Print the table of all that is recorded: a line for each fault."""
    found = defaultdict(list)
    for file in sorted(RESULTS.glob("*.json")):
        for row in json.loads(file.read_text()):
            found[row["fault"]].append(row)
    print("| fault | right | without | with the remedy | better, alike, worse | no remedy | it is |")
    print("|---|---|---|---|---|---|---|")
    for name, some in found.items():
        what = [effect(row) for row in some]
        given = [row for row in some if row["with"] is not None]
        numbers = [
            f"{np.median([row[key] for row in given]):.3f}" if given else "" for key in ("right", "without", "with")
        ]
        counts = ", ".join(str(what.count(word)) for word in ("better", "alike", "worse"))
        none = what.count("no remedy") + what.count("refused")
        kinds = sorted({re.sub(r"[^a-zA-Z_].*", "", row["remedy"].lstrip("{'")) for row in given})
        print(f"| {name} | {' | '.join(numbers)} | {counts} | {none} | {', '.join(kinds)} |")


def main(*arguments: str) -> None:
    """Run some seeds, and keep what came out; a line each."""
    warnings.simplefilter("ignore")
    if arguments == ("table",):
        return table()
    seeds = [int(word) for word in arguments if word.isdigit()]
    only = tuple(word for word in arguments if not word.isdigit())
    for seed in seeds:
        found = []
        for row in rows(seed, only):
            found.append(row)
            print(seed, row["fault"], effect(row), row["without"], row["with"], row["right"], row["remedy"], flush=True)
        if not only:
            RESULTS.mkdir(parents=True, exist_ok=True)
            (RESULTS / f"{seed}.json").write_text(json.dumps(found, indent=1) + "\n")
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])

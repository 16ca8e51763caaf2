"""Two revisions on the same recipes and scans: equal bits, else how different, and times taken in turn."""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.same import compare, recipes, starts
from benchmarks.same.trees import ROOT, Tree, TreeError, checked_out, is_ancestor

ARRAYS, MISFIT = 1e-10, 1e-3  # largest relative differences: of complex128 arrays, and of the misfit in complex64
TURN = 0.2  # seconds that a run lasts at least while it is timed
FINE = ("same", "power of two", "within tolerance", "unknown there", "meant")


@dataclass(frozen=True)
class Asked:
    """What is compared, and how often. ``threads`` : the first of them for the comparison, all for the times."""

    revision: str
    scans: Sequence[str] = starts.NAMES
    only: str = ""
    iterations: int = 5
    pairs: int = 5
    threads: Sequence[int] = (1,)
    quick: bool = False
    data: Path = Path("../shared/data")
    meant: Sequence[recipes.Meant] = field(default=recipes.MEANT)


def rows(asked: Asked) -> Iterator[dict[str, Any]]:
    """Yield a row for each scan and recipe; a scan that is not there gives one row with the reason."""
    with checked_out(asked.revision) as other, tempfile.TemporaryDirectory() as temporary:
        meant = [m for m in asked.meant if is_ancestor(asked.revision, m.before)]
        for name in asked.scans:
            folder = Path(temporary) / name
            if why := starts.write(folder, name, asked.quick, asked.data):
                yield dict(scan=name, recipe="", verdict="skipped", note=why)
                continue
            chosen = {key: text for key, text in recipes.RECIPES.items() if asked.only in f"{name}: {key}: {text}"}
            found = {key: {} for key in chosen}
            for count in asked.threads if chosen else ():
                with Tree(ROOT) as mine, Tree(other) as theirs:
                    for tree in (mine, theirs):
                        tree.open(folder, count)
                    for key, text in chosen.items():
                        row = found[key]
                        if not row:
                            row.update(scan=name, recipe=key, text=text)
                            row.update(_compared(mine, theirs, text, asked.iterations, Path(temporary)))
                            _excuse(row, meant)
                        if asked.pairs and "error" not in row and (times := timed(mine, theirs, text, asked.pairs)):
                            row.setdefault("times", {})[count] = times
                        if count == asked.threads[-1]:
                            yield row


def _compared(mine: Tree, theirs: Tree, text: str, iterations: int, folder: Path) -> dict[str, Any]:
    """Return what a row says of the numbers."""
    if error := mine.ask(do="parse", recipe=text).get("error"):
        return dict(verdict="FAILS here", error=error)
    if error := theirs.ask(do="parse", recipe=text).get("error"):
        return dict(verdict="unknown there", error=error)
    single = _both(mine, theirs, text, iterations, "complex64", folder)
    if "error" in single:
        return single
    found = compare.bits(*single["arrays"])
    told = dict(obj=found.obj, probe=found.probe, positions=found.positions, history=found.history)
    if found.same:
        return dict(verdict="power of two" if found.power else "same", power=found.power, **told)
    double = _both(mine, theirs, text, iterations, "complex128", folder)
    if "error" in double:
        return double
    a, b = single["misfits"]
    off = compare.difference(*double["arrays"])
    misfit = abs(a - b) / max(abs(b), 1e-300)
    fine = off <= ARRAYS and misfit <= MISFIT
    return dict(verdict="within tolerance" if fine else "DIFFERENT", arrays=off, misfit=misfit, misfits=[a, b], **told)


def _both(mine: Tree, theirs: Tree, text: str, iterations: int, dtype: str, folder: Path) -> dict[str, Any]:
    """Run a recipe in both trees; the arrays and misfits of each, or an error of one of them."""
    arrays, misfits = [], []
    for where, tree in (("here", mine), ("there", theirs)):
        output = folder / "run.npz"
        answer = tree.ask(do="run", recipe=text, iterations=iterations, dtype=dtype, output=str(output))
        if "error" in answer:
            return dict(verdict=f"FAILS {where}", error=f"{dtype}: {answer['error']}")
        with np.load(output) as found:
            arrays.append(dict(found))
        misfits.append(answer["misfit"])
    return dict(arrays=arrays, misfits=misfits)


def _excuse(row: dict[str, Any], meant: Sequence[recipes.Meant]) -> None:
    """Turn a difference into one that is meant, where one is named for it."""
    for one in meant:
        if row["verdict"] not in FINE and one.covers(row["recipe"], row["scan"]):
            row.update(verdict="meant", note=one.why)


def timed(mine: Tree, theirs: Tree, text: str, pairs: int) -> dict[str, float] | None:
    """Return seconds of an iteration here and there, medians of turns, and the median of the ratios (here / there).

    None where a run of that length fails in either.
    """
    trees, count, taken = (mine, theirs), 1, []
    for turn in range(-2, pairs):  # the first compiles, the second tells how long a turn must be
        order = trees if turn % 2 == 0 else trees[::-1]
        answers = {id(tree): tree.ask(do="time", recipe=text, iterations=count) for tree in order}
        if any("error" in answer for answer in answers.values()):
            return None
        taken.append([answers[id(tree)]["seconds"] for tree in trees])
        if turn == -1:
            count = max(1, math.ceil(TURN / max(min(taken[-1]), 1e-6)))
    here, there = (statistics.median(turns) for turns in zip(*taken[2:], strict=True))
    return dict(here=here, there=there, ratio=statistics.median(a / b for a, b in taken[2:]))


def head(asked: Asked) -> str:
    """Return the head of the table."""
    times = "".join(f" {n} thread{'s' * (n > 1)}: ms here, there | ratio |" for n in asked.threads) * bool(asked.pairs)
    line = f"| scan | recipe | obj | probe | positions | history | {asked.revision} |{times}"
    return line + "\n" + "|---" * (line.count("|") - 1) + "|"


def line(row: dict[str, Any], asked: Asked) -> str:
    """Return a row as a line of the table."""
    equal = [{True: "=", False: "≠"}.get(row.get(name), "") for name in ("obj", "probe", "positions", "history")]
    cells = [row["scan"], row["recipe"], *equal, _words(row)]
    for count in asked.threads if asked.pairs else ():
        t = row.get("times", {}).get(count)
        cells += ["", ""] if t is None else [f"{t['here'] * 1e3:.3g}, {t['there'] * 1e3:.3g}", f"{t['ratio']:.3f}"]
    return "| " + " | ".join(cells) + " |"


def _words(row: dict[str, Any]) -> str:
    """Say how two results differ."""
    words = row["verdict"]
    if words == "power of two":
        words = f"P 2^{row['power']}, O 2^{-row['power']}"
    if "arrays" in row:
        words += f": complex128 {row['arrays']:.1e}, misfit {row['misfit']:.1e}"
    return "; ".join([words, *(row[name] for name in ("note", "error") if name in row)])


def fine(row: dict[str, Any]) -> bool:
    """Whether a row is no reason to fail."""
    return row["verdict"] in (*FINE, "skipped")


__all__ = ["Asked", "TreeError", "fine", "head", "line", "rows"]

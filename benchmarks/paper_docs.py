"""The tables of docs/paper.md, from what the scripts of examples/paper and the benchmarks of it have recorded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.markdown import head, line
from benchmarks.paper_positions import CORRECTING, ENGINES, FINDINGS, METHODS, Finding

SIZES = ("tiny", "reduced", "full")
WORDS = {
    "S9: gain 1, A": "gain 1, signal A (S9)",
    "S10: gain 1, B": "gain 1, signal B (S10)",
    "S11: Adam, A": "Adam, step 0.3, signal A (S11)",
    "S12: Adam, B": "Adam, step 0.3, signal B (S12)",
    "S13: serial": "serial (S13)",
    "S13: gradient": "gradient (S13)",
    "PosCorrect()": "`PosCorrect()`",
    "FindPositions()": "`FindPositions(sweeps=8)` alone",
}


# -- The scripts


def scripts(rows: list[dict]) -> list[str]:
    """Return main numbers and times of the scripts, each size in a column of its own."""
    found = {(row["script"], row["size"]): _cells(row) for row in rows}
    sizes = [size for size in SIZES if any(key[1] == size for key in found)]
    lines = head("script", "", *sizes)
    for name in sorted({key[0] for key in found}):
        cells = [found.get((name, size), {}) for size in sizes]
        for what in sorted(dict.fromkeys(what for cell in cells for what in cell), key="run".__eq__):
            lines.append(line(f"`{name}`", what, *(cell.get(what, "not run") for cell in cells)))
    return lines


def _cells(row: dict) -> dict[str, str]:
    """Return what a script has come to at one size, by what it is."""
    machine = f"; {row['machine']['processor']}" if "machine" in row else ""
    times = f"{row['cpu_seconds']:.0f} s of CPU, {row['seconds']:.0f} s, load {row['load']}"
    found = {number["what"]: f"{number['value']} ({number['limits']})" for number in row["numbers"]}
    last = f"{'passed' if row['passed'] else 'FAILED'}; {times}; {row['date']}, opty of {row['commit']}{machine}"
    return found | {"run": last}


def overviews(rows: list[dict]) -> list[str]:
    """Return the times of the pictures of raw scans."""
    lines = head("scan", "views", "seconds", "of CPU")
    return lines + [
        line(row["scan"], f"{row['views']} of {row['n']}²", *(row[k] for k in ("seconds", "cpu_seconds")))
        for row in rows
    ]


# -- Positions


def positions(rows: list[dict], n: int) -> list[str]:
    """Return what each method leaves: the median over seeds, least and most, and the median beside an affine map."""
    rows = [row for row in rows if row["n"] == n and row["part"] != "engines"]
    found = cases(rows)
    lines = head("", *(f"{part}, {sigma:g} px, {len(_seeds(some))} seeds" for (part, sigma), some in found.items()))
    begun = [[next(row for row in some if row["seed"] == seed) for seed in _seeds(some)] for some in found.values()]
    lines.append(line("start", *(_spread(some, "start", "start_affine") for some in begun)))
    for name, words in WORDS.items():
        of_method = [[row for row in some if row["method"] == name] for some in found.values()]
        lines.append(line(words, *(_spread(some, "left", "left_affine") for some in of_method)))
    return lines


def findings(rows: list[dict], n: int) -> list[str]:
    """Return for how many seeds each of the paper's findings holds, by the median error; beside an affine map."""
    found = cases([row for row in rows if row["n"] == n and row["part"] != "engines"])
    lines = head("", *(f"{part}, {sigma:g} px" for part, sigma in found))
    for finding in FINDINGS:
        told = ("; ".join(_told(finding, some, end) for end in ("", "_affine")) for some in found.values())
        lines.append(line(finding.words, *told))
    return lines


def engines(rows: list[dict], n: int) -> list[str]:
    """Return what four refinements leave of the smaller error in the near field, by engine."""
    of_engine = [row for row in rows if row["n"] == n and row["part"] == "engines"]
    if not of_engine:
        return []
    sigma = of_engine[0]["sigma"]
    near = [row for row in rows if (row["n"], row["part"], row["sigma"]) == (n, "near", sigma)]
    by_pie = [row for row in near if row["method"] in CORRECTING]
    names = {name: (name.split(", ")[-1], name.rsplit(", ", 1)[0]) for name in ENGINES}
    table: dict[tuple[str, str], list[dict]] = {}
    for row in by_pie + of_engine:
        engine, method = names.get(row["method"], ("ePIE()", row["method"]))
        table.setdefault((engine, method), []).append(row)
    kinds = [engine for engine in ("ePIE()", "DM()", "ML()") if any(key[0] == engine for key in table)]
    lines = head("", *(f"`{engine}`" for engine in kinds))
    for method in CORRECTING:
        lines.append(line(WORDS[method], *(_with_object(table.get((engine, method), [])) for engine in kinds)))
    return lines


def cases(rows: list[dict]) -> dict[tuple[str, float], list[dict]]:
    """Return the rows of each regime and error, near field first."""
    keys = sorted({(row["part"], row["sigma"]) for row in rows}, key=lambda key: (key[0] != "near", key))
    return {key: [row for row in rows if (row["part"], row["sigma"]) == key] for key in keys}


def update_pos(rows: list[dict]) -> list[str]:
    """Return what PyNX's update_pos leaves, and the LLK before and after."""
    lines = head("", "seeds", "start", "left", "left, beside an affine map", "LLK at the start, at the end")
    some = [row for row in rows if row["part"] == "positions"]
    for case in dict.fromkeys(row["case"] for row in some):
        same = [row for row in some if row["case"] == case]
        llk = ", ".join(f"{np.median([row['llk'][k] for row in same]):.3g}" for k in (0, -1))
        errors = (_of_those(same, key) for key in ("start", "left", "left_affine"))
        lines.append(line(case, len(same), *errors, llk))
    return lines


def _seeds(rows: list[dict]) -> list[int]:
    return sorted({row["seed"] for row in rows})


def _of_those(rows: list[dict], key: str) -> str:
    """The range over the rows that have the number, and how many they are where some have not."""
    some = [row for row in rows if key in row]
    of_fewer = f", {len(some)} of {len(rows)} seeds" if 0 < len(some) < len(rows) else ""
    return _range(some, key) + of_fewer


def _range(rows: list[dict], key: str) -> str:
    if not rows:
        return "not measured"
    values = np.array([row[key] for row in rows])
    shown = " to ".join(f"{v:.3g}" for v in (values.min(), values.max()))
    return f"{np.median(values):.3g} ({shown})" if len(values) > 1 else f"{values[0]:.3g}"


def _spread(rows: list[dict], key: str, affine: str) -> str:
    if not rows:
        return "not run"
    values = [row[key] for row in rows]
    beside = np.median([row[affine] for row in rows])
    return f"{_px(np.median(values))} ({_px(min(values))} to {_px(max(values))}; {_px(beside)})"


def _with_object(rows: list[dict]) -> str:
    if not rows:
        return "not run"
    left, affine, obj = (np.median([row[key] for row in rows]) for key in ("left", "left_affine", "object_error"))
    return f"{_px(left)} ({_px(affine)}); object {obj:.2g}"


def _px(value: float) -> str:
    return f"{value:.2g}" if value < 1 else f"{value:.3g}"


def _told(finding: Finding, rows: list[dict], end: str) -> str:
    """For how many seeds a finding holds, and the median of its ratio."""
    whole = []
    for seed in _seeds(rows):
        of_seed = [row for row in rows if row["seed"] == seed]
        left = {row["method"]: row[f"left{end}"] for row in of_seed} | {"start": of_seed[0][f"start{end}"]}
        whole += [left] if set(METHODS) <= set(left) else []
    if not whole:
        return "not run"
    return f"{sum(map(finding.holds, whole))} of {len(whole)} ({np.median([finding.ratio(v) for v in whole]):.3g})"


def _at(make: Callable[[list[dict], int], list[str]], n: int) -> Callable[[list[dict]], list[str]]:
    return lambda rows: make(rows, n)


TABLES: dict[str, tuple[str, Callable[[list[dict]], list[str]]]] = {
    "paper-scripts": ("paper-scripts", scripts),
    "overviews": ("paper-overviews", overviews),
    "update-pos": ("paper-pynx", update_pos),
}
for _size, _n in (("half", 64), ("full", 128)):
    TABLES[f"positions-{_size}"] = ("paper-positions", _at(positions, _n))
    TABLES[f"findings-{_size}"] = ("paper-positions", _at(findings, _n))
    TABLES[f"engines-{_size}"] = ("paper-positions", _at(engines, _n))

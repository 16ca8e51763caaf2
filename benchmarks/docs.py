"""The tables of docs/speed.md, docs/paper.md and docs/positions_figures.md, rewritten from the newest result files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import numpy as np

from benchmarks import paper_docs
from benchmarks.markdown import head, line

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = [DOCS / f"{name}.md" for name in ("speed", "paper", "positions_figures")]
TABLE = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def rewrite(results: Path) -> None:
    """Put the tables of the newest results between the markers of the pages; a table without results says so."""
    for page in PAGES:
        page.write_text(filled(page.read_text(), results))


def filled(text: str, results: Path) -> str:
    """Return the text of a page with its tables filled."""
    return TABLE.sub(lambda found: found[1] + _table(found["name"], results) + "\n" + found[3], text)


def _table(name: str, results: Path) -> str:
    kind, make = TABLES[name]
    newest = sorted(results.glob(f"*-{kind}.json"))[-1:]
    if not newest:
        return "*Not measured yet.*"
    found = json.loads(newest[0].read_text())
    lines = make(found["rows"])
    return "\n".join([_source(newest[0], found), "", *lines]) if lines else "*Not measured yet.*"


def _source(path: Path, found: dict) -> str:
    """Say where and when the numbers were taken."""
    about = found["machine"]
    parts = [f"{about['processor']}, {about['cores']} cores"]
    parts += [about["gpu"]] if "gpu" in about else []
    parts += [f"{name} {about[name]}" for name in VERSIONS if name in about]
    others = sorted({row["machine"]["processor"] for row in found["rows"] if "machine" in row})
    parts += [f"some rows of {', '.join(others)}"] if others else []
    commits = sorted({row["commit"] for row in found["rows"] if "commit" in row})
    parts += [f"opty of {', '.join(commits)}"] if commits else []
    loads = [row["load"] for row in found["rows"] if row.get("load") is not None]
    parts += [f"load {min(loads):.1f} to {max(loads):.1f}"] if loads else []
    return f"*{'; '.join(parts)}; {found['date']}, `{path.name}`.*"


def engines(rows: list[dict]) -> list[str]:
    """Return the table of engines: by scan and recipe, with a pair of columns for each number of threads."""
    rows = [row for row in rows if row["part"] == "engines"]
    counts = sorted({row["threads"] for row in rows})
    heads = [f"{count} thread{'s' * (count > 1)}: ms a sweep | × FFTs" for count in counts]
    lines = head("scan", "recipe", "batch", "FFTs a view and mode", *heads, "MiB", "told")
    for _, group in groupby(rows, key=lambda row: (row["scan"], row["recipe"], row["positions"])):
        found = {row["threads"]: row for row in group}
        row = next(iter(found.values()))
        times = [f"{_ms(found[k]['seconds'])} | {found[k]['ratio']:.2f}" if k in found else " | " for k in counts]
        lines.append(line(*_case(row), f"{row['per_view_and_mode']:.3g}", *times, *_memory(row)))
    return lines


def models(rows: list[dict]) -> list[str]:
    """Return the table of engines by model, each over the thin object's times the bare transforms."""
    heads = ("recipe", "model", "batch", "FFTs a view and mode", "ms a sweep", "× FFTs", "over a thin object's")
    lines = head(*heads)
    for recipe in dict.fromkeys(row["recipe"] for row in rows):
        found = [row for row in rows if row["recipe"] == recipe]
        thin = next(row["ratio"] for row in found if row["model"] == "Object()")
        for row in found:
            cells = (row["batch"], f"{row['per_view_and_mode']:.3g}", _ms(row["seconds"]), f"{row['ratio']:.2f}")
            lines.append(line(f"`{recipe}`", f"`{row['model']}`", *cells, f"{row['ratio'] / thin:.2f}"))
    return lines


def passes(rows: list[dict]) -> list[str]:
    """Return the table of what a sweep moves through memory, by model, beside the same engine with a thin object."""
    lines = head("recipe", "model", "FFTs", "images read", "images written", "more than a thin object's")
    for recipe in dict.fromkeys(row["recipe"] for row in rows):
        found = [row for row in rows if row["recipe"] == recipe]
        thin = next(row for row in found if row["model"] == "Object()")
        for row in found:
            more = sum(row[kind] - thin[kind] for kind in ("read", "written"))
            cells = (f"{row[kind]:.1f}" for kind in ("read", "written"))
            lines.append(line(f"`{recipe}`", f"`{row['model']}`", f"{row['transforms']:.3g}", *cells, f"{more:.1f}"))
    return lines


def thick_peers(rows: list[dict]) -> list[str]:
    """Return the table of several slices by package: the error of the worst slice after equal CPU seconds."""
    lines = head("slices", "scan", "package", "settings", "iterations", "error of the worst slice (CPU seconds)")
    for row in rows:
        reached = zip(row["errors"], row["seconds"], strict=True)
        shown = ", ".join(f"{error:.4f} ({seconds:.1f})" for error, seconds in reached)
        cells = (row["slices"], row["seed"], row["package"], f"`{row['settings']}`", row["iterations"][-1])
        lines.append(line(*cells, shown))
    return lines


def on_gpu(rows: list[dict]) -> list[str]:
    """Return the table of engines on a GPU, with the views that a second sees."""
    heads = ("scan", "recipe", "batch", "FFTs a view and mode", "ms a sweep", "views a second", "× FFTs", "MiB", "told")
    lines = head(*heads)
    for row in rows:
        if row["part"] == "engines":
            speed = (_ms(row["seconds"]), f"{row['views_per_second']:,.0f}", f"{row['ratio']:.2f}")
            lines.append(line(*_case(row), f"{row['per_view_and_mode']:.3g}", *speed, *_memory(row)))
    return lines


def _case(row: dict) -> tuple:
    """Return the cells that say what was timed: scan, recipe, views in a batch."""
    size = f"{row['views']} of {row['n']}², {row['modes']} mode{'s' * (row['modes'] > 1)}"
    named = row["scan"] if row["scan"].endswith(f"{row['n']} x {row['n']}") else f"{row['scan']}: {size}"
    return named, f"`{row['recipe']}`" + ", sub-pixel" * (row["positions"] == "sub-pixel"), row["batch"]


def _memory(row: dict) -> tuple[str, str]:
    """Return MiB that were held, and those that ``explain`` told."""
    return "" if row["resident_bytes"] is None else _mib(row["resident_bytes"]), _mib(row["told_bytes"])


def scaling(rows: list[dict]) -> list[str]:
    """Return the table of how time grows: against a time proportional to the work, and its power of the work."""
    lines = head("growing", "from, to", "work ×", "time ×", "power of the work", "largest deviation from linear")
    for part, group in groupby(rows, key=lambda row: row["part"]):
        if part not in WORK:
            continue
        found = list(group)
        work, seconds = (np.array([value(row) for row in found], float) for value in (WORK[part], _seconds))
        if len(found) < 2:
            continue
        power = np.polyfit(np.log(work), np.log(seconds), 1)[0]
        off = seconds / work / np.exp(np.mean(np.log(seconds / work))) - 1
        ends = f"{found[0]['scan']}, {found[-1]['scan']}"
        worst = off[np.argmax(np.abs(off))]
        grown = (f"{values[-1] / values[0]:.3g}" for values in (work, seconds))
        lines.append(line(part, ends, *grown, f"{power:.2f}", f"{100 * worst:+.0f} %"))
    return lines


def overhead(rows: list[dict]) -> list[str]:
    """Return the table of what is left without the transforms on patterns of 16 x 16: nearly all of it Python."""
    lines = head("recipe", "batches a sweep", "µs a batch", "ms a sweep")
    for row in rows:
        if row["part"] == "overhead":
            left = row["seconds"] - row["bare_seconds"]
            lines.append(line(f"`{row['recipe']}`", row["batches"], f"{1e6 * left / row['batches']:.0f}", _ms(left)))
    return lines


def peers(rows: list[dict]) -> list[str]:
    """Return the table of other packages: each, and opty beside it, with the number of threads that suits it best."""
    lines = head("package", "engine", "scan", "its s", "threads", "opty", "opty's s", "threads", "its / opty's")
    for _, group in groupby(rows, key=lambda row: (row["package"], row["engine"], row["batch"], row["scan"])):
        found = list(group)
        its, ours = (min(found, key=lambda row: row[name]) for name in ("seconds", "opty_seconds"))
        engine = f"{its['engine']}, batches of {its['batch']}" if its["batch"] > 1 else its["engine"]
        cells = (f"{its['package']} {its['version']}", engine, its["scan"], f"{its['seconds']:.3g}", its["threads"])
        beside = (f"`{its['recipe']}`", f"{ours['opty_seconds']:.3g}", ours["threads"])
        lines.append(line(*cells, *beside, f"{its['seconds'] / ours['opty_seconds']:.2f}"))
    return lines


def _seconds(row: dict) -> float:
    return row["seconds"]


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:.0f}"


def _mib(count: int) -> str:
    return f"{count / 2**20:.0f}"


WORK: dict[str, Callable[[dict], float]] = {
    "views": lambda row: row["views"],
    "modes": lambda row: row["modes"],
    "pixels": lambda row: row["n"] ** 2 * np.log2(row["n"]),
}
VERSIONS = ("numpy", "scipy", "numba", "cupy-cuda12x", "cupy-cuda13x")
TABLES: dict[str, tuple[str, Callable[[list[dict]], list[str]]]] = {
    "engines": ("speed", engines),
    "models": ("speed-models", models),
    "passes": ("passes", passes),
    "thick-peers": ("thick-packages", thick_peers),
    "scaling": ("speed", scaling),
    "overhead": ("speed", overhead),
    "gpu": ("speed-gpu", on_gpu),
    "overhead-gpu": ("speed-gpu", overhead),
    "peers": ("peers", peers),
    "peers-gpu": ("peers-gpu", peers),
} | paper_docs.TABLES

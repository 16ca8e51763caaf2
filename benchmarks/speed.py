"""Seconds of a sweep: engine x scan x modes x batch x device x threads, beside the bare Fourier transforms."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import scans
from benchmarks.cases import CASES, MODELS, QUICK, QUICK_MODELS, Case
from benchmarks.record import load
from benchmarks.sweep import in_a_process

KEY = ("part", "scan", "recipe", "positions", "device", "threads")
KEY_OF_MODELS = (*KEY, "model")
HEAD = (
    "| scan | recipe | threads | s a sweep | views a second | times the bare FFTs | FFTs a view and mode | MiB, told |"
)


def run(
    cases: list[Case],
    device: str,
    threads: list[int],
    repeat: int = 5,
    measure: Callable[..., dict] = in_a_process,
) -> Iterator[dict]:
    """Yield a row for each case and number of threads; ``measure`` : ``sweep.measured``, in a process or here."""
    with tempfile.TemporaryDirectory() as temporary:
        written: set[scans.Scan] = set()
        for case in cases:
            folder = Path(temporary) / case.scan.name
            if case.scan not in written:
                scans.write(folder, case.scan)
                written.add(case.scan)
            row = dict(part=case.part, scan=case.scan.name, recipe=case.recipe)
            row["positions"] = "sub-pixel" if case.subpixel else "whole"
            row |= dict(model=case.model) if case.model else {}
            # how time grows and what is Python are questions about one thread, and a GPU has no use for more
            for count in threads if case.part in ("engines", "models") and device == "cpu" else threads[:1]:
                found = measure(str(folder), case.recipe, case.subpixel, device, count, repeat, model=case.model)
                yield row | dict(device=device, threads=count, load=load()) | found


def chosen(device: str, quick: bool, only: str, models: bool = False) -> list[Case]:
    """Return the cases that are asked for; ``models`` : engines by model, and not the rest."""
    cases = (QUICK_MODELS if quick else MODELS) if models else QUICK if quick else CASES[device]
    return [case for case in cases if only in case.label]


def all_threads() -> list[int]:
    """Return one, and the cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return sorted({1, cores})


def line(row: dict) -> str:
    """Return a row as a line of a Markdown table under ``HEAD``."""
    held = "" if row["resident_bytes"] is None else f"{row['resident_bytes'] / 2**20:.0f}"
    cells = (
        row["scan"],
        f"`{row['recipe']}`" + ", sub-pixel" * (row["positions"] == "sub-pixel") + _model(row),
        row["threads"],
        f"{row['seconds']:.4g}",
        f"{row['views_per_second']:.4g}",
        f"{row['ratio']:.2f}",
        f"{row['per_view_and_mode']:.3g}",
        f"{held}, {row['told_bytes'] / 2**20:.0f}",
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def _model(row: dict) -> str:
    return f", `{row['model']}`" if "model" in row else ""

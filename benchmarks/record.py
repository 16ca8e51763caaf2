"""Results of benchmarks: rows in a JSON file of the day, with the machine that made them."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import scipy

import opty
from opty.arrays import gpu_available


def keep(folder: Path, name: str, rows: list[dict], key: Sequence[str]) -> Path:
    """Write rows into the file of the day, in place of those of the same work (the same values under ``key``)."""
    path = folder / f"{datetime.date.today().isoformat()}-{name}.json"
    keep_in(path, rows, key)
    return path


def keep_in(path: Path, rows: list[dict], key: Sequence[str]) -> None:
    """Write rows into a file, in place of those of the same work; others that it holds stay.

    The file names the machine of this run; a row that another one made names its own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    here = machine()
    before = json.loads(path.read_text()) if path.exists() else dict(machine=here, rows=[])
    elsewhere = {} if before["machine"] == here else {"machine": before["machine"]}
    kept = {tuple(r[k] for k in key): elsewhere | r for r in before["rows"]}
    for row in kept.values():
        if row.get("machine") == here:
            del row["machine"]
    kept |= {tuple(r[k] for k in key): r for r in rows}
    with opty.io.atomic(path) as file:
        found = dict(date=datetime.date.today().isoformat(), machine=here, rows=list(kept.values()))
        Path(file).write_text(json.dumps(found, indent=1) + "\n")


def machine() -> dict:
    """Return what computes: processor, cores, versions, and the GPU where there is one."""
    found = dict(
        processor=_processor(),
        cores=os.cpu_count(),
        python=platform.python_version(),
        numpy=np.__version__,
        scipy=scipy.__version__,
        opty=opty.__version__,
    )
    for name in ("numba", "cupy-cuda12x", "cupy-cuda13x"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if gpu_available():
        import cupy

        found["gpu"] = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    return found


def commit() -> str:
    """Return the last commit that changed the sources of opty, with "+" where they differ from it."""
    given = dict(cwd=Path(opty.__file__).parent, check=True, text=True, capture_output=True)
    try:
        last, changed = (
            subprocess.run(["git", *words, "--", "."], **given).stdout.strip()
            for words in (("log", "-1", "--format=%h"), ("status", "--porcelain"))
        )
    except (OSError, subprocess.CalledProcessError):
        return "no clone"
    return last + ("+" if changed else "")


def load() -> float | None:
    """Return how many processes wanted a core in the last minute, this one included: more than cores, and times lie."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _processor() -> str:
    """Return the processor's name: Linux's own, as Python's is only the architecture there."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

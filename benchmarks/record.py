"""Results of benchmarks: rows in a JSON file of the day, with the machine that made them."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy

import opty


def keep(folder: Path, name: str, rows: list[dict], key: Sequence[str]) -> Path:
    """Write rows into the file of the day, in place of those of the same work (the same values under ``key``)."""
    today = datetime.date.today().isoformat()
    path = folder / f"{today}-{name}.json"
    folder.mkdir(parents=True, exist_ok=True)
    old = json.loads(path.read_text())["rows"] if path.exists() else []
    machine = dict(
        processor=platform.processor() or platform.machine(),
        cores=os.cpu_count(),
        python=platform.python_version(),
        numpy=np.__version__,
        scipy=scipy.__version__,
        opty=opty.__version__,
    )
    kept = {tuple(r[k] for k in key): r for r in old + rows}
    with opty.io.atomic(path) as file:
        found = dict(date=today, machine=machine, rows=list(kept.values()))
        Path(file).write_text(json.dumps(found, indent=1) + "\n")
    return path

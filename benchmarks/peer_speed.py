"""Seconds of an iteration: opty and other packages, by turns, on the same scan from the same start.

Each package runs in an environment of its own (benchmarks/environments.py), and waits while opty works. What stands
side by side is the same algorithm where the package has it; automatic differentiation has no counterpart, and stands
beside LSQML in batches of the same size. That a package's own measure of error falls tells that its engine was at work.
"""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import opty
from benchmarks import cases, environments, scans
from benchmarks.bare import waiter
from benchmarks.record import load
from benchmarks.sweep import TURN, Engine

KEY = ("package", "engine", "batch", "scan", "device", "threads")
HEAD = "| package | engine | scan | threads | its s | opty's | s | its / opty's | its error, from, to |"
SCANS = {scan.name: scan for scan in (cases.A, cases.B)}
QUICK = {"A": scans.Scan("A", (4, 4), 32, 4), "B": scans.Scan("B", (4, 4), 32, 4, modes=3)}
PATIENCE = 60.0  # seconds after which three turns are enough


@dataclass(frozen=True)
class Work:
    """An engine of a package, views in a batch (for ``dm`` a matter of memory only), and opty's recipe beside it."""

    scan: str
    engine: str
    batch: int
    recipe: str


WORK = {
    "ptychi": (
        Work("A", "epie", 1, "ePIE()"),
        Work("A", "epie", 32, "ePIE(batch=32)"),
        Work("A", "lsqml", 32, "LSQML()"),
        Work("A", "dm", 32, "DM()"),
        Work("B", "lsqml", 32, "LSQML()"),
    ),
    "cdtools": (Work("A", "adam", 32, "LSQML()"), Work("B", "adam", 32, "LSQML()")),
    "ptylab": (Work("A", "ePIE", 1, "ePIE()"), Work("A", "mPIE", 1, "mPIE(batch=1)"), Work("B", "ePIE", 1, "ePIE()")),
    "ptyrad": (Work("A", "adam", 32, "LSQML()"), Work("B", "adam", 32, "LSQML()")),
    "tike": (
        Work("A", "rpie", 32, "rPIE(batch=32)"),
        Work("A", "lstsq_grad", 32, "LSQML()"),
        Work("A", "dm", 256, "DM()"),
        Work("B", "lstsq_grad", 32, "LSQML()"),
    ),
}
ONLY_ON = {"tike": "gpu", "ptylab": "cpu"}


class Other:
    """A package at work in a process of its own, on the scan in a folder, until it is closed."""

    def __init__(self, python: Path, name: str, folder: Path, work: Work, device: str, threads: int):
        self.words = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        script = environments.PEERS / f"speed_{name}.py"
        asked = [python, script, folder, work.engine, work.batch, threads, device]
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.words, text=True)
        self.process = subprocess.Popen([str(word) for word in asked], **pipes)
        self.errors: list[float] = []
        self._answer()

    def seconds(self, times: int = 1) -> float:
        """Return the seconds of an iteration, the mean of so many."""
        print(times, file=self.process.stdin, flush=True)
        found = self._answer()
        self.errors.append(found["error"])
        return found["seconds"] / times

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.words.close()

    def _answer(self):
        answer = self.process.stdout.readline()
        if answer:
            return json.loads(answer)
        self.words.seek(0)
        lines = [line for line in self.words.read().splitlines() if line.strip()]
        self.close()
        raise environments.PeerError((lines or ["no message"])[-1])


def run(
    packages: Sequence[str],
    environment_folder: Path,
    device: str,
    threads: Sequence[int],
    repeat: int = 5,
    only: str = "",
    quick: bool = False,
) -> Iterator[dict]:
    """Yield a row for each engine of the packages and number of threads; what cannot run is said on standard error."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = {name: Path(temporary) / name for name in SCANS}
        for name, scan in (QUICK if quick else SCANS).items():
            scans.write(folders[name], scan)
        for package in packages:
            if device != ONLY_ON.get(package, device):
                _skipped(package, f"it is timed on a {ONLY_ON[package]} only")
                continue
            try:
                python = environments.environment(environment_folder, package)
                found = dict(package=package, version=environments.version(python, package), device=device)
            except (environments.PeerError, OSError, subprocess.SubprocessError) as error:
                _skipped(package, error)
                continue
            works = [work for work in WORK[package] if only in f"{package} {work.engine} {work.scan}: {work.recipe}"]
            for work, count in itertools.product(works, threads if device == "cpu" else threads[:1]):
                try:
                    other = Other(python, package, folders[work.scan], work, device, count)
                    yield found | by_turns(other, folders[work.scan], work, device, count, repeat)
                except environments.PeerError as error:
                    _skipped(f"{package} {work.engine} on scan {work.scan}", error)


def _skipped(what: str, why: object) -> None:
    print(f"{what}: skipped, {why}", file=sys.stderr, flush=True)


def by_turns(other: Other, folder: Path, work: Work, device: str, threads: int, repeat: int) -> dict:
    """Return the row of an engine: medians of opty's turns and of the other's, one after the other."""
    warnings.simplefilter("ignore", opty.MisfitWarning)
    p = scans.start(scans.load(folder), subpixel=False, device=device, threads=threads)
    ours = Engine(opty.parse(work.recipe), p, waiter(device))
    try:
        for engine in (ours, other):  # a first turn compiles, plans and allocates
            engine.seconds()
        counts = [max(1, math.ceil(TURN / engine.seconds())) for engine in (ours, other)]
        taken, begun = [], time.perf_counter()
        while len(taken) < repeat and (len(taken) < 3 or time.perf_counter() - begun < PATIENCE):
            taken.append([engine.seconds(k) for engine, k in zip((ours, other), counts, strict=True)])
        errors = [other.errors[0], other.errors[-1]]
    finally:
        other.close()
    mine, theirs = (float(value) for value in np.median(taken, axis=0))
    return dict(
        engine=work.engine,
        batch=work.batch,
        scan=work.scan,
        modes=len(ours.p.probe),
        threads=threads,
        recipe=work.recipe,
        seconds=theirs,
        opty_seconds=mine,
        ratio=theirs / mine,
        turns=len(taken),
        errors=errors,
        load=load(),
    )


def line(row: dict) -> str:
    """Return a row as a line of a Markdown table under ``HEAD``."""
    first, last = row["errors"]
    cells = (
        f"{row['package']} {row['version']}",
        f"{row['engine']}, batches of {row['batch']}" if row["batch"] > 1 else row["engine"],
        row["scan"],
        row["threads"],
        f"{row['seconds']:.4g}",
        f"`{row['recipe']}`",
        f"{row['opty_seconds']:.4g}",
        f"{row['ratio']:.2f}",
        f"{first:.3g}, {last:.3g}",
    )
    return "| " + " | ".join(map(str, cells)) + " |"

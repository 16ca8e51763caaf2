"""What a page costs the run that it shows: ``python -m benchmarks.live_page [--seconds 20] [--turns 3]``.

``rPIE()`` on scans A and B, with a page at which nobody looks, and with one at which a viewer in another process looks,
who fetches all that a browser does as soon as there is news. In one run the page is there and away by turns,
so that both see the same machine; while it is away the time for the next picture stands still. The cost is what an
iteration takes with the page more than without, in CPU time of the process that runs, the threads of its server
included, and in time of the clock; and, steadier still, the share of the CPU time that was spent in the step ``Serve``
and in answers to viewers. The viewer's own CPU time, which a browser on another machine would not take, is in the time
of the clock where cores are few. Prints a table and writes it to benchmarks/results/ under the date.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

KINDS = ("unwatched", "watched")
PHASE = 1.0  # seconds for which the page is there, or away
TOKEN = "benchmark"


def look(url: str) -> None:
    """Look at a page until it is gone, as a browser does."""
    base, number, serial = url.split("/?")[0], -1, None

    def get(path: str, asked: str = "") -> bytes:
        with urllib.request.urlopen(f"{base}{path}?token={TOKEN}{asked}", timeout=30) as answer:
            return answer.read()

    while True:
        try:
            facts = json.loads(get("/status", f"&after={number}"))
        except OSError:
            return
        number, picture = facts["number"], facts["picture"]
        if picture and picture["serial"] != serial:
            serial, (top, bottom, left, right) = picture["serial"], picture["lit"]
            get("/object", f"&most=1024&top={top}&bottom={bottom}&left={left}&right={right}")
            get("/probe", "&most=192")
            get("/positions")


class Turns:
    """Iterations with and without the page by turns, in one run: their number, seconds of CPU and of the clock."""

    def __init__(self) -> None:
        import opty

        self.sums = {on: [0, 0.0, 0.0] for on in (False, True)}
        self.inside, self.on = 0.0, True
        self._apply, self._before = opty.Serve.apply, None
        opty.Serve.apply = lambda step, s: self.apply(step, s)  # type: ignore[method-assign]

    def apply(self, step: Any, s: Any) -> None:
        """Stand for the step ``Serve``."""
        now = time.process_time(), time.perf_counter()
        if self._before is None:
            self.changed = now[1]
        else:
            of = self.sums[self.on]
            self.sums[self.on] = [of[0] + 1, *(t + a - b for t, a, b in zip(of[1:], now, self._before, strict=True))]
        self._before = now
        if now[1] - self.changed > PHASE:
            self.on = not self.on
            if self.on and (shown := s.memo["run"].announced.get(step)) is not None:
                away = now[1] - self.changed  # the next picture and the next facts are due as much later
                shown.board.budget._last += away
                shown._last += away
            self.changed = now[1]
        if self.on:
            began = time.thread_time()
            self._apply(step, s)
            self.inside += time.thread_time() - began


def run(name: str, kind: str, seconds: float) -> dict[str, float]:
    """Run in this process; return what an iteration costs with the page, of the CPU and of the clock, and the share."""
    import opty
    from benchmarks import cases, scans
    from opty.live import server

    scan = {"A": cases.A, "B": cases.B}[name]
    p = scans.start(scans.pictured(scan), device="cpu", threads=1)
    p = opty.rPIE() ** 2 * p  # compiles
    began = time.perf_counter()
    p = opty.rPIE() ** 4 * p
    iterations = max(10, round(seconds / (time.perf_counter() - began) * 4))
    held = server.serving("127.0.0.1", 0)
    viewer = None
    if kind == "watched":
        viewer = subprocess.Popen([sys.executable, "-m", "benchmarks.live_page", "--look", held.url])
        time.sleep(1)
    turns = Turns()
    (opty.Serve(port=0) * opty.rPIE()) ** iterations * p
    if viewer is not None:
        viewer.kill()
        viewer.wait()
    (n, cpu, clock), (m, there, seen) = turns.sums[False], turns.sums[True]
    return {
        "iterations": n + m,
        "without_cpu": cpu / n,
        "cpu_cost": there / m / (cpu / n) - 1,
        "clock_cost": seen / m / (clock / n) - 1,
        "share": (turns.inside + held.board.budget.answers) / there,
        "pictures": held.board.snapshot.serial,
    }


def measured(name: str, seconds: float, turns: int) -> list[dict[str, Any]]:
    """Measure a scan, each turn in a process of its own; return a row of medians of each kind."""
    rows = []
    for kind in KINDS:
        found = [_apart(name, kind, seconds) for _ in range(turns)]
        row = {what: statistics.median(one[what] for one in found) for what in found[0]}
        row = {"scan": name, "page": kind, "turns": turns} | row | {"cpu_costs": [one["cpu_cost"] for one in found]}
        print(row, flush=True)
        rows.append(row)
    return rows


def _apart(name: str, kind: str, seconds: float) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.live_page", "--one", name, kind, str(seconds)]
    env = os.environ | {"OPTY_LIVE_TOKEN": TOKEN}
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env)
    return json.loads(told.stdout.decode().splitlines()[-1])


def main() -> None:
    """Measure, print and keep."""
    import datetime

    from benchmarks.record import machine

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20, help="of each run")
    parser.add_argument("--turns", type=int, default=3, help="runs of each kind")
    parser.add_argument("--look", help=argparse.SUPPRESS)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.look:
        look(given.look)
    elif given.one:
        name, kind, seconds = given.one
        print(json.dumps(run(name, kind, float(seconds))))
    else:
        rows = [row for name in ("A", "B") for row in measured(name, given.seconds, given.turns)]
        path = Path(__file__).with_name("results") / f"{datetime.date.today().isoformat()}-live-page.json"
        path.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()

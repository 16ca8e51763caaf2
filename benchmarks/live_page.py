"""What a page costs the run that it shows: ``python -m benchmarks.live_page [--seconds 20] [--pairs 3]``.

``rPIE()`` on scans A and B, without a page, with a page at which nobody looks, and with one at which a viewer in
another process looks, who fetches all that a browser does as soon as there is news. The three take turns. For each
the CPU time of the process that runs, the threads of its server included, and the time of the clock, per iteration;
and the share of the CPU time that was spent in the step ``Serve`` and in answers to viewers, which is steady where a
busy machine makes the other two noisy. The viewer's own CPU time, which a browser on another machine would not take,
is in the time of the clock where cores are few. Prints a table and writes it to benchmarks/results/ under the date.
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

KINDS = ("without", "unwatched", "watched")
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


def run(name: str, kind: str, iterations: int) -> dict[str, float]:
    """Run in this process; return seconds an iteration, of the CPU and of the clock, the share, and the pictures."""
    import opty
    from benchmarks import cases, scans
    from opty.live import server

    scan = {"A": cases.A, "B": cases.B}[name]
    p = scans.start(scans.pictured(scan), device="cpu")
    p = opty.rPIE() ** 2 * p  # compiles
    step = opty.rPIE() if kind == "without" else opty.Serve(port=0) * opty.rPIE()
    viewer = None
    if kind == "watched":
        held = server.serving("127.0.0.1", 0)
        viewer = subprocess.Popen([sys.executable, "-m", "benchmarks.live_page", "--look", held.url])
        time.sleep(1)
    inside = [0.0]
    apply = opty.Serve.apply

    def timed(self: opty.Serve, s: Any) -> None:
        began = time.thread_time()
        apply(self, s)
        inside[0] += time.thread_time() - began

    opty.Serve.apply = timed
    clock, cpu = time.perf_counter(), time.process_time()
    step**iterations * p
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    found = {"clock": clock / iterations, "cpu": cpu / iterations, "share": inside[0] / cpu}
    if viewer is not None:
        found["share"] += held.board.budget.answers / cpu
        found["pictures"] = held.board.snapshot.serial
        viewer.kill()
        viewer.wait()
    return found


def measured(name: str, seconds: float, pairs: int) -> dict[str, Any]:
    """Measure a scan, each turn in a process of its own; return medians and costs."""
    rough = _apart(name, "without", 5)["clock"]
    iterations = max(5, round(seconds / rough))
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for turn in range(pairs):
        for kind in KINDS if turn % 2 == 0 else KINDS[::-1]:
            found[kind].append(_apart(name, kind, iterations))
            print(name, kind, found[kind][-1], flush=True)
    row: dict[str, Any] = {"scan": name, "iterations": iterations}
    for kind in KINDS:
        for what in ("cpu", "clock"):
            row[f"{kind}_{what}"] = statistics.median(one[what] for one in found[kind])
    for kind in KINDS[1:]:
        for what in ("cpu", "clock"):
            row[f"{kind}_{what}_cost"] = row[f"{kind}_{what}"] / row[f"without_{what}"] - 1
        row[f"{kind}_share"] = statistics.median(one["share"] for one in found[kind])
    row["pictures"] = statistics.median(one["pictures"] for one in found["watched"])
    return row


def _apart(name: str, kind: str, iterations: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.live_page", "--one", name, kind, str(iterations)]
    env = os.environ | {"OPTY_LIVE_TOKEN": TOKEN}
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env)
    return json.loads(told.stdout.decode().splitlines()[-1])


def main() -> None:
    """Measure, print and keep."""
    import datetime

    from benchmarks.record import machine

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20, help="of each run")
    parser.add_argument("--pairs", type=int, default=3, help="turns of each kind")
    parser.add_argument("--look", help=argparse.SUPPRESS)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.look:
        look(given.look)
    elif given.one:
        name, kind, iterations = given.one
        print(json.dumps(run(name, kind, int(iterations))))
    else:
        rows = [measured(name, given.seconds, given.pairs) for name in ("A", "B")]
        for row in rows:
            print(json.dumps(row, indent=1))
        path = Path(__file__).with_name("results") / f"{datetime.date.today().isoformat()}-live-page.json"
        path.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()

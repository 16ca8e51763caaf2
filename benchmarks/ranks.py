"""What several ranks cost and send: ``python -m benchmarks.ranks [cost|pie|model] [--turns 3] [--iterations 10]``.

cost : AP, LSQML and rPIE on scan B, over two ranks (MPI), and as two copies that know nothing of each other, on half of
the views each, started together. CPU seconds an iteration of both processes, by turns; what was spent in waits for the
other rank is taken off, and what the same messages take when both ranks send them at once, with nothing to wait
for, is added. Calls and bytes are those of one rank in an iteration.

pie : ``rPIE()`` on scan A, 100 iterations, on one process and over two and four ranks; the object error of each.

model : what the formulas of docs/clusters.md make of the time of a view on scan A, in one process, and of the rates of
memory and messages here, against what scan B takes in one process and on each of two ranks: CPU seconds an iteration,
without waits.

Prints tables and keeps the rows in benchmarks/results/ under the date.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ENGINES = {"AP": "AP()", "LSQML": "LSQML()", "rPIE": "rPIE()"}
RESULTS = Path(__file__).with_name("results")
REPLAYS = 5


def half_of(data: Any, part: int) -> Any:
    """Return the first or the second half of the views."""
    from opty.data.parts import chosen

    return chosen(data, np.array_split(np.arange(data.views), 2)[part])


class Watch:
    """CPU seconds that ranks spend in waits, and the messages that they send."""

    def __init__(self) -> None:
        from opty.arrays.ranks import Ranks

        self.seconds, self.sent = 0.0, []  # type: ignore[var-annotated]
        plain = Ranks._wait, Ranks._reduce, Ranks.everywhere
        watch = self

        def wait(ranks: Any, request: Any) -> None:
            began = time.thread_time()
            plain[0](ranks, request)
            watch.seconds += time.thread_time() - began

        def reduce(ranks: Any, host: Any, op: Any) -> None:
            watch.sent.append(lambda: plain[1](ranks, host.copy(), op))
            plain[1](ranks, host, op)

        def everywhere(ranks: Any, rows: Any, counts: Any) -> Any:
            watch.sent.append(lambda: plain[2](ranks, rows.copy(), counts))
            return plain[2](ranks, rows, counts)

        Ranks._wait, Ranks._reduce, Ranks.everywhere = wait, reduce, everywhere  # type: ignore[method-assign]

    def replayed(self, sent: list[Callable[[], Any]]) -> float:
        """Return the CPU seconds of sending messages again, with nothing between: the least of some turns."""
        found = []
        for _ in range(REPLAYS):
            began = time.process_time()
            for one in sent:
                one()
            found.append(time.process_time() - began)
        return min(found)


def run(engine: str, part: str, iterations: int, folder: Path) -> list[dict[str, float]]:
    """Run in this process, on the whole of a scan in a folder or a half, "0" or "1", or ("mpi") as one of the ranks.

    Returns what was measured, of all ranks on the first one: the launcher may glue together what several of them print.
    """
    import opty
    from benchmarks import scans

    p = scans.start(scans.load(folder), device="cpu", threads=1)
    comm, watch = None, None
    if part == "mpi":
        from mpi4py import MPI

        comm, watch = MPI.COMM_WORLD, Watch()
        p = p.over(comm)
    elif part != "whole":
        p = opty.PtychoState(half_of(p.data, int(part)), probe=p.probe, obj=p.obj, device="cpu", threads=1)
    recipe = opty.parse(ENGINES[engine])
    p = recipe**2 * p  # compiles
    ranks = p._live.ranks
    before = ranks.calls, ranks.bytes
    if comm is not None and watch is not None:
        comm.Barrier()
        watch.sent.clear()
        watch.seconds = 0.0
    clock, cpu = time.perf_counter(), time.process_time()
    recipe**iterations * p
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    found = {"clock": clock / iterations, "cpu": cpu / iterations}
    if comm is not None and watch is not None:
        found["waits"] = watch.seconds / iterations
        found["calls"], found["bytes"] = (
            (a - b) / iterations for a, b in zip((ranks.calls, ranks.bytes), before, strict=True)
        )
        sent = list(watch.sent)
        comm.Barrier()
        found["messages"] = watch.replayed(sent[len(sent) // 2 :]) / (len(sent) - len(sent) // 2)
        found["messages"] *= len(sent) / iterations
        return comm.gather(found) or []
    return [found]


def together(commands: list[list[str]]) -> list[dict[str, float]]:
    """Start processes at the same time; return what each of them, or of their ranks, prints."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    started = [subprocess.Popen(c, stdout=subprocess.PIPE, env=env, text=True) for c in commands]
    said = [one.communicate()[0] for one in started]
    if any(one.returncode for one in started):
        raise RuntimeError(f"{commands} ended with {[one.returncode for one in started]}")
    return [json.loads(line) for text in said for line in text.splitlines() if line.startswith("{")]


def mpiexec(ranks: int) -> list[str]:
    """Return the launcher, that of this Python's folder first."""
    found = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
    if found is None:
        raise SystemExit("there is no mpiexec: pip install mpich mpi4py")
    return [found, "-n", str(ranks)]


def cost(turns: int, iterations: int, engines: list[str], folder: Path) -> list[dict[str, Any]]:
    """Measure each engine by turns; return a row of each. Scan B is put into a folder, where it is not yet."""
    from benchmarks import cases, scans

    rows = []
    if not (folder / "diff.npy").exists():
        scans.write(folder, cases.B)
    for engine in engines:
        one = [sys.executable, "-m", "benchmarks.ranks", "--one", engine, str(iterations), str(folder)]
        apart: list[list[dict[str, float]]] = []
        over: list[list[dict[str, float]]] = []
        for turn in range(turns):
            kinds = (apart, [[*one, "0"], [*one, "1"]]), (over, [[*mpiexec(2), *one, "mpi"]])
            for found, commands in kinds if turn % 2 == 0 else kinds[::-1]:
                found.append(together(commands))
        cpu = [sum(p["cpu"] for p in pair) for pair in apart]
        beside = [sum(p["cpu"] - p["waits"] for p in pair) for pair in over]
        messages = [sum(p["messages"] for p in pair) for pair in over]
        row = {"engine": engine, "scan": "B", "iterations": iterations, "turns": turns}
        row |= {"copies_cpu": statistics.median(cpu), "copies_all": cpu}
        row |= {"ranks_cpu_beside_waits": statistics.median(beside), "ranks_all": beside}
        row |= {"messages_cpu": min(messages), "calls": over[0][0]["calls"], "bytes": over[0][0]["bytes"]}
        row["cost"] = (row["ranks_cpu_beside_waits"] + row["messages_cpu"]) / row["copies_cpu"] - 1
        row["clock"] = {"copies": [p[0]["clock"] for p in apart], "ranks": [p[0]["clock"] for p in over]}
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


PASSES = {"AP": 3, "LSQML": 3, "rPIE": 5}  # over what is sent, in the memory of a rank, more than one process makes


def rates() -> dict[str, float]:
    """Return bytes a second in a pass over an array and in a sum over ranks, and seconds of a sum of one number."""
    from mpi4py import MPI

    from opty.arrays.ranks import Ranks

    ranks, a, one = Ranks(MPI.COMM_WORLD), np.zeros(2**19, np.complex64), np.zeros(1)
    other, weight = np.zeros_like(a), np.ones(a.shape, np.float32)

    def seconds(work: Callable[[], Any]) -> float:
        """Return the least CPU seconds of some tries: in others a rank waits for one that has no core."""
        MPI.COMM_WORLD.Barrier()
        found = []
        for _ in range(60):
            began = time.process_time()
            for _ in range(3):
                work()
            found.append((time.process_time() - began) / 3)
        return min(found)

    passes = seconds(lambda: np.multiply(a, weight, out=other))
    sums, latency = seconds(lambda: ranks.add_on_host(a)), seconds(lambda: ranks.add_on_host(one))
    return {"memory": a.nbytes / passes, "sums": a.nbytes / sums, "latency": latency}


def model(iterations: int, turns: int, engines: list[str], folder: Path) -> list[dict[str, Any]]:
    """Predict the time of scan B from that of A, and measure it; return a row of each engine."""
    from benchmarks import cases, scans

    places = {scan.name: folder / scan.name for scan in (cases.A, cases.B)}
    for scan in (cases.A, cases.B):
        if not (places[scan.name] / "diff.npy").exists():
            scans.write(places[scan.name], scan)
    found = together([[*mpiexec(2), sys.executable, "-m", "benchmarks.ranks", "--rates"]])[0]
    print(found, flush=True)
    rows = []
    for engine in engines:
        one = [sys.executable, "-m", "benchmarks.ranks", "--one", engine]

        def least(scan: str, part: str, times: int, launcher: list[str], one: list[str] = one) -> dict[str, float]:
            """Return the least of the turns: other programs can only add to it."""
            command = [*launcher, *one, str(times), str(places[scan]), part]
            told = [together([command]) for _ in range(turns)]
            cpu = min(statistics.mean(p["cpu"] - p.get("waits", 0) + p.get("messages", 0) for p in t) for t in told)
            return told[0][0] | {"cpu": cpu}

        a, b = least("A", "whole", 5 * iterations, []), least("B", "whole", iterations, [])
        two = least("B", "mpi", iterations, mpiexec(2))
        work = [s.views * s.modes * s.n**2 * np.log2(s.n) for s in (cases.A, cases.B)]
        whole = float(a["cpu"] * work[1] / work[0])
        sent = two["bytes"] / found["sums"] + two["calls"] * found["latency"]
        halved = whole / 2 + PASSES[engine] * two["bytes"] / found["memory"] + sent
        row = {"engine": engine, "scan": "B", "iterations": iterations, "turns": turns, "A": a["cpu"], **found}
        row |= {"one": b["cpu"], "one_model": whole, "two": two["cpu"], "two_model": halved}
        row |= {"bytes": two["bytes"], "calls": two["calls"]}
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def pie(ranks: int, iterations: int) -> dict[str, Any]:
    """Return the object error of rPIE() on scan A, in this process, as one of the ranks."""
    import opty
    from benchmarks import cases, scans

    arrays = scans.pictured(cases.A)
    p = scans.start(arrays, device="cpu", threads=1)
    if ranks > 1:
        from mpi4py import MPI

        p = p.over(MPI.COMM_WORLD)
    whole = (opty.rPIE() ** iterations * p).gather()
    if whole is None:
        return {}
    return {
        "engine": "rPIE()",
        "scan": "A",
        "ranks": ranks,
        "iterations": iterations,
        "object": scans.Truth(arrays).error(whole),
    }


def main() -> None:
    """Measure, print and keep."""
    from benchmarks.record import keep

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("cost", "pie", "model"), default="cost")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=list(ENGINES))
    parser.add_argument("--scan", type=Path, help="a folder that keeps the arrays of the scans")
    parser.add_argument("--folder", type=Path, default=RESULTS)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--pie", nargs=2, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rates", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.rates:
        from mpi4py import MPI

        if (found := MPI.COMM_WORLD.gather(rates())) is not None:
            print(json.dumps({name: statistics.mean(one[name] for one in found) for name in found[0]}), flush=True)
    elif given.one:
        engine, iterations, folder, part = given.one
        for found in run(engine, part, int(iterations), Path(folder)):
            print(json.dumps(found), flush=True)
    elif given.pie:
        print(json.dumps(pie(*given.pie)), flush=True)
    elif given.what == "cost":
        with tempfile.TemporaryDirectory() as made:
            rows = cost(given.turns, given.iterations, given.engines, (given.scan or Path(made)) / "B")
        print(keep(given.folder, "ranks", rows, ("engine", "scan")))
    elif given.what == "model":
        with tempfile.TemporaryDirectory() as made:
            rows = model(given.iterations, given.turns, given.engines, given.scan or Path(made))
        print(keep(given.folder, "ranks-model", rows, ("engine", "scan")))
    else:
        rows = []
        for ranks in (1, 2, 4):
            one = [sys.executable, "-m", "benchmarks.ranks", "--pie", str(ranks), "100"]
            rows += [row for row in together([[*mpiexec(ranks), *one]]) if row]
            print(rows[-1], flush=True)
        print(keep(given.folder, "ranks-pie", rows, ("engine", "scan", "ranks", "iterations")))


if __name__ == "__main__":
    main()

"""What several ranks cost and send: ``python -m benchmarks.ranks [cost|pie|model] [--turns 4] [--iterations 5]``.

cost : AP, LSQML and rPIE on scan B, over two ranks (MPI), and as two copies that know nothing of each other, on half of
the views each, begun together: by turns in the same two processes, as the speed of a machine that others share changes
from second to second, and in several launches, as it also depends on where their arrays come to lie. CPU seconds an
iteration of both; what was spent in messages and in waits for the other rank is taken off, and what as many messages of
the same size take when both ranks send them at once, with nothing to wait for, is added. The median of the ratios of
the turns is kept, with its quartiles. Calls and bytes are those of one rank in an iteration.

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
    """CPU seconds that ranks spend on messages and in waits for each other, and the messages that they send."""

    def __init__(self) -> None:
        from opty.arrays.ranks import Ranks

        self.seconds, self.sent = 0.0, []  # type: ignore[var-annotated]
        watch, plain_reduce, plain_everywhere = self, Ranks._reduce, Ranks.everywhere

        def reduce(ranks: Any, host: Any, op: Any) -> None:
            began = time.thread_time()
            plain_reduce(ranks, host, op)
            watch.seconds += time.thread_time() - began
            watch.sent.append((plain_reduce, op, host.shape, host.dtype))

        def everywhere(ranks: Any, rows: Any, counts: Any) -> Any:
            began = time.thread_time()
            whole = plain_everywhere(ranks, rows, counts)
            watch.seconds += time.thread_time() - began
            watch.sent.append((plain_everywhere, counts, rows.shape, rows.dtype))
            return whole

        Ranks._reduce, Ranks.everywhere = reduce, everywhere  # type: ignore[method-assign]

    def replayed(self, ranks: Any) -> float:
        """Return the CPU seconds of sending the messages again, with nothing between: of each the least of some."""
        # The messages are not kept themselves: a run that frees no array is another run.
        arrays = {one[2:]: np.zeros(*one[2:]) for one in self.sent}
        found = np.empty((REPLAYS, len(self.sent)))
        for of_turn in found:
            for k, (send, how, *kind) in enumerate(self.sent):
                began = time.process_time()
                send(ranks, arrays[*kind], how)
                of_turn[k] = time.process_time() - began
        return float(found.min(axis=0).sum())


def begun(recipe: Any, folder: Path, part: int | None = None, comm: Any = None) -> Any:
    """Return a state of the whole scan in a folder, of half of its views or over ranks, after what compiles."""
    import opty
    from benchmarks import scans

    p = scans.start(scans.load(folder), device="cpu", threads=1)
    if part is not None:
        p = opty.PtychoState(half_of(p.data, part), probe=p.probe, obj=p.obj, device="cpu", threads=1)
    elif comm is not None:
        p = p.over(comm)
    return recipe**2 * p


def timed(recipe: Any, p: Any, iterations: int) -> dict[str, float]:
    """Return the seconds of an iteration, on the clock and of the processor."""
    clock, cpu = time.perf_counter(), time.process_time()
    recipe**iterations * p
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    return {"clock": clock / iterations, "cpu": cpu / iterations}


def over_ranks(recipe: Any, p: Any, iterations: int, comm: Any, watch: Watch) -> dict[str, float]:
    """Return what ``timed`` does, the seconds of waits and messages, and the calls and bytes of this rank."""
    ranks = p._live.ranks
    watch.sent.clear()
    watch.seconds, before = 0.0, (ranks.calls, ranks.bytes)
    found = timed(recipe, p, iterations)
    found["waits"] = watch.seconds / iterations
    found["calls"], found["bytes"] = (ranks.calls - before[0]) / iterations, (ranks.bytes - before[1]) / iterations
    comm.Barrier()
    found["messages"] = watch.replayed(ranks) / iterations
    return found


def run(engine: str, iterations: int, turns: int, folder: Path) -> list[dict[str, dict[str, float]]]:
    """Run in this process, as one of the ranks, by turns over ranks and as a copy; return what all ranks measured.

    Of one process: on the whole scan, once. The first rank returns it: the launcher may glue together what several of
    them print.
    """
    from mpi4py import MPI

    import opty

    comm, recipe = MPI.COMM_WORLD, opty.parse(ENGINES[engine])
    if comm.size == 1:
        return [{"copy": timed(recipe, begun(recipe, folder), iterations)}]
    watch = Watch()
    copy, shared = begun(recipe, folder, part=comm.rank), begun(recipe, folder, comm=comm)
    found = []
    for turn in range(turns):
        one = {}
        for kind in ("copy", "ranks") if turn % 2 else ("ranks", "copy"):
            comm.Barrier()
            if kind == "copy":
                one[kind] = timed(recipe, copy, iterations)
            else:
                one[kind] = over_ranks(recipe, shared, iterations, comm, watch)
        found.append(one)
    told = comm.gather(found)
    return (
        [{kind: means([one[kind] for one in turn]) for kind in turn[0]} for turn in zip(*told, strict=True)]
        if told
        else []
    )


def means(of: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each number over the processes."""
    return {name: statistics.mean(one[name] for one in of) for name in of[0]}


def told(command: list[str]) -> list[Any]:
    """Run a command; return what it prints as JSON, line by line."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    said = subprocess.run(command, stdout=subprocess.PIPE, env=env, text=True, check=True).stdout
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def mpiexec(ranks: int) -> list[str]:
    """Return the launcher, that of this Python's folder first."""
    found = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
    if found is None:
        raise SystemExit("there is no mpiexec: pip install mpich mpi4py")
    return [found, "-n", str(ranks)]


def measured(engine: str, iterations: int, turns: int, folder: Path, launcher: list[str]) -> list[Any]:
    """Return what ``run`` does, of another process or of ranks."""
    one = ["--one", engine, str(iterations), str(turns), str(folder)]
    return told([*launcher, sys.executable, "-m", "benchmarks.ranks", *one])


def spent(ranks: dict[str, float]) -> float:
    """Return the CPU seconds of a rank beside its waits."""
    return ranks["cpu"] - ranks["waits"] + ranks["messages"]


def cost(launches: int, turns: int, iterations: int, engines: list[str], folder: Path) -> list[dict[str, Any]]:
    """Measure each engine by turns; return a row of each. Scan B is put into a folder, where it is not yet."""
    from benchmarks import cases, scans

    rows = []
    if not (folder / "diff.npy").exists():
        scans.write(folder, cases.B)
    for engine in engines:
        found = [one for _ in range(launches) for one in measured(engine, iterations, turns, folder, mpiexec(2))]
        copies, ranks = [2 * turn["copy"]["cpu"] for turn in found], [2 * spent(turn["ranks"]) for turn in found]
        costs = [b / a - 1 for a, b in zip(copies, ranks, strict=True)]
        row = {"engine": engine, "scan": "B", "iterations": iterations, "launches": launches, "turns": turns}
        row |= {"copies_cpu": copies, "ranks_cpu": ranks}
        row |= {
            name: statistics.median(turn["ranks"][name] for turn in found) for name in ("messages", "calls", "bytes")
        }
        row |= {"cost": statistics.median(costs), "quartiles": np.quantile(costs, (0.25, 0.75)).tolist()}
        row["clock"] = {kind: [turn[kind]["clock"] for turn in found] for kind in ("copy", "ranks")}
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
    found = told([*mpiexec(2), sys.executable, "-m", "benchmarks.ranks", "--rates"])[0]
    print(found, flush=True)
    rows = []
    for engine in engines:
        # The least of the turns: other programs can only add to it.
        a, b = (
            min(measured(engine, times, 1, places[scan], [])[0]["copy"]["cpu"] for _ in range(turns))
            for scan, times in (("A", 5 * iterations), ("B", iterations))
        )
        two = min((turn["ranks"] for turn in measured(engine, iterations, turns, places["B"], mpiexec(2))), key=spent)
        work = [s.views * s.modes * s.n**2 * np.log2(s.n) for s in (cases.A, cases.B)]
        whole = float(a * work[1] / work[0])
        sent = two["bytes"] / found["sums"] + two["calls"] * found["latency"]
        halved = whole / 2 + PASSES[engine] * two["bytes"] / found["memory"] + sent
        row = {"engine": engine, "scan": "B", "iterations": iterations, "turns": turns, "A": a, **found}
        row |= {"one": b, "one_model": whole, "two": spent(two), "two_model": halved}
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
    parser.add_argument("--launches", type=int, default=4)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--iterations", type=int, default=5)
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
        engine, iterations, turns, folder = given.one
        for found in run(engine, int(iterations), int(turns), Path(folder)):
            print(json.dumps(found), flush=True)
    elif given.pie:
        if row := pie(*given.pie):
            print(json.dumps(row), flush=True)
    elif given.what == "cost":
        with tempfile.TemporaryDirectory() as made:
            rows = cost(given.launches, given.turns, given.iterations, given.engines, (given.scan or Path(made)) / "B")
        print(keep(given.folder, "ranks", rows, ("engine", "scan")))
    elif given.what == "model":
        with tempfile.TemporaryDirectory() as made:
            rows = model(given.iterations, given.turns, given.engines, given.scan or Path(made))
        print(keep(given.folder, "ranks-model", rows, ("engine", "scan")))
    else:
        rows = []
        for ranks in (1, 2, 4):
            one = [sys.executable, "-m", "benchmarks.ranks", "--pie", str(ranks), "100"]
            rows += told([*mpiexec(ranks), *one])
            print(rows[-1], flush=True)
        print(keep(given.folder, "ranks-pie", rows, ("engine", "scan", "ranks", "iterations")))


if __name__ == "__main__":
    main()

"""Mutated files against every reader: only FormatError or a correct result, never a crash, a hang or silent garbage.

A worker process mutates and loads, one file after the other, so that a hang inside the HDF5 library or a crash of it is
seen from outside and does not end the search. ``python tests/io/fuzzing.py --files 20000`` is ``make soak``;
test_fuzz.py runs a few hundred.

Files that opty writes as HDF5, npz or its own formats are guarded by checksums: what loads must be what was written.
Elsewhere (TIFF, NPY, plain HDF5) a flipped bit of a count is another count, and nobody can tell.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import json
import os
import resource
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from mutants import SECRET, mutate, seeds

SECONDS = 20.0  # for one file of a few kilobytes
GROWTH = 64 << 20  # bytes of memory that a file of a few kilobytes may take


# -- the judge


def same(a, b) -> bool:
    """Whether two measurements or states hold the same."""
    if hasattr(a, "data"):
        return (
            hasattr(b, "data")
            and same(a.data, b.data)
            and np.array_equal(a.probe, b.probe)
            and np.array_equal(a.obj, b.obj)
            and np.array_equal(a.positions, b.positions)
            and (a.iteration, a.seed, a.recipe) == (b.iteration, b.seed, b.recipe)
        )
    if hasattr(b, "data"):
        return False
    arrays = all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in ("intensities", "positions", "mask", "probe")
    )
    return arrays and a.geometry == b.geometry


@functools.cache
def measured(path: str):
    """The measurement that results are loaded with; it is not mutated, and read once."""
    import opty

    return opty.load(path)


def loaded(path: Path, options: dict):
    """``opty.load`` with options that JSON can hold: ``data`` is the path of a measurement."""
    import opty

    return opty.load(path, **options | ({"data": measured(options["data"])} if "data" in options else {}))


def verdict(path: Path, options: dict, known) -> str:
    """Load a file: "refused", "same", "other", or what is wrong."""
    import opty

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = loaded(path, options)
    except opty.FormatError as error:
        out = "refused" if "\n" not in str(error).strip() else f"BAD message of several lines: {error}"
    except BaseException as error:
        out = f"BAD {type(error).__name__}: {error}"
    else:
        data = found.data if hasattr(found, "data") else found
        if data.absent is not None:  # of a damaged result, whose frames are in it
            return "other"
        finite = np.isfinite(data.intensities).all() and np.isfinite(data.positions).all()
        secret = data.intensities.size and (data.intensities == SECRET).mean() > 0.5
        out = "BAD not finite" if not finite else "BAD secret" if secret else "same" if same(found, known) else "other"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    if grown > GROWTH:
        out = f"BAD memory: {grown >> 20} MiB"
    return f"BAD pickle ran ({out})" if os.path.exists(os.environ["OPTY_TRAP"]) else out


def work() -> None:
    """The worker: for each task, a line of JSON, it mutates and loads files, and prints number, verdict and memory."""
    held, out = {}, os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Blosc prints there what it thinks of damaged chunks
    limit = 2 * GROWTH + int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for line in sys.stdin:
        task = json.loads(line)
        path, options, mutants = Path(task["known"]), task["options"], Path(task["mutants"])
        if task["known"] not in held:
            held[task["known"]] = loaded(path, options)
            gc.freeze()
            resource.setrlimit(resource.RLIMIT_AS, (limit + (4 << 30), resource.RLIM_INFINITY))
        originals = {file.name: file.read_bytes() for file in path.parent.iterdir()}
        for number in range(task["first"], task["last"]):
            for name, whole in originals.items():
                (mutants / name).write_bytes(whole)
            plain = mutate(mutants / path.name, np.random.default_rng([task["seed"], number]))
            said = verdict(mutants / path.name, options, held[task["known"]])
            if said == "other" and plain and task["guarded"]:
                said = "BAD silent: loads, but holds something else"
            if said.startswith("BAD") and task["keep"]:
                keep_files(mutants, task["keep"], task["seed"], number)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            print(json.dumps([number, said, peak]), file=out, flush=True)


def keep_files(mutants: Path, keep: str, seed: int, number: int) -> None:
    """Copy the mutated files that were read wrongly."""
    shutil.copytree(mutants, Path(keep) / f"{mutants.name}-{seed}-{number}", dirs_exist_ok=True)


class Worker:
    """A process that loads files; started anew when it died or hung."""

    def __init__(self):
        self.peak = 0  # bytes of memory that any process so far took
        self.process: subprocess.Popen | None = None
        self._rest = b""

    def verdicts(self, task: dict) -> Iterator[tuple[int, str]]:
        """Yield (number, verdict) of the mutants from ``first`` to ``last``, until the process is done, dies or hangs.

        The process does not wait for anybody; this side only watches the time from one line to the next.
        """
        seconds = SECONDS
        if self.process is None:
            command = [sys.executable, __file__, "--worker"]
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
            seconds, self._rest = 120.0, b""  # imports, and the file as it was
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(task).encode() + b"\n")
            self.process.stdin.flush()
        for number in range(task["first"], task["last"]):
            line = self._line(seconds)
            if isinstance(line, str):
                yield number, line
                return
            _, said, peak = json.loads(line)
            self.peak, seconds = max(self.peak, peak), SECONDS
            yield number, said

    def _line(self, seconds: float) -> bytes | str:
        """The next line, or what became of the process."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not selector.select(seconds):
                    self.close()
                    return f"BAD hang: no answer in {seconds:g} s"
                if not (more := os.read(self.process.stdout.fileno(), 1 << 16)):
                    code = self.process.wait()
                    self.close()
                    return f"BAD crash: the worker ended with {code}"
                self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process = None


def search(
    folder: Path, files: int, seed: int = 0, keep: Path | None = None, only=(), record: Path | None = None
) -> dict[str, Counter]:
    """Mutate ``files`` files of each format; return how often each verdict came.

    Bad files are copied to ``keep``; what was found of each format is added to the JSON in ``record`` at once.
    """
    os.environ["OPTY_TRAP"] = str(folder / "sprung")
    known, tallies, worker = seeds(folder), {}, Worker()
    if unknown := sorted(set(only) - set(known)):
        raise SystemExit(f"no format {unknown[0]}; there are: {', '.join(known)}")
    try:
        for key in only or known:
            began = time.monotonic()
            tallies[key] = _search_one(worker, folder / "mutants" / key, known[key], (files, seed, keep))
            seconds = round(time.monotonic() - began, 1)
            if record is not None:
                found = {"files": files, "seed": seed, **tallies[key], "bad": bad(tallies[key])}
                _record(record, key, found | {"seconds": seconds, "peak_MiB": worker.peak >> 20})
                worker.close()
                worker = Worker()  # the memory of a process only grows: each format is to have its own figure
            if keep is not None:
                print(f"{key:14} {seconds:6.1f} s  {dict(tallies[key])}", flush=True)
    finally:
        worker.close()
    return tallies


def _search_one(worker: Worker, mutants: Path, known, plan) -> Counter:
    (path, options, guarded), (files, seed, keep), tally, first = known, plan, Counter(), 0
    mutants.mkdir(parents=True)
    task = {"known": str(path), "options": options, "mutants": str(mutants), "guarded": guarded, "seed": seed}
    task |= {"keep": None if keep is None else str(keep), "last": files}
    while first < files:
        for number, said in worker.verdicts(task | {"first": first}):
            tally[said] += 1
            first = number + 1
            if keep is not None and said.startswith(("BAD hang", "BAD crash")):
                keep_files(mutants, str(keep), seed, number)
    return tally


def bad(tally: Counter) -> int:
    """How many files were read wrongly."""
    return sum(n for said, n in tally.items() if said.startswith("BAD"))


def _record(path: Path, key: str, found: dict) -> None:
    kept = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(kept | {key: found}, indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=20_000, help="mutated files of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "opty-fuzz", help="for bad files")
    parser.add_argument("--only", action="append", default=[], metavar="FORMAT", help="a format; may be given again")
    parser.add_argument("--record", type=Path, metavar="JSON", help="add what was found, format by format, to a file")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work()
        return 0
    given.keep.mkdir(parents=True, exist_ok=True)
    memory = Path("/dev/shm")  # the search writes a million small files
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        tallies = search(Path(folder), given.files, given.seed, given.keep, given.only, given.record)
    wrong = sum(map(bad, tallies.values()))
    print(
        f"{wrong} bad of {given.files} files of each of {len(tallies)} formats"
        + (f", kept in {given.keep}" if wrong else "")
    )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())

"""Run the scripts of this folder, and print what each is judged by and how long it took: ``make paper``.

    python examples/paper/run.py                    # all, reduced
    python examples/paper/run.py figure_s6 --full   # one, at the size of the paper
    python -m benchmarks docs                       # numbers and times from the record into docs/paper.md

Figures of ``--full`` go into a folder full beside the others. Numbers and times go into the record of
benchmarks/results, or into record.json beside the figures where these do not go into docs/paper; what other scripts, or
another size, have left there stays. Exits with 1 where a script fails.
"""

import argparse
import datetime
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

from benchmarks.record import commit, keep_in, load  # noqa: E402

SHARED = ("paper.py", "run.py")
RECORD = FOLDER.parents[1] / "benchmarks/results/2026-11-29-paper-scripts.json"
NUMBER = re.compile(r"main number: (?P<what>.*): (?P<value>\S+) \((?P<limits>.*)\)")


def names():
    """Return the names of all scripts."""
    return sorted(file.stem for file in FOLDER.glob("*.py") if file.name not in SHARED)


def done(name, size, folder):
    """Run a script; return its row of the record."""
    sources, begun, before = commit(), time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, str(FOLDER / f"{name}.py"), "--out", str(folder)]
    with (folder / f"{name}.txt").open("w") as output:
        code = subprocess.run(
            [*command, *([] if size == "reduced" else [f"--{size}"])], stdout=output, stderr=subprocess.STDOUT
        ).returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    said = (folder / f"{name}.txt").read_text().splitlines()
    numbers = [found.groupdict() for found in map(NUMBER.fullmatch, said) if found]
    passed = code == 0 and bool(numbers)
    if not passed:
        print(*said[-12:], sep="\n")
    row = dict(script=name, size=size, passed=passed, numbers=numbers, cpu_seconds=round(cpu, 1))
    row |= dict(seconds=round(time.monotonic() - begun, 1), load=load(), date=datetime.date.today().isoformat())
    return row | dict(commit=sources)


def main():
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scripts", nargs="*", help=f"some of {', '.join(names())}; all without one")
    parser.add_argument("--full", action="store_true", help="the size of the paper: hours")
    parser.add_argument("--tiny", action="store_true", help="seconds")
    parser.add_argument("--out", type=Path, help="folder for figures and a record; docs/paper without it")
    given = parser.parse_args()
    if unknown := set(given.scripts) - set(names()):
        parser.error(f"no script called {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    size = "full" if given.full else "tiny" if given.tiny else "reduced"
    out, record = (given.out, given.out / "record.json") if given.out else (FOLDER.parents[1] / "docs/paper", RECORD)
    folder, failed = out / "full" if given.full else out, []
    folder.mkdir(parents=True, exist_ok=True)
    for name in given.scripts or names():
        row = done(name, size, folder)
        numbers = "; ".join("{what}: {value} ({limits})".format(**number) for number in row["numbers"])
        times = f"{row['cpu_seconds']:.0f} s of CPU, {row['seconds']:.0f} s"
        print(f"{name}: {numbers or 'no number'}; {times}", flush=True)
        keep_in(record, [row], ("script", "size"))
        failed += [] if row["passed"] else [name]
    if failed:
        sys.exit(f"{len(failed)} failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()

"""Run the scripts of this folder, and print what each is judged by and how long it took: ``make paper``.

    python examples/paper/run.py                    # all, reduced
    python examples/paper/run.py figure_s6 --full   # one, at the size of the paper
    python examples/paper/run.py --table            # write table.md anew from what table.json holds

Writes table.json, and table.md from it, beside the figures; those of ``--full`` go into a folder full. What other
scripts, and this one at another size, were measured at stays. Exits with 1 where a script fails.
"""

import argparse
import datetime
import json
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
SIZES = ("tiny", "reduced", "full")
NUMBER = re.compile(r"main number: (?P<what>.*): (?P<value>\S+) \((?P<limits>.*)\)")


def names():
    """Return the names of all scripts."""
    return sorted(file.stem for file in FOLDER.glob("*.py") if file.name not in SHARED)


def done(name, size, folder):
    """Run a script; return its row of the record."""
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
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
    return row | dict(commit=commit())


def table(record):
    """Return table.md: main numbers and times of all scripts, each size in a column of its own."""
    rows = {(row["script"], row["size"]): row for row in record["rows"]}
    sizes = [size for size in SIZES if any(key[1] == size for key in rows)]
    lines = ["| script | | " + " | ".join(sizes) + " |", "|---|---" + "|---" * len(sizes) + "|"]
    for name in names():
        cells = [_cells(rows.get((name, size))) for size in sizes]
        lines += [
            f"| `{name}` | {what} | " + " | ".join(cell.get(what, "") for cell in cells) + " |"
            for what in dict.fromkeys(what for cell in cells for what in cell)
        ]
    computer = ", ".join(f"{key} {value}" for key, value in record["machine"].items())
    words = f"Written by `examples/paper/run.py`. {computer}; rows of another machine name it. Load: how many processes"
    words += " wanted a core at the end; above the number of cores the time says little."
    return "\n".join(["# make paper", "", words, "", *lines]) + "\n"


def _cells(row):
    """Return what a script has come to at one size, by what it is."""
    if row is None:
        return {}
    machine = f"; {row['machine']['processor']}" if "machine" in row else ""
    times = f"{row['cpu_seconds']:.0f} s of CPU, {row['seconds']:.0f} s, load {row['load']}"
    found = {number["what"]: f"{number['value']} ({number['limits']})" for number in row["numbers"]}
    last = f"{'passed' if row['passed'] else 'FAILED'}; {times}; {row['date']}, opty of {row['commit']}{machine}"
    return found | {"run": last}


def main():
    """Run, print, write table.json and table.md."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scripts", nargs="*", help=f"some of {', '.join(names())}; all without one")
    parser.add_argument("--full", action="store_true", help="the size of the paper: hours")
    parser.add_argument("--tiny", action="store_true", help="seconds")
    parser.add_argument("--table", action="store_true", help="run nothing; write table.md anew")
    parser.add_argument("--out", type=Path, default=Path("docs/paper"), help="folder for figures and table.md")
    given = parser.parse_args()
    if unknown := set(given.scripts) - set(names()):
        parser.error(f"no script called {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    size = "full" if given.full else "tiny" if given.tiny else "reduced"
    folder, record, failed = given.out / "full" if given.full else given.out, given.out / "table.json", []
    folder.mkdir(parents=True, exist_ok=True)
    for name in [] if given.table else given.scripts or names():
        row = done(name, size, folder)
        numbers = "; ".join("{what}: {value} ({limits})".format(**number) for number in row["numbers"])
        times = f"{row['cpu_seconds']:.0f} s of CPU, {row['seconds']:.0f} s"
        print(f"{name}: {numbers or 'no number'}; {times}", flush=True)
        keep_in(record, [row], ("script", "size"))
        failed += [] if row["passed"] else [name]
    (given.out / "table.md").write_text(table(json.loads(record.read_text())))
    if failed:
        sys.exit(f"{len(failed)} failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()

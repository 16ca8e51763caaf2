"""Run the scripts of this folder, and print what each is judged by and how long it took: ``make paper``.

    python examples/paper/run.py                    # all, reduced
    python examples/paper/run.py figure_s6 --full   # one, at the size of the paper

Writes table.md beside the figures. Exits with 1 where a script fails.
"""

import argparse
import datetime
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

SHARED = ("paper.py", "run.py")


def names():
    """Return the names of all scripts."""
    return sorted(file.stem for file in FOLDER.glob("*.py") if file.name not in SHARED)


def done(name, options, folder):
    """Run a script; return its row of the table, and whether it passed."""
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, str(FOLDER / f"{name}.py"), *options]
    with (folder / f"{name}.txt").open("w") as output:
        code = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    said = (folder / f"{name}.txt").read_text().splitlines()
    numbers = [line.removeprefix("main number: ") for line in said if line.startswith("main number: ")]
    passed = code == 0 and bool(numbers)
    if not passed:
        print(*said[-12:], sep="\n")
    number = "; ".join(numbers) or "none was printed"
    return (
        f"| `{name}` | {number} | {cpu:.0f} s | {time.monotonic() - begun:.0f} s | {'yes' if passed else 'NO'} |",
        passed,
    )


def write_table(folder, rows, size):
    """Write table.md; rows of scripts that did not run this time stay."""
    from benchmarks.record import machine

    path = folder / "table.md"
    old = path.read_text().splitlines() if path.exists() else []
    kept = {line.split("`")[1]: line for line in [*old, *rows] if line.startswith("| `")}
    computer = ", ".join(f"{key} {value}" for key, value in machine().items())
    head = f"Last changed {datetime.date.today().isoformat()}, {size} size. {computer}; load {os.getloadavg()[0]:.1f}."
    table = ["| script | main number | CPU time | time | passed |", "|---|---|---|---|---|"]
    table += [kept[name] for name in sorted(kept) if name in names()]
    path.write_text("\n".join(["# make paper", "", head, "", *table]) + "\n")


def main():
    """Run, print, write table.md."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scripts", nargs="*", help=f"some of {', '.join(names())}; all without one")
    parser.add_argument("--full", action="store_true", help="the size of the paper: hours")
    parser.add_argument("--tiny", action="store_true", help="seconds")
    parser.add_argument("--out", type=Path, default=Path("docs/paper"), help="folder for figures and table.md")
    given = parser.parse_args()
    if unknown := set(given.scripts) - set(names()):
        parser.error(f"no script called {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    given.out.mkdir(parents=True, exist_ok=True)
    size = "full" if given.full else "tiny" if given.tiny else "reduced"
    options = ["--out", str(given.out), *([] if size == "reduced" else [f"--{size}"])]
    rows, failed = [], []
    for name in given.scripts or names():
        row, passed = done(name, options, given.out)
        print(row, flush=True)
        rows.append(row)
        failed += [] if passed else [name]
    write_table(given.out, rows, size)
    if failed:
        sys.exit(f"{len(failed)} failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()

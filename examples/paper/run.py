"""Run the scripts of this folder, and print what each is judged by and how long it took: ``make paper``.

    python examples/paper/run.py                    # all, reduced
    python examples/paper/run.py figure_s6 --full   # one, at the size of the paper

Writes table.md beside the figures. Exits with 1 where a script fails.
"""

import argparse
import datetime
import os
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))
SHARED = ("paper.py", "run.py")
SLOWEST = 180  # seconds for one reduced script


def names():
    """Return the names of all scripts."""
    return sorted(file.stem for file in FOLDER.glob("*.py") if file.name not in SHARED)


def done(name, options, scratch):
    """Run a script; return what it is judged by, its seconds and whether it passed."""
    begun = time.monotonic()
    command = [sys.executable, str(FOLDER / f"{name}.py"), *options]
    with (scratch / f"{name}.txt").open("w") as output:
        code = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode
    said = (scratch / f"{name}.txt").read_text().splitlines()
    found = [line.removeprefix("main number: ") for line in said if line.startswith("main number: ")]
    if code:
        print(*said[-12:], sep="\n")
    return "; ".join(found) or "none was printed", time.monotonic() - begun, code == 0 and bool(found)


def main():
    """Run, print, write table.md."""
    from benchmarks.record import machine

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scripts", nargs="*", help=f"some of {', '.join(names())}; all without one")
    parser.add_argument("--full", action="store_true", help="the size of the paper: hours")
    parser.add_argument("--tiny", action="store_true", help="seconds")
    parser.add_argument("--out", type=Path, default=Path("docs/paper"), help="folder for figures and table.md")
    given = parser.parse_args()
    if unknown := set(given.scripts) - set(names()):
        parser.error(f"no script called {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    given.out.mkdir(parents=True, exist_ok=True)
    options = ["--out", str(given.out), *(["--full"] if given.full else []), *(["--tiny"] if given.tiny else [])]
    rows, failed = [], []
    for name in given.scripts or names():
        number, seconds, passed = done(name, options, given.out)
        slow = seconds > SLOWEST and not given.full
        rows.append(
            f"| `{name}` | {number} | {seconds:.0f} s{' (slow)' if slow else ''} | {'yes' if passed else 'NO'} |"
        )
        print(rows[-1], flush=True)
        failed += [] if passed else [name]
    if not given.scripts:
        computer = ", ".join(f"{key} {value}" for key, value in machine().items())
        size = "full" if given.full else "tiny" if given.tiny else "reduced"
        head = f"{datetime.date.today().isoformat()}, {size} size. {computer}; load {os.getloadavg()[0]:.1f}."
        table = ["| script | main number | time | passed |", "|---|---|---|---|", *rows]
        (given.out / "table.md").write_text("\n".join(["# make paper", "", head, "", *table]) + "\n")
    if failed:
        sys.exit(f"{len(failed)} failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()

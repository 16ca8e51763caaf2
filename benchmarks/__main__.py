"""The benchmarks: ``python -m benchmarks run``, ``peers``, ``compare``, ``same``, ``docs``; each has --help."""

from __future__ import annotations

import argparse
import datetime
import json
import signal
import sys
from pathlib import Path

from benchmarks import compare, docs, environments, peer_speed, speed
from benchmarks.record import keep_in, machine
from benchmarks.same import command, starts

RESULTS = Path(__file__).with_name("results")


def run(given: argparse.Namespace) -> None:
    """Time opty beside the bare Fourier transforms; print and keep the rows."""
    cases = speed.chosen(given.device, given.quick, given.only, given.models)
    repeat = 2 if given.quick else given.repeat
    name, key = ("speed-models", speed.KEY_OF_MODELS) if given.models else ("speed", speed.KEY)
    print(speed.HEAD + "\n" + "|---" * (speed.HEAD.count("|") - 1) + "|", flush=True)
    for row in speed.run(cases, given.device, given.threads, repeat):
        print(speed.line(row), flush=True)
        keep_in(given.output or _today(_named(name, given)), [row], key)


def peers(given: argparse.Namespace) -> None:
    """Time opty and other packages by turns; print and keep the rows."""
    repeat = 2 if given.quick else given.repeat
    print(peer_speed.HEAD + "\n" + "|---" * (peer_speed.HEAD.count("|") - 1) + "|", flush=True)
    asked = (given.packages, given.folder, given.device, given.threads, repeat, given.only, given.quick)
    for row in peer_speed.run(*asked):
        print(peer_speed.line(row), flush=True)
        keep_in(given.output or _today(_named("peers", given)), [row], peer_speed.KEY)


def same(given: argparse.Namespace) -> int:
    """Compare another revision with this tree: bits, differences, and times in turn; exit code 1 where they differ."""
    names = ("revision", "scans", "only", "iterations", "pairs", "threads", "quick", "data")
    asked = command.Asked(**{name: getattr(given, name) for name in names})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the other tree is removed then, too
    found = []
    try:
        print(command.head(asked), flush=True)
        for row in command.rows(asked):
            print(command.line(row, asked), flush=True)
            found.append(row)
    except command.TreeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    if given.json is not None:
        told = dict(revision=given.revision, machine=machine(), rows=found)
        given.json.write_text(json.dumps(told, indent=1) + "\n")
    return 0 if all(map(command.fine, found)) else 1


def _named(name: str, given: argparse.Namespace) -> str:
    """Return the name of a result file; another machine's rows, and those of a trial, go to files of their own."""
    return name + "-gpu" * (given.device == "gpu") + "-quick" * given.quick


def _today(name: str) -> Path:
    return RESULTS / f"{datetime.date.today().isoformat()}-{name}.json"


def _timing(parser: argparse.ArgumentParser) -> None:
    """Add the options that ``run`` and ``peers`` share."""
    parser.add_argument("--quick", action="store_true", help="a tiny scan, twice: does everything work?")
    parser.add_argument("--only", default="", help="only work whose line contains this text")
    parser.add_argument(
        "--threads", nargs="+", type=int, default=speed.all_threads(), help="default: one, and all cores"
    )
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--repeat", type=int, default=5, help="turns of each; the median counts")
    parser.add_argument("--output", type=Path, help="result file; default: of the day, in benchmarks/results")


def main() -> int:
    """Read the command line and run what it asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("run", help=run.__doc__, description=speed.__doc__)
    _timing(one)
    one.add_argument("--models", action="store_true", help="engines by model, and not the rest")
    one.set_defaults(work=run)
    one = commands.add_parser("peers", help=peers.__doc__, description=peer_speed.__doc__)
    _timing(one)
    one.add_argument("--packages", nargs="+", choices=list(peer_speed.WORK), default=list(peer_speed.WORK))
    one.add_argument("--folder", type=Path, default=environments.FOLDER, help="of the environments, made where missing")
    one.set_defaults(work=peers)
    one = commands.add_parser("compare", help=compare.__doc__, description=compare.__doc__)
    one.add_argument("files", nargs=2, type=Path, metavar="FILE")
    one.set_defaults(work=lambda given: print(*compare.compared(*given.files), sep="\n"))
    one = commands.add_parser("same", help=same.__doc__, description=command.__doc__)
    one.add_argument("revision", metavar="REV", help="a commit, branch or tag of this repository")
    one.add_argument("--scans", nargs="+", choices=starts.NAMES, default=starts.NAMES)
    one.add_argument("--only", default="", help="only work of which 'scan: name: recipe' contains this text")
    one.add_argument("--iterations", type=int, default=5, help="of each run that is compared")
    one.add_argument("--pairs", type=int, default=5, help="turns of each revision that are timed; 0: none")
    one.add_argument("--threads", nargs="+", type=int, default=[1], help="the first for the comparison; all are timed")
    one.add_argument("--quick", action="store_true", help="tiny scans: does everything work?")
    one.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the real scan P25")
    one.add_argument("--json", type=Path, metavar="FILE", help="write the rows as well")
    one.set_defaults(work=same)
    one = commands.add_parser("docs", help=docs.__doc__, description=docs.__doc__)
    one.set_defaults(work=lambda _: docs.rewrite(RESULTS))
    given = parser.parse_args()
    return given.work(given) or 0


if __name__ == "__main__":
    sys.exit(main())

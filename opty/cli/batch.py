"""The command `opty batch`: many scans, one after the other or a few at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

import opty
from opty.cli.auto import auto
from opty.cli.batch_jobs import Jobs, threads_each
from opty.cli.batch_records import scans_of, task_of
from opty.cli.batch_summary import draw_sheets, head, line, row, write_tables
from opty.cli.failures import INTERRUPTED, Command
from opty.cli.option_types import Number, Whole
from opty.cli.options import FILE, overwrite_option, talk_options
from opty.cli.runs import check_before, reconstruct
from opty.cli.starts import model_of, recipe_of
from opty.files.atomic import check_target

_RAW = "opty.batch"  # key of click's notes: the options as they were written
_PER_SCAN = {"file", "output", "picture", "report", "data", "overwrite", "quiet", "as_json", "traceback"}
_RECIPE = {"text", "recipe_file"}
_MACHINE = ("device", "threads", "deterministic")  # of the run and not of its result
_NOT_ASKED = {*_MACHINE, "save_every"}
_SHARED = [one for one in reconstruct.params if one.name not in _PER_SCAN]
_AUTO_ALONE = {"minutes"}
_OF_AUTO = {one.name for one in auto.params}


class _Batch(Command):
    """A command that keeps its options as they were written, to pass them on."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_RAW] = self.make_parser(ctx).parse_args(list(args))[0]
        return super().parse_args(ctx, args)


class Part(click.ParamType):
    """One of the parts of a list: "3/16" is the third of sixteen."""

    name = "part"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return the number of the part, from 1 on, and how many there are."""
        if isinstance(value, tuple):
            return value
        try:
            at, of = map(int, value.split("/"))
        except ValueError:
            at, of = 0, 0
        if not 1 <= at <= of:
            self.fail(f"{value!r} is no part of a list: give K/N, such as 3/16, the third of sixteen", param, ctx)
        return at, of


@click.command(cls=_Batch)
@click.argument("files", nargs=-1, required=True, type=FILE, metavar="FILE...")
@click.option("-o", "--output", "folder", type=FILE, required=True, metavar="DIR", help="Folder for the results.")
@click.option("--auto", "chosen", is_flag=True, help="Let opty auto choose a recipe for each scan.")
@click.option(
    "--minutes", type=Number(0), metavar="X", help="Time limit in minutes for each scan, with --auto.  [default: 5]"
)
@click.option("--jobs", type=Whole(1), default=1, metavar="N", help="Number of scans at a time.  [default: 1]")
@click.option("--part", type=Part(), metavar="K/N", help="Every N-th scan from the K-th on, for job arrays.")
@click.option("--contact/--no-contact", default=True, help="Draw all objects, small, as contact.png.  [default: draw]")
@click.option("--reports", is_flag=True, help="Write NAME.html beside each result, as opty report does.")
@overwrite_option
@talk_options
@click.pass_context
def batch(
    ctx: click.Context,
    files: tuple[Path, ...],
    folder: Path,
    chosen: bool,
    jobs: int,
    part: tuple[int, int] | None,
    contact: bool,
    reports: bool,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Reconstruct many scans, each in a process of its own.

    Takes the options of opty reconstruct or, with --auto, of opty auto, the same for all scans. For each scan, DIR
    receives NAME.h5, NAME.log with its warnings, NAME.json, and with --reports NAME.html; for all of them summary.csv,
    summary.json and contact.png.

    Run again, it does what is left: finished scans are kept, interrupted or killed ones continue from their last
    checkpoint (--save-every), and those that failed or have changed since are done again. A scan that fails does not
    stop the others; the exit code is then 1. Ctrl-C ends every run at the end of its turn and keeps what it reached;
    the exit code is then 130.

    \b
    Example: opty batch scans/*.cxi -o results --recipe "rPIE()**30" --jobs 2
    """
    method = "auto" if chosen else "reconstruct"
    asked = _checked(method, ctx.meta[_RAW], options)
    if contact:
        from opty.plot.figure import import_matplotlib

        _need_matplotlib(import_matplotlib)
    folder.mkdir(parents=True, exist_ok=True)
    check_target(folder / "summary.csv")
    scans = scans_of(files, folder, [method, *asked], overwrite)
    mine = scans if part is None else scans[part[0] - 1 :: part[1]]
    tasks = [(scan, task_of(scan, overwrite)) for scan in mine]
    todo = [(scan, task) for scan, task in tasks if task != "nothing"]

    def say(text: str) -> None:
        if not quiet:
            click.echo(text, err=as_json)

    width = max(len(scan.name) for scan in scans)
    if len(mine) > len(todo):
        say(f"{len(mine) - len(todo)} of {len(mine)} scans are done already")
    if todo:
        say(head(width))
    ended: list[str] = []

    def tell(scan: Any) -> None:
        ended.append(scan.name)
        say(line(scan, len(ended), len(todo), width))
        if quiet and scan.record.error:
            click.echo(f"Error: {scan.file}: {scan.record.error}", err=True)

    machine = _written({name: value for name, value in ctx.meta[_RAW].items() if name in _MACHINE})
    if options["threads"] is None:
        machine += ["--threads", str(threads_each(min(jobs, max(1, len(todo)))))]
    extra = _written({name: value for name, value in ctx.meta[_RAW].items() if name == "save_every"})
    on_resume = machine + _written({name: value for name, value in ctx.meta[_RAW].items() if name == "import"})
    work = Jobs(method, asked + extra + machine, on_resume, jobs)
    work.run(todo, tell)
    for scan in scans:
        if scan not in mine:
            scan.look_again()  # another task of a job array may have done it meanwhile
    if reports and not work.stopping:
        for scan in mine:
            if scan.record.state == "done" and not scan.report.exists():
                opty.report(scan.result, scan.report)
    written = write_tables(folder, scans)
    if contact:
        written += draw_sheets(folder, scans)
    states = [scan.record.state for scan in mine]
    if as_json:
        click.echo(json.dumps([row(scan) for scan in mine], indent=1))
    counts = {name: states.count(name) for name in ("done", "failed", "interrupted", "waiting") if name in states}
    say(f"{'scans':<14} " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    for path in written:
        say(f"{path.name:<14} {path}")
    if work.stopping:
        click.echo("Interrupted; the same command goes on with what is left", err=True)
        ctx.exit(INTERRUPTED)
    if "failed" in states:
        ctx.exit(1)


batch.params[-1:] = [*_SHARED, batch.params[-1]]


def _checked(method: str, raw: dict[str, Any], options: dict[str, Any]) -> list[str]:
    """Refuse what no scan could be run with; return the options that decide on a result, as words.

    The recipe stands in them itself, also where a file or the default gave it.
    """
    given = {name: value for name, value in raw.items() if name in {one.name for one in _SHARED} | _AUTO_ALONE}
    strange = sorted(given.keys() - _OF_AUTO) if method == "auto" else sorted(given.keys() & _AUTO_ALONE)
    if strange:
        name = next(one.opts[0] for one in batch.params if one.name == strange[0])
        why = "opty auto chooses by itself" if method == "auto" else "it goes with --auto"
        raise click.UsageError(f"leave {name} out: {why}")
    words = _written({name: value for name, value in given.items() if name not in _NOT_ASKED | _RECIPE})
    if method == "auto":
        return words
    recipe = recipe_of(options["text"], options["recipe_file"])
    model_of(options["model_text"], options["modes"])
    check_before(recipe)
    return ["--recipe", repr(recipe), *words]


def _written(raw: dict[str, Any]) -> list[str]:
    """Return options as words, as they were written."""
    words: list[str] = []
    for one in batch.params:
        if one.name not in raw:
            continue
        for value in raw[one.name] if isinstance(raw[one.name], list) else [raw[one.name]]:
            flag = one.secondary_opts[0] if value is False else max(one.opts, key=len)
            words += [flag] if isinstance(value, bool) else [flag, str(value)]
    return words


def _need_matplotlib(load: Any) -> None:
    try:
        load()
    except ImportError as error:
        raise ImportError(f"{error}; or leave the contact sheet out: --no-contact") from None

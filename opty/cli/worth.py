"""Commands that say what a result is worth: resolution, report."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from opty.cli.checks import check_data, check_free, check_picture, check_report
from opty.cli.failures import Command
from opty.cli.option_types import Whole
from opty.cli.options import (
    FILE,
    data_option,
    given,
    import_option,
    load_options,
    machine_options,
    output_option,
    overwrite_option,
    taken_for_load,
    talk_options,
)
from opty.cli.starts import DEFAULT_RECIPE, PROBE_WORDS, recipe_of, started
from opty.files.atomic import check_target

if TYPE_CHECKING:
    from opty.algebra.operator import Operator
    from opty.analysis import Resolution
    from opty.ptycho_state import PtychoState

SPLITS = ("views", "counts")


@click.command(cls=Command)
@click.argument("file", type=FILE)
@click.option(
    "--recipe", "text", metavar="TEXT", help=f"Recipe for each half.  [default: that of a result, or {DEFAULT_RECIPE}]"
)
@click.option("--modes", type=Whole(1), metavar="N", help="Probe modes.  [default: as the file's probe, or 1]")
@click.option(
    "--split", type=click.Choice(SPLITS), default="views", help="Divide the views into halves, or the counts of each."
)
@click.option("--plot", "picture", type=FILE, metavar="PNG", help="Draw halves, correlation and local resolution.")
@click.option("--seed", type=Whole(0), metavar="N", help="Seed of every random choice.  [default: 0]")
@data_option
@import_option
@machine_options
@load_options
@talk_options
def resolution(
    file: Path,
    text: str | None,
    modes: int | None,
    split: str,
    picture: Path | None,
    seed: int | None,
    data: Path | None,
    device: str | None,
    threads: int | None,
    deterministic: bool | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Estimate the resolution of a scan from two halves of it.

    Each half is reconstructed on its own; the resolution is where their Fourier ring correlation falls below the
    half-bit curve. FILE is a measurement, or a result, whose recipe and start are used. It takes as long as two
    reconstructions, one of them to test whether the halves have converged.

    \b
    Example: opty resolution scan.h5 --plot resolution.png
    """
    from opty import plot as drawing

    if picture is not None:
        check_target(picture)
        check_picture(picture)
    check_data(file, data)
    machine = given({"device": device, "threads": threads, "deterministic": deterministic})
    recipe, start = _begin(file, text, data, machine, modes=modes, seed=seed, quiet=quiet or as_json, load=options)
    found = halved(start, recipe, split, seed or 0, quiet)
    if picture is not None:
        drawing.save_figure(drawing.resolution(found), picture)
    if as_json:
        click.echo(json.dumps(found.figures(), indent=1))
    elif not quiet:
        click.echo(f"{file}\n{found}")


@click.command(cls=Command)
@click.argument("result", type=FILE)
@output_option("OUT.html", "Report to write.")
@click.option(
    "--resolution", "split", type=click.Choice(SPLITS), help="Estimate the resolution too, from halves of this."
)
@data_option
@import_option
@overwrite_option
@machine_options
@click.option("-q", "--quiet", is_flag=True, help="Print only errors and warnings.")
def report(
    result: Path, output: Path, split: str | None, data: Path | None, overwrite: bool, quiet: bool, **machine: Any
) -> None:
    """Write a result as one HTML file to send.

    Pictures that a click enlarges, numbers, verdict and warnings, what opty auto tried, the recipe as code, how to run
    it again, versions, checksums. It opens anywhere, without a network. --resolution runs the recipe on two halves.

    \b
    Example: opty report scan.h5 -o scan.html
    """
    from opty.io.rerun import start_over
    from opty.report import report as write

    check_report(output)
    check_target(output)
    check_free([output], overwrite)
    check_data(result, data)
    found = None
    if split is not None:
        recipe, start, _ = start_over(result, data=data, **given(machine))
        found = halved(cast("PtychoState", start), recipe, split, 0, quiet)
    write(result, output, data=data, resolution=found)
    if not quiet:
        click.echo(f"report         {output}")


def halved(start: PtychoState, recipe: Operator, split: str, seed: int, quiet: bool) -> Resolution:
    """Return the resolution from halves of a start, with a progress bar."""
    from opty.analysis import resolution as find
    from opty.operators import Progress
    from opty.runtime.recipe_edit import in_outer_loops

    shown = recipe if quiet else in_outer_loops(recipe, Progress())
    return dataclasses.replace(find(start, shown, split, seed), recipe=recipe)


def _begin(
    file: Path,
    text: str | None,
    data: Path | None,
    machine: dict[str, Any],
    *,
    modes: int | None,
    seed: int | None,
    quiet: bool,
    load: dict[str, Any],
) -> tuple[Operator, PtychoState]:
    """Return the recipe and the start of both halves: of a result, its own."""
    from opty.files.container import Container
    from opty.io.formats.native import recognise
    from opty.io.rerun import start_over

    load = taken_for_load(load) | given({"data": data})
    word = load.pop("probe") if load.get("probe") in PROBE_WORDS else None
    if recognise(Container(file)) and not load.keys() - {"data"} and modes is None and word is None:
        own, begin, _ = start_over(file, data=data, **machine)
        return own if text is None else recipe_of(text, None), cast("PtychoState", begin)
    recipe = recipe_of(text, None)
    told: dict[str, Any] = {"seed": seed, "force": False, "check": False, "quiet": quiet}
    start, attention = started(file, load, modes=modes, model=None, probe=word, recipe=recipe, **told, **machine)
    start.data.need_frames()
    for line in attention:
        click.echo(f"Warning: {line}", err=True)
    return recipe, start

"""Commands that compute: reconstruct, resume, rerun."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from opty.cli.checks import check_data, check_picture, check_report, check_result
from opty.cli.commands import main
from opty.cli.option_types import Number, Whole
from opty.cli.options import (
    FILE,
    data_option,
    given,
    import_option,
    load_options,
    machine_options,
    output_option,
    overwrite_option,
    page_options,
    report_option,
    taken_for_load,
    talk_options,
)
from opty.cli.ranks import together, world
from opty.cli.run import Run
from opty.cli.starts import DEFAULT_RECIPE, PROBE_WORDS, doubts_of, model_of, recipe_of, said_of, started
from opty.files.atomic import check_target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from opty.algebra.operator import Operator
    from opty.ptycho_state import PtychoState


picture_option = click.option("--plot", "picture", type=FILE, metavar="PNG", help="Draw the result as well.")


@main.command()
@click.argument("file", type=FILE)
@output_option("OUT.h5", "Result file.")
@click.option("--recipe", "text", metavar="TEXT", help=f"Recipe to run.  [default: {DEFAULT_RECIPE}]")
@click.option("--recipe-file", type=FILE, metavar="FILE", help="Recipe from a file, as text or JSON.")
@click.option("--modes", type=Whole(1), metavar="N", help="Probe modes.  [default: as the file's probe, or 1]")
@click.option("--model", "model_text", metavar="TEXT", help="Model of the waves, instead of a thin object.")
@click.option("--force", is_flag=True, help="Reconstruct even if the check finds it pointless.")
@click.option("--check", is_flag=True, help="Run all of opty check first, and test the result.")
@click.option("--save-every", type=Whole(1), metavar="N", help="Write OUT.h5 every N iterations as well.")
@click.option("--follow", is_flag=True, help="The scan is still being measured: take its views as they arrive.")
@click.option(
    "--timeout",
    type=Number(0),
    metavar="S",
    help="Seconds without a new view after which the scan ends.  [default: 60]",
)
@click.option("--live", is_flag=True, help="Show the run as a page in the browser; its address is printed.")
@page_options
@picture_option
@report_option
@click.option("--seed", type=Whole(0), metavar="N", help="Seed of the order of views.  [default: 0]")
@data_option
@import_option
@overwrite_option
@machine_options
@load_options
@talk_options
@click.pass_context
@together
def reconstruct(
    ctx: click.Context,
    file: Path,
    output: Path,
    picture: Path | None,
    report: Path | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Reconstruct a measurement, or continue from a result.

    The result holds object, probe, positions, error curve and recipe. Ctrl-C ends the run and keeps what it reached;
    opty resume continues from there, or from the last --save-every checkpoint if the process was killed.

    The checks of opty check that need no run come first: a pointless reconstruction is refused, with exit code 1;
    doubts are printed and written into the result. Short runs say whether axes of the positions are turned, if there is
    a starting probe, and whether positions are off; in the near field the patterns say it. --check runs all of opty
    check first, and stops if a reconstruction would be pointless; at the end it tests the result on views that were
    held out.

    --follow reconstructs a scan that is still being measured: FILE is an HDF5 file that another program writes, or an
    address, such as tcp://127.0.0.1:5555 (docs/live.md). The turns of the recipe are counted once the scan is complete.

    --live shows object, probe, positions and error curve in the browser while it runs, with buttons to pause, end and
    save; opty live does the same, and keeps the page open afterwards.

    --model "Slices(2, spacing=1.5e-6) * Probe(modes=3)" reconstructs several slices; opty completes a model with the
    propagation given in the file. --import loads elements of your own.

    \b
    Example: opty reconstruct scan.cxi --modes 3 --recipe "rPIE()**30" -o scan.h5 --plot scan.png
    """
    from opty.io.save_operator import Save
    from opty.kernels import backend_for
    from opty.live.serve_operator import Serve
    from opty.plot import overview
    from opty.runtime.recipe_edit import after_iterations

    recipe = recipe_of(options.pop("text"), options.pop("recipe_file"))
    follow = _followed(options)
    recipe = _following(recipe) if follow else recipe
    options["model"] = model_of(options.pop("model_text"), options["modes"])
    check_result(output, file, options.pop("overwrite"))
    if every := options.pop("save_every"):
        recipe = after_iterations(recipe, Save(str(output), every))
    page = given({name: options.pop(name) for name in ("host", "port")})
    if options.pop("live"):
        recipe = after_iterations(recipe, Serve(str(output), **page))
    elif page:
        raise click.UsageError(f"--{next(iter(page))} is of the live page: add --live")
    check_before(recipe, picture, report)
    if options["device"] is not None:
        backend_for(options["device"])  # refuses a GPU that is not there
    data = options.pop("data")
    check_data(file, data)
    load = taken_for_load(options) | given({"data": data}) | follow
    if world() is not None and not follow:
        load.setdefault("stream", True)  # each rank reads its own views
    word = load.pop("probe") if load.get("probe") in PROBE_WORDS else None
    start, attention = started(file, load, probe=word, recipe=recipe, quiet=quiet or as_json, **options)
    start.data.need_frames()
    if not quiet:
        made = "" if start.model.thin else f"waves of {start.model!r}\n"
        head = f"{file}: {start.data.views} views of {start.data.n} x {start.data.n}\n"
        click.echo(f"{head}{made}{recipe!r}", err=as_json)
    for line in attention:
        click.echo(f"Warning: {line}", err=True)
    run = Run(recipe, start, quiet, attention=attention)
    _conclude(ctx, run, output, (picture, overview), report, quiet, as_json, options["check"])


@main.command()
@click.argument("checkpoint", type=FILE)
@output_option("OUT.h5", "Result file.  [default: the checkpoint itself]", required=False)
@picture_option
@report_option
@data_option
@import_option
@overwrite_option
@machine_options
@talk_options
@click.pass_context
@together
def resume(
    ctx: click.Context,
    checkpoint: Path,
    output: Path | None,
    picture: Path | None,
    report: Path | None,
    data: Path | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
    **machine: Any,
) -> None:
    """Finish a run that was killed or interrupted.

    CHECKPOINT was written by Save, by reconstruct --save-every, or after Ctrl-C. On the CPU the result has the same
    bits as that of an uninterrupted run.

    \b
    Example: opty resume scan.h5
    """
    import dataclasses

    from opty.io.rerun import result_file, stopped
    from opty.io.save_operator import saving_to
    from opty.plot import overview

    result_file(checkpoint)
    output = checkpoint if output is None else output
    check_result(output, checkpoint, overwrite, may_replace=True)
    p, unfinished = stopped(checkpoint, data=data, **given(machine))
    unfinished = dataclasses.replace(unfinished, asked=saving_to(unfinished.asked, str(checkpoint)))
    check_before(unfinished.asked, picture, report)
    if not quiet:
        click.echo(f"{checkpoint}: iteration {p.iteration} of\n{unfinished.asked!r}", err=as_json)
    attention = doubts_of(checkpoint, p)
    run = Run(unfinished.asked, cast("PtychoState", p), quiet, unfinished, attention)
    _conclude(ctx, run, output, (picture, overview), report, quiet, as_json)


@main.command()
@click.argument("result", type=FILE)
@output_option("OUT.h5", "Write what came out.", required=False)
@click.option(
    "--start", type=FILE, metavar="FILE.h5", help="State that the run began with, if not the one made from the data."
)
@click.option(
    "--tolerance", type=Number(0), default=0.0, metavar="X", help="Largest relative difference that is accepted."
)
@data_option
@import_option
@overwrite_option
@machine_options
@talk_options
@click.pass_context
def rerun(
    ctx: click.Context,
    result: Path,
    output: Path | None,
    start: Path | None,
    tolerance: float,
    data: Path | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
    **machine: Any,
) -> None:
    """Repeat a result from its data with the recipe in it, and compare.

    Says whether the two are the same bit for bit, or else by how much they differ; the exit code is 1 if this is more
    than --tolerance.

    \b
    Example: opty rerun scan.h5
    """
    from opty.io.rerun import Repetition, start_over

    if output is not None:
        check_result(output, result, overwrite)
    recipe, begin, original = start_over(result, start=start, data=data, **given(machine))
    if not quiet:
        click.echo(f"{result}: {original.iteration} iterations of\n{original.recipe!r}", err=as_json)
    run = Run(recipe, cast("PtychoState", begin), quiet, attention=said_of(result))
    if run.interrupted or run.diverged or run.failed:
        run.leave(ctx)
    again = Repetition(run.state, original)
    if output is not None:
        run.save(output)
    if as_json:
        figures = {"identical": again.identical, "same_start": again.same_start, "differences": again.differences}
        click.echo(json.dumps(figures, indent=1))
    elif not quiet:
        click.echo(str(again))
    if max(again.differences.values(), default=0.0) > tolerance:
        ctx.exit(1)


for _command in (reconstruct, resume):
    _command.over_ranks = True  # type: ignore[attr-defined]


def _followed(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of a scan that grows out of a command's, and return those for ``opty.load``."""
    follow, timeout = options.pop("follow"), options.pop("timeout")
    if not follow:
        if timeout is not None:
            raise click.UsageError("--timeout is of a scan that grows: add --follow")
        return {}
    return {"follow": True} | given({"timeout": timeout})


def _following(recipe: Operator) -> Operator:
    """Return a recipe in whose loops the views of a scan join; refuse one without a loop."""
    from opty.operators import Follow
    from opty.runtime.recipe_edit import in_outer_loops

    followed = in_outer_loops(recipe, Follow())
    if followed == recipe:
        raise click.UsageError(f"--follow adds views between the turns of a loop, and {recipe!r} has none: add ** 30")
    return followed


def check_before(recipe: Operator, picture: Path | None = None, report: Path | None = None) -> None:
    """Refuse, before the data are read, steps in an order that cannot work, and files that cannot be written."""
    from opty.runtime.nodes import steps_of
    from opty.runtime.plan import plan

    for step in steps_of(plan(recipe)):
        step.op.check_before_run()
    if picture is not None:
        check_target(picture)
        check_picture(picture)
    if report is not None:
        check_target(report)
        check_report(report)


def _conclude(
    ctx: click.Context,
    run: Run,
    output: Path,
    picture: tuple[Path | None, Callable[[PtychoState], Figure]],
    report: Path | None,
    quiet: bool,
    as_json: bool,
    test: bool = False,
) -> None:
    """Judge, save, draw, report, and leave with the exit code that fits; ``test`` : judge by short runs as well."""
    path, figure = picture
    run.judge(test)
    run.save(output)
    if path is not None and not run.diverged:
        run.draw(path, figure)
    if report is not None and not run.diverged:
        run.describe(report)
    if as_json:
        click.echo(json.dumps(run.figures(), indent=1))
    elif not quiet:
        run.report()
    run.leave(ctx)

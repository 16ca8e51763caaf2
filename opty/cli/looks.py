"""Commands that inspect files: info, check, plot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opty.cli.checks import check_data, check_picture
from opty.cli.commands import main
from opty.cli.options import (
    FILE,
    data_option,
    given,
    import_option,
    load_options,
    output_option,
    taken_for_load,
    talk_options,
)
from opty.files.atomic import check_target

if TYPE_CHECKING:
    from opty.ptycho_state import PtychoState


@main.command()
@click.argument("file", type=FILE)
@load_options
@data_option
@import_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
def info(file: Path, as_json: bool, data: Path | None, **options: Any) -> None:
    """Say what a file holds, and what it lacks.

    Views, size, geometry, overlap, counts of a measurement; recipe, iterations, misfit of the last sweep of a result,
    and how far a run is that is not finished. A result needs neither its measurement nor the classes of your own
    operators for this.

    \b
    Example: opty info scan.cxi
    """
    from opty.io import info as describe

    check_data(file, data)
    found = describe(file, **taken_for_load(options), **given({"data": data}))
    click.echo(found.to_json() if as_json else str(found))


@main.command()
@click.argument("file", type=FILE)
@load_options
@click.option("--plot", "picture", type=FILE, metavar="PNG", help="Draw what was found.")
@talk_options
@click.pass_context
def check(ctx: click.Context, file: Path, picture: Path | None, quiet: bool, as_json: bool, **options: Any) -> None:
    """Say whether a scan is fit for a reconstruction.

    Orientation of the positions, beam centre, dose, bad pixels and frames, overlap, sampling. Exit code 1 where a
    reconstruction would be pointless, with the reason.

    \b
    Example: opty check scan.cxi --plot check.png
    """
    import opty
    from opty import plot as drawing
    from opty.analysis import health

    if picture is not None:
        check_target(picture)
        check_picture(picture)
    data = opty.load(file, **taken_for_load(options))
    if not isinstance(data, opty.PtychoData):
        raise ValueError(f"{file} holds a result; give the measurement, or see what it holds: opty info {file}")
    found = health(data)
    if picture is not None:
        drawing.save_figure(drawing.health(found), picture)
    if as_json:
        click.echo(found.to_json())
    elif not quiet:
        click.echo(f"{file}\n{found}")
    if not found.ok:
        click.echo(f"Error: a reconstruction of {file} would be pointless: {'; '.join(found.problems)}", err=True)
        ctx.exit(1)


@main.command()
@click.argument("result", type=FILE)
@output_option("PNG", "Picture to write.")
@data_option
@import_option
def plot(result: Path, output: Path, data: Path | None) -> None:
    """Draw a result on one page.

    Object, probe, positions and error curve; the suffix decides the format (png, pdf, svg, jpg, tif). A result of opty
    needs no measurement for this, one of PtyPy (.ptyr) does: --data.

    \b
    Example: opty plot scan.h5 -o scan.pdf
    """
    from opty.plot import overview, save_figure

    check_target(output)
    check_picture(output)
    save_figure(overview(load_result(result, data)), output)
    click.echo(f"picture        {output}")


def load_result(path: Path, data: Path | None) -> PtychoState:
    """Return the state in a result file; ValueError, with what to do first, for a measurement."""
    import opty

    check_data(path, data)
    state = opty.load(path, **given({"data": data}))
    if isinstance(state, opty.PtychoData):
        raise ValueError(f"{path} holds a measurement, not a result; first: opty reconstruct {path} -o result.h5")
    return state

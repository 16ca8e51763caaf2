"""Commands that inspect files: info, check, plot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opty.cli.checks import check_data, check_picture
from opty.cli.commands import main
from opty.cli.option_types import Views
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
    """Show what a file contains, and what is missing.

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
    """Say whether a scan can be reconstructed.

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
@click.argument("file", type=FILE)
@output_option("PNG", "Picture to write.")
@click.option("--frames", type=Views(), metavar="VIEWS", help="Draw these frames, such as 0,5,17 or 40:56.")
@click.option("--maps", is_flag=True, help="Draw what the frames show of the sample, unreconstructed.")
@load_options
@data_option
@import_option
def plot(
    file: Path, output: Path, frames: str | list[int] | None, maps: bool, data: Path | None, **options: Any
) -> None:
    """Draw a result, or a measurement, on one page.

    For a result: object, probe, positions and error curve. For a measurement: mean and maximum of the frames, the mask,
    and the photons of each view at its position. --frames draws up to 64 frames of either; --maps draws transmission,
    dark field, differential phase, and all patterns stitched at their positions. The suffix decides the format (png,
    pdf, svg, jpg, tif). A result of opty needs no measurement for its page; a result of PtyPy (.ptyr) does: --data.

    \b
    Example: opty plot scan.h5 -o scan.pdf
    """
    import opty
    from opty import plot as drawing
    from opty.analysis import scan_overview
    from opty.io.prepare.views import numbers

    if maps and frames is not None:
        raise click.UsageError("--maps and --frames are two pages: leave one out")
    check_target(output)
    check_picture(output)
    check_data(file, data)
    loaded = opty.load(file, **taken_for_load(options), **given({"data": data}))
    measured = loaded if isinstance(loaded, opty.PtychoData) else loaded.data
    if frames is not None:
        figure = drawing.frames(measured, numbers("frames", frames, measured.views).tolist())
    elif maps:
        figure = drawing.scan(scan_overview(measured))
    else:
        figure = drawing.data(measured) if measured is loaded else drawing.overview(loaded)
    drawing.save_figure(figure, output)
    click.echo(f"picture        {output}")


def load_result(path: Path, data: Path | None) -> PtychoState:
    """Return the state in a result file; ValueError, with what to do first, for a measurement."""
    import opty

    check_data(path, data)
    state = opty.load(path, **given({"data": data}))
    if isinstance(state, opty.PtychoData):
        raise ValueError(f"{path} holds a measurement, not a result; first: opty reconstruct {path} -o result.h5")
    return state

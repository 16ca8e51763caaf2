"""The commands: demo, info, reconstruct, plot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opty.cli.checks import check_picture, check_result, check_target
from opty.cli.failures import Commands
from opty.cli.run import Run

if TYPE_CHECKING:
    from opty.algebra.operator import Operator
    from opty.state import PtychoState

DEFAULT_RECIPE = "rPIE(alpha=0.05)**30"
DEMO_RECIPE = "(PosCorrectAdam(step=0.1) * rPIE(alpha=0.5)) ** 80"


def beam_options(command: Callable) -> Callable:
    """Add the options that tell what a file of a beamline does not: how the beam gets to the detector."""
    focus = click.option("--focus-to-sample", type=float, metavar="M", help="Metres from focus to sample.")
    kind = click.option("--propagation", type=click.Choice(["far", "cone", "near"]), help="From sample to detector.")
    return focus(kind(command))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="opty-ptycho", prog_name="opty")
def main() -> None:
    """Ptychography as operator algebra: p = rPIE(alpha=0.05)**30 * p.

    \b
    Example: opty demo
    """


@main.command()
@click.option(
    "-o", "--output", "folder", type=click.Path(path_type=Path), default=".", metavar="DIR", help="Folder to write to."
)
@click.option("--seed", type=click.IntRange(0), default=0, metavar="N", help="Seed of the scan.  [default: 0]")
@click.pass_context
def demo(ctx: click.Context, folder: Path, seed: int) -> None:
    """Reconstruct a simulated scan and compare with the truth.

    The positions of the scan are wrong; the recipe refines them. Writes demo.h5 and demo.png.

    \b
    Example: opty demo -o results
    """
    from opty import PtychoState, parse
    from opty.analysis import errors
    from opty.plot import demo_figure
    from opty.simulate.demo import demo_scan

    recipe, files = parse(DEMO_RECIPE), (folder / "demo.h5", folder / "demo.png")
    for file in files:
        check_target(file)
    check_picture(files[1])
    start = PtychoState(demo_scan(seed), seed=seed)
    click.echo(_explanation(start, recipe))
    run = Run(recipe, start, quiet=False)
    run.save(files[0])
    run.draw(files[1], demo_figure)
    click.echo("\n" + _before_and_after(errors(start), errors(run.state)) + "\n")
    run.report()
    run.leave(ctx)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@beam_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
def info(file: Path, as_json: bool, **options) -> None:
    """Say what a file holds, and what it lacks.

    Views, size, geometry, overlap, counts of a measurement; recipe, iterations, misfit of a result.

    \b
    Example: opty info scan.cxi
    """
    from opty.io import info as describe

    found = describe(file, **_given(options))
    click.echo(found.to_json() if as_json else str(found))


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="OUT.h5", help="Result file.")
@click.option("--recipe", "text", default=DEFAULT_RECIPE, show_default=True, metavar="TEXT", help="What to do.")
@click.option("--modes", type=click.IntRange(1), metavar="N", help="Probe modes.  [default: as the file's probe, or 1]")
@click.option("--plot", "picture", type=click.Path(path_type=Path), metavar="PNG", help="Draw the result as well.")
@click.option("--seed", type=click.IntRange(0), metavar="N", help="Seed of the order of views.  [default: 0]")
@click.option("--device", type=click.Choice(["cpu", "gpu"]), help="Where to compute.  [default: a GPU if there is one]")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Threads on the CPU.  [default: all cores]")
@beam_options
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors and warnings.")
@click.pass_context
def reconstruct(ctx: click.Context, file: Path, output: Path, text: str, picture: Path | None, quiet: bool, **options):
    """Reconstruct a measurement, or go on with a result.

    The result holds object, probe, positions, error curve and recipe. Ctrl-C ends the run and keeps what it reached.

    \b
    Example: opty reconstruct scan.cxi --modes 3 --recipe "rPIE(alpha=0.05)**30" -o scan.h5 --plot scan.png
    """
    from opty import parse
    from opty.algebra.plan import plan
    from opty.backend import get as get_backend
    from opty.plot import overview

    recipe = parse(text)
    plan(recipe)  # refuses steps in an order that cannot work
    check_result(output, file)
    if picture is not None:
        check_target(picture)
        check_picture(picture)
    if options["device"] is not None:
        get_backend(options["device"])  # refuses a GPU that is not there
    start = _start(file, **options)
    if not quiet:
        click.echo(f"{file}: {start.data.views} views of {start.data.n} x {start.data.n}\n{recipe!r}")
    run = Run(recipe, start, quiet)
    run.save(output)
    if picture is not None and not run.diverged:
        run.draw(picture, overview)
    if not quiet:
        run.report()
    run.leave(ctx)


@main.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="PNG", help="Picture to write.")
def plot(result: Path, output: Path) -> None:
    """Draw a result on one page.

    Object, probe, positions and error curve; the suffix decides the format (png, pdf, svg, jpg, tif).

    \b
    Example: opty plot scan.h5 -o scan.pdf
    """
    import opty
    from opty.plot import overview, save_figure

    check_target(output)
    check_picture(output)
    state = opty.load(result)
    if isinstance(state, opty.PtychoData):
        raise ValueError(f"{result} holds a measurement, not a result; first: opty reconstruct {result} -o result.h5")
    save_figure(overview(state), output)
    click.echo(f"picture        {output}")


def _start(file: Path, focus_to_sample, propagation, modes, seed, **machine) -> PtychoState:
    """Load a measurement into a fresh state, or a result as it is; ``machine`` is device and threads."""
    import opty

    machine, start = _given(machine), _given({"modes": modes, "seed": seed})
    loaded = opty.load(file, **_given({"focus_to_sample": focus_to_sample, "propagation": propagation}))
    if isinstance(loaded, opty.PtychoData):
        return opty.PtychoState(loaded, **start, **machine)
    for name, value in start.items():
        raise ValueError(f"{file} is a result, which goes on with its own {name}: leave --{name} {value} out")
    return opty.load(file, **machine) if machine else loaded


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _explanation(start: PtychoState, recipe: Operator) -> str:
    data = start.data
    photons = float(f"{data.photons().mean():.1g}")
    return (
        f"A simulated scan: {data.views} views of {data.n} x {data.n} pixels, two photographs as magnitude and phase\n"
        f"of the object, about {photons:,.0f} photons a view, positions wrong by up to 2 px on each axis.\n"
        "opty is given the patterns, the wrong positions and a rough guess of the probe. The whole reconstruction:\n\n"
        f"    p = {recipe!r} * p\n"
    )


def _before_and_after(before: dict[str, float], after: dict[str, float]) -> str:
    units = {"object": "", "position": " (px)"}
    rows = [f"{'':<22}{'before':>10}{'after':>10}"]
    rows += [f"{name + ' error' + units[name]:<22}{before[name]:>10.3g}{after[name]:>10.3g}" for name in units]
    return "\n".join(rows)

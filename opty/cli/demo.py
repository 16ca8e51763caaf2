"""The command `opty demo`: a simulated scan, reconstructed and compared with the truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from opty.cli.checks import check_picture
from opty.cli.commands import main
from opty.cli.options import Whole
from opty.cli.run import Run
from opty.files.atomic import check_target

if TYPE_CHECKING:
    from opty.algebra.operator import Operator
    from opty.ptycho_state import PtychoState

DEMO_RECIPE = "ScaleObjProbe() * (After(10, PosCorrect()) * ePIE()) ** 60"


@main.command()
@click.option(
    "-o", "--output", "folder", type=click.Path(path_type=Path), default=".", metavar="DIR", help="Folder to write to."
)
@click.option("--seed", type=Whole(0), default=0, metavar="N", help="Seed of the scan.  [default: 0]")
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

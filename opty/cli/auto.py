"""The commands `opty auto` and `opty recipes`: a recipe that is chosen for a scan, and what may stand in one."""

from __future__ import annotations

import json
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opty.cli.checks import check_picture, check_report, check_result
from opty.cli.failures import INTERRUPTED, Command
from opty.cli.option_types import Number, Whole
from opty.cli.options import (
    FILE,
    given,
    load_options,
    machine_options,
    output_option,
    overwrite_option,
    report_option,
    taken_for_load,
    talk_options,
)
from opty.cli.run import as_ctrl_c, fit_of, with_fit
from opty.files.atomic import check_target

if TYPE_CHECKING:
    from opty.search import Auto


@click.command(cls=Command)
@click.argument("file", type=FILE)
@output_option("OUT.h5", "Result file.")
@click.option(
    "--minutes", type=Number(0), default=5.0, metavar="X", help="Time limit in minutes, for everything.  [default: 5]"
)
@click.option("--plot", "picture", type=FILE, metavar="PNG", help="Draw the result as well.")
@report_option
@click.option("--seed", type=Whole(0), default=0, metavar="N", help="Seed of every random choice.  [default: 0]")
@click.option("--force", is_flag=True, help="Reconstruct even if the check finds it pointless.")
@overwrite_option
@machine_options
@load_options
@talk_options
@click.pass_context
def auto(
    ctx: click.Context,
    file: Path,
    output: Path,
    minutes: float,
    picture: Path | None,
    report: Path | None,
    seed: int,
    force: bool,
    overwrite: bool,
    device: str | None,
    threads: int | None,
    deterministic: bool | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Reconstruct a scan with a recipe chosen for it.

    Broken pixels and frames are left out, and the starting probe and the orientation of the positions are found; then
    engines, modes, refined positions, background, intensities and priors are tried on a part of the scan, and each is
    kept only if it better predicts detector pixels that it has not seen. Prints a verdict, a table of what was tried,
    and a command that repeats the result, for you to change. Ctrl-C gives the best result so far.

    \b
    Example: opty auto scan.cxi -o scan.h5 --plot scan.png
    """
    import opty
    from opty.io.formats.native import checkpoint
    from opty.plot import overview, save_figure

    check_result(output, file, overwrite)
    if picture is not None:
        check_target(picture)
        check_picture(picture)
    if report is not None:
        check_target(report)
        check_report(report)
    load = taken_for_load(options)
    data = opty.load(file, **load)
    if not isinstance(data, opty.PtychoData):
        raise ValueError(f"{file} holds a result; opty auto starts from the measurement that it was made from")
    machine = given({"device": device, "threads": threads, "deterministic": deterministic})

    def tell(line: str) -> None:
        if not quiet:
            click.echo(line, err=True)

    with as_ctrl_c(signal.SIGTERM):
        found = opty.auto(data, minutes=minutes, seed=seed, force=force, tell=tell, **machine)
    again = command(file, output, found, load)
    told = f"{found}\ncommand     {again}"
    fit = with_fit(
        lambda fit: checkpoint(output, found.state, None, found.said, search=told, fit=fit),
        lambda: fit_of(found.state),
    )
    if picture is not None:
        save_figure(overview(found.state), picture)
    if report is not None:
        opty.report(output, report)
    if as_json:
        click.echo(json.dumps(_figures(found, fit, again, output), indent=1))
    elif not quiet:
        click.echo(f"{found}\ncommand     {again}\nresult      {output}")
    if found.interrupted:
        click.echo(f"Interrupted; the best so far is in {output}", err=True)
        ctx.exit(INTERRUPTED)


@click.command(cls=Command)
def recipes() -> None:
    """List what may stand in a recipe, and recipes to start from.

    \b
    Example: opty recipes
    """
    from opty.search.catalogue import STARTING_POINTS, listed

    click.echo("to start from, as --recipe of opty reconstruct (opty auto chooses one by itself)")
    for one in STARTING_POINTS:
        click.echo(f"  {one.name:<14}{one.recipe}  {one.options}".rstrip())
        click.echo(f"  {'':<14}{one.why}")
    for group, members in listed().items():
        click.echo(f"{group}: A * B runs B, then A; A ** 30 runs A thirty times")
        for name, line in members.items():
            click.echo(f"  {name}\n      {line}")


def command(file: Path, output: Path, found: Auto, load: dict[str, Any]) -> str:
    """Return the command that makes the same result without a search, with the repairs as options of the load."""
    import numpy as np

    words = ["opty", "reconstruct", str(file), "-o", str(output), "--recipe", repr(found.recipe)]
    words += ["--modes", str(len(found.state.probe))]
    merged, by_hand = load | found.options, {}
    if "mask" in load and "mask" in found.options:
        merged["mask"] = [*_many(load["mask"]), *_many(found.options["mask"])]
    if "position_scale" in load and "position_scale" in found.options:
        merged["position_scale"] = np.multiply(load["position_scale"], found.options["position_scale"]).tolist()
    for name in ("leave_out", "transpose", "flip"):
        # These count from the measurement as it was loaded, with the options that were given.
        if name in found.options and any(given in load for given in ("views", "leave_out", "transpose", "flip")):
            merged.pop(name)
            merged |= {name: load[name]} if name in load else {}
            by_hand[name] = found.options[name]
    for name, value in merged.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif name == "mask":
            words += [part for one in _many(value) for part in (option, str(one))]
        else:
            words += [option, ",".join(map(str, _many(value)))]
    return shlex.join(words) + (f"  # and, of the measurement as it is loaded so: {by_hand}" if by_hand else "")


def _many(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _figures(found: Auto, fit: dict[str, float], again: str, output: Path) -> dict[str, Any]:
    tried = [
        {"recipe": repr(one.recipe), "modes": one.modes, "score": one.score, "seconds": one.seconds, "why": one.why}
        for one in found.trials
    ]
    return {
        "verdict": found.verdict.word,
        "reasons": list(found.verdict.reasons),
        "expression": found.expression,
        "command": again,
        **fit,
        "said": list(found.said),
        "tried": tried,
        "seconds": found.seconds,
        "result": str(output),
    }

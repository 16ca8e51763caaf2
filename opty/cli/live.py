"""The command `opty live`: a page in the browser that shows a run, or a result."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import click
from click.core import ParameterSource

from opty.cli.checks import check_data
from opty.cli.failures import INTERRUPTED, Command
from opty.cli.looks import load_result
from opty.cli.options import FILE, given, output_option
from opty.cli.runs import reconstruct
from opty.files.container import Container
from opty.io.registry import identify

OF_A_RESULT = ("file", "host", "port", "data", "import", "quiet", "traceback")  # parameters that showing one has


@click.command(cls=Command)
@click.argument("file", type=FILE)
@output_option("OUT.h5", "Result file of a run.  [default: FILE's name with _live.h5, here]", required=False)
@click.pass_context
def live(ctx: click.Context, file: Path, output: Path | None, **options: Any) -> None:
    """Show a reconstruction in the browser while it runs, or a result.

    A measurement is reconstructed, with all options of opty reconstruct; the page shows object, probe, positions, error
    curve, rate and time left, and has buttons to pause, end and save. It stays up afterwards, until Ctrl-C. A result is
    shown as it is, and again whenever another process, such as opty reconstruct --save-every, rewrites it; with
    --recipe the run continues from it.

    The address is printed. It can be reached only from this machine, unless --host is given, and contains a token,
    without which nothing is shown; OPTY_LIVE_TOKEN in the environment sets the token.

    \b
    Example: opty live scan.cxi --recipe "rPIE()**200" -o scan.h5
    """
    from opty.live.result import keep_showing, show_result
    from opty.live.server import stopped_by_viewer

    is_result = "data" in identify(Container(file), {name: options[name] for name in ("mapping", "data")}).options
    if is_result and options["text"] is None and options["recipe_file"] is None:
        _refuse_others(ctx, file)
        check_data(file, options["data"])
        load = functools.partial(load_result, file, options["data"])
        server = show_result(file, load, **given({name: options[name] for name in ("host", "port")}))
        _until_ctrl_c(functools.partial(keep_showing, server, file, load), options["quiet"])
        return
    output = Path(f"{file.stem}_live.h5") if output is None else output
    code = 0
    try:
        cast("Callable", reconstruct.callback)(file=file, output=output, live=True, **options)
    except click.exceptions.Exit as left:
        code = left.exit_code
    if output.exists() and (code != INTERRUPTED or stopped_by_viewer()):
        _until_ctrl_c(_rest, options["quiet"])
    ctx.exit(code)


# All options of opty reconstruct but those that it has itself.
live.params += [option for option in reconstruct.params if option.name not in {"file", "output", "live", "traceback"}]


def _refuse_others(ctx: click.Context, file: Path) -> None:
    """Refuse options that are of a run."""
    for option in ctx.command.params:
        name = str(option.name)
        if name not in OF_A_RESULT and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{file} is a result, which is shown as it is: leave {option.opts[-1]} out, or give --recipe"
            )


def _until_ctrl_c(wait: Callable[[], None], quiet: bool) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        if not quiet:
            click.echo("the page stays up; Ctrl-C ends it", err=True)
        wait()


def _rest() -> None:
    while True:
        time.sleep(3600)

"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import click

FILE = click.Path(path_type=Path)
WORDS = ("invalid", "dead", "hot", "saturated", "ignore")


class Whole(click.IntRange):
    """A whole number from ``least`` on."""

    def __init__(self, least: int):
        super().__init__(least)

    def convert(self, value: Any, param, ctx) -> int:
        """Return the number."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is no whole number from {self.min} on", param, ctx)


class Number(click.ParamType):
    """A number, from ``least`` on where that is given."""

    name = "number"

    def __init__(self, least: float = -math.inf):
        self.least = least

    def convert(self, value: Any, param, ctx) -> float:
        """Return the number."""
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        if math.isnan(found) or found < self.least:
            least = "" if self.least == -math.inf else f" from {self.least:g} on"
            self.fail(f"{value!r} is no number{least}", param, ctx)
        return found


class Centre(click.ParamType):
    """A place on the detector: "ROW,COLUMN" in pixels, or "auto"."""

    name = "centre"

    def convert(self, value: Any, param, ctx) -> Any:
        """Return "auto" or (row, column)."""
        if value == "auto" or isinstance(value, tuple):
            return value
        try:
            row, column = (float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is neither 'auto' nor ROW,COLUMN in pixels, such as 255.5,260", param, ctx)
        return row, column


class Views(click.ParamType):
    """Some views: a slice such as "0:100" or "::4", or numbers such as "3,17,200"; ``words`` are passed on."""

    name = "views"

    def __init__(self, *words: str):
        self.words = words

    def convert(self, value: Any, param, ctx) -> Any:
        """Return a text or a list of numbers."""
        if not isinstance(value, str) or ":" in value or value in self.words:
            return value
        try:
            return [int(part) for part in value.split(",")]
        except ValueError:
            ways = " or ".join(["a slice such as 0:100 or ::4", "numbers such as 3,17,200", *map(repr, self.words)])
            self.fail(f"{value!r} is no choice of views; give {ways}", param, ctx)


class Masks(click.ParamType):
    """Masks of ``opty.load``: files, and words for pixels to find, several of these with commas between them."""

    name = "mask"

    def convert(self, value: Any, param, ctx) -> tuple[str, ...]:
        """Return the paths and words in a text; the name of a file that is there may hold commas."""
        parts = tuple(value.split(",")) if isinstance(value, str) else value
        return (value,) if isinstance(value, str) and (Path(value).exists() or not set(parts) <= set(WORDS)) else parts


_BEAM = (
    click.option("--propagation", type=click.Choice(["far", "cone", "near"]), help="From sample to detector."),
    click.option("--focus-to-sample", type=Number(), metavar="M", help="Metres from focus to sample."),
    click.option("--wavelength", type=Number(), metavar="M", help="Of the radiation, in metres."),
    click.option("--distance", type=Number(), metavar="M", help="Metres from sample to detector."),
    click.option("--pixel-size", type=Number(), metavar="M", help="Edge of a detector pixel in metres."),
)
_FRAMES = (
    click.option("--views", type=Views(), metavar="WHICH", help="Views to load: 0:100, ::4 or 3,17,200."),
    click.option(
        "--leave-out", type=Views("empty"), metavar="WHICH", help='Views not to load, in the same words; or "empty".'
    ),
    click.option("--crop", type=Whole(1), metavar="N", help="Edge of the square to cut out, in pixels."),
    click.option("--centre", type=Centre(), metavar="ROW,COL", help='Beam centre on the detector, or "auto".'),
    click.option("--rebin", type=Whole(1), metavar="N", help="Add up N x N pixels to one."),
    click.option("--transpose/--no-transpose", default=None, help="Exchange rows and columns of the detector."),
    click.option("--flip", type=click.Choice(["rows", "columns", "both"]), help="Turn the detector image round."),
    click.option(
        "--mask",
        type=Masks(),
        multiple=True,
        metavar="FILE|WORDS",
        help=f"Non-zero where a pixel counts; or {', '.join(WORDS)}, such as hot,dead. May be given several times.",
    ),
    click.option("--saturation", type=Number(), metavar="COUNTS", help="From which a pixel is saturated."),
    click.option("--dark", type=FILE, metavar="FILE", help="Image of the background in counts."),
    click.option("--flat", type=FILE, metavar="FILE", help="Image of the pixels' sensitivity."),
    click.option("--positions", type=FILE, metavar="FILE", help="Positions of the views, beside a stack of images."),
    click.option("--mapping", type=FILE, metavar="TOML", help="Where to find what in an HDF5 file of your own."),
    click.option(
        "--stream/--no-stream",
        default=None,
        help="Leave the frames in the file, or read them.  [default: leave what is large for the memory]",
    ),
    click.option("--links", multiple=True, metavar="NAME", help="File that links in an HDF5 file may lead to."),
)


def load_options(command: Callable) -> Callable:
    """Add the options of ``opty.load``; those that were given arrive in the command as ``load``."""
    for option in reversed((*_BEAM, *_FRAMES)):
        command = option(command)
    return command


def taken_for_load(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of ``opty.load`` out of a command's own, and return those that were given."""
    names = [option.name for option in _parameters()]
    found = given({name: options.pop(name) for name in names})
    many = {name: list(found[name]) for name in ("mask", "links") if name in found}
    if "mask" in many:
        many["mask"] = list(chain.from_iterable(many["mask"]))
    return found | {name: value[0] if len(value) == 1 else value for name, value in many.items()}


def _parameters() -> list[click.Parameter]:
    command = click.command()(load_options(lambda: None))
    return command.params


def machine_options(command: Callable) -> Callable:
    """Add where to compute."""
    device = click.option("--device", type=click.Choice(["cpu", "gpu"]), help="Where to compute.")
    threads = click.option("--threads", type=Whole(1), metavar="N", help="Threads on the CPU.  [default: all]")
    same = "Add up in the same order every time: the same bits from a GPU, more slowly."
    deterministic = click.option("--deterministic", is_flag=True, default=None, help=same)
    return device(threads(deterministic(command)))


def talk_options(command: Callable) -> Callable:
    """Add how much to say, and in which form."""
    quiet = click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors and warnings.")
    as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
    return quiet(as_json(command))


def output_option(metavar: str, text: str, required: bool = True) -> Callable:
    """Return the option ``-o``."""
    return click.option("-o", "--output", type=FILE, required=required, metavar=metavar, help=text)


def overwrite_option(command: Callable) -> Callable:
    """Add whether a file that is there already may be replaced."""
    return click.option("--overwrite", is_flag=True, help="Replace a file that is there already.")(command)


def data_option(command: Callable) -> Callable:
    """Add a measurement in place of the one that a result points to."""
    text = "Measurement of a result, in place of the one that it points to."
    return click.option("--data", type=FILE, metavar="PATH", help=text)(command)


def import_option(command: Callable) -> Callable:
    """Add modules to import first, which define operators and elements of a user's own."""
    text = "Module, or .py file, that defines operators or elements of your own; may be given several times."
    return click.option(
        "--import", multiple=True, metavar="MODULE", is_eager=True, expose_value=False, callback=_import_all, help=text
    )(command)


def _import_all(ctx: click.Context, param: click.Parameter, names: tuple[str, ...]) -> None:
    for name in () if ctx.resilient_parsing else names:
        folder, module = (Path(name).parent, Path(name).stem) if name.endswith(".py") else (Path(), name)
        if (place := str(folder.absolute())) not in sys.path:
            sys.path.insert(0, place)  # it stays there: a module may import others when it is used
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module.split(".")[0]:
                raise click.BadParameter(f"{name} cannot be imported: {error}", ctx, param) from error
            raise click.BadParameter(f"there is no module {module}, in {place} or installed", ctx, param) from None
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise click.BadParameter(f"{name} cannot be imported: {why}", ctx, param) from error


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None and value != ()}

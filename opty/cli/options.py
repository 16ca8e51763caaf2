"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import click

from opty.cli.option_types import WORDS, Centre, Image, Masks, Number, Pair, Quantity, Views, Whole

FILE = click.Path(path_type=Path)


_TURNS = click.Choice(["rows", "columns", "both"])
_BEAM = (
    click.option(
        "--propagation", type=click.Choice(["far", "cone", "near"]), help="Propagation from the sample to the detector."
    ),
    click.option(
        "--focus-to-sample",
        type=Quantity("length"),
        metavar="M",
        help="Distance from the focus to the sample, such as 3.65mm.",
    ),
    click.option(
        "--wavelength", type=Quantity("length"), metavar="M", help="Wavelength of the radiation, such as 0.15nm."
    ),
    click.option("--energy", type=Quantity("energy"), metavar="E", help="Photon energy with its unit, such as 6.2keV."),
    click.option(
        "--voltage", type=Quantity("voltage"), metavar="V", help="Accelerating voltage of electrons, such as 300kV."
    ),
    click.option(
        "--distance",
        type=Quantity("length"),
        metavar="M",
        help="Distance from the sample to the detector, such as 2.1m.",
    ),
    click.option("--pixel-size", type=Quantity("length"), metavar="M", help="Edge of a detector pixel, such as 75um."),
)
_LENS = (
    click.option("--reciprocal-pixel", metavar="Q", help="Detector pixel in reciprocal space: 0.8mrad or '0.02 1/A'."),
    click.option(
        "--semi-angle",
        type=Quantity("angle"),
        metavar="A",
        help="Semi-angle of the aperture, for a starting probe: 21mrad.",
    ),
    click.option(
        "--aperture", type=Quantity("length"), metavar="M", help="Diameter of the aperture instead of its angle: 0.3mm."
    ),
    click.option(
        "--focal-length", type=Quantity("length"), metavar="M", help="Focal length of the lens, with --aperture: 50mm."
    ),
    click.option(
        "--defocus", type=Quantity("length"), metavar="M", help="Underfocus of the starting probe, such as 20nm."
    ),
    click.option(
        "--aberration",
        "aberrations",
        multiple=True,
        metavar="NAME=VALUE",
        help="Aberration of the lens: C30=1.2mm, phi12=30deg.",
    ),
)
_PROBE = click.option(
    "--probe",
    metavar="FILE",
    help="Starting probe: NPY, a result of opty, or FILE.h5:/path. In opty reconstruct also 'search', for its "
    "defocus, or 'mean', the mean pattern with a flat phase.  [default: the file's; in the far field else search]",
)
_SCAN = (
    click.option(
        "--positions", type=FILE, metavar="FILE", help="Positions of the views, instead of those in the file."
    ),
    click.option(
        "--position-unit", type=Pair(), metavar="UNIT", help="Unit of the numbers in the file, such as um or px."
    ),
    click.option(
        "--position-swap/--no-position-swap", default=None, help="Exchange rows and columns of the positions."
    ),
    click.option("--position-flip", type=_TURNS, help="Change the sign of the positions."),
    click.option("--position-scale", type=Pair(float), metavar="X", help="Factor for the positions, or ROW,COLUMN."),
    click.option(
        "--scan-rotation",
        type=Quantity("angle", "auto"),
        metavar="A",
        help='Rotation of the scan, such as 12deg, or "auto".',
    ),
    click.option(
        "--frame-order",
        metavar="HOW",
        help="Order of the frames on the grid of positions: rows, snake, columns, column-snake; reversed; shift:1.",
    ),
    click.option("--scan-step", type=Pair(), metavar="M", help="Distance between views on a grid, such as 0.4nm."),
    click.option("--scan-shape", type=Pair(int), metavar="ROWS,COLUMNS", help="Shape of the grid of views."),
)
_FRAMES = (
    click.option("--views", type=Views(), metavar="WHICH", help="Views to load: 0:100, ::4 or 3,17,200."),
    click.option(
        "--leave-out", type=Views("empty"), metavar="WHICH", help='Views not to load, in the same form, or "empty".'
    ),
    click.option("--crop", type=Whole(1), metavar="N", help="Edge of the square to cut out, in pixels."),
    click.option("--centre", type=Centre(), metavar="ROW,COL", help='Beam centre on the detector, or "auto".'),
    click.option(
        "--zero-frequency",
        type=click.Choice(["centre", "corner"]),
        help="Where the frames of the file have zero frequency.",
    ),
    click.option("--rebin", type=Whole(1), metavar="N", help="Add up N x N pixels to one."),
    click.option("--subdivide", type=Whole(1), metavar="N", help="Divide a pixel into N x N, for a model with Bin(N)."),
    click.option("--transpose/--no-transpose", default=None, help="Exchange rows and columns of the detector."),
    click.option("--flip", type=_TURNS, help="Flip the detector image."),
    click.option("--clip", type=Number(), metavar="0", help="0 sets negative counts to 0."),
    click.option(
        "--mask",
        type=Masks(),
        multiple=True,
        metavar="FILE|WORDS",
        help=f"Non-zero where a pixel counts; or {', '.join(WORDS)}, such as hot,dead. May be given several times.",
    ),
    click.option("--saturation", type=Number(), metavar="COUNTS", help="Counts from which on a pixel is saturated."),
    click.option("--dark", type=Image(), metavar="FILE", help="Image of the background in counts, or a number."),
    click.option("--flat", type=FILE, metavar="FILE", help="Image of the pixels' sensitivity."),
    click.option("--mapping", type=FILE, metavar="TOML", help="Where an HDF5 file of your own has its arrays."),
    click.option(
        "--stream/--no-stream",
        default=None,
        help="Leave the frames in the file, or read them.  [default: leave frames that are large for the memory]",
    ),
    click.option("--links", multiple=True, metavar="NAME", help="File that links in an HDF5 file may lead to."),
)


def load_options(command: Callable) -> Callable:
    """Add the options of ``opty.load``; those that were given arrive in the command as ``load``."""
    for option in reversed((*_BEAM, *_LENS, _PROBE, *_FRAMES, *_SCAN)):
        command = option(command)
    return command


def taken_for_load(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of ``opty.load`` out of a command's own, and return those that were given."""
    names = [option.name for option in _parameters()]
    found = given({name: options.pop(name) for name in names})
    many = {name: list(found[name]) for name in ("mask", "links") if name in found}
    if "aberrations" in found:
        found["aberrations"] = _aberrations(found["aberrations"])
    if "mask" in many:
        many["mask"] = list(chain.from_iterable(many["mask"]))
    return found | {name: value[0] if len(value) == 1 else value for name, value in many.items()}


def _aberrations(given: tuple[str, ...]) -> dict[str, str]:
    """Return NAME=VALUE texts as a dictionary."""
    pairs = [text.partition("=") for text in given]
    if wrong := [text for text, (_, sign, value) in zip(given, pairs, strict=True) if not sign or not value]:
        raise click.BadParameter(f"{wrong[0]!r} is no NAME=VALUE, such as C30=1.2mm", param_hint="--aberration")
    return {name.strip(): value.strip() for name, _, value in pairs}


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
    quiet = click.option("-q", "--quiet", is_flag=True, help="Print only errors and warnings.")
    as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
    return quiet(as_json(command))


def output_option(metavar: str, text: str, required: bool = True) -> Callable:
    """Return the option ``-o``."""
    return click.option("-o", "--output", type=FILE, required=required, metavar=metavar, help=text)


def report_option(command: Callable) -> Callable:
    """Add a report of the result."""
    text = "Write a report of the result as well, one HTML file."
    return click.option("--report", type=FILE, metavar="HTML", help=text)(command)


def page_options(command: Callable) -> Callable:
    """Add where a live page is served."""
    host = click.option("--host", metavar="ADDRESS", help="Address of the live page.  [default: for this machine only]")
    port = click.option(
        "--port", type=Whole(0), metavar="N", help="Port of the live page.  [default: a free one from 8420]"
    )
    return host(port(command))


def overwrite_option(command: Callable) -> Callable:
    """Add whether a file that is there already may be replaced."""
    return click.option("--overwrite", is_flag=True, help="Replace an existing file.")(command)


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

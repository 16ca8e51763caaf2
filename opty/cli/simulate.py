"""The command `opty simulate`: a virtual experiment from a text file into files that other programs read."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from opty.cli.checks import check_free
from opty.cli.failures import Command
from opty.cli.option_types import Whole
from opty.cli.options import import_option, overwrite_option

if TYPE_CHECKING:
    from opty.simulate import Experiment


@click.command(cls=Command)
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "outputs",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    metavar="OUT",
    help="File to write, .cxi or .tif; may be given several times.",
)
@click.option("--seed", type=Whole(0), metavar="N", help="Use this seed instead of the one in the file.")
@import_option
@overwrite_option
@click.option("-q", "--quiet", is_flag=True, help="Print only errors and warnings.")
def simulate(config: Path, outputs: tuple[Path, ...], seed: int | None, overwrite: bool, quiet: bool) -> None:
    """Simulate a scan that a text file describes.

    Views are written as they are made, so that a scan may be larger than the memory. A .tif stack has its positions
    beside it, in <name>.npy. The folder examples/ holds a config with all keys.

    \b
    Example: opty simulate simulate.toml -o scan.cxi
    """
    from opty.files.atomic import check_target
    from opty.simulate.config import named_files, read_config
    from opty.simulate.write import check_paths, companions, write

    for path in check_paths(outputs):
        check_target(path)
    experiment = read_config(config, seed)
    inputs = named_files(config)
    for path in outputs:
        for file in (path, *companions(path)):
            if file.exists() and any(file.samefile(one) for one in inputs):
                raise ValueError(f"{file} is what {config} reads from; choose another name for the scan")
        check_free([path, *companions(path)], overwrite)
    if not quiet:
        click.echo(_described(experiment))
    began = time.perf_counter()
    written = write(experiment, *outputs, progress=not quiet)
    if not quiet:
        seconds = time.perf_counter() - began
        click.echo(f"{'time':<14} {seconds:.1f} s ({seconds / experiment.views:.2g} s a view)")
        for path in written:
            click.echo(f"{'file':<14} {path} ({path.stat().st_size / 1e6:.4g} MB)")


def _described(e: Experiment) -> str:
    """What is about to be measured, as a table to plan a scan with."""
    import numpy as np

    from opty.analysis import position_error
    from opty.simulate import scans

    truth, pixel = e.truth, e.geometry.sample_pixel(e.n)
    span = (np.ptp(truth["positions"], axis=0) + e.n) * pixel * 1e6
    power = (np.abs(truth["probe"].astype(np.complex128)) ** 2).sum(axis=(1, 2))
    rows, columns = truth["obj"].shape[-2:]
    layers = "states" if e.model.mixture else "slices"
    several = f"{len(truth['obj'])} {layers} of " if truth["obj"].ndim == 3 else ""
    lines = {
        "views": f"{e.views} of {e.n} x {e.n} {e.dtype}, {e.views * e.n**2 * e.dtype.itemsize / 1e6:.4g} MB",
        "sample pixel": f"{pixel:.4g} m",
        "object": f"{several}{rows} x {columns} px, windows on {span[0]:.4g} x {span[1]:.4g} um",
        "probe": f"{len(power)} mode{'s' * (len(power) > 1)}, "
        + " + ".join(f"{share:.1%}" for share in power / power.sum())
        + f" of {power.sum():.4g} photons",
    }
    if not e.model.thin:
        lines["model"] = repr(e.model)
    if e.views > 1:
        overlap = scans.mean_overlap(truth["positions"], e.n)
        lines["step"] = f"{(1 - overlap) * e.n:.4g} px (median), {overlap:.1%} overlap of the windows"
        error = position_error(e.positions / pixel, truth["positions"])
        lines["stage"] = f"off by {error:.3g} px on the mean"
    if e.mask is not None:
        lines["mask"] = f"{e.mask.mean():.2%} of the pixels count"
    return "\n".join(f"{name:<14} {value}" for name, value in lines.items())

"""Commands that turn files into others: convert, join, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opty.cli.checks import check_free
from opty.cli.commands import main
from opty.cli.looks import load_result
from opty.cli.option_types import Quantity
from opty.cli.options import (
    FILE,
    data_option,
    import_option,
    load_options,
    output_option,
    overwrite_option,
    taken_for_load,
)
from opty.files.atomic import check_target
from opty.io.registry import writer
from opty.io.state_as_data import as_data
from opty.io.writing import check_suffix

if TYPE_CHECKING:
    from opty.analysis.phase_map import Background

_TINY = 1e-2  # px: an offset below it was meant in another unit
refined_option = click.option(
    "--refined-positions/--no-refined-positions",
    default=None,
    help="Of a result: write the positions that its run refined, or those given.  [default: given, with a warning]",
)
BY_SUFFIX = {
    ".h5": "opty",
    ".hdf5": "opty",
    ".cxi": "cxi",
    ".nxs": "nexus",
    ".emd": "emd",
    ".ptyd": "ptyd",
    ".npz": "tike",
    ".tif": "tiff",
    ".tiff": "tiff",
}


@main.command()
@click.argument("source", metavar="IN", type=FILE)
@click.argument("target", metavar="OUT", type=FILE)
@click.option(
    "--format", "form", metavar="NAME", help="opty, cxi, nexus, ptyd, ptylab, tike, ...  [default: by suffix]"
)
@load_options
@refined_option
@overwrite_option
@click.option("-q", "--quiet", is_flag=True, help="Print only errors and warnings.")
def convert(
    source: Path,
    target: Path,
    form: str | None,
    refined_positions: bool | None,
    overwrite: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Write the measurement in a file in the format of another program.

    The suffix chooses the format where only one has it (.cxi, .ptyd, .nxs, .npz, .tif); .h5 is opty's own. With the
    options that say what to load, this crops, bins, masks and chooses views as well. Of a result it writes the
    measurement with the reconstructed probe as its starting probe, where the format has a place for one, and with the
    positions that were given or, with --refined-positions, those that the run refined.

    \b
    Example: opty convert scan.cxi scan.ptyd
             opty convert result.h5 refined.cxi --refined-positions
    """
    import opty

    form = form or _format(target)
    if target.exists() and source.exists() and target.samefile(source):
        raise ValueError(f"{target} is the input as well; choose another name")
    for file in _written(target, form):
        check_target(file)
        check_free([file], overwrite)
    loaded = opty.load(source, **taken_for_load(options))
    state = form != "opty" and writer(form).of_state
    data, said = _measured(source, loaded, target, form, refined_positions, changed=not state)
    opty.save(target, data, format=form)
    if said:
        click.echo(f"Warning: {said}", err=True)
    if not quiet:
        _tell(source, data, loaded, refined_positions)
        click.echo(f"written        {target} ({form})")


def _measured(
    source: Path, loaded: Any, target: Path, form: str, refined_positions: bool | None, changed: bool = True
) -> tuple[Any, str]:
    """Return the measurement of a file; of a result, if ``changed``, with what was reconstructed, as far as it goes.

    And what is to be said of that once it is written.
    """
    import opty

    if isinstance(loaded, opty.PtychoData):
        if refined_positions is not None:
            raise ValueError(f"{source} is a measurement and has no refined positions: leave --refined-positions out")
        return loaded, ""
    if loaded.data.absent is not None:
        why = loaded.data.absent
        raise ValueError(f"{source} is a result, and its measurement is not here ({why}): take that one")
    if not changed:
        return loaded.data, ""
    return as_data(target, loaded, None if form == "opty" else writer(form), refined_positions)


def _tell(source: Path, data: Any, loaded: Any, refined_positions: bool | None) -> None:
    """Print what was read, and of a result which positions were taken."""
    click.echo(f"{source}: {data.views} views of {data.n} x {data.n}")
    if data is not loaded:
        click.echo(f"positions      {'of the result' if refined_positions else 'as they were given'}")


@main.command()
@click.argument("files", nargs=-1, required=True, type=FILE, metavar="FILE...")
@output_option("OUT.h5", "Measurement to write.")
@click.option(
    "--offset",
    "offsets",
    type=(Quantity("length"), Quantity("length")),
    multiple=True,
    metavar="ROW COLUMN",
    help="Added to the positions of a file, such as 1.2um 0 (pixels where the files have no geometry); once for each "
    "file, in their order.  [default: none]",
)
@load_options
@refined_option
@overwrite_option
@click.option("-q", "--quiet", is_flag=True, help="Print only errors and warnings.")
def join(
    files: tuple[Path, ...],
    output: Path,
    offsets: tuple[tuple[float, float], ...],
    refined_positions: bool | None,
    overwrite: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Write several scans of one object as one measurement.

    The options that say what to load hold for all files. The scans need patterns of one size and one geometry. Of
    results it takes the measurements, with the first reconstructed probe as the starting probe, and the positions that
    were given or, with --refined-positions, those that the runs refined. Where
    their probes differ, reconstruct with --model, as this command prints it: each scan then has a probe of its own.

    \b
    Example: opty join first.h5 second.h5 -o both.h5
    """
    import opty

    check_suffix(output)
    check_target(output)
    if any(output.exists() and file.exists() and output.samefile(file) for file in files):
        raise ValueError(f"{output} is an input as well; choose another name")
    check_free([output], overwrite)
    if offsets and len(offsets) != len(files):
        raise click.BadParameter(
            f"{len(offsets)} for {len(files)} files: give ROW COLUMN once for each file", param_hint="--offset"
        )
    how = taken_for_load(options)
    found = [opty.load(file, **how) for file in files]
    pairs = list(zip(files, found, strict=True))
    taken = [_measured(file, one, output, "opty", refined_positions) for file, one in pairs]
    scans = [scan for scan, _ in taken]
    if scans[0].geometry is None and (tiny := [x for pair in offsets for x in pair if 0 < abs(x) < _TINY]):
        raise ValueError(f"--offset {tiny[0]:g}: {files[0]} has positions in pixels and no geometry; give pixels")
    whole = opty.join(scans, offsets or None)
    opty.save(output, whole)
    for said in (said for _, said in taken if said):
        click.echo(f"Warning: {said}", err=True)
    if not quiet:
        for (file, one), scan in zip(pairs, scans, strict=True):
            _tell(file, scan, one, refined_positions)
        click.echo(f"written        {output}: {whole.views} views")
        counts = ", ".join(str(scan.views) for scan in scans)
        click.echo(f"a probe each   opty reconstruct {output} --model 'Object() * Probe(scans=({counts}))' -o OUT.h5")


def _written(target: Path, form: str) -> tuple[Path, ...]:
    """Return the files of a conversion; ValueError for a name that the format does not have."""
    if form == "opty":
        check_suffix(target)
        return (target,)
    chosen = writer(form)
    check_suffix(target, chosen.suffixes, chosen.name)
    return (target, *chosen.beside(target))


def _format(path: Path) -> str:
    """Return the format that a suffix stands for."""
    suffix = path.suffix.lower()
    if suffix not in BY_SUFFIX:
        known = ", ".join(BY_SUFFIX)
        raise ValueError(f"{path.name} does not end with one of {known}: name the format with --format")
    return BY_SUFFIX[suffix]


@main.command()
@click.argument("result", type=FILE)
@output_option("OUT.tif|OUT.npz|OUT.ptyr", "File to write; the suffix chooses the format.")
@click.option("--crop", is_flag=True, help="Write only the lit part of the object.")
@click.option(
    "--unwrap",
    type=click.Choice(["plane", "constant", "none"]),
    is_flag=False,
    flag_value="plane",
    help="Write the unwrapped phase too, minus a fitted plane (also where no value is given), a constant, or nothing.",
)
@data_option
@import_option
@overwrite_option
@click.option("-q", "--quiet", is_flag=True, help="Print only errors and warnings.")
def export(
    result: Path,
    output: Path,
    crop: bool,
    unwrap: Background | None,
    data: Path | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Write a result as images (TIFF), as plain arrays (npz), or for PtyPy (.ptyr).

    out.tif gives out_magnitude.tif and out_phase.tif of the object, with the size of a pixel in their tags, and with
    --unwrap out_unwrapped.tif; out.npz holds object, probe, positions, error curve and recipe; out.ptyr object, probe
    and positions. The probe modes are orthogonal. A result of opty needs no measurement for this; a result of PtyPy
    (.ptyr) does: --data.

    \b
    Example: opty export scan.h5 -o scan.tif
    """
    from opty.io.export import export as write
    from opty.io.export import export_files

    for file in export_files(output, unwrap):
        check_target(file)
        check_free([file], overwrite)
    for file in write(output, load_result(result, data), crop, unwrap):
        if not quiet:
            click.echo(f"written        {file}")

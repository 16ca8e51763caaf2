"""What can be refused before the data are read: outputs that could not be written, or would replace a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from opty.files.atomic import check_target
from opty.files.container import Container
from opty.io.registry import identify
from opty.io.writing import check_suffix


def check_result(path: Path, source: Path, overwrite: bool, may_replace: bool = False) -> None:
    """Refuse a result file of another suffix than HDF5's, one that is there already, and one that cannot be written.

    ``overwrite`` : it may take the place of another file, but not of the input. ``may_replace`` : of the input.
    """
    check_suffix(path)
    own = path.exists() and source.exists() and path.samefile(source)
    if own and not may_replace:
        raise ValueError(f"{path} is the input as well; choose another name for the result")
    check_target(path)
    if not own:
        check_free([path], overwrite)


def check_free(paths: Iterable[Path], overwrite: bool) -> None:
    """Refuse files that are there already, unless --overwrite is given."""
    for path in paths:
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} is there already: choose another name, or replace it with --overwrite")


def check_data(file: Path, data: Path | None) -> None:
    """Refuse --data beside a file that is a measurement itself."""
    form = None if data is None else identify(Container(file), {"data": data})
    if form is not None and "data" not in form.options:
        raise ValueError(f"--data gives the measurement of a result; {file} is a measurement itself ({form.name})")


def check_report(path: Path) -> None:
    """Refuse a report whose suffix is not that of HTML, or that no matplotlib is there to draw."""
    from opty.report.write import check_report as check

    check(path)


def check_picture(path: Path) -> None:
    """Refuse a picture whose suffix names no format, or that no matplotlib is there to draw."""
    from opty.plot.figure import figure_format, import_matplotlib

    figure_format(path)
    import_matplotlib()

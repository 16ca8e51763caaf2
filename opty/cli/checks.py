"""What can be refused before the data are read: outputs that could not be written in the end."""

from __future__ import annotations

from pathlib import Path

from opty.io.guard.atomic import check_target

RESULT_SUFFIXES = (".h5", ".hdf5", ".cxi")


def check_result(path: Path, source: Path, may_replace: bool = False) -> None:
    """Refuse a result file of another suffix than HDF5's, one that is the input, and one that cannot be written.

    ``may_replace`` : the result may take the place of the input.
    """
    if path.suffix.lower() not in RESULT_SUFFIXES:
        better = path.with_suffix(".h5")
        raise ValueError(
            f"{path} does not end with one of {', '.join(RESULT_SUFFIXES)}: a result is HDF5, try {better}"
        )
    if not may_replace and path.exists() and source.exists() and path.samefile(source):
        raise ValueError(f"{path} is the input as well; choose another name for the result")
    check_target(path)


def check_picture(path: Path) -> None:
    """Refuse a picture whose suffix names no format, or that no matplotlib is there to draw."""
    from opty.plot.figure import figure_format, import_matplotlib

    figure_format(path)
    import_matplotlib()

"""What can be refused before the data are read: outputs that could not be written in the end."""

from __future__ import annotations

import tempfile
from pathlib import Path

RESULT_SUFFIXES = (".h5", ".hdf5", ".cxi")


def check_target(path: Path) -> None:
    """Refuse, before any work, a file that could not be written at the end of it."""
    folder = path.absolute().parent
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file in it, such as {path / 'result.h5'}")
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder} to write {path.name} in; make it first: mkdir -p {folder}"
        )
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PermissionError(f"cannot write in {folder} ({error.strerror}); choose another folder with -o") from None


def check_result(path: Path, source: Path) -> None:
    """Refuse a result file of another suffix than HDF5's, one that is the input, and one that cannot be written."""
    if path.suffix.lower() not in RESULT_SUFFIXES:
        better = path.with_suffix(".h5")
        raise ValueError(
            f"{path} does not end with one of {', '.join(RESULT_SUFFIXES)}: a result is HDF5, try {better}"
        )
    if path.exists() and source.exists() and path.samefile(source):
        raise ValueError(f"{path} is the input as well; choose another name for the result")
    check_target(path)


def check_picture(path: Path) -> None:
    """Refuse a picture whose suffix names no format, or that no matplotlib is there to draw."""
    from opty.plot.figure import figure_format, import_matplotlib

    figure_format(path)
    import_matplotlib()

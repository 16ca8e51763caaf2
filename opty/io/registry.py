"""The formats that opty reads, and ``load``: a file's content, never its name, decides which one it is."""

from __future__ import annotations

from opty.data import PtychoData
from opty.errors import FormatError
from opty.io import cxi, measurement, native, npz, source
from opty.io.container import Container
from opty.io.reading import Format

FORMATS: tuple[Format, ...] = (
    native.FORMATS + measurement.FORMATS + npz.FORMATS + cxi.FORMATS
)  # the first that knows it


def load(path, **options):
    """Read a measurement (PtychoData) or a result (PtychoState) from a file of any format that opty knows.

    Parameters
    ----------
    path : the file. npz files may be compressed with bz2 or gzip.
    options : of its format. All measurements: ``views``, a slice, its text ("0:100", "::4") or a list of view numbers.
        CXI: ``focus_to_sample`` [m] and ``propagation`` ("far", "cone", "near"). Results of opty: ``data`` (PtychoData,
        instead of what the file points to), ``device``, ``threads``.

    Raises
    ------
    FileNotFoundError : no such file; the message names similar ones.
    FormatError : empty, truncated, of no known format, or lacking something; the message says which and where.
    TypeError : an option that the format does not have. ValueError : an option with a value that does not fit.
    """
    file = Container(path)
    form = identify(file)
    form.check(options)
    loaded = form.read(file, **options)
    return source.remember(loaded) if isinstance(loaded, PtychoData) else loaded


def identify(file: Container) -> Format:
    """Return the format of a file, or raise FormatError that says what it looks like."""
    for form in FORMATS:
        if form.recognise(file):
            return form
    known = ", ".join(form.name for form in FORMATS)
    raise FormatError(f"{file.path} is {file.looks()}; opty reads: {known}")

"""The formats that opty reads, and ``load``: the content of a file, never its name, decides its format."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from opty.arrays.ranks import ranks_of
from opty.data import PtychoData
from opty.errors import FormatError, RankError
from opty.files.container import Container
from opty.io import source
from opty.io.formats import (
    array4d,
    cxi,
    dectris,
    emd,
    empad,
    fold_slice,
    mapping,
    measurement,
    merlin,
    native,
    nexus,
    npz,
    peer_results,
    ptychi,
    ptychi_result,
    ptyd,
    ptylab,
    ptyr,
    ptyrad,
    tiff_npy,
)
from opty.io.prepare.join_scans import joined
from opty.io.reading import Format
from opty.remedies import here, loading, named, option

FORMATS: tuple[Format, ...] = (  # the first that knows a file reads it
    *native.FORMATS,
    *measurement.FORMATS,
    *npz.FORMATS,
    *peer_results.FORMATS,
    *ptyrad.FORMATS,
    *nexus.FORMATS,
    *cxi.FORMATS,
    *ptyd.FORMATS,
    *ptyr.FORMATS,
    *ptylab.FORMATS,
    *fold_slice.FORMATS,
    *ptychi.FORMATS,
    *ptychi_result.FORMATS,  # a product is a result with data=, else half of a pair
    *dectris.FORMATS,
    *emd.FORMATS,
    *merlin.FORMATS,
    *empad.FORMATS,
    *array4d.FORMATS,
    *tiff_npy.FORMATS,
)


def load(path: str | Path | Sequence[str | Path], *, comm: Any = None, **options: Any) -> Any:
    """Read a measurement (PtychoData) or a result (PtychoState) from a file of any format that opty knows.

    Parameters
    ----------
    path : the file; its content decides what it is. npz, npy and TIFF may be compressed with bz2 or gzip. For a TIFF
        stack with positions in an NPY, either of them or their folder. A list of paths: scans of one sample with the
        same geometry, joined into one measurement.
    options : all measurements take ``views``, ``leave_out``, ``crop``, ``centre``, ``zero_frequency``, ``transpose``,
        ``flip``, ``rebin``, ``subdivide``, ``mask``, ``saturation``, ``dark``, ``flat``, ``clip``, ``links``,
        ``stream``, the lengths of the geometry and those of positions, grid and lens: see
        ``opty.io.prepare.preparation.Preparation`` and docs/formats.md. HDF5 of any other layout:
        ``mapping``, a TOML file that says where things are. TIFF + NPY and pty-chi: ``positions``, the path of the
        second file. Results: ``data`` (PtychoData or the path of a measurement, in place of what the file points to),
        ``device``, ``threads``, ``deterministic``, ``stream``; those of PtyLab also ``spacing``, ``probe_stack`` and
        ``variable``, see docs/formats.md.
    follow : True: the scan is still being measured. ``path`` is a file that another program writes (HDF5), or the
        address of one that sends views ("tcp://127.0.0.1:5555"); returned are its first views, and ``Follow()`` in a
        recipe adds the others; ``timeout`` (60) : seconds without a new view after which it is over. See docs/live.md.
    comm : a communicator of mpi4py, over whose ranks ``PtychoState(data, comm=comm)`` will spread the views: the first
        rank looks at the file and leaves the frames there, and every rank will read its own. Of measurements.

    Frames that would take more than a quarter of the free memory stay in their file and are read on demand:
    ``data.intensities`` is a LazyFrames then. ``stream=True`` or ``False`` decides otherwise.

    A result opens without its measurement, and without the classes of a user's own operators: ``repr`` shows what is
    missing, and operations that need it raise SourceError or RecipeError with the remedy.

    Raises
    ------
    FileNotFoundError : no such file; the message names similar ones.
    FormatError : empty, truncated, of no known format, or lacking something; the message says which and where.
    TypeError : an option that the format does not have. ValueError : an option with a value that does not fit.
    """
    if ranks_of(comm).size > 1:
        return _load_for_all(path, comm, options)
    if options.pop("follow", False):
        from opty.io.follow import follow

        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"path is a {type(path).__name__}; give the path of a file, or an address, to follow")
        return follow(path, **options)
    if "timeout" in options:
        raise TypeError(f"{named('timeout')} goes with {option('follow', True)}: how long to wait for the next view")
    if isinstance(path, (list, tuple)):
        return joined([load(one, **options) for one in path], path)
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path is a {type(path).__name__}; give the path of a file, or a list of paths")
    file = Container(path)
    form = identify(file, options)
    if "data" in options and "data" not in form.options:
        raise FormatError(f"{path} is read as {form.name}, a measurement: {named('data')} goes with a result")
    form.check(options)
    loaded = form.read(file, **options)
    return source.remember(loaded) if isinstance(loaded, PtychoData) else loaded


def _load_for_all(path: Any, comm: Any, options: dict[str, Any]) -> PtychoData:
    """Load a measurement on the first rank, its frames left in the file, and tell the others of it."""
    loaded = None
    try:
        if comm.rank == 0:
            loaded = load(path, **({} if options.get("follow") else {"stream": True}) | options)
            if not isinstance(loaded, PtychoData):
                loaded = None
                raise TypeError(f"{path} holds a result: load it on every rank without comm, then p.over(comm)")
    finally:
        others = comm.bcast(loaded, root=0)
    if comm.rank == 0:
        assert loaded is not None
        return loaded  # what was sent and received again could no longer be linked to its file
    if others is None:
        raise RankError(f"rank 0 of {comm.size} could not load {path}")
    return others


def writer(format: str) -> Format:
    """Return the format of a name for ``opty.save(format=)``; ValueError, with the names, where there is none."""
    writers = {form.key: form for form in FORMATS if form.write is not None}
    if format not in writers:
        raise ValueError(f"format is {format!r}; choose one of opty, {', '.join(writers)}")
    return writers[format]


def identify(file: Container, options: Mapping[str, Any]) -> Format:
    """Return the format of a file, with ``data`` in the options that of a result where it is one too.

    Raises FormatError, with what the file looks like, for an unknown one.
    """
    if options.get("mapping") is not None:
        return mapping.FORMAT
    able = (form for form in FORMATS if form.recognise(file))
    if (form := next(able, None)) is not None:
        if options.get("data") is None or "data" in form.options:
            return form
        return next((other for other in able if "data" in other.options), form)
    if file.kind == "folder":
        raise IsADirectoryError(f"{file.path} is a folder without a TIFF stack and its NPY; name a file in it")
    if file.kind == "npy" and array4d.axes(file) == 3:
        raise FormatError(f"{file.path} is {file.looks()}, {_frames_alone()}")
    known = ", ".join(form.name for form in FORMATS)
    hint = f"; or give {option('mapping')}, a TOML file that says where things are" if file.kind == "hdf5" else ""
    raise FormatError(f"{file.path} is {file.looks()}{_lacking(file)}; opty reads: {known}{hint}")


def _frames_alone() -> str:
    """Say what frames in an NPY need beside them."""
    names = ", ".join(f"{name}={what}" for name, what in zip(npz.NAMES[1], ("frames", "positions"), strict=True))
    data = here("or opty.PtychoData(frames, positions, geometry=...); ", "")
    return (
        f"which holds no positions: np.savez('scan.npz', {names}) writes both for opty, frames (N, n, n) with the zero "
        f"frequency in the middle and positions (N, 2), (row, column), in pixels, or in metres with "
        f"{loading('position_unit', 'm')}; {data}a scan on a grid, (rows, columns, n, n), needs {option('scan_step')}"
    )


def _lacking(file: Container) -> str:
    """Return what an npz with frames or positions lacks to be one of those that opty reads."""
    if file.kind != "npz":
        return ""
    there = [(names, file.names & set(names)) for names in npz.NAMES if file.names & set(names)]
    lacks = [f"{', '.join(sorted(set(names) - found))} beside {', '.join(sorted(found))}" for names, found in there]
    return f", and lacks {' or '.join(lacks)}" if lacks else ""

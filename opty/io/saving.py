"""Saving: a state or a measurement into a file of any format that opty writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from opty.data import PtychoData
from opty.errors import warn_user
from opty.io import source
from opty.io.formats import native
from opty.io.registry import writer
from opty.io.state_as_data import as_data, beyond_thin, no_place_for
from opty.io.writing import check_suffix
from opty.remedies import here, named
from opty.state import BareState


def save(
    path: str | Path, p: BareState | PtychoData, format: str = "opty", *, refined_positions: bool | None = None
) -> None:
    """Write a state or a measurement, completely or not at all.

    Parameters
    ----------
    path : the file to write; an existing file stays untouched until the new one is safely on the disk.
    p : a PtychoState, which ``opty.load`` restores exactly, or a PtychoData.
    format : "opty" holds everything. The others hold a measurement, as other programs read it; of a state, with the
        reconstructed probe as the starting probe, and a refined background, where there is a place for them. A warning
        names what is left out; ``p.data`` is the measurement alone. They are "cxi" (CDTools), "cxi-pynx" (PyNX),
        "nexus" (NXcxi_ptycho), "ptyd" (PtyPy), "ptylab", "tike" (npz of tike and pty-chi), "tike-hdf5", "ptychi" (HDF5
        of pty-chi, with a second file beside it), "tiff" (SciComPty: a stack, with the positions in an NPY file beside
        it), "emd" (py4DSTEM: electrons, a scan on a square grid).
        "ptyr" holds object, probe and positions (PtyPy); a warning names elements of the model, background and factors.
    refined_positions : of a state in the format of a measurement: whether its own positions are written, and not those
        that were given. Default: those given, and a warning where they differ.

    Raises
    ------
    TypeError : ``p`` is neither; ``refined_positions`` of what is no state, or in a format that holds all of one.
    ValueError : no such format, or a suffix of another one; ``path`` is the file that the measurement was read from;
        the measurement has a field that the format cannot hold.
    SourceError : the measurement of a result that was opened without it.
    OSError : no such folder, no permission, a full disk.
    """
    form = None if format == "opty" else writer(format)
    if refined_positions is not None and (form is None or form.of_state or isinstance(p, PtychoData)):
        why = "p is a measurement" if isinstance(p, PtychoData) else f"format {format!r} holds both"
        raise TypeError(f"{named('refined_positions')} says which positions of a result a measurement gets: {why}")
    if form is None:
        native.save(path, p)
        return
    if not isinstance(p, (BareState, PtychoData)):
        raise TypeError(f"save(path, p) writes a PtychoState or a PtychoData; p is a {type(p).__name__}")
    data = p if isinstance(p, PtychoData) else p.data
    for read in () if data.source is None else (data.source["path"], *data.source.get("beside", ())):
        if source.same_file(path, read):
            raise ValueError(f"{path} is the measurement itself; save it under another name")
    if form.of_state and p is data:
        remedy = here("save a PtychoState, opty.PtychoState(data)", "opty export RESULT.h5 -o OUT.ptyr writes one")
        raise TypeError(f"{format!r} is a format of results: {remedy}")
    check_suffix(path, form.suffixes, form.name)
    if not form.of_state:
        data.need_frames()
    assert form.write is not None
    said = []
    if isinstance(p, BareState) and form.of_state:
        brought = data.background is not None and np.array_equal(np.asarray(p.background), data.background)
        own = ("background",) if brought else ()  # the measurement brings it again
        left = beyond_thin(p, ("positions", *own))
        said += [f"{path} is a file of {form.name}: {no_place_for(left)}"] if left else []
    elif isinstance(p, BareState):
        data, why = as_data(path, p, form, refined_positions)
        said += [why] if why else []
    form.write(Path(path), p if form.of_state else data)
    if "geometry" in form.lacks and data.geometry is not None:
        lengths = here("wavelength=, distance= and pixel_size=", "--wavelength, --distance and --pixel-size")
        said.append(
            f"{path} has no place for the geometry: its positions are in pixels; give {lengths} when it is loaded"
        )
    for text in said:
        warn_user(text, UserWarning)

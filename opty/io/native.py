"""Result files: a PtychoState in HDF5 from which ``opty.load`` goes on exactly as if nothing had happened.

Beside the measurement (measurement.py) the file holds
    /entry_1/reconstruction/         attributes: iteration, seed, dtype
        leaves/obj (H, W), probe (M, n, n), positions (N, 2) px, background (n, n) in the order of the transform
        positions_m (N, 2)           the same positions in metres, from the frame's corner  (with a geometry)
        origin (2,)                  px from the data's positions to window corners
        history/<name>, slots/<name> what was recorded, and the memory of operators
        recipe, recipe_json          text to read, and what is loaded
    /entry_1/object, probe           links to the two
The data are in the file, or, where they came unchanged from another file, a link to that one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import h5py
import numpy as np

from opty.data import PtychoData
from opty.errors import FormatError, RecipeError, warn_user
from opty.io import measurement, source
from opty.io.atomic import atomic
from opty.io.container import Container
from opty.io.reading import Format, blaming

OWN = "entry_1/reconstruction"


def save(path, p) -> None:
    """Write a PtychoState (or a PtychoData) to HDF5: whole, or not at all.

    The file that stood there before stays untouched until the new one is safely on the disk. Intensities that came
    from a file by ``opty.load`` and are unchanged are linked, all others are written too (lossless, compressed).

    Raises
    ------
    TypeError : ``p`` is neither. ValueError : ``path`` is the very file that the measurement was read from.
    OSError : no such folder, no permission, a full disk.
    """
    from opty.state import PtychoState

    if not isinstance(p, (PtychoState, PtychoData)):
        raise TypeError(f"save(path, p) writes a PtychoState or a PtychoData; p is a {type(p).__name__}")
    data = p if isinstance(p, PtychoData) else p.data
    if data.source is not None and source.same_file(path, data.source["path"]):
        raise ValueError(f"{path} is the measurement itself; save the result under another name")
    with atomic(path) as part, h5py.File(part, "w") as f:
        if p is data:
            measurement.write_head(f, "data")
            measurement.write(f, data)
        else:
            measurement.write_head(f, "result")
            measurement.write(f, data, dict(data.source) if source.can_link(data) else None)
            _write(f, p)


def recognise(file: Container) -> bool:
    """Whether this is a result that opty saved."""
    return measurement.is_opty(file, "result")


def read(file: Container, *, data=None, device=None, threads=None):
    """Read a result: a PtychoState that goes on exactly.

    ``data`` : PtychoData to use instead of those that the file holds or points to. ``device``, ``threads`` : as for
    PtychoState.

    Raises FormatError where the measurement is not to be found or has changed, TypeError or ValueError for ``data``
    that do not fit; warns where they hold other photons than the result was made from.
    """
    from opty.state import PtychoState

    kept = read_kept(file)
    chosen = measured(file, kept) if data is None else _given(data, kept, file)
    try:
        return PtychoState.restore(chosen, kept.leaves, **kept.books, device=device, threads=threads)
    except ValueError as error:
        error.add_note(f"while restoring {file.path}")
        raise


FORMATS = (Format("opty result (HDF5)", recognise, read),)


@dataclass
class Kept:
    """What a result file holds, before the measurement is looked for."""

    fields: dict[str, Any]  # of PtychoData, without intensities where they are linked
    source: dict[str, Any] | None
    photons: np.ndarray
    leaves: dict[str, np.ndarray]
    books: dict[str, Any]
    recipe: str


def read_kept(file: Container) -> Kept:
    """Read everything in a result file; FormatError where it is damaged or of a later format."""
    from opty.algebra.serial import from_json

    measurement.check_version(file)
    with file.hdf5() as f, blaming(file):
        own = f[OWN]
        try:
            recipe = from_json(own["recipe_json"].asstr()[()])
        except RecipeError as error:
            raise FormatError(
                f"{file.path}: {error}; an operator of your own must be imported before its results are loaded"
            ) from error
        leaves = {name: own["leaves"][name][()] for name in own["leaves"]}
        leaves |= {f"slot:{unquote(name)}": own["slots"][name][()] for name in own["slots"]}
        books = {
            "origin": own["origin"][()],
            "seed": int(own.attrs["seed"]),
            "iteration": int(own.attrs["iteration"]),
            "history": {unquote(name): own["history"][name][()] for name in own["history"]},
            "recipe": recipe,
        }
        fields, link = measurement.read_fields(f), measurement.read_source(f)
        counted = f[measurement.OWN]["photons"][()]
        return Kept(fields, link, counted, leaves, books, own["recipe"].asstr()[()])


def _write(f: h5py.File, p) -> None:
    own = f.create_group(OWN)
    own.attrs.update({"iteration": p.iteration, "seed": p.seed, "dtype": str(p.dtype)})
    names = ["obj", "probe", "positions"] + ([] if p.background is None else ["background"])
    for name in names:
        own[f"leaves/{name}"] = p.numpy(name)
    if p.data.pixel is not None:
        own["positions_m"] = p.numpy("positions") * p.data.pixel
    own["origin"] = np.asarray(p.origin, np.float64)
    own["recipe"], own["recipe_json"] = repr(p.recipe), p.recipe.to_json()
    history, slots = own.create_group("history"), own.create_group("slots")
    for name, series in p.history.items():
        history[quote(name, safe=" ")] = series
    for name in p.slots:
        slots[quote(name, safe=" ")] = p.numpy(name)
    f["entry_1/object"], f["entry_1/probe"] = (h5py.SoftLink(f"/{OWN}/leaves/{name}") for name in ("obj", "probe"))


def measured(file: Container, kept: Kept) -> PtychoData:
    """Make the measurement from what the result holds and, where it points to a file, the intensities there."""
    if kept.source is None:
        with blaming(file):
            return PtychoData(**kept.fields)
    from opty.io.registry import load

    place = source.find(kept.source, file.path)
    found = load(place, **kept.source["options"])
    with blaming(file):
        fields = {"intensities": found.intensities, **kept.fields}
        return source.remember(PtychoData(**fields, source={**kept.source, "path": str(place)}))


def _given(data, kept: Kept, file: Container) -> PtychoData:
    if not isinstance(data, PtychoData):
        raise TypeError(f"data is a {type(data).__name__}; give a PtychoData, as from opty.load(measurement)")
    n = kept.leaves["probe"].shape[-1]
    if (data.views, data.n) != (len(kept.photons), n):
        raise ValueError(
            f"data holds {data.views} views of {data.n} x {data.n}; {file.path} was made from {len(kept.photons)} "
            f"views of {n} x {n}"
        )
    if not np.allclose(measurement.photons(data), kept.photons, rtol=1e-6):
        warn_user(f"data hold other photons than those that {file.path} was made from", UserWarning)
    return data

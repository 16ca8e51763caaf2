"""Result files: a PtychoState in HDF5, which ``opty.load`` restores exactly.

Beside the measurement (measurement.py) the file holds
    /entry_1/reconstruction/         attributes: iteration, seed, dtype, device, software (versions, as JSON), attention
                                     (warnings about the measurement before the run: a list, as JSON),
                                     verdict (on the result: right, doubtful or cannot tell, and why: a text),
                                     misfit, r_factor (of the result, over all views)
        leaves/obj (H, W) or (L, H, W), probe (M, n, n), positions (N, 2) px, and other estimates:
                                     background (n, n) in the order of the transform, ...
        positions_m (N, 2)           the same positions in metres, from the frame's corner  (with a geometry)
        origin (2,)                  px from the data's positions to window corners, as the frame was laid out
        slots/<name>, arrays/<name>  the memory of operators, and arrays given by name for them to read;
                                     attribute of each array: declaration (opty.Leaf, as JSON)
        history/<name>               series of the history
        recipe, recipe_json          text for readers, and JSON, which is loaded
        model, model_json            the same of the model; absent in files of earlier versions: a thin object
        visits                       last iteration at each scheduled step (JSON); absent without such steps
        start/                       leaves, slots, arrays, history, visits and iteration of the start, where it does
                                     not follow from the data: after a given probe or object, or ``replace``
        search                       how the recipe was chosen: verdict, expression, what was tried (text)
        unfinished                   in a checkpoint: the complete recipe and the place reached in it (JSON)
    /entry_1/object, probe           links to the two
The data are in the file, or linked, if they were loaded from another file and not changed.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import h5py
import numpy as np
import scipy

from opty.algebra.leaf import Leaf
from opty.data import PtychoData
from opty.files.atomic import atomic
from opty.files.container import Container
from opty.files.sink import new_hdf5
from opty.io import source, writing
from opty.io.formats import measurement
from opty.io.formats.kept import GROUPS, OWN, Kept, kept_text, read_kept
from opty.io.formats.measurement import need
from opty.io.formats.result_data import measurement_of
from opty.io.reading import Format, blaming

if TYPE_CHECKING:
    from opty.runtime.checkpoint import PendingRun
    from opty.state import BareState


def save(path: str | Path, p: BareState | PtychoData) -> None:
    """Write a PtychoState (or a PtychoData) to HDF5: whole, or not at all.

    The file that stood there before stays untouched until the new one is safely on the disk. Intensities that came
    from a file by ``opty.load`` and are unchanged are linked, all others are written too (lossless, compressed).

    Raises
    ------
    TypeError : ``p`` is neither. ValueError : ``path`` is the file that the measurement was read from, or has the
        suffix of another format.
    SourceError : a PtychoData without its frames (a state is saved without them).
    OSError : no such folder, no permission, a full disk.
    """
    from opty.state import BareState

    if not isinstance(p, (BareState, PtychoData)):
        raise TypeError(f"save(path, p) writes a PtychoState or a PtychoData; p is a {type(p).__name__}")
    if isinstance(p, BareState):
        checkpoint(path, p, None)
        return
    _check_place(path, p)
    p.need_frames()
    with atomic(path) as part, new_hdf5(part, **writing.LAYOUT) as f:
        measurement.write_head(f, "data")
        measurement.write(f, p)


def checkpoint(
    path: str | Path,
    p: BareState,
    unfinished: PendingRun | None,
    attention: Sequence[str] = (),
    verdict: str | None = None,
    search: str = "",
    fit: Mapping[str, float] | None = None,
) -> None:
    """Write a state as ``save`` does, with the place in the recipe from which ``resume`` continues.

    ``attention`` : warnings about the measurement before the run; ``verdict`` : on the result; ``search`` : how
    the recipe was chosen, in words; ``fit`` : its "misfit" and "r_factor". ``info`` repeats them. Of
    a state that is spread over ranks the first rank writes the whole; all have to call this.
    """
    whole = p.gather()
    if whole is None:
        return  # the first rank writes
    p = whole
    data = p.data
    _check_place(path, data)
    link = dict(data.source) if data.source is not None and source.can_link(data) else None
    if link is None and data.absent is not None:
        _keep_frames(path, data.absent)
    with atomic(path) as part, new_hdf5(part, **writing.LAYOUT) as f:
        measurement.write_head(f, "result")
        measurement.write(f, data, link)
        _write(f, p)
        if unfinished is not None:
            writing.put(f, f"{OWN}/unfinished", unfinished.to_json())
        if attention:
            writing.note(f[OWN], attention=json.dumps(attention))
        if verdict is not None:
            writing.note(f[OWN], verdict=verdict)
        if search:
            writing.put(f, f"{OWN}/search", search)
        f[OWN].attrs.update(fit or {})


def _check_place(path: str | Path, data: PtychoData) -> None:
    """Refuse a file of another kind, and the file that the measurement was read from."""
    if data.source is not None and source.same_file(path, data.source["path"]):
        raise ValueError(f"{path} is the measurement itself; save the result under another name")
    writing.check_suffix(path)


def _keep_frames(path: str | Path, absent: str) -> None:
    """Refuse to replace a result that holds its frames by one that neither holds them nor points to them."""
    if not Path(path).is_file():
        return
    file = Container(Path(path))
    if recognise(file) and read_kept(file).frames.here:
        raise ValueError(
            f"{path} holds frames, and the state to be saved does not ({absent}): save it under another name"
        )


def recognise(file: Container) -> bool:
    """Whether this is a result that opty saved."""
    return measurement.is_opty(file, "result")


def read(
    file: Container,
    *,
    data: PtychoData | str | Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    deterministic: bool = False,
    stream: bool | None = None,
) -> BareState:
    """Read a result: exactly the PtychoState that was saved.

    ``data`` : PtychoData, or the path of a measurement, to use in place of what the file holds or points to.
    ``device``, ``threads``, ``deterministic`` : as for PtychoState. ``stream`` : whether the frames stay in the file
    that the result points to, as for a measurement.

    Where the measurement is not found, has changed or cannot be read, the state opens without its frames:
    ``p.data.absent`` gives the reason, and computing with it raises SourceError. Raises TypeError or ValueError for
    ``data`` that do not fit; warns where they hold other photons than the result was made from.
    """
    return restored(
        file, read_kept(file), data=data, device=device, threads=threads, deterministic=deterministic, stream=stream
    )


def restored(
    file: Container,
    kept: Kept,
    *,
    data: PtychoData | str | Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    deterministic: bool = False,
    stream: bool | None = None,
) -> BareState:
    """Make the state from the contents of a result file; options and errors as for ``read``."""
    from opty.state import handle

    chosen = measurement_of(file, kept, data, stream)
    with blaming(file):
        return handle().restore(
            chosen, kept.leaves, **kept.record, device=device, threads=threads, deterministic=deterministic
        )


FIT = ("misfit", "r_factor")
FORMATS = (Format("opty result (HDF5)", recognise, read),)


def attention(file: Container) -> tuple[str, ...]:
    """Return the warnings in a result about its measurement before the run."""
    with file.hdf5() as f, blaming(file):
        return tuple(json.loads(measurement.text(need(f, OWN).attrs.get("attention", "[]"))))


def verdict(file: Container) -> str | None:
    """Return what a result says of itself: right, doubtful or cannot tell, and why; None where it says nothing."""
    with file.hdf5() as f, blaming(file):
        found = need(f, OWN).attrs.get("verdict")
        return None if found is None else measurement.text(found)


def fit(file: Container) -> dict[str, float]:
    """Return "misfit" and "r_factor" of a result, where the program that wrote it has noted them."""
    with file.hdf5() as f, blaming(file):
        own = need(f, OWN).attrs
        return {name: float(own[name]) for name in FIT if name in own}


def search(file: Container) -> str | None:
    """Return how the recipe of a result was chosen, in words; None where a person chose it."""
    with file.hdf5() as f, blaming(file):
        own = need(f, OWN)
        return kept_text(own["search"]) if "search" in own else None


def _write(f: h5py.File, p: BareState) -> None:
    own = f.create_group(OWN)
    own.attrs.update({"iteration": p.iteration, "seed": p.seed})
    writing.note(own, dtype=str(p.dtype), device=p.device, software=json.dumps(software(p.device)))
    _write_leaves(own, {name: p.numpy(name) for name in p._live.leaves}, p._live.layout)
    if p.pixel is not None:
        writing.put(own, "positions_m", p.numpy("positions") * p.pixel, packed=False)
    writing.put(own, "origin", np.asarray(p._live.frame_origin, np.float64))
    writing.put(own, "model", repr(p.model))
    writing.put(own, "model_json", p.model.to_json())
    writing.put(own, "recipe", repr(p.recipe))
    writing.put(own, "recipe_json", p.recipe.to_json())
    _write_history(own, p.history)
    _write_visits(own, p._live.visits)
    if (began := p._began()) is not None:
        start = own.create_group("start")
        start.attrs["iteration"] = began["iteration"]
        _write_leaves(start, began["leaves"], began["declared"])
        _write_history(start, began["history"])
        _write_visits(start, began["visits"])
    f["entry_1/object"], f["entry_1/probe"] = (h5py.SoftLink(f"/{OWN}/leaves/{name}") for name in ("obj", "probe"))


def _write_leaves(own: h5py.Group, leaves: Mapping[str, np.ndarray], declared: Mapping[str, Leaf]) -> None:
    for group in GROUPS.values():
        own.create_group(group)
    for name, array in leaves.items():
        group, key = own[GROUPS[declared[name].role]], quote(name, safe=" ")
        writing.put(group, key, array, packed=False)
        writing.note(group[key], declaration=json.dumps(declared[name].to_dict()))


def _write_history(own: h5py.Group, history: Mapping[str, Any]) -> None:
    group = own.create_group("history")
    for name, series in history.items():
        writing.put(group, quote(name, safe=" "), series)


def _write_visits(own: h5py.Group, visits: Mapping[str, Any]) -> None:
    if visits:
        writing.put(own, "visits", json.dumps(visits))


def software(device: str) -> dict[str, str]:
    """Return the versions of the software used: bitwise repetition needs the same."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    found |= {"numpy": np.__version__, "scipy": scipy.__version__, "h5py": h5py.__version__}
    if device == "gpu":
        import cupy

        found |= {"cupy": cupy.__version__, "cuda": str(cupy.cuda.runtime.runtimeGetVersion())}
    return found

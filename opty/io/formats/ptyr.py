"""Results of PtyPy (.ptyr): object, probe and positions, read as a start for opty, and written as one for PtyPy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from opty.analysis.object_states import object_states
from opty.data import PtychoData
from opty.errors import FormatError, warn_user
from opty.files.container import Container
from opty.files.tree import Tree, numbers
from opty.io import writing
from opty.io.formats.foreign_result import curved, made, measurement_for
from opty.io.formats.ptyd import KEV, dict_group, mark_root, refuse_pickle
from opty.io.reading import Format, blaming, real
from opty.model import Object
from opty.physics.modes import orthogonal
from opty.remedies import here

if TYPE_CHECKING:
    from opty.state import BareState

HEADER = "header"
SCAN, OBJECT = "S00", "S00G00"  # what PtyPy calls the probe and the object of its first scan
_SAME = 1e-6  # of a pixel at the sample
PARAM = "param"  # how PtyPy marks dictionaries whose keys are attributes


def recognise(file: Container) -> bool:
    """Whether this is HDF5 with the content of a PtyPy run."""
    if file.kind != "hdf5" or "content" not in file.names:
        return False
    with file.tree() as tree, blaming(file):
        return bool({"probe", "obj"} <= set(tree.names("content")))


def read(
    file: Container,
    *,
    data: PtychoData | str | Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    deterministic: bool = False,
    seed: int = 0,
) -> BareState:
    """Make a PtychoState from object and probe of a PtyPy run, and the measurement ``data`` that it was made from.

    The file holds no intensities: give ``data``, as from ``opty.load("scan.ptyd")``, or its path. Positions are those
    recorded in the file, centres of the views [m] in the frame of the object's ``_origin``, or else those of the data.
    In the far field the probe gets the Fresnel curvature that PtyPy has in its propagator. Pickled nodes are
    never loaded.

    Several layers of the object are incoherent states: the state has ``Object(states=L)``.

    Raises TypeError without data; FormatError for sizes that do not go together.
    """
    data = measurement_for(file, data, "PtyPy")
    with file.tree() as tree, blaming(file):
        data = _of_pixels(file, tree, data)
        probe, obj, positions = _estimates(tree, data)
        if HEADER in file.names:  # files without it were written by opty, and their probes have the curvature already
            probe = curved(probe, data)
    states = len(obj)
    model = None if states == 1 else Object(states)
    obj = obj[0] if states == 1 else obj
    return made(file, data, probe, obj, positions, device, threads, deterministic, seed, model=model)


def _estimates(tree: Tree, data: PtychoData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probe (M, n, n), object (L, H, W), and positions (N, 2) of window corners in its frame [px]."""
    probe, _ = _storage(tree, "probe")
    obj, path = _storage(tree, "obj")
    size, origin = (_pair(tree, f"{path}/{name}") for name in ("_psize", "_origin"))
    if (recorded := tree.find(f"content/positions/{path.rsplit('/', 1)[-1]}")) is not None:
        centres = real(recorded.name, numbers(recorded))
    elif data.pixel is None:
        raise ValueError("no positions were recorded, and those of data= are in pixels: give data with a geometry")
    else:
        centres = data.positions
    if centres.shape != (data.views, 2):
        raise ValueError(f"the file has positions of shape {centres.shape} but data= holds {data.views} views")
    return probe, obj, (centres - origin) / size - data.n // 2


def _of_pixels(file: Container, tree: Tree, data: PtychoData) -> PtychoData:
    """Return the measurement with the distance that the pixels of the result mean, in the far field, and say so."""
    _, path = _storage(tree, "obj")
    size, pixel, g = _pair(tree, f"{path}/_psize"), data.pixel, data.geometry
    if pixel is None or g is None or g.propagation != "far" or abs(size / pixel - 1).max() < _SAME:
        return data
    distance = g.distance * float(size.mean()) / pixel
    warn_user(
        f"{file.path}: pixels at the sample are {size.mean():.6g} m in the result and {pixel:.6g} m in the "
        f"measurement; the state has the distance {distance:.6g} m that goes with them, not {g.distance:.6g} m",
        UserWarning,
    )
    return data.replace(geometry=replace(g, distance=distance))


def _storage(tree: Tree, what: str) -> tuple[np.ndarray, str]:
    """Return the data of the one storage of a container, and its path."""
    names = tree.names(f"content/{what}")
    if len(names) != 1:
        raise ValueError(f"content/{what} holds {', '.join(names) or 'nothing'}; opty goes on with one scan only")
    path = f"content/{what}/{names[0]}"
    found = tree.need(what, f"{path}/data")
    refuse_pickle(tree, found)
    if found.dtype.kind != "c" or found.ndim != 3:
        raise ValueError(f"{found.name} has shape {found.shape} and dtype {found.dtype}; expected complex layers")
    return found[()], path


def _pair(tree: Tree, path: str) -> np.ndarray:
    values = real(path, numbers(tree.need("geometry", path))).reshape(-1)
    if values.size not in (1, 2) or not np.isfinite(values).all():
        raise FormatError(f"{path} is {values.tolist()}; expected (row, column) in metres")
    return values


def write(path: Path, p: BareState) -> None:
    """Write object, probe (orthogonal modes) and positions of a state as PtyPy does at the end of a run.

    Positions are centres of the views [m], as those of the data; the object lies under them. ``iter_info`` holds the
    iteration, the recipe and the misfit. In the far field the Fresnel curvature that PtyPy has in its propagator is
    removed from the probe. States of a mixture are layers of the object. Raises ValueError for a state without a
    geometry, for several slices, and for a probe that varies.
    """
    data, obj = p.data, object_states(p) if p.model.mixture else p.numpy("obj")
    if obj.ndim == 3 and not p.model.mixture:
        raise ValueError(
            f"the object has {len(obj)} slices; the layers of PtyPy's .ptyr are incoherent states of one thin object: "
            + here("export the arrays, .npz, or images, .tif", "export to .npz or .tif")
        )
    if "opr_modes" in p._live.leaves:
        raise ValueError(
            "the probe varies from view to view, and PtyPy's .ptyr holds one that is steady: "
            + here("export the arrays, .npz", "export to .npz")
        )
    writing.need_geometry(data, "PtyPy's .ptyr")
    data = data.replace(geometry=p.geometry)  # with the lengths that were found, of whose pixels the object is
    pixel, geometry = data.pixel, data.geometry
    assert pixel is not None
    assert geometry is not None
    with writing.created(path, data) as f:
        mark_root(f)
        content = dict_group(f, "content")
        header = dict_group(f, HEADER)
        for name, text in {"kind": "minimal", "description": "Ptypy .h5 compatible storage format"}.items():
            header.create_dataset(name, data=text, dtype=h5py.string_dtype()).attrs["type"] = "string"
        storages = {
            f"probe/{SCAN}": curved(orthogonal(p.numpy("probe")), data, out=True),
            f"obj/{OBJECT}": obj.reshape(-1, *obj.shape[-2:]),
        }
        centres = {f"probe/{SCAN}": np.array([data.n // 2] * 2, float), f"obj/{OBJECT}": p.origin + data.n // 2}
        for name, array in storages.items():
            storage = dict_group(content, name)
            _array(storage, "data", array.astype(np.complex64))
            _array(storage, "_psize", np.array([pixel, pixel]))
            _array(storage, "_center", centres[name])
            _array(storage, "_origin", -centres[name] * pixel)
            writing.put(storage, "_energy", geometry.photon_energy / KEV, type="scalar")
            _write_buffer(storage, array.shape)
        _array(dict_group(content, "positions"), OBJECT, (p.numpy("positions") - p.origin) * pixel)
        dict_group(content, "pars")
        _write_runtime(content, p)
        for group in (content, content["pars"], content["runtime"]):
            group.attrs["type"] = PARAM


def _write_buffer(storage: h5py.Group, shape: tuple[int, ...]) -> None:
    """Write what else PtyPy's Storage has, without which its ``load_run`` does not make one."""
    writing.put(storage, "ID", storage.name.rpartition("/")[2], type="string")
    writing.put(storage, "shape", np.array(shape), type="arraytuple")
    writing.put(storage, "layermap", np.arange(shape[0]), type="arraylist")
    flags = {"numID": 0, "nlayers": shape[0], "padding": 0, "fill_value": 0.0, "_record": 0}
    flags |= {"padonly": False, "model_initialized": True, "DataTooSmall": False, "_is_scattered": False}
    for name, value in flags.items():
        writing.put(storage, name, value, type="scalar")
    for name in ("_pool", "_recs"):
        dict_group(storage, name)


def _write_runtime(content: h5py.Group, p: BareState) -> None:
    runtime = dict_group(dict_group(content, "runtime"), "iter_info/00000")
    runtime.parent.attrs["type"] = "list"
    writing.put(runtime, "iteration", p.iteration, type="scalar")
    writing.put(runtime, "engine", repr(p.recipe), type="string")
    _array(runtime, "error", np.asarray(p.history.get("misfit", np.zeros(0)), np.float64)[-1:])


def _array(group: h5py.Group, name: str, array: np.ndarray) -> None:
    writing.put(group, name, array, type="array")


SUFFIXES = (".ptyr", *writing.HDF5)
FORMATS = (Format("PtyPy .ptyr (result)", recognise, read, "ptyr", write, of_state=True, suffixes=SUFFIXES),)

"""Results of PtyRAD, of one slice or several: object, probe and positions as the start of a run with their measurement.

Layout and conventions of PtyRAD 1.0.0 (make_save_dict, multislice_forward, imshift_batch). Its forward model of three
slices, two modes and positions between pixels made opty's counts to 5e-10 of the light. Of a run of its own the misfits
are equal to six digits for views whose probe it moved by up to half a pixel; where it moved it further, opty cuts the
nearest window, and PtyRAD the old one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from opty.data import PtychoData
from opty.files.container import Container
from opty.files.tree import Tree, complexes, number, numbers
from opty.io.formats.foreign_result import check_pixel, made, measurement_for, sliced
from opty.io.reading import Format, blaming, real
from opty.model import Blur, Probe

if TYPE_CHECKING:
    from opty.state import BareState

ARRAYS, MODEL, GIVEN = "optimizable_tensors", "model_attributes", "params/init_params"
NONE = "__NONE__"  # how PtyRAD writes what is not there
ANGSTROM = 1e-10


def recognise(file: Container) -> bool:
    """Whether this is HDF5 as PtyRAD saves a model."""
    return file.kind == "hdf5" and {ARRAYS, MODEL} <= file.names


def read(
    file: Container,
    *,
    data: PtychoData | str | Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    deterministic: bool = False,
    seed: int = 0,
) -> BareState:
    """Make a PtychoState of a model of PtyRAD and the measurement ``data`` that it was made from.

    Its patterns have to be those that PtyRAD had after ``meas_flipT`` and cropping. The object is ``obja`` exp(i
    ``objp``) (states, slices, rows, columns), slices in the order of the beam, ``slice_thickness`` apart, in angstroms
    for electrons and in metres for X-rays. Windows begin at ``crop_pos``, and the probe is moved by
    ``probe_pos_shifts``. ``obj_tilts`` [mrad], one for all views, is the tilt of ``Slices`` with the other sign. PtyRAD
    divides the patterns by one number (``meas_normalization``), by whose root the probe is multiplied here. A blur of
    the detector is ``Blur`` in the model.

    Raises FormatError for several states of the object, for a tilt that varies along the scan, and for patterns that
    PtyRAD computed with other pixels than were measured.
    """
    data = measurement_for(file, data, "PtyRAD")
    with file.tree() as tree, blaming(file):
        unit = 1.0 if tree.text(f"{GIVEN}/probe_illum_type") == "xray" else ANGSTROM
        check_pixel(number(tree.need("pixel size", f"{MODEL}/dx")) * unit, data)
        layers = _layers(tree)
        thickness = number(tree.need("slice thickness", f"{ARRAYS}/slice_thickness")) * unit if len(layers) > 1 else 0
        _check_plain(tree)
        probe = complexes(tree.need("probe", f"{ARRAYS}/probe"))
        light = number(tree.need("occupancy", f"{MODEL}/omode_occu")) * _norm(tree, data)
        places = [tree.need("positions", name) for name in (f"{MODEL}/crop_pos", f"{ARRAYS}/probe_pos_shifts")]
        first, moved = (real(found.name, numbers(found)) for found in places)
        if first.shape != moved.shape:
            raise ValueError(f"{places[0].name} has shape {first.shape} and {places[1].name} {moved.shape}")
        obj, element = sliced(layers, thickness, _tilt(tree) if len(layers) > 1 else (0.0, 0.0))
        model = element * Probe(modes=len(probe))
        if (blur := _blur(tree)) is not None:
            model = Blur(sigma=blur) * model
    return made(file, data, probe * light**0.5, obj, first + moved, device, threads, deterministic, seed, model=model)


def _layers(tree: Tree) -> np.ndarray:
    """Return the slices (L, H, W) of the one state of the object."""
    modulus, phase = (tree.need("object", f"{ARRAYS}/{name}") for name in ("obja", "objp"))
    if modulus.ndim != 4 or modulus.shape != phase.shape:
        raise ValueError(
            f"{modulus.name} has shape {modulus.shape} and {phase.name} {phase.shape}; expected (states, slices, H, W)"
        )
    if len(modulus) != 1:
        raise ValueError(f"{modulus.name} has {len(modulus)} incoherent states of the object; results of one are read")
    return (numbers(modulus) * np.exp(1j * real(phase.name, numbers(phase))))[0]


def _tilt(tree: Tree) -> tuple[float, float]:
    """Return the tilt (row, column) [rad] of the beam through the slices: PtyRAD's is that of the object."""
    found = tree.find(f"{ARRAYS}/obj_tilts")
    if found is None:
        return 0.0, 0.0
    tilts = real(found.name, numbers(found))
    if tilts.ndim != 2 or tilts.shape[1] != 2 or not len(tilts):
        raise ValueError(f"{found.name} has shape {tilts.shape}; expected (1, 2), or (views, 2)")
    if np.ptp(tilts, axis=0).any():
        low, high = tilts.min(axis=0), tilts.max(axis=0)
        raise ValueError(
            f"the object is tilted differently in each view, {found.name} from ({low[0]:.3g}, {low[1]:.3g}) to "
            f"({high[0]:.3g}, {high[1]:.3g}) mrad; opty's slices have one tilt"
        )
    row, col = (-1e-3 * tilts[0]).tolist()
    return row + 0.0, col + 0.0


def _check_plain(tree: Tree) -> None:
    """Refuse results that a state of opty cannot hold."""
    sizes = [tree.find(f"{MODEL}/{name}") for name in ("simu_Npix", "meas_Npix")]
    simulated, measured = (None if size is None else number(size) for size in sizes)
    if simulated != measured and (tree.text(f"{MODEL}/simu_match_mode") or NONE) != NONE:
        raise ValueError(f"patterns were computed with {simulated:g} pixels a side and measured with {measured:g}")


def _norm(tree: Tree, data: PtychoData) -> float:
    """Return the number by which PtyRAD divided the patterns."""
    name = f"{GIVEN}/meas_normalization"
    mode = tree.text(f"{name}/mode") or "max_at_one"
    if mode == "divide_const":
        return number(tree.need("normalisation", f"{name}/value"))
    if mode not in ("max_at_one", "mean_at_one", "sum_to_one"):
        raise ValueError(f"{name}/mode is {mode!r}; expected max_at_one, mean_at_one, sum_to_one or divide_const")
    mean = np.zeros((data.n, data.n))
    for _, images in data.blocks():
        mean += images.sum(axis=0, dtype=np.float64)
    mean /= data.views
    return float(mean.max() if mode == "max_at_one" else mean.mean() if mode == "mean_at_one" else mean.sum())


def _blur(tree: Tree) -> float | None:
    """Return the standard deviation of the detector's blur [px]; None where there is none."""
    found = tree.find(f"{MODEL}/detector_blur_std")
    if found is None or found.dtype.kind not in "iuf" or not numbers(found).any():
        return None
    return number(found)


FORMATS = (Format("PtyRAD HDF5 (result)", recognise, read),)

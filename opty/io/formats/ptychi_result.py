"""Results of pty-chi: object, probe and positions as the start of a run with their measurement.

pty-chi itself writes no file of a result but pictures. Its workflow PEAR writes recon_Niter*.h5, and Ptychodus, which
runs pty-chi, a product. Layouts and conventions: pty-chi 2.2.0 (forward_models.py), PEAR in pty-chi's branch pear_aps
(pear_save_recon.py), Ptychodus 1.7.0 (save_product), read in their sources. Of a run of pty-chi with three slices, two
OPR modes and positions between pixels, its misfit and opty's were equal to six digits. With a second mode they differ,
by 1 to 2 percent, because pty-chi moves the first mode alone by the fraction of a pixel at which a view lies.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from opty.data import PtychoData
from opty.files.container import Container
from opty.files.tree import Tree, complexes, number, numbers
from opty.io.formats.foreign_result import check_pixel, made, measurement_for, sliced
from opty.io.formats.ptychi import POSITIONS, pixel_of
from opty.io.reading import Format, blaming, real
from opty.model import Probe
from opty.physics.modes import variations

if TYPE_CHECKING:
    from opty.state import BareState


class _Found(NamedTuple):
    """What a file says in its own way, beside object and probe."""

    pixel: float  # at the sample [m]
    weights: str  # the path of the OPR weights
    spacing: str  # the path of the distances between the slices [m]
    positions: np.ndarray  # of the views (N, 2) [px], and
    origin: np.ndarray  # the place in the object (row, column) [px] where they count from


def is_pear(file: Container) -> bool:
    """Whether this is HDF5 as PEAR saves a result."""
    return file.kind == "hdf5" and {"probe", "object", "positions_px", "obj_pixel_size_m"} <= file.names


def is_product(file: Container) -> bool:
    """Whether this is HDF5 as Ptychodus saves a product, of which an object is a part."""
    if file.kind != "hdf5" or file.attrs.get("creator") == "opty":  # opty writes measurements as products
        return False
    return {*POSITIONS, "probe", "object", "object_layer_spacing_m"} <= file.names


def read_pear(
    file: Container,
    *,
    data: PtychoData | str | Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    deterministic: bool = False,
    seed: int = 0,
) -> BareState:
    """Make a PtychoState of a result of PEAR (pty-chi) and the measurement ``data`` that it was made from.

    ``object`` (slices, rows, columns) has its slices in the order of the beam, ``slice_spacings_m`` apart. ``probe`` is
    (1 + OPR modes, modes, n, n); the first mode of view j is the sum of its OPR modes by ``opr_mode_weights`` (N, 1 +
    OPR modes). ``positions_px`` are relative to round(H / 2) + 0.5, where pixels are counted from the middle of the
    first one. pty-chi's transform is not normalised: the probe is multiplied by n. Of the far field; raises FormatError
    for another.
    """
    data = measurement_for(file, data, "PEAR (pty-chi)")
    return _read(file, data, _pear, (device, threads, deterministic, seed))


def read_product(
    file: Container,
    *,
    data: PtychoData | str | Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    deterministic: bool = False,
    seed: int = 0,
) -> BareState:
    """Make a PtychoState of a product of Ptychodus that pty-chi made, and the measurement ``data`` it was made from.

    ``object`` (layers, rows, columns) has its layers in the order of the beam, ``object_layer_spacing_m`` apart;
    ``probe`` and ``opr_weights`` are those of pty-chi, see ``read_pear``. Positions [m] are relative to the object's
    ``center_y_m``, ``center_x_m`` at (H - 1) / 2. A window of an even size has its middle between two pixels, and the
    place that pty-chi rounds is a pixel: of the two windows it takes the one that begins at an even row (column).
    Raises FormatError for the near field, and for views in another order than those of the measurement.
    """
    data = measurement_for(file, data, "Ptychodus")
    return _read(file, data, _product, (device, threads, deterministic, seed))


def _pear(tree: Tree, shape: tuple[int, ...]) -> _Found:
    found = tree.need("positions", "positions_px")
    if found.ndim != 2 or found.shape[1] != 2:
        raise ValueError(f"{found.name} has shape {found.shape}; expected (row, column) of each view")
    origin = np.round(np.array(shape) / 2) + 0.5
    pixel = number(tree.need("pixel size", "obj_pixel_size_m"))
    return _Found(pixel, "opr_mode_weights", "slice_spacings_m", real(found.name, numbers(found)), origin)


def _product(tree: Tree, shape: tuple[int, ...]) -> _Found:
    pixel, node = pixel_of(tree), tree.need("object", "object")
    metres = []
    for name, centre in zip(POSITIONS, ("center_y_m", "center_x_m"), strict=True):
        found = tree.need("positions", name)
        metres.append(real(found.name, numbers(found)).reshape(-1) - float(tree.attribute(node, centre, 0.0)))
    order = tree.find("probe_position_indexes")
    if order is not None and (np.diff(numbers(order)) <= 0).any():
        raise ValueError(f"{order.name} does not rise from view to view: views are not in the order of the measurement")
    places = np.column_stack(metres) / pixel + (np.array(shape) - 1) / 2
    return _Found(pixel, "opr_weights", "object_layer_spacing_m", places, np.zeros(2))


def _read(
    file: Container, data: PtychoData, look: Callable[[Tree, tuple[int, ...]], _Found], machine: tuple[Any, ...]
) -> BareState:
    with file.tree() as tree, blaming(file):
        if data.geometry is not None and data.geometry.propagation != "far":
            raise ValueError(f"results of pty-chi are read in the far field, not for {data.geometry.propagation!r}")
        layers = complexes(tree.need("object", "object"))
        layers = layers.reshape(-1, *layers.shape[-2:])
        found = look(tree, layers.shape[-2:])
        check_pixel(found.pixel, data)
        gaps = tree.find(found.spacing)
        obj, element = sliced(layers, () if gaps is None else real(gaps.name, numbers(gaps)))
        probe, leaves = _probe(tree, found, data)
        model = element * Probe(modes=len(probe), variable=len(leaves.get("opr_modes", ())))
    corners = _corners(found, data.n)
    return made(file, data, probe, obj, corners, *machine, model=model, leaves=leaves)


def _probe(tree: Tree, found: _Found, data: PtychoData) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the mean probe (M, n, n), and the leaves of what varies of it, in opty's units."""
    whole = complexes(tree.need("probe", "probe"))
    if whole.ndim not in (3, 4) or whole.shape[-2:] != (data.n, data.n):
        raise ValueError(f"/probe has shape {whole.shape}; expected ([OPR modes,] modes, {data.n}, {data.n})")
    whole = whole.reshape(-1, *whole.shape[-3:]) * data.n  # pty-chi's transform is not normalised
    probe, weights = whole[0], tree.find(found.weights)
    if len(whole) == 1 or weights is None:  # pty-chi does not look at weights of one mode
        return probe, {}
    values = real(weights.name, numbers(weights))
    if values.shape != (data.views, len(whole)):
        raise ValueError(f"{weights.name} has shape {values.shape}; expected {(data.views, len(whole))}")
    mean, modes, varying = variations(whole[:, 0], values)
    probe = np.concatenate([mean[None], probe[1:]])
    return probe, {"opr_modes": modes, "opr_weights": varying} if len(modes) else {}


def _corners(found: _Found, n: int) -> np.ndarray:
    """Return where windows begin (N, 2) [px], as in pty-chi: cut at whole pixels, and the probe moved by the rest."""
    whole = np.round(found.positions)
    return np.round(whole + found.origin - (n - 1) / 2) + found.positions - whole


FORMATS = (
    Format("PEAR HDF5 (result of pty-chi)", is_pear, read_pear),
    Format("Ptychodus HDF5 (product)", is_product, read_product),
)

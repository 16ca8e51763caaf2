"""Results of PtyLab, PyNX and CDTools: object, probe and positions as the start of a run with their measurement.

The option ``data`` gives the measurement, as for a .ptyr. Layouts and conventions: PtyLab 0.3.7 (saveResults, e3PIE,
OPR), PyNX (save_obj_probe_cxi), CDTools 0.3.2 (FancyPtycho.save_to_h5), read in their sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from opty.data import PtychoData
from opty.files.container import Container
from opty.files.tree import Tree, complexes, number, numbers
from opty.io.formats.foreign_result import curved, made, measurement_for, sliced
from opty.io.reading import Format, blaming, real
from opty.model import Probe
from opty.physics.modes import variations
from opty.remedies import here, option

if TYPE_CHECKING:
    from opty.state import BareState

CDTOOLS = {"obj_basis", "translations", "probe", "obj", "state_dict"}


def is_ptylab(file: Container) -> bool:
    """Whether this is HDF5 as PtyLab saves all of a reconstruction."""
    return file.kind == "hdf5" and {"probe", "object", "dxp", "encoder_corrected"} <= file.names


def read_ptylab(
    file: Container,
    *,
    data: PtychoData | str | Path | None = None,
    spacing: float | Sequence[float] | None = None,
    probe_stack: str | Path | None = None,
    variable: int | None = None,
    device: str | None = None,
    threads: int | None = None,
    deterministic: bool = False,
    seed: int = 0,
) -> BareState:
    """Make a PtychoState of a result of PtyLab and the measurement ``data`` that it was made from.

    ``object`` and ``probe`` have axes of wavelengths, objects, modes, slices in front, slices in the order of the beam;
    the probe is the one on the first slice, of the first wavelength. Windows begin at round(encoder_corrected / dxp) +
    No // 2 - Np // 2.

    Parameters
    ----------
    spacing : the distance between slices [m], ``dz`` over ``refrIndex``, which PtyLab does not save.
    probe_stack : the path of the probes of all views that ``saveResults(type="probe_stack")`` wrote after OPR; the
        first mode varies then.
    variable : in how many ways it varies at most, the strongest; default: all, which may be as many as there are views.

    Raises FormatError for several objects or wavelengths, slices without ``spacing``, and a stack of several modes.
    """
    data = measurement_for(file, data, "PtyLab")
    with file.tree() as tree, blaming(file):
        probe, obj = (complexes(tree.need(name, name)) for name in ("probe", "object"))
        layers = obj.reshape(-1, *obj.shape[-2:])
        if len(layers) > 1 and (obj.ndim != 6 or obj.shape[:3] != (1, 1, 1)):
            raise ValueError(f"/object has shape {obj.shape}: several modes or wavelengths; opty's object has one")
        if len(layers) > 1 and spacing is None:
            give = here(f"give {option('spacing')}, in metres", "in Python, opty.load(..., data=..., spacing=...)")
            raise ValueError(f"/object has {len(layers)} slices, and PtyLab does not save their distance: {give}")
        if len(layers) == 1 and spacing is not None:
            raise ValueError(f"{option('spacing', spacing)} is the distance between slices, and /object has one")
        obj, element = sliced(layers, 0.0 if spacing is None else spacing)
        probe = probe[0, 0, :, 0] if probe.ndim == 6 else probe.reshape(-1, *probe.shape[-2:])
        encoder = real("encoder_corrected", numbers(tree.need("positions", "encoder_corrected")))
        pixel = number(tree.need("pixel size", "dxp"))
        corners = np.round(encoder / pixel) + (obj.shape[-1] // 2 - probe.shape[-1] // 2)
    leaves: dict[str, np.ndarray] = {}
    if variable is not None and (probe_stack is None or variable < 1):
        need = f"give a number from 1 on, and {option('probe_stack')}, of which it is a part"
        raise ValueError(f"{option('variable', variable)}: {need}")
    if probe_stack is not None:
        probe, leaves = _of_stack(Container(Path(probe_stack)), probe, data, variable)
    model = element * Probe(modes=len(probe), variable=len(leaves.get("opr_modes", ())))
    return made(file, data, probe, obj, corners, device, threads, deterministic, seed, model=model, leaves=leaves)


def _of_stack(
    file: Container, probe: np.ndarray, data: PtychoData, variable: int | None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the mean probe (M, n, n) and the leaves of what varies of it, of PtyLab's stack of probes."""
    with file.tree() as tree, blaming(file):
        stack = complexes(tree.need("probes", "probe_stack"))
        if stack.ndim != 7 or stack.shape != (1, 1, 1, 1, data.n, data.n, data.views):
            raise ValueError(
                f"/probe_stack has shape {stack.shape}; expected (1, 1, 1, 1, {data.n}, {data.n}, {data.views}): the "
                "first mode of each view, of one wavelength; opty's other modes do not vary"
            )
        each = np.moveaxis(stack[0, 0, 0, 0], -1, 0)
        mean, modes, weights = variations(each, np.eye(len(each)))
    modes, weights = modes[:variable], weights[:, :variable]
    whole = np.concatenate([mean[None], probe[1:]])
    return whole, {"opr_modes": modes, "opr_weights": weights} if len(modes) else {}


def is_pynx(file: Container) -> bool:
    """Whether an entry of this HDF5 file holds an object and a probe as PyNX saves them."""
    if file.kind != "hdf5" or file.attrs.get("creator") == "opty":
        return False
    with file.tree() as tree, blaming(file):
        return any({"object", "probe", "positions"} <= set(tree.names(name)) for name in _entries(file))


def read_pynx(
    file: Container,
    *,
    data: PtychoData | str | Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    deterministic: bool = False,
    seed: int = 0,
) -> BareState:
    """Make a PtychoState of the last entry of a result of PyNX and the measurement ``data`` that it was made from.

    Object and probe are saved upside down; the first object counts, and it must be the only one. Positions x, y [m] are
    relative to the mean of the positions at the start of the run, which is the middle of the object. In the far field
    the probe gets the Fresnel curvature that PyNX has in its propagator. A ``background`` is that of the state, and
    floating intensities its intensity factors.
    """
    data = measurement_for(file, data, "PyNX")
    with file.tree() as tree, blaming(file):
        entry = [name for name in _entries(file) if {"object", "probe"} <= set(tree.names(name))][-1]
        obj, probe = (np.flip(complexes(tree.need(n, f"{entry}/{n}/data")), axis=-2) for n in ("object", "probe"))
        obj, probe = (a.reshape(-1, *a.shape[-2:]) for a in (obj, probe))
        if len(obj) != 1:
            raise ValueError(f"{entry}/object has {len(obj)} modes; opty's object has one")
        found = real("positions", numbers(tree.need("positions", f"{entry}/positions/data")))
        if found.ndim != 2 or found.shape[0] != 4:
            raise ValueError(f"{entry}/positions has shape {found.shape}; expected x, y, dx, dy of each view")
        pixel = number(tree.need("pixel size", f"{entry}/probe/x_pixel_size"))
        middle = (found[:2] - found[2:]).mean(axis=1)
        y_x = (found[1::-1] - middle[::-1, None]).T / pixel
        corners = y_x + (np.array(obj.shape[-2:]) - probe.shape[-2:]) // 2
        background = _background(tree, f"{entry}/background/data")
        mean, factors = _of_views(tree, f"{entry}/floating_intensity/data", data.views)
        probe = curved(probe, data) * mean**0.5
    state = made(file, data, probe, obj[0], corners, device, threads, deterministic, seed)
    with blaming(file):
        return state.replace(background=background, intensity_factors=factors)


def is_cdtools(file: Container) -> bool:
    """Whether this is HDF5 as CDTools saves the results of a FancyPtycho model."""
    return file.kind == "hdf5" and file.names >= CDTOOLS


def read_cdtools(
    file: Container,
    *,
    data: PtychoData | str | Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    deterministic: bool = False,
    seed: int = 0,
) -> BareState:
    """Make a PtychoState of a result of CDTools and the measurement ``data`` that it was made from.

    Windows begin at the pseudo-inverse of ``obj_basis`` times ``translations``, less ``min_translation``.
    ``background`` is that of the state, and the squares of the ``weights`` of the views, where they differ, its
    intensity factors.
    Raises FormatError for a probe in Fourier space, an oversampled model and weights of the modes of each view.
    """
    data = measurement_for(file, data, "CDTools")
    with file.tree() as tree, blaming(file):
        obj, probe = (complexes(tree.need(name, name)) for name in ("obj", "probe"))
        probe = probe.reshape(-1, *probe.shape[-2:])
        if number(tree.need("oversampling", "oversampling")) != 1 or probe.shape[-1] != data.n or obj.ndim != 2:
            raise ValueError(f"object {obj.shape} and probe {probe.shape} belong to an oversampled or cropped model")
        _check_plain(tree)
        basis = real("obj_basis", numbers(tree.need("basis", "obj_basis")))
        moved = real("translations", numbers(tree.need("translations", "translations")))
        least = tree.find("state_dict/min_translation")
        corners = moved @ np.linalg.pinv(basis).T - (0 if least is None else numbers(least))
        background = _background(tree, "background")
        mean, factors = _of_views(tree, "weights", data.views, power=2)
    state = made(file, data, probe * mean**0.5, obj, corners, device, threads, deterministic, seed)
    with blaming(file):
        return state.replace(background=background, intensity_factors=factors)


def _background(tree: Tree, path: str) -> np.ndarray | None:
    """Return the incoherent background (n, n); None where there is none, or no light in it."""
    found = tree.find(path)
    image = None if found is None else real(found.name, numbers(found))
    return image if image is not None and image.any() else None


def _of_views(tree: Tree, path: str, views: int, power: int = 1) -> tuple[float, np.ndarray | None]:
    """Return the mean of the views' intensities, and their factors (N,) about it; None where all are alike."""
    found = tree.find(path)
    if found is None:
        return 1.0, None
    light = real(found.name, numbers(found)) ** power
    mean = float(light.mean()) if light.size else 0.0
    if light.shape != (views,) or not 0 < mean < np.inf:
        raise ValueError(f"{found.name} has shape {light.shape} and the mean {mean:.4g}; expected one for each view")
    return mean, None if np.allclose(light, mean, rtol=1e-5, atol=0) else light / mean


def _check_plain(tree: Tree) -> None:
    """Refuse results that a state of opty cannot hold."""
    weights = tree.find("weights")
    if weights is not None and weights.ndim > 1:
        raise ValueError("each view has its own mixture of probes (weights); opty's probe is the same for all")
    if (fourier := tree.find("state_dict/fourier_probe")) is not None and numbers(fourier).any():
        raise ValueError("the probe is kept in Fourier space")


def _entries(file: Container) -> list[str]:
    """Names entry_1, entry_2, ... in their order."""
    found = [name for name in file.names if name.startswith("entry_") and name[6:].isdecimal()]
    return sorted(found, key=lambda name: int(name[6:]))


FORMATS = (
    Format("PtyLab HDF5 (result)", is_ptylab, read_ptylab),
    Format("PyNX CXI (result)", is_pynx, read_pynx),
    Format("CDTools HDF5 (result)", is_cdtools, read_cdtools),
)

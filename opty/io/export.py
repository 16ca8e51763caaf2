"""export(): a result as plain images or arrays, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.algebra.text import made_by
from opty.files.atomic import atomic
from opty.io.saving import save
from opty.physics.modes import orthogonal

if TYPE_CHECKING:
    from opty.analysis.phase_map import Background
    from opty.state import BareState

SUFFIXES = (".tif", ".tiff", ".npz", ".ptyr")
PER_CENTIMETRE = 1e-2


def export_files(path: str | Path, unwrap: Background | None = None) -> tuple[Path, ...]:
    """Return the files that ``export(path, p)`` writes; ValueError for a suffix that is none of them."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path.name} does not end with one of {', '.join(SUFFIXES)}: the suffix chooses the format")
    if suffix in (".npz", ".ptyr"):
        return (path,)
    parts = ("magnitude", "phase", *(("unwrapped",) if unwrap else ()))
    return tuple(path.with_name(f"{path.stem}_{part}{path.suffix}") for part in parts)


def export(path: str | Path, p: BareState, crop: bool = False, unwrap: Background | None = None) -> tuple[Path, ...]:
    """Write a state as TIFF images or as a NumPy file; returns the paths written, each whole or not at all.

    TIFF (.tif): ``<name>_magnitude.tif`` and ``<name>_phase.tif`` [rad] of the object, float32, with the pixel in the
    resolution tags if there is a geometry. The mean phase of the lit area, which the data do not determine, is zero.
    Several slices are the pages of each file, in the order of the beam, each with a mean phase of zero; so are the
    orthogonal states of a mixture, the strongest first.

    NumPy (.npz): obj (H, W), or (L, H, W) of several slices, or of states as they are orthogonal, probe (M, n, n), its
    modes orthogonal and the strongest first unless it varies from view to view, positions (N, 2) px, and all other
    estimates; ``pixel`` [m], ``positions_m`` [m], ``wavelength`` [m] with a geometry; ``history_<name>``; recipe and
    model (text), seed, iteration.

    PtyPy (.ptyr): object, probe (orthogonal modes) and positions, for PtyPy to start from; of one slice, or of the
    states of a mixture.

    Parameters
    ----------
    path : to write; its suffix chooses the format.
    crop : the lit part of the object only (its corner is ``corner`` [px] in the npz); not for .ptyr.
    unwrap : the unwrapped phase [rad] too, ``<name>_unwrapped.tif`` or ``unwrapped`` in the npz, NaN outside of the
        lit area: less a "plane", a "constant", or "none", as ``opty.analysis.phase_map`` fits it; of several slices the
        sum of their phases. Not for .ptyr.

    Raises
    ------
    ValueError : another suffix, ``crop`` or ``unwrap`` of a .ptyr, a .ptyr without a geometry or of several slices.
    OSError : no such folder, no permission, a full disk. ImportError : no scikit-image for ``unwrap``.
    """
    from opty.analysis.illumination import crop_to, lit_area
    from opty.plot.images import centred_phase

    files = export_files(path, unwrap)
    if files[0].suffix.lower() == ".ptyr":
        if crop or unwrap:
            wrong = "crop" if crop else "unwrap"
            raise ValueError(f"{path} holds the whole complex object, to which its positions belong: leave {wrong} out")
        save(path, p, format="ptyr")
        return files
    lit = lit_area(p)
    window = crop_to(lit) if crop else (slice(None), slice(None))
    unwrapped = None if unwrap is None else _unwrapped(p, unwrap)[window]
    if files[0].suffix.lower() == ".npz":
        arrays = _arrays(p, window) | ({} if unwrapped is None else {"unwrapped": unwrapped})
        with atomic(path) as part, part.open("wb") as out:
            np.savez(out, **arrays)
        return files
    obj = _object(p)
    phase = centred_phase(obj, lit) if obj.ndim == 2 else np.array([centred_phase(one, lit) for one in obj])
    for file, image, unit in zip(files, (np.abs(obj), phase), ("transmission, no unit", "phase, rad"), strict=False):
        _write_tiff(file, image[..., *window].astype(np.float32), p, unit)
    if unwrapped is not None:
        off = "" if unwrap == "none" else f", less a {unwrap}"
        _write_tiff(files[-1], unwrapped.astype(np.float32), p, f"unwrapped phase, rad{off}")
    return files


def _object(p: BareState) -> np.ndarray:
    """Return the object of a state; the states of a mixture as they are orthogonal."""
    from opty.analysis import object_states

    return object_states(p) if p.model.mixture else p.numpy("obj")


def _unwrapped(p: BareState, background: Background) -> np.ndarray:
    """Return the unwrapped phase (H, W) [rad] in the frame of the object, NaN outside of the lit area."""
    from opty.analysis.phase_map import phase_map

    found = phase_map(p, background=background)
    whole = np.full(p.numpy("obj").shape[-2:], np.nan)
    (row, column), (height, width) = found.corner, found.phase.shape
    whole[row : row + height, column : column + width] = found.phase
    return whole


def _write_tiff(path: Path, image: np.ndarray, p: BareState, unit: str) -> None:
    import tifffile

    which = "states, the strongest first" if p.model.mixture else "slices in the order of the beam"
    stack = "" if image.ndim == 2 else f"; {len(image)} {which}, {p.model!r}"
    text = f"{unit}{stack}; opty, {p.iteration} iterations, recipe: {made_by(repr(p.recipe), p.iteration)}"
    pixel: dict[str, Any] = {}
    if p.pixel is not None:
        pixel = {"resolution": (PER_CENTIMETRE / p.pixel,) * 2, "resolutionunit": "CENTIMETER"}
    with atomic(path) as part:
        tifffile.imwrite(part, image, description=text, metadata=None, photometric="minisblack", **pixel)


def _arrays(p: BareState, window: tuple[slice, slice]) -> dict[str, Any]:
    arrays: dict[str, Any] = {name: p.numpy(name) for name in p._live.leaves if name not in p.slots}
    corner = [0 if rows.start is None else rows.start for rows in window]
    arrays |= {"obj": _object(p)[..., *window], "corner": np.array(corner)}
    if "opr_modes" not in arrays:  # else what varies belongs to the first mode as it is
        arrays["probe"] = orthogonal(arrays["probe"])
    arrays |= {f"history_{name}": series for name, series in p.history.items()}
    arrays |= {"recipe": repr(p.recipe), "model": repr(p.model), "seed": p.seed, "iteration": p.iteration}
    if p.geometry is not None:
        arrays |= {"pixel": p.pixel, "positions_m": arrays["positions"] * p.pixel}
        arrays["wavelength"] = p.geometry.wavelength
    return arrays

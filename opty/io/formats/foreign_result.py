"""Shared by the readers of results of other packages: they hold no frames, and some define the probe differently."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.data import PtychoData
from opty.files.container import Container
from opty.io.reading import blaming
from opty.model import Element, Model, Object, Slices
from opty.physics.optics import fresnel_curvature
from opty.remedies import here, named, option

if TYPE_CHECKING:
    from opty.state import BareState


def measurement_for(file: Container, data: Any, package: str) -> PtychoData:
    """Return the measurement that a result was made from: a PtychoData, or the path of one.

    Raises TypeError, with what to give, for anything else.
    """
    from opty.io.registry import load

    if isinstance(data, (str, os.PathLike)):
        data = load(Path(data))
    if not isinstance(data, PtychoData):
        raise TypeError(
            f"{file.path} is a result of {package} and holds no intensities: give the measurement it was made from, "
            + here(f"opty.load({file.path.name!r}, data='SCAN')", option("data", "SCAN"))
        )
    return data


def made(
    file: Container,
    data: PtychoData,
    probe: np.ndarray,
    obj: np.ndarray,
    corners: np.ndarray,
    device: str | None,
    threads: int | None,
    deterministic: bool,
    seed: int,
    *,
    model: Model | Element | None = None,
    leaves: dict[str, np.ndarray] | None = None,
) -> BareState:
    """Make the state: probe (M, n, n), obj (H, W) or (L, H, W), and corners (N, 2) of the windows in its frame [px].

    ``model`` : of the waves, by default of a thin object in a steady probe; ``leaves`` : what it has besides probe and
    object, as opr_modes. Raises FormatError for sizes that do not go together.
    """
    from opty.state import handle

    with blaming(file):
        if np.shape(corners) != (data.views, 2):
            raise ValueError(f"the file has positions of shape {np.shape(corners)} but data= holds {data.views} views")
        data = data.replace(positions=np.asarray(corners, np.float64) * (data.pixel or 1.0))
        state = handle()(
            data,
            probe=probe,
            obj=obj,
            seed=seed,
            device=device,
            threads=threads,
            deterministic=deterministic,
            model=model,
        )
        return state.replace(leaves=leaves) if leaves else state


def sliced(layers: np.ndarray, spacing: Any, tilt: tuple[float, float] = (0.0, 0.0)) -> tuple[np.ndarray, Element]:
    """Return the object as a state has it, (H, W) or (L, H, W), and its element, of layers (L, H, W) along the beam.

    ``spacing`` : the distances between them [m], one number or one for each gap; ``tilt`` : of the beam (row, column)
    [rad]. Raises ValueError for another count.
    """
    gaps = np.asarray(spacing, np.float64).reshape(-1)
    if len(layers) == 1:
        return layers[0], Object()
    if gaps.size not in (1, len(layers) - 1):
        raise ValueError(f"the object has {len(layers)} slices and {gaps.size} distances between them")
    distances = float(gaps[0]) if (gaps == gaps[0]).all() else tuple(map(float, gaps))
    return layers, Slices(len(layers), distances, tilt)


def check_pixel(pixel: float, data: PtychoData) -> None:
    """Refuse a result whose pixel at the sample [m] is not that of the measurement, to 1 percent."""
    if data.pixel is not None and not abs(pixel - data.pixel) <= 0.01 * data.pixel:
        raise ValueError(
            f"pixels at the sample are {pixel:.4g} m in the result, and {data.pixel:.4g} m in the measurement: give "
            f"{named('data')} the measurement it was made from, with its lengths"
        )


def curved(probe: np.ndarray, data: PtychoData, out: bool = False) -> np.ndarray:
    """Return a probe (M, n, n) of a package that has the Fresnel curvature in its propagator as opty has it.

    ``out`` : the inverse. In the near field, and for a scan in pixels, there is no such factor. Raises ValueError for a
    probe that is not as large as the patterns.
    """
    if probe.shape[-2:] != (data.n, data.n):
        raise ValueError(
            f"the probe has shape {probe.shape} and the patterns of the measurement are {data.n} x {data.n}"
        )
    if data.geometry is None or data.geometry.propagation == "near":
        return probe
    factor = fresnel_curvature(data.n, data.pixel or 1.0, data.geometry.wavelength, data.geometry.distance)
    return (probe * (factor.conj() if out else factor)).astype(probe.dtype)

"""Some views of a measurement, and all of them at a lower resolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.data.lazy_frames import LazyFrames, in_blocks
from opty.data.measurement import PtychoData
from opty.errors import RecipeError
from opty.geometry import Geometry

_BRIGHT = 0.1  # of the brightest pixel of the mean pattern
LEAST = 8  # pixels along the edge of a pattern


def chosen(data: PtychoData, index: np.ndarray) -> PtychoData:
    """Return the measurement of some views, by number."""
    mask = data.mask if data.mask is None or data.mask.ndim == 2 else data.mask[index]
    some = {"intensities": data.intensities[index], "positions": data.positions[index], "mask": mask}
    return data.replace(**some, truth=None, source=None)


def coarse_edge(data: PtychoData, factor: int) -> int:
    """Return the edge of patterns at 1/factor of the resolution [px].

    Raises RecipeError where fewer than 8 pixels are left, and in the near field where they do not divide evenly.
    """
    m = data.n // factor
    if m < LEAST:
        raise RecipeError(
            f"patterns of {data.n} x {data.n} at 1/{factor} of the resolution have {m} pixels along an edge; "
            f"{LEAST} are the least: take a smaller factor"
        )
    if near(data) and m * factor != data.n:
        raise RecipeError(
            f"patterns of {data.n} x {data.n} in the near field are binned, and {factor} does not divide {data.n}: "
            "take a factor that does, or crop the data"
        )
    return m


def coarser(data: PtychoData, factor: int) -> PtychoData:
    """Return a measurement at 1/factor of the resolution: the middle of each pattern; in the near field binned.

    A binned pixel is the sum of factor x factor pixels, and is unmasked where all of them are. Frames in a file are
    read block by block; the result is held in memory.
    """
    m = coarse_edge(data, factor)
    mask = data.mask
    fields: dict[str, Any] = {"truth": None, "source": None, "probe": None}
    if mask is not None and isinstance(mask, LazyFrames):
        mask = np.concatenate([_smaller(data, block, m, True) for _, block in in_blocks(mask)])
    elif mask is not None:
        mask = _smaller(data, mask, m, True)
    blocks = [np.array(_smaller(data, block, m)) for _, block in in_blocks(data.intensities)]
    if data.background is not None:
        fields["background"] = _smaller(data, data.background, m)
    if near(data):
        fields["geometry"] = _binned(data, factor)
    if data.pixel is None:
        fields["positions"] = data.positions * (m / data.n)
    return data.replace(intensities=np.concatenate(blocks), mask=mask, **fields)


def kept_light(data: PtychoData, factor: int) -> float:
    """Return the share of the photons that ``coarser`` keeps, from 0 to 1; 1 in the near field."""
    if near(data):
        return 1.0
    m = coarse_edge(data, factor)
    kept = sum(float(_smaller(data, images, m).sum(dtype=np.float64)) for _, images in data.blocks())
    return kept / float(data.photons().sum())


def kept_cone(data: PtychoData, factor: int) -> float:
    """Return the share that ``coarser`` keeps of the light where patterns are bright, from 0 to 1; 1 in the near field.

    Bright pixels have more than a tenth of the brightest one in the mean pattern (mean amplitude, squared): the cone of
    the beam, or its middle where the beam is a smooth disc at the sample.
    """
    if near(data):
        return 1.0
    mean = data.mean_amplitude() ** 2
    bright = np.where(mean > _BRIGHT * mean.max(), mean, 0)
    return float(_smaller(data, bright, coarse_edge(data, factor)).sum() / bright.sum())


def middle(n: int, m: int) -> slice:
    """Return the m pixels round the centre, n // 2, of an edge of n."""
    return slice(n // 2 - m // 2, n // 2 - m // 2 + m)


def _binned(data: PtychoData, factor: int) -> Geometry:
    """Return the geometry of binned pixels."""
    old = data.geometry
    assert old is not None
    return Geometry(
        old.wavelength,
        old.distance,
        old.pixel_size * factor,
        old.focus_to_sample,
        old.propagation,
        voltage=old.voltage,
    )


def near(data: PtychoData) -> bool:
    """Return whether patterns are detector images of the near field, which are binned."""
    return data.geometry is not None and data.geometry.propagation == "near"


def _smaller(data: PtychoData, images: np.ndarray, m: int, mask: bool = False) -> np.ndarray:
    """Return images (..., n, n) with m pixels along an edge; ``mask``: they are True where all pixels are."""
    if not near(data):
        some = middle(images.shape[-1], m)
        return images[..., some, some]
    factor = images.shape[-1] // m
    tiles = images.reshape(*images.shape[:-2], m, factor, m, factor)
    if mask:
        return np.logical_and.reduce(tiles, axis=(-3, -1))
    return tiles.sum(axis=(-3, -1), dtype=np.uint32 if images.dtype.kind in "biu" else images.dtype)

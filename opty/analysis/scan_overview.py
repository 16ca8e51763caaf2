"""A raw scan as a picture, before any reconstruction: each view a few numbers, laid out where it was taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from opty.analysis.coverage import is_near
from opty.data import PtychoData

if TYPE_CHECKING:
    from opty.state import BareState

FINE = 3  # pixels of the maps along a usual step
FAINT = 0.02  # of the largest sum of weights: where less lies, the patterns tell nothing
HALF = 0.5  # of the largest mean amplitude: where the direct beam ends


@dataclass(frozen=True)
class ScanOverview:
    """What ``scan_overview`` found.

    Of each view (N,): ``transmission``, photons over the 95th percentile of all views; ``scattered``, share of its
    photons outside of the beam; ``row``, ``column``: centre of mass less that of all views [detector px], in the far
    field proportional to the slope of the object's phase. ``white`` (n, n): mean amplitude; ``beam`` (n, n) bool: where
    it exceeds half of its largest.

    ``stitched`` (H, W): all patterns laid out at their positions, a window of n x n pixels each: sum_j W I_j over
    sum_j W W^2, W = ``white``; 1 where the sample is as clear as on the mean, and where
    hardly any light lies. ``sum`` and ``count`` (H, W): sum_j W I_j
    and the number of views on each pixel. A picture of the sample in the near field, and where a beam is so defocused
    that each pattern is a shadow of it. ``corner`` (2,) px: position of its first pixel. ``near``: of the near field.
    """

    positions: np.ndarray
    transmission: np.ndarray
    scattered: np.ndarray
    row: np.ndarray
    column: np.ndarray
    white: np.ndarray
    beam: np.ndarray
    stitched: np.ndarray
    sum: np.ndarray
    count: np.ndarray
    corner: np.ndarray
    near: bool

    def maps(self) -> dict[str, np.ndarray]:
        """Return ``transmission``, ``scattered``, ``row`` and ``column`` as images with a third of a step a pixel.

        Each pixel is the mean over the views around it, those near it counting most (a Gaussian of half a step); NaN
        where no view is near.
        """
        names = ("transmission", "scattered", "row", "column")
        return {name: self._laid(getattr(self, name)) for name in names}

    @property
    def map_pixel(self) -> float:
        """Edge of a pixel of ``maps`` [px of the sample]."""
        if len(self.positions) < 2:
            return 1.0
        step = np.median(cKDTree(self.positions).query(self.positions, k=2)[0][:, 1])
        return max(float(step) / FINE, 0.1)

    def start(self, p: BareState) -> np.ndarray:
        """Return a starting object (H, W) complex64 for a state of this scan, real: the root of a transmission.

        In the near field that of ``stitched``, elsewhere that of the map of ``transmission``. To be given as
        ``p.replace(obj=found.start(p))``.
        """
        shift = (p.numpy("positions") - self.positions).mean(axis=0)  # of the frame of the object against positions
        places = np.indices(p.numpy("obj").shape[-2:]).astype(np.float64) - shift[:, None, None]
        if self.near:
            image, where = self.stitched, places - self.corner[:, None, None]
        else:
            middle = self.positions.min(axis=0) + len(self.white) // 2
            image, where = self._laid(self.transmission), (places - middle[:, None, None]) / self.map_pixel
        found = ndimage.map_coordinates(image, where, order=1, mode="nearest")
        return np.sqrt(np.clip(np.nan_to_num(found, nan=1.0), 0, None)).astype(np.complex64)

    def _laid(self, values: np.ndarray) -> np.ndarray:
        pixel = self.map_pixel
        places = (self.positions - self.positions.min(axis=0)) / pixel
        shape = tuple(int(v) + 1 for v in np.ceil(places.max(axis=0)))
        where = tuple(np.rint(places).astype(int).T)
        weight, total = np.zeros(shape), np.zeros(shape)
        np.add.at(weight, where, 1.0)
        np.add.at(total, where, values)
        weight, total = (ndimage.gaussian_filter(a, FINE / 2, mode="constant", truncate=8) for a in (weight, total))
        return np.divide(total, weight, out=np.full(shape, np.nan), where=weight > FAINT**2 * weight.max())


def scan_overview(data: PtychoData) -> ScanOverview:
    """Lay a raw scan out: transmission, dark field and differential phase by position, and the patterns stitched.

    Two passes over the frames; nothing is reconstructed. Masked pixels do not count.

    Source: Guzzi et al., PeerJ CS 8, e1036 (2022), supplement, Listing 3 (``composeAgainImage``, ``white``, ``mask``);
    Thibault et al., Science 321, 379 (2008) for the contrasts of a scan.
    """
    white = data.mean_amplitude()
    beam = white > HALF * white.max()
    n, positions = data.n, data.positions_px
    axis = np.arange(n) - n // 2
    weights = np.stack([np.ones((n, n)), ~beam, np.broadcast_to(axis[:, None], (n, n)), np.broadcast_to(axis, (n, n))])
    weights = weights.reshape(4, -1).T.astype(np.float64)
    corner = np.floor(positions.min(axis=0)).astype(int)
    corners = np.rint(positions).astype(int) - corner
    shape = tuple(int(v) + n for v in corners.max(axis=0))
    light, expected, count = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    cube = white**3
    numbers = np.empty((data.views, 4))
    for place, images in data.blocks():
        numbers[place] = images.reshape(len(images), -1).astype(np.float64) @ weights
        for image, (r, c) in zip(images, corners[place], strict=True):
            window = slice(r, r + n), slice(c, c + n)
            light[window] += white * image
            expected[window] += cube
            count[window] += 1
    photons = np.maximum(numbers[:, 0], 1e-300)
    moved = numbers[:, 2:] / photons[:, None]
    moved -= (photons[:, None] * moved).sum(axis=0) / photons.sum()
    return ScanOverview(
        positions=positions,
        transmission=numbers[:, 0] / max(float(np.percentile(numbers[:, 0], 95)), 1e-300),
        scattered=numbers[:, 1] / photons,
        row=moved[:, 0],
        column=moved[:, 1],
        white=white,
        beam=beam,
        stitched=np.divide(light, expected, out=np.ones(shape), where=expected > FAINT * expected.max()),
        sum=light,
        count=count,
        corner=corner.astype(np.float64),
        near=is_near(data),
    )

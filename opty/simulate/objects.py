"""Complex objects (transmission functions): two images as in the simulator of Guzzi et al. 2022, or drawn."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage

# Bundled with scikit-image itself: these load without a download.
BUNDLED = (
    "astronaut", "brick", "camera", "cat", "cell", "clock", "coffee", "coins", "colorwheel", "grass", "gravel", "horse",
    "hubble_deep_field", "immunohistochemistry", "logo", "microaneurysms", "moon", "page", "retina", "rocket", "text",
)  # fmt: skip

# (low, high) of magnitude (no unit) and phase [rad] of three kinds of sample, for ``with_contrast``.
CONTRASTS = {
    "pure phase": ((1.0, 1.0), (-0.6, 0.6)),
    "weak": ((0.97, 1.0), (-0.05, 0.05)),
    "strong absorption": ((0.02, 1.0), (-0.6, 0.6)),
}


def from_images(
    magnitude: Any,
    phase: Any,
    shape: tuple[int, ...],
    magnitude_range: Any = (0.4, 1.0),
    phase_range: Any = (-0.6, 0.6),
) -> np.ndarray:
    """Compose an object of two images: one for its magnitude, one for its phase.

    Parameters
    ----------
    magnitude, phase : (h, w) real, or (h, w, 3 or 4) colour, of any size; colour is turned into luminance.
    shape : (H, W) of the object [px]; the images are resized to it with anti-aliasing.
    magnitude_range : (low, high) transmission that the darkest and the brightest pixel get (no unit).
    phase_range : (low, high) phase that the darkest and the brightest pixel get [rad].

    Returns
    -------
    (H, W) complex64.

    Raises
    ------
    ValueError : an image that is not 2-D or colour, or one without contrast where a range needs some.

    Source: Guzzi et al., PeerJ CS 8, e1036 (2022), supplement, "SciComPty simulator".
    """
    amplitude = _stretched("magnitude", magnitude, shape, magnitude_range)
    return (amplitude * np.exp(1j * _stretched("phase", phase, shape, phase_range))).astype(np.complex64)


def two_images(
    shape: tuple[int, int],
    names: tuple[str, str] = ("camera", "moon"),
    magnitude_range: tuple[float, float] = (0.4, 1.0),
    phase_range: tuple[float, float] = (-0.6, 0.6),
) -> np.ndarray:
    """Compose an object of two pictures, (magnitude, phase); see ``from_images``.

    Parameters
    ----------
    shape : (H, W) of the object [px].
    names : two of scikit-image's bundled images (``BUNDLED``) or image files, for magnitude and phase.
    magnitude_range, phase_range : (low, high), no unit and [rad].

    Returns
    -------
    (H, W) complex64.

    Raises
    ------
    ValueError : a name that is neither a file nor bundled; the message lists those that are.
    """
    if len(names) != 2:
        raise ValueError(f"names is {names!r}; give two, one for the magnitude and one for the phase")
    magnitude, phase = (picture(name) for name in names)
    return from_images(magnitude, phase, shape, magnitude_range, phase_range)


def picture(name: str) -> np.ndarray:
    """Read a bundled image of scikit-image by its name, or an image file (TIFF, PNG, JPEG; NumPy's .npy).

    Returns (h, w) or (h, w, colours), of the file's type.

    Raises ValueError for a name that is neither; the message lists those that are bundled (others would need a
    network), OSError for a file that holds no image.
    """
    if name in BUNDLED:
        return getattr(_skimage().data, name)()
    path = Path(name)
    if not path.is_file():
        raise ValueError(
            f"no file and no bundled image is called {str(name)!r}; give the path of an image, or one of "
            f"{', '.join(BUNDLED)}"
        )
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    return _skimage().io.imread(path)


def with_contrast(
    obj: np.ndarray, magnitude_range: tuple[float, float], phase_range: tuple[float, float]
) -> np.ndarray:
    """Stretch an object's magnitude and phase to separate ranges: ``with_contrast(obj, *CONTRASTS["weak"])``.

    Parameters
    ----------
    obj : (H, W) complex; its phase must not wrap.
    magnitude_range, phase_range : (low, high), no unit and [rad].

    Returns
    -------
    (H, W) complex64.

    Raises
    ------
    ValueError : an object without contrast where a range needs some.
    """
    amplitude = _spread("magnitude", np.abs(obj).astype(np.float64), magnitude_range)
    phase = _spread("phase", np.angle(obj).astype(np.float64), phase_range)
    return (amplitude * np.exp(1j * phase)).astype(np.complex64)


def siemens_star(
    shape: tuple[int, int],
    spokes: int = 36,
    radius: float | None = None,
    magnitude: float = 0.6,
    phase: float = -0.8,
) -> np.ndarray:
    """Draw a Siemens star, the usual resolution target: material in every second sector of a disc.

    Parameters
    ----------
    shape : (H, W) of the object [px]; the star is in its middle.
    spokes : number of sectors filled with material; their period at a radius r is 2 pi r / spokes.
    radius : of the star [px]; None: 0.45 of the smaller edge.
    magnitude : transmission of the material (no unit); 1 is empty space.
    phase : phase that the material adds [rad].

    Returns
    -------
    (H, W) complex64: 1 where empty. Pixels on an edge get the mean over their area, so that the star has no stairs;
    where the sectors are finer than the pixels (near the middle) it tends to the mean of both.

    Raises
    ------
    ValueError : fewer than one spoke, or a radius that is not positive.
    """
    radius = 0.45 * min(shape) if radius is None else radius
    if spokes < 1 or radius <= 0:
        raise ValueError(f"spokes {spokes}, radius {radius}: give at least one spoke and a positive radius in px")
    row, col = (np.arange(size) - size // 2 for size in shape)
    r = np.hypot(row[:, None], col)
    angle = np.arctan2(row[:, None], col)
    # Signed distance [px] to the nearest edge of a sector, along the arc; positive in the material.
    inside = r * np.arcsin(np.sin(spokes * angle)) / spokes
    cover = np.clip(inside + 0.5, 0, 1) * np.clip(radius - r + 0.5, 0, 1)
    return (1 + cover * (magnitude * np.exp(1j * phase) - 1)).astype(np.complex64)


def random_phase(
    shape: tuple[int, int],
    feature: float,
    phase_range: tuple[float, float] = (-0.6, 0.6),
    magnitude: float = 1.0,
    seed: int = 0,
) -> np.ndarray:
    """Make a smooth random phase, a diffuser: Gaussian noise of a given size of grain.

    Parameters
    ----------
    shape : (H, W) of the object [px].
    feature : full width at half maximum of the grain's autocorrelation [px].
    phase_range : (low, high) [rad].
    magnitude : the same everywhere (no unit).
    seed : of the noise.

    Returns
    -------
    (H, W) complex64.

    Raises
    ------
    ValueError : a grain that is not positive.

    Source: smoothed random phase as in Goodman, Speckle Phenomena in Optics (2007).
    """
    if not feature > 0:
        raise ValueError(f"feature is {feature!r}; give the size of a grain in px, above zero")
    # Noise smoothed by a Gaussian has an autocorrelation sqrt(2) times as wide.
    sigma = feature / math.sqrt(2) / (2 * math.sqrt(2 * math.log(2)))
    noise = scipy.ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma, mode="wrap")
    return (magnitude * np.exp(1j * _spread("phase", noise, phase_range))).astype(np.complex64)


def cells(
    shape: tuple[int, int],
    diameter: float,
    cover: float = 0.5,
    absorption: float = 0.3,
    phase: float = -1.0,
    seed: int = 0,
) -> np.ndarray:
    """Draw something like cells on a membrane: flat ellipsoids with a nucleus and granules, some overlapping.

    exp(t (log(1 - absorption) + i phase)), t the thickness in units of the thickest place.

    Parameters
    ----------
    shape : (H, W) of the object [px].
    diameter : mean diameter of a cell [px].
    cover : area of all cells over that of the object (no unit).
    absorption : loss of magnitude where it is thickest, from 0 to below 1 (no unit).
    phase : there [rad].
    seed : of places, sizes and contents.

    Returns
    -------
    (H, W) complex64; 1 where there is no cell.

    Raises
    ------
    ValueError : a diameter or a cover that is not positive, an absorption outside [0, 1).
    """
    if not (diameter > 0 and cover > 0 and 0 <= absorption < 1):
        raise ValueError(
            f"diameter {diameter!r}, cover {cover!r}, absorption {absorption!r}: give a positive size in px, a "
            "positive share of the area, and an absorption from 0 up to, not, 1"
        )
    rng = np.random.default_rng(seed)
    row, col = np.ogrid[: shape[0], : shape[1]]
    thickness = np.zeros(shape)
    for _ in range(max(1, round(cover * shape[0] * shape[1] / (math.pi / 4 * diameter**2)))):
        middle, turn = rng.uniform(0, shape), rng.uniform(0, math.pi)
        axes = diameter / 2 * rng.uniform(0.8, 1.2) * np.array([1.25, 0.8]) ** rng.uniform(0, 1)
        inner = middle + rng.normal(0, 0.08 * diameter, 2)
        thickness += _ellipsoid(row, col, middle, axes, turn)
        thickness += 0.8 * _ellipsoid(row, col, inner, 0.4 * axes, turn)
        for _ in range(12):
            place = middle + rng.uniform(-0.28, 0.28, 2) * diameter
            thickness += 0.3 * _ellipsoid(row, col, place, np.full(2, 0.04 * diameter * rng.uniform(0.5, 1.5)), 0.0)
    thickness /= thickness.max() or 1.0
    return np.exp(thickness * (math.log1p(-absorption) + 1j * phase)).astype(np.complex64)


def _ellipsoid(row: Any, col: Any, middle: Any, axes: Any, turn: float) -> np.ndarray:
    """Projected thickness of an ellipsoid, 1 in its middle; half axes [px], turned by an angle [rad]."""
    y, x = row - middle[0], col - middle[1]
    c, s = math.cos(turn), math.sin(turn)
    return np.sqrt(np.maximum(1 - ((c * y + s * x) / axes[0]) ** 2 - ((c * x - s * y) / axes[1]) ** 2, 0))


def _stretched(name: str, image: Any, shape: tuple[int, ...], limits: Any) -> np.ndarray:
    """Resize an image and map its smallest and largest value to the two limits; float64."""
    skimage = _skimage()
    image = np.asarray(image, dtype=np.float64)
    if image.ndim == 3 and image.shape[-1] in (3, 4):
        image = skimage.color.rgb2gray(image[..., :3])
    if image.ndim != 2:
        raise ValueError(f"{name} has shape {image.shape}; give an image (h, w) or a colour image (h, w, 3 or 4)")
    return _spread(name, skimage.transform.resize(image, tuple(shape), anti_aliasing=True), limits)


def _spread(name: str, image: np.ndarray, limits: Any) -> np.ndarray:
    """Map the smallest and the largest value of an image to the two limits."""
    low, high = limits
    span = image.max() - image.min()
    if span <= 1e-6 * abs(image.max()) and low != high:
        raise ValueError(
            f"{name} is {image.flat[0]:g} everywhere and cannot fill the range {limits}: "
            f"give an image with contrast, or a {name}_range of two equal numbers"
        )
    return low + (high - low) * (image - image.min()) / (span or 1.0)


def _skimage() -> Any:
    try:
        import skimage.color
        import skimage.data
        import skimage.io
        import skimage.transform
    except ImportError as error:
        raise ImportError('images need scikit-image: pip install "opty-ptycho[images]"') from error
    return skimage

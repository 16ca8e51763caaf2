"""Complex objects (transmission functions): composed of two images as in the seed's simulator, or drawn."""

from __future__ import annotations

import numpy as np

# Bundled with scikit-image itself: these load without a download.
BUNDLED = (
    "astronaut", "brick", "camera", "cat", "cell", "clock", "coffee", "coins", "colorwheel", "grass", "gravel", "horse",
    "hubble_deep_field", "immunohistochemistry", "logo", "microaneurysms", "moon", "page", "retina", "rocket", "text",
)  # fmt: skip


def from_images(magnitude, phase, shape, magnitude_range=(0.4, 1.0), phase_range=(-0.6, 0.6)) -> np.ndarray:
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
    ValueError : an image that is not 2-D or colour, or one without contrast where a range asks for some.

    Source: Guzzi et al., PeerJ CS 8, e1036 (2022), supplement, "SciComPty simulator".
    """
    amplitude = _stretched("magnitude", magnitude, shape, magnitude_range)
    return (amplitude * np.exp(1j * _stretched("phase", phase, shape, phase_range))).astype(np.complex64)


def two_images(shape, names=("camera", "moon"), magnitude_range=(0.4, 1.0), phase_range=(-0.6, 0.6)) -> np.ndarray:
    """Compose an object of two of scikit-image's bundled images, (magnitude, phase); see ``from_images``.

    Parameters
    ----------
    shape : (H, W) of the object [px].
    names : two of ``BUNDLED``, for magnitude and phase.
    magnitude_range, phase_range : (low, high), no unit and [rad].

    Returns
    -------
    (H, W) complex64.

    Raises
    ------
    ValueError : a name that is not bundled (its download would need a network); the message lists those that are.
    """
    if len(names) != 2:
        raise ValueError(f"names is {names!r}; give two, one for the magnitude and one for the phase")
    for name in names:
        if name not in BUNDLED:
            raise ValueError(f"no bundled image is called {name!r}; choose from {', '.join(BUNDLED)}")
    data = _skimage().data
    magnitude, phase = (getattr(data, name)() for name in names)
    return from_images(magnitude, phase, shape, magnitude_range, phase_range)


def siemens_star(shape, spokes=36, radius=None, magnitude=0.6, phase=-0.8) -> np.ndarray:
    """Draw a Siemens star, the usual resolution target: material in every second sector of a disc.

    Parameters
    ----------
    shape : (H, W) of the object [px]; the star is in its middle.
    spokes : number of sectors filled with material.
    radius : of the star [px]; None: 0.45 of the smaller edge.
    magnitude : transmission of the material (no unit); 1 is empty space.
    phase : phase that the material adds [rad].

    Returns
    -------
    (H, W) complex64: 1 where empty. Pixels on an edge get the mean of what they cover, so that the star has no stairs;
    where the sectors are finer than the pixels (near the middle) it tends to the mean of both.

    Raises
    ------
    ValueError : fewer than one spoke, or a radius that is not positive.
    """
    radius = 0.45 * min(shape) if radius is None else radius
    if spokes < 1 or radius <= 0:
        raise ValueError(f"spokes={spokes}, radius={radius}: give at least one spoke and a positive radius in px")
    row, col = (np.arange(size) - size // 2 for size in shape)
    r = np.hypot(row[:, None], col)
    angle = np.arctan2(row[:, None], col)
    # Signed distance [px] to the nearest edge of a sector, along the arc; positive in the material.
    inside = r * np.arcsin(np.sin(spokes * angle)) / spokes
    cover = np.clip(inside + 0.5, 0, 1) * np.clip(radius - r + 0.5, 0, 1)
    return (1 + cover * (magnitude * np.exp(1j * phase) - 1)).astype(np.complex64)


def _stretched(name: str, image, shape, limits) -> np.ndarray:
    """Resize an image and map its smallest and largest value to the two limits; float64."""
    skimage = _skimage()
    image = np.asarray(image, dtype=np.float64)
    if image.ndim == 3 and image.shape[-1] in (3, 4):
        image = skimage.color.rgb2gray(image[..., :3])
    if image.ndim != 2:
        raise ValueError(f"{name} has shape {image.shape}; give an image (h, w) or a colour image (h, w, 3 or 4)")
    low, high = limits
    image = skimage.transform.resize(image, tuple(shape), anti_aliasing=True)
    span = image.max() - image.min()
    if span == 0 and low != high:
        raise ValueError(
            f"{name} is {image.flat[0]:g} everywhere and cannot fill the range {limits}: "
            f"give an image with contrast, or a {name}_range of two equal numbers"
        )
    return low + (high - low) * (image - image.min()) / (span or 1.0)


def _skimage():
    try:
        import skimage.color
        import skimage.data
        import skimage.transform
    except ImportError as error:
        raise ImportError('images need scikit-image: pip install "opty-ptycho[images]"') from error
    return skimage

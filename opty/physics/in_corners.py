"""Light that lies round the corners of an image, as an FFT leaves what is in the middle."""

from __future__ import annotations

import numpy as np

CORNER = 0.6  # times the spread of the light: that with the corners of the image in its middle
STRIPS, DARK = 16, 0.1  # of the image: borders; times their light: that of the lines through the middle of a split beam
NARROWER = 0.85  # times its spread


def in_corners(light: np.ndarray) -> bool:
    """Whether the light (n, n) is gathered round the four corners together, as an FFT leaves it."""
    return _spread(np.fft.fftshift(light)) < CORNER * _spread(light)


def split_over_corners(light: np.ndarray) -> bool:
    """Whether the light (n, n) of a beam is split over the four corners together, also of one as wide as the image.

    Its lines through the middle are dark against its borders, and it is narrower with the corners in the middle.
    """
    edge = np.zeros(light.shape, bool)
    k = max(1, len(light) // STRIPS)
    edge[:k] = edge[-k:] = edge[:, :k] = edge[:, -k:] = True
    dark = light[np.fft.fftshift(edge)].mean() < DARK * light[edge].mean()
    return bool(dark and _spread(np.fft.fftshift(light)) < NARROWER * _spread(light))


def _spread(image: np.ndarray) -> float:
    """Return the root mean square distance of the light of an image from its centre of mass [px]."""
    places = np.indices(image.shape)
    middle = [(place * image).sum() / image.sum() for place in places]
    square = sum((place - m) ** 2 for place, m in zip(places, middle, strict=True))
    return float(np.sqrt((square * image).sum() / image.sum()))

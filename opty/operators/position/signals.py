"""What tells of a wrong position: the shift of the object window, of the pattern, and a fit of the residual."""

from __future__ import annotations

import numpy as np

from opty.kernels.least_squares.solve2x2 import solved

_RIDGE = 1e-6  # of the power of the exit wave: what a slope of 0.1 percent a pixel would have


def norms(a):
    """Return the sum of |a|^2 over each image or stack of images a (B, ...), (B,) float64."""
    flat = a.reshape(len(a), 1, -1)
    flat = flat.view(flat.real.dtype)
    return (flat @ flat.swapaxes(1, 2))[:, 0, 0].astype(np.float64)


def other_light(s, b, light):
    """Return the share (B, n, n) of the light on each pixel of the windows that is other views', and all of it.

    ``light`` (H, W) is that of all views on the object.
    """
    power = b.illum_power
    around = s.backend.take_windows(light, b.corners, power.shape[-1])
    share = around - power
    s.xp.maximum(share, 0, out=share)
    share /= s.xp.maximum(around, np.finfo(around.dtype).tiny)
    return share, around


def object_shift(s, b, asked, registration):
    """Return the shift (B, 2) px of the old object window against the updated one: XCORR_A of Guzzi et al. 2022.

    A view that lies at r + d, not at r, pulls its window towards O(r + d): the old one looks moved by d from it.
    """
    _, power = b.gather("obj", b.delta)
    step = asked / power.max(axis=(-2, -1), keepdims=True)
    step += b.patches
    return registration.peak(*(transmissions(s, b, a) for a in (step, b.patches)))


def transmissions(s, b, windows):
    """Return windows (B, n, n) of a thin object; of slices (B, L, n, n) their product, as if they touched.

    Of a mixture it is the state that lets most light of the batch pass.
    """
    if windows.ndim == 3:
        return windows
    if not s.model.mixture:
        return windows.prod(axis=1)
    strongest = (s.xp.abs(b.patches) ** 2).sum(axis=(0, 2, 3)).argmax()
    return s.xp.take(windows, strongest, axis=1)


def pattern_shift(s, b, registration):
    """Return the shift (B, 2) px of the predicted amplitudes against the measured ones: XCORR_B of Guzzi et al. 2022.

    In the near field it is the shift of the object, seen through the beam; in the far field a shift of the sample moves
    no pattern, and what is found comes from where the object's slopes are.
    """
    measured = s.xp.sqrt(b.measured(b.predicted))
    predicted = s.xp.sqrt(b.predicted)
    if (mask := s.measured.mask_of(b.selection)) is not None:
        measured, predicted = s.xp.where(mask, measured, 0), s.xp.where(mask, predicted, 0)
    if s.measured.propagator.kind != "near":
        measured, predicted = (s.xp.fft.fftshift(a, axes=(-2, -1)) for a in (measured, predicted))
    return registration.peak(measured, predicted)


FIT_NUMBERS = 7


def fit_numbers(s, b, asked, share):
    """Return what ``fitted_shifts`` needs of each view, (B, 7): 2 x 3 products of the slopes, and the exit wave's
    power.

    ``share`` (B, n, n) is what each pixel of the window counts, and in ``asked`` already.
    """
    xp, count, n, real = s.xp, b.size, b.n, s.real_dtype
    _, power = b.gather("obj", b.delta)
    o, asked, power = (a.reshape(len(a), -1, n, n) for a in (b.patches, asked, power))  # (B or 1, L, n, n)
    light = xp.abs(o)
    if b.brightness is not None:
        light *= b.brightness[:, None]
    light *= light
    exit_power = power.reshape(len(power), 1, -1) @ light.reshape(count, -1, 1)
    if not s.model.mixture:  # of which each state has light of its own, while slices pass it on
        exit_power /= o.shape[1]
    slopes = xp.zeros((count, 2, *o.shape[1:]), o.dtype)
    xp.subtract(o[:, :, 2:], o[:, :, :-2], out=slopes[:, 0, :, 1:-1])
    xp.subtract(o[..., 2:], o[..., :-2], out=slopes[:, 1, ..., 1:-1])
    right = xp.empty((count, 3, *o.shape[1:]), o.dtype)
    xp.multiply(slopes, (power * share[:, None])[:, None], out=right[:, :2])
    right[:, 2] = asked
    left, right = (a.reshape(count, a.shape[1], -1).view(real) for a in (slopes, right))
    products = left @ right.swapaxes(1, 2)
    return xp.concatenate([products.reshape(count, 6), exit_power[:, 0]], axis=1)


def fitted_shifts(xp, numbers):
    """Return the shifts d (N, 2) px that fit the residuals best: min sum w |dpsi_m - d . P_m grad O|^2 + ridge |d|^2.

    grad O are central differences; a window without structure says nothing of its place: the ridge lets it stay.
    """
    products = numbers[:, :6].reshape(-1, 2, 3)
    ridge = 4 * _RIDGE * numbers[:, 6]
    square = (products[:, 0, 0] + ridge, products[:, 1, 1] + ridge, products[:, 0, 1])
    # The differences span two pixels: half of each is the slope.
    return 2 * solved(xp, square, (products[:, 0, 2], products[:, 1, 2]))

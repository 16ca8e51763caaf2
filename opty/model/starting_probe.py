"""The starting probe: given by the data or the user, or the focused probe of the mean pattern; modes are added."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from opty.data import PtychoData
from opty.data.fields import check_probe
from opty.kernels import numpy_backend
from opty.physics.in_corners import split_over_corners
from opty.physics.optics import lens_probe
from opty.physics.propagation import Propagator
from opty.remedies import here, option


def first_probe(data: PtychoData, modes: int | None, dtype: Any) -> np.ndarray:
    """Return a starting probe (M, n, n): of the data, of the geometry's aperture, or the focus of the mean pattern.

    The last is the inverse transform of the mean amplitude with a flat phase. Power: photons of the brightest view, as
    if the object let all light pass there.
    """
    given = data.probe
    if given is None and data.geometry is not None and data.geometry.semi_angle is not None:
        given = lens_probe(data.geometry, data.n)[None]
    if given is None:
        propagator = Propagator(data.geometry, data.n, numpy_backend, np.complex128)
        probe = propagator.adjoint(propagator.to_kernel_order(data.mean_amplitude()).astype(complex)[None, None])[0]
        given = probe if propagator.kind == "near" else np.fft.fftshift(probe, axes=(-2, -1))
    probe = with_modes(given, modes)
    dark = 0.0 if data.background is None else float(data.background.sum())
    brightest = float(data.photons().max())
    if brightest <= dark:
        raise ValueError(f"the background, {dark:.4g} photons a view, is all of the brightest view, {brightest:.4g}")
    return (probe * math.sqrt((brightest - dark) / (np.abs(probe) ** 2).sum())).astype(dtype)


def given_probe(probe: Any, n: int, modes: int | None, dtype: Any) -> np.ndarray:
    """Return a user's probe as (M, n, n), with modes added up to the number requested; its power is unchanged.

    Raises ValueError where it has another size than the data, or more modes than requested.
    """
    checked = check_probe(probe, n)
    return with_modes(checked, modes).astype(dtype)


def split_probe(probe: np.ndarray) -> str | None:
    """Say that a probe (M, n, n) lies round the four corners of its window, and what to do; None where it does not.

    An FFT leaves it so; opty's probes have their middle at n // 2.
    """
    if not split_over_corners((np.abs(probe) ** 2).sum(axis=0)):
        return None
    shifted = here("give np.fft.fftshift(probe, (-2, -1))", "write it with its middle there (numpy.fft.fftshift)")
    return (
        "the starting probe is split over the four corners of its window, as an FFT leaves it, and opty has its middle "
        f"at n // 2: {shifted}"
    )


def with_modes(probe: np.ndarray, modes: int | None) -> np.ndarray:
    """Add modes to a probe: its first mode times Hermite polynomials of (row, column), made orthogonal to the others.

    Each new mode gets 2 percent of the first mode's power. Source: Thibault, Menzel, Nature 494, 68 (2013) for mixed
    states.
    """
    have = len(probe)
    modes = have if modes is None else modes
    if modes < have:
        raise ValueError(
            f"{option('modes', modes)} but the probe given holds {have} modes: give {option('modes', have)}"
            f"{here(' or fewer of them', '')}"
        )
    if modes == have:
        return probe
    base = probe[0].astype(np.complex128)
    weight = np.abs(base) ** 2 / (np.abs(base) ** 2).sum()
    axes = []
    for x in np.indices(base.shape, dtype=float):
        x -= (x * weight).sum()
        axes.append(x / max(math.sqrt((x**2 * weight).sum()), 1e-12))
    made = [mode.astype(np.complex128) for mode in probe]
    order = 1
    while len(made) < modes:
        for k in range(order + 1):
            if len(made) == modes:
                break
            hermite_row = np.polynomial.hermite_e.hermeval(axes[0], [0] * (order - k) + [1])
            hermite_col = np.polynomial.hermite_e.hermeval(axes[1], [0] * k + [1])
            new = base * hermite_row * hermite_col
            before = np.linalg.norm(new)
            for old in np.linalg.qr(np.reshape(made, (len(made), -1)).T)[0].T:
                new = new - old.reshape(new.shape) * np.vdot(old, new)
            if not np.linalg.norm(new) > 1e-6 * before:
                wanted = option("modes", modes)
                raise ValueError(f"{wanted}: the probe is too small a spot to make more than {len(made)} from it")
            made.append(new * (math.sqrt(0.02) * np.linalg.norm(base) / np.linalg.norm(new)))
        order += 1
    return np.array(made)

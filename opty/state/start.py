"""The start: where the views lie in the object's frame, first guesses of object and probe, and where to compute."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from opty import backend as backends
from opty.backend import numpy_backend
from opty.data import PtychoData
from opty.data.fields import check_extent, check_probe
from opty.physics.propagation import Propagator
from opty.remedies import here, option


def frame(
    positions: np.ndarray, n: int, obj: Any = None, margin: int | None = None
) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the offset (2,) px from positions (N, 2) px to window corners, and the object's shape.

    With an object given the positions are window corners in its frame already; otherwise a margin [px] is left all
    round, for positions that refinement will move: by default a quarter of a pattern.

    Raises ValueError where the object is too small for the positions, or for a margin beside an object.
    """
    if margin is not None and (isinstance(margin, bool) or not isinstance(margin, (int, np.integer)) or margin < 0):
        raise ValueError(f"margin is {margin!r}; give a whole number of pixels from 0 on")
    low, high = np.rint(positions.min(axis=0)), np.rint(positions.max(axis=0))
    if obj is None:
        margin = max(8, n // 4) if margin is None else int(margin)
        rows, cols = (math.ceil(span) + n + 2 * margin for span in np.ptp(positions, axis=0))
        check_extent(positions, n)
        return margin - positions.min(axis=0), (rows, cols)
    if margin is not None:
        raise ValueError(f"margin={margin} beside obj: an object that is given has its own frame; give one of the two")
    if obj.ndim != 2:
        raise ValueError(f"obj has shape {obj.shape}; expected (rows, columns)")
    if (low < 0).any() or (high + n > obj.shape).any():
        need = tuple(int(v) for v in high - np.minimum(low, 0) + n)
        where = f"rows {low[0]:.0f} to {high[0] + n:.0f}, columns {low[1]:.0f} to {high[1] + n:.0f}"
        raise ValueError(
            f"obj has shape {obj.shape} but the windows of {n} x {n} cover {where}: the object must be at least "
            f"{need} with positions counted from its corner; leave obj out and a frame is chosen"
        )
    return np.zeros(2), obj.shape


def check_light(data: PtychoData, dtype: Any) -> None:
    """Refuse counts whose squares a number of the precision ``dtype`` has cannot hold."""
    photons, limit = data.photons(), math.sqrt(np.finfo(dtype).max)
    view = int(np.argmax(photons))
    if not photons[view] < limit:
        remedy = here(", or dtype='complex128'", "") if np.dtype(dtype).itemsize == 8 else ""
        raise ValueError(
            f"view {view} holds {photons[view]:.3g} photons, more than {np.dtype(dtype)} computes with ({limit:.1g}): "
            f"give counts{remedy}"
        )


def first_probe(data: PtychoData, modes: int | None, dtype: Any) -> np.ndarray:
    """Return a starting probe (M, n, n): the one of the data, or the focused probe that the mean pattern implies.

    The focused probe is the inverse transform of the mean amplitude with a flat phase. Power: photons of the brightest
    view, as if the object let all light pass there.
    """
    given = data.probe
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


def given_probe(probe: Any, data: PtychoData, modes: int | None, dtype: Any) -> np.ndarray:
    """Return a user's probe as (M, n, n), with modes added where more are asked for; its power is left alone.

    Raises ValueError where it has another size than the data, or more modes than asked for.
    """
    checked = check_probe(probe, data.n)
    return with_modes(checked, modes).astype(dtype)


def given_seed(seed: Any) -> int:
    """Return a seed, or raise ValueError where it is no whole number from 0 on."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed is {seed!r}; give a whole number from 0 on")
    return int(seed)


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


def on_device(device: str | None) -> str:
    """Return the device that is asked for; by default the GPU where there is one."""
    return ("gpu" if backends.gpu_available() else "cpu") if device is None else device


def complex_type(dtype: Any) -> np.dtype:
    """Return complex64 or complex128; raises TypeError for others."""
    try:
        kind = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"dtype is {dtype!r}; choose 'complex64' or 'complex128'") from None
    if kind not in (np.dtype("complex64"), np.dtype("complex128")):
        raise TypeError(f"dtype is {kind}; choose 'complex64' or 'complex128'")
    return kind


def given_threads(threads: int | None) -> int:
    """Return the number of threads asked for, by default one for each core this process may use."""
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ValueError(f"threads is {threads!r}; give a number from 1 on, or None for all cores")
    return threads

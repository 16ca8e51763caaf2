"""Where probe and object lie in their arrays and in their spectra: freedoms that no pattern shows."""

from __future__ import annotations

from typing import Any

import numpy as np

from opty.algebra.operator import Operator
from opty.algebra.protocols import State
from opty.operators.constrain import states_turn
from opty.physics.centre_of_light import centre_of_light
from opty.physics.propagation import phase_ramp
from opty.physics.spectrum_peak import spectrum_peak
from opty.state.leaves import WINDOWS_MOVED
from opty.state.light import light_on

_STILL = 1e-3  # px: as near to a whole pixel nothing is interpolated


class CentreProbe(
    Operator,
    reads="obj probe positions kept_probe_velocity kept_obj_velocity kept_waves",
    writes="obj probe positions kept_probe_velocity kept_obj_velocity kept_waves",
    slots=WINDOWS_MOVED,
):
    """Move the probe's centre of mass to the middle of its array, and the windows with it: no pattern changes.

    P(r) <- P(r - d), r_j <- r_j - d; kept waves of a view move by as many pixels as its window. The fraction of d is
    the shift in Fourier space by which views see the probe anyway; its whole part moves pixels, and what crosses an
    edge of the array is gone. Where windows would leave the frame of the object, the object moves too, by whole pixels.
    The centre is that of the largest range that lies evenly around it, so that an even noise does not draw it to the
    middle of the array.

    Reads and writes obj, probe (M, n, n), positions (N, 2) px, velocities and kept exit waves where there are any, and
    its memory windows_moved (2,) px, by which ``p.origin`` follows.
    Raises ValueError in the near field, where the pattern would move with the window: the place of the probe is
    measured there.
    Source: Guzzi et al., PeerJ CS 8, e1036 (2022), supplement, Fig. S7; Guizar-Sicairos, Fienup, Opt. Express 16, 7264
    (2008) for the ambiguity.
    """

    scale_free = True
    estimates = False
    outdates = True

    def apply(self, s: State) -> None:
        if s.data.geometry is not None and s.data.geometry.propagation == "near":
            raise ValueError(
                "CentreProbe(): in the near field the detector shows where the probe is, and moving the windows would "
                "move every pattern; leave it out"
            )
        power = s.backend.to_host((s.xp.abs(s.probe) ** 2).sum(axis=0, dtype=np.float64))
        d = -centre_of_light(power)
        d = np.where(np.abs(d - np.rint(d)) < _STILL, np.rint(d), d)
        if not d.any():
            return
        before = s.positions.copy()
        d, follow = self._room(s, d)
        for name in ("probe", "kept_probe_velocity", "opr_modes"):
            if s.has(name):
                setattr(s, name, _moved(s, getattr(s, name), d))
        s.positions = before + s.xp.asarray(follow - d)
        s.create(WINDOWS_MOVED.name)
        s.windows_moved += s.xp.asarray(follow - d)
        self._move_object(s, follow)
        if s.has("kept_waves"):
            self._move_waves(s, before + s.xp.asarray(follow))

    def _room(self, s: State, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return by how much to move the probe and, in whole pixels, the object, so that windows stay in its frame."""
        places = s.backend.to_host(s.positions)
        last = np.array(s.object_shape[-2:]) - s.data.n
        for move in (d, np.rint(d)):  # whole pixels keep the span of the windows
            low, high = (np.rint(end) for end in (places.min(axis=0) - move, places.max(axis=0) - move))
            follow = np.maximum(-low, 0) + np.minimum(last - high, 0)
            if (low + follow >= 0).all() and (high + follow <= last).all():
                break
        return move, follow

    def _move_object(self, s: State, follow: np.ndarray) -> None:
        """Move the object; what comes in at an edge repeats the last pixel there."""
        if not follow.any():
            return
        for axis, (by, size) in enumerate(zip(follow, s.object_shape[-2:], strict=True)):
            from_where = s.xp.asarray(np.clip(np.arange(size) - int(by), 0, size - 1))
            s.obj = s.xp.take(s.obj, from_where, axis=axis - 2)
            if s.has("kept_obj_velocity"):
                s.kept_obj_velocity = s.xp.take(s.kept_obj_velocity, from_where, axis=axis - 2)

    def _move_waves(self, s: State, before: Any) -> None:
        """Move the waves of each view in its window by as many pixels as the window has moved, against it."""
        moves = s.backend.to_host(s.xp.rint(before) - s.xp.rint(s.positions)).astype(int)
        waves = s.kept_waves
        for j, by in enumerate(moves):  # one view at a time: the kept waves may fill the memory
            if by.any():
                waves[j] = _by_pixels(s.xp, waves[j], by)


class RemoveRamp(
    Operator,
    reads="obj probe positions kept_probe_velocity kept_obj_velocity kept_waves",
    writes="obj probe kept_probe_velocity kept_obj_velocity kept_waves",
):
    """Remove the phase ramp of the object, and give the probe the opposite one: no pattern changes.

    O(r) <- O(r) exp(-2 pi i k . r), P(r) <- P(r) exp(2 pi i k . r); k is where |F [W O]| has its peak, W =
    L / (L + <L>) with L the light that fell on each pixel. A clear object, or one that changes the phase little, then
    has its spectrum in the middle, and its phase does not run. Of several slices the first one, which the probe meets.
    Of a mixture all states, k that of the strongest (``OrthogonaliseStates``).

    Exact where positions are whole pixels, in the near field too. Else views see the probe moved by the fraction in
    Fourier space, and patterns stay as far as the probe is dark at the edge of its spectrum and, unless k is a whole
    number of detector pixels, at that of its array: to 1e-8 and 1e-7 of the patterns for a smooth spot, to 1e-3 for one
    with 1.5 percent of white noise.

    Parameters: whole, remove the nearest ramp of whole detector pixels.
    History: "ramp_row", "ramp_column", what was removed, n k [pixels of the detector: periods across a window].
    Reads and writes obj, probe (M, n, n), velocities and kept exit waves where there are any; reads positions.
    Source: Guzzi et al., PeerJ CS 8, e1036 (2022), supplement, Fig. S6.
    """

    whole: bool = False
    scale_free = True
    estimates = False
    outdates = True

    def apply(self, s: State) -> None:
        light = light_on(s.store)
        image = s.obj if s.obj.ndim == 2 else s.obj[0]
        if s.model.mixture:
            strongest = states_turn(s, light)[0]
            image = s.xp.tensordot(s.backend.asarray(strongest, dtype=s.dtype), s.obj, 1)
        k = spectrum_peak(image, light / (light + light.mean()), s.backend, s.threads)
        if self.whole:
            k = np.rint(k * s.data.n) / s.data.n
        for name, turns in zip(("ramp_row", "ramp_column"), k, strict=True):
            s.record(name, float(turns * s.data.n))
        for name in ("obj", "kept_obj_velocity"):
            if s.has(name):
                whole = s.obj.ndim == 2 or s.model.mixture
                first = getattr(s, name) if whole else getattr(s, name)[0]
                first *= _ramp(s, first.shape[-2:], -k)
        for name in ("probe", "kept_probe_velocity", "opr_modes"):
            if s.has(name):
                setattr(s, name, getattr(s, name) * _ramp(s, (s.data.n, s.data.n), k))
        if s.has("kept_waves"):
            middles = np.array(s.object_shape[-2:]) // 2 - s.data.n // 2
            turns = (s.xp.asarray(middles) - s.positions) @ s.xp.asarray(k)
            waves = s.kept_waves
            for j, factor in enumerate(s.xp.exp(2j * np.pi * turns).astype(s.dtype)):
                waves[j] *= factor


def _moved(s: State, waves: Any, d: np.ndarray) -> Any:
    """Return waves (M, n, n) moved by d (2,) px: the fraction in Fourier space, then whole pixels."""
    whole = np.rint(d)
    if np.abs(d - whole).max() > 0:
        row, col = phase_ramp(s.xp.asarray(d - whole)[None], s.data.n, s.xp, s.dtype)
        spectrum = s.backend.fft2(waves, threads=s.threads)
        spectrum *= row
        spectrum *= col
        waves = s.backend.ifft2(spectrum, True, s.threads)
    return _by_pixels(s.xp, waves, whole.astype(int))


def _by_pixels(xp: Any, waves: Any, by: np.ndarray) -> Any:
    """Return waves (..., n, n) moved by whole pixels; zeros come in at the edges."""
    out, n = xp.zeros_like(waves), waves.shape[-1]
    into = tuple(slice(max(b, 0), n + min(b, 0)) for b in by)
    out_of = tuple(slice(max(-b, 0), n - max(b, 0)) for b in by)
    out[(..., *into)] = waves[(..., *out_of)]
    return out


def _ramp(s: State, shape: tuple[int, ...], k: np.ndarray) -> Any:
    """Return exp(2 pi i k . r) of this shape, r from the middle, in the type of the state."""
    row, col = (
        np.exp(2j * np.pi * turns * (np.arange(size) - size // 2)) for turns, size in zip(k, shape, strict=True)
    )
    return s.xp.asarray((row[:, None] * col).astype(s.dtype))

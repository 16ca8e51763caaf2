"""Position refinement: where each view really was."""

from __future__ import annotations

import numpy as np

from opty.algebra.operator import ViewOperator
from opty.operators.lsq import solved
from opty.operators.registration import Registration

_RIDGE = 1e-6  # of the power of the exit wave: what a slope of 0.1 percent a pixel would have


class PosCorrectAdam(
    ViewOperator,
    reads="delta illum patches positions adam_mean adam_square adam_count",
    writes="positions adam_mean adam_square adam_count",
):
    """Move each position by Adam, fed with the shift between its old and its updated object window.

    The window is updated as ePIE would, O' = O + sum_m conj(P_m) dpsi_m / max S, whatever engine it serves; the shift
    is the sub-pixel peak of the cross-correlation of O' and O under a soft radial mask, taken as the gradient of a
    per-position, per-axis Adam. Steps shrink as step / sqrt(1 + t / decay), t the count of a view's own updates; the
    mean of all positions, which no data can tell, is held; windows stay inside the object.

    Parameters
    ----------
    step : length of the first steps [px].
    decay : updates after which the steps shrink; 0 for never.
    beta1, beta2 : decay rates of Adam's running mean and square.

    Reads delta, illum, patches; writes positions (N, 2) px and its moments adam_mean, adam_square (N, 2), adam_count
    (N,).
    Source: Guzzi et al., PeerJ CS 8, e1036 (2022), Eqs. 4, 7, 8 (signal XCORR_A); Kingma, Ba, arXiv:1412.6980 (2014).
    """

    step: float = 0.2
    decay: float = 20.0
    beta1: float = 0.9
    beta2: float = 0.999
    knob = "a smaller step of PosCorrectAdam, or starting it later with After(20, PosCorrectAdam())"

    def check(self):
        if not self.step > 0:
            raise ValueError(f"PosCorrectAdam(step={self.step}): give a step above 0, in pixels")
        if not self.decay >= 0:
            raise ValueError(f"PosCorrectAdam(decay={self.decay}): give a number of updates from 0 (no decay) on")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"PosCorrectAdam({name}={getattr(self, name)}): give a rate from 0 up to, not with, 1")

    def begin(self, s):
        views = s.data.views
        for name in ("adam_mean", "adam_square"):
            s.create(name, (views, 2), np.float64)
        s.create("adam_count", (views,), np.float64)
        s.memo["centre"] = s.positions.mean(axis=0)
        s.memo["registration"] = Registration(s.data.n, s.backend, s.dtype)

    def apply(self, s, b):
        # A view that lies at r + d, not at r, pulls its window towards O(r + d): the old one looks moved by d from it.
        shift = s.memo["registration"].peak(b.patches + _window_step(s.xp, b), b.patches)
        views, xp = b.selection, s.xp
        s.adam_count[views] += 1
        t = s.adam_count[views][:, None]
        mean = self.beta1 * s.adam_mean[views] + (1 - self.beta1) * shift
        square = self.beta2 * s.adam_square[views] + (1 - self.beta2) * shift**2
        s.adam_mean[views], s.adam_square[views] = mean, square
        step = self.step / xp.sqrt(1 + t / self.decay) if self.decay else self.step
        unbiased = mean / (1 - self.beta1**t)
        moved = s.positions[views] + step * unbiased / (xp.sqrt(square / (1 - self.beta2**t)) + 1e-8)
        s.positions[views] = kept_inside(s, moved)

    def finish(self, s):
        hold_centre(s, s.memo["centre"])


class PosCorrectGradient(ViewOperator, reads="delta illum patches positions", writes="positions"):
    """Move each position by a least-squares fit of its residual: r_j <- r_j + gain d_j.

    d_j minimises sum_m |dpsi_jm - d . P_m grad O|^2 + ridge |d|^2, both axes together: what the residual holds of the
    change that the exit wave makes where the object moves under the probe. grad O are central differences, which in the
    near field, where the wave fills its window, measured better than the Fourier derivative with its jump at the edges.
    Each step is cut to ``largest``; the mean of all positions, which no data can tell, is held; windows stay inside the
    object.

    Parameters
    ----------
    gain : length of the step in units of the fit; more than 1 because most of the residual is what no shift explains.
    largest : longest step [px].

    Reads delta (B, M, n, n), illum, patches; writes positions (N, 2) px.
    Source: Mandula et al., J. Appl. Cryst. 49, 1842 (2016), as in PyNX; Odstrcil et al., Opt. Express 26, 3108 (2018),
    Eq. 26.
    """

    gain: float = 2.0
    largest: float = 1.0
    knob = "a smaller gain of PosCorrectGradient, or starting it later with After(20, PosCorrectGradient())"

    def check(self):
        for name in ("gain", "largest"):
            if not getattr(self, name) > 0:
                raise ValueError(f"PosCorrectGradient({name}={getattr(self, name)}): give a number above 0")

    def begin(self, s):
        s.memo["centre"] = s.positions.mean(axis=0)

    def apply(self, s, b):
        xp = s.xp
        step = self.gain * fitted_shift(xp, b)
        length = xp.sqrt((step**2).sum(axis=1, keepdims=True))
        step *= self.largest / xp.maximum(length, self.largest)
        s.positions[b.selection] = kept_inside(s, s.positions[b.selection] + step)

    def finish(self, s):
        hold_centre(s, s.memo["centre"])


def fitted_shift(xp, b):
    """Return the shifts d (B, 2) px that fit the residuals of a batch best."""
    rows, cols = xp.zeros_like(b.patches), xp.zeros_like(b.patches)
    rows[:, 1:-1] = (b.patches[:, 2:] - b.patches[:, :-2]) / 2
    cols[:, :, 1:-1] = (b.patches[:, :, 2:] - b.patches[:, :, :-2]) / 2
    asked = (b.illum.conj() * b.delta).sum(axis=1)

    def dot(u, v, weight=1):
        return (weight * (u.real * v.real + u.imag * v.imag)).sum(axis=(1, 2), dtype=np.float64)

    # A window without structure says nothing of its place: the ridge lets it stay.
    ridge = _RIDGE * dot(b.patches, b.patches, b.illum_power)
    square = [dot(rows, rows, b.illum_power) + ridge, dot(cols, cols, b.illum_power) + ridge]
    return solved(xp, (*square, dot(rows, cols, b.illum_power)), (dot(rows, asked), dot(cols, asked)))


def _window_step(xp, b):
    """Return the change of each object window (B, n, n) that its own wave asks for."""
    step = b.illum.conj() * b.delta
    step = step[:, 0] if step.shape[1] == 1 else step.sum(axis=1)
    step /= b.illum_power.max(axis=(1, 2), keepdims=True)
    return step


def kept_inside(s, positions):
    """Return positions with every window inside the object."""
    largest = s.xp.asarray([size - s.data.n for size in s.object_shape], dtype=positions.dtype)
    return s.xp.clip(positions, 0, largest)


def hold_centre(s, centre) -> None:
    """Move all positions together so that their mean is ``centre`` again: a common shift changes no pattern."""
    s.positions = kept_inside(s, s.positions + (centre - s.positions.mean(axis=0)))

"""The part of a scan on which ``auto`` tries recipes: few views, no finer than needed, some pixels held out."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.algebra.operator import Operator
from opty.analysis.held_blocks import Withheld, withhold
from opty.analysis.orientation import middle
from opty.data import PtychoData
from opty.operators.coarse import Level, worth
from opty.ptycho_state import PtychoState
from opty.recipes import LSQML
from opty.runtime.execute import turns
from opty.search.trial import Trial

if TYPE_CHECKING:
    from opty.search.start import Begin

PIXELS = 100 * 128**2  # of the detector, in all views of the part
FEWEST, MOST = 60, 100  # views of the part
COARSEST, KEPT = 64, 0.9  # pixels along an edge, and share of the light, of a lower resolution that is enough
DEFOCUSED = 0.5  # rad at the usual spatial frequency: how far the other start is from the first


class Part:
    """A start with its scan, ``whole``, and the middle of it, ``data``, on which recipes are tried.

    ``ratio`` : times the work of a trial that a run on the whole scan takes. ``held`` : the pixels that are held out.
    ``modes`` : of the start. ``known`` : the trials from this start, by recipe and modes. ``machine`` : device, threads
    and deterministic, as for PtychoState.
    """

    def __init__(self, begin: Begin, seed: int, machine: dict[str, Any]):
        self.begin, self.whole = begin, begin.data
        self._seed, self._machine = seed, machine
        given = self.whole.probe if begin.probe is None else begin.probe
        self.modes = 1 if given is None else len(given)
        self._fine = middle(self.whole, min(MOST, max(FEWEST, PIXELS // self.whole.n**2)))
        self._factor = _factor(self._fine)
        self.data: PtychoData = self.start(self.modes).data
        self.ratio = self.whole.views / self.data.views * self._factor**2
        self.held: Withheld = withhold(self.data, seed)
        self.known: dict[tuple[Operator, int], Trial] = {}

    @functools.cached_property
    def longer(self) -> float:
        """Times the clock of a trial that a run on the whole scan takes, by a sweep of each, or ``ratio`` if more."""
        sweeps = []
        for p in (self.start(self.modes), self.state(self.whole, self.modes)):
            done = turns(LSQML(batch=8) ** 2, p)
            next(done)  # what is made once for a run
            began = time.perf_counter()
            next(done)
            sweeps.append(time.perf_counter() - began)
            done.close()  # type: ignore[attr-defined]
        return max(self.ratio, sweeps[1] / sweeps[0])

    def state(self, data: PtychoData, modes: int) -> PtychoState:
        """Return the state from which a run on some data starts."""
        return PtychoState(data, self.begin.probe, modes=modes, seed=self._seed, **self._machine)

    def start(self, modes: int) -> Any:
        """Return the state from which trials start: coarser where that is enough."""
        fine = self.state(self._fine, modes)
        return fine if self._factor == 1 else Level(fine._live, self._factor).down()

    def other_start(self, modes: int) -> Any:
        """Return another one, out of focus, to see whether a run from there comes to the same."""
        first = self.start(modes)
        return first.replace(probe=_defocused(first.numpy("probe"), DEFOCUSED))


def _factor(data: PtychoData) -> int:
    """Return how many times coarser trials may be: while patterns have 64 pixels along an edge, and nine tenths of the
    light are kept."""
    factor = 1
    while data.n // (2 * factor) >= COARSEST and worth(data, 2 * factor, KEPT):
        factor *= 2
    return factor


def _defocused(probe: np.ndarray, phase: float) -> np.ndarray:
    """Return a probe (M, n, n) with a quadratic phase in Fourier space, ``phase`` [rad] at the root mean square q."""
    q = np.fft.fftfreq(probe.shape[-1])
    q2 = q[:, None] ** 2 + q**2
    spectrum = np.fft.fft2(np.fft.ifftshift(probe, axes=(-2, -1)))
    light = (np.abs(spectrum) ** 2).sum(axis=0)
    turned = spectrum * np.exp(1j * phase * q2 * light.sum() / max((light * q2).sum(), 1e-30))
    return np.fft.fftshift(np.fft.ifft2(turned), axes=(-2, -1))

"""The power of the probe in live sweeps: it must not grow without limit beside pixels in the dark.

Each view adds some of its noise to object and probe. If the probe takes longer steps than the object, its power grows
from sweep to sweep, and |O| shrinks where there is light. Pixels that hardly any light reaches keep their |O|, become
the largest ones, and spoil the probe: rPIE with three modes diverged on a real scan after 100 sweeps. So from time to
time the probe is divided by what it has gained, and the object multiplied by it, but only where there is light. In a
loop in which a step gives object and probe a scale, that scale stays: the pixels in the dark are divided instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, SupportsFloat

import numpy as np

from opty.kernels.update.scaling import WEAK
from opty.model.sample import transmission
from opty.state.leaves import HELD_POWER
from opty.state.light import rough_light
from opty.state.store import Store

EVERY = 8  # iterations before the first look, and from one to the next
# Times the power after the first EVERY iterations. With 1.3 the object of scans of 1e3 photons a view came out 1 to 3
# percent worse after 120 sweeps, and of 1e4 and more better on some and worse on others.
_LEFT = 4.0
_OFF = 4 ** (1 / 8)  # times the power that is held: more is brought back
_DARK = 0.01  # of the usual light: a pixel with so much follows half of the way
_TINY = 1e-30
_FLOOR = 4 ** (0.25 - WEAK)  # of the brightest view, above the power at which all pixels are scaled


class HeldPower:
    """Keeps the probe (M, n, n) of a run from growing: P <- P g, O <- O g^(-w) every ``EVERY`` iterations at most.

    w = S / (S + d S'), S = sum_j S_j the light on a pixel, S' its mean over the light. What counts is sum |P|^2 times
    the mean of |O|^2 with the weights 1 - w: no scale changes it. It may grow to ``_LEFT`` times what it was after
    iteration ``EVERY``, or to a third of the photons of the brightest view, the larger. Where the scale is given, only
    O <- O g^(1 - w). What is seen in one sweep is acted on in the next one, so that the host need not wait for the
    device. Leaf held_power: the largest power, the one seen that was not acted on yet, or 0, and the iteration of the
    last look.
    """

    def __init__(self, store: Store):
        self._store = store
        self._at: float | None = None  # of the last look; None where it is in the leaf only
        self._grown: SupportsFloat | None = None  # the power seen over the one held, not acted on yet

    def swept(self, brightest: float, moved: Mapping[str, tuple[Any, int]], free: bool) -> None:
        """Look at the probe after a live sweep that updates object and probe, or act on the last look.

        ``brightest`` : photons of the brightest view. ``moved`` : all that goes with the scale, by name, and the power
        of g by which it does. ``free`` : no step gives object and probe a scale.
        """
        store = self._store
        if store.iteration < EVERY:
            return
        if HELD_POWER.name not in store.leaves:
            power = self._power()
            self._keep(store.xp.maximum(_LEFT * power, brightest * _FLOOR), 0 * power)
            self._grown = None
        elif self._known() is not None:
            grown, self._grown = float(self._grown or 0), None
            held = store.leaves[HELD_POWER.name][0]
            self._write(held, 0 * held)
            if math.isfinite(grown) and grown > _OFF:
                self._bring_back(held, moved, free)
        elif store.iteration - (self._at or 0) >= EVERY:
            held, power = store.leaves[HELD_POWER.name][0], self._power()
            self._keep(held, power)
            self._grown = store.backend.number(power / held, 1.0)

    def _known(self) -> SupportsFloat | None:
        """Return what is to be acted on; of a state that comes from elsewhere, what its leaf says."""
        if self._at is None:
            held, seen, self._at = self._store.backend.to_host(self._store.leaves[HELD_POWER.name]).tolist()
            self._grown = seen / held if seen else None
        return self._grown

    def _power(self) -> Any:
        store, xp = self._store, self._store.xp
        probe, dark = store.leaves["probe"], 1 - self._light()
        o = transmission(store.leaves["obj"], store.model.mixture)
        power = (probe.real**2 + probe.imag**2).sum(dtype=np.float64)
        return (
            power
            * ((o.real**2 + o.imag**2) * dark).sum(dtype=np.float64)
            / xp.maximum(dark.sum(dtype=np.float64), _TINY)
        )

    def _light(self) -> Any:
        """Return w (H, W): 1 where there is light, 0 in the dark."""
        xp, light = self._store.xp, rough_light(self._store)
        light /= xp.maximum(light.max(), _TINY)
        return light / (light + _DARK * xp.maximum((light**2).sum() / xp.maximum(light.sum(), _TINY), _TINY))

    def _keep(self, held: Any, seen: Any) -> None:
        self._at = float(self._store.iteration)
        self._write(held, seen)

    def _write(self, held: Any, seen: Any) -> None:
        # A new array: others may hold the old one.
        self._store.leaves[HELD_POWER.name] = self._store.xp.stack([held, seen, 0 * held + self._at])

    def _bring_back(self, held: Any, moved: Mapping[str, tuple[Any, int]], free: bool) -> None:
        store, xp = self._store, self._store.xp
        octaves = (0.5 * xp.log2(held / self._power())).astype(store.real_dtype)
        light = self._light()
        for name, (a, exponent) in moved.items():
            if store.declared[name].grid == "frame":
                a *= xp.exp2(octaves * exponent * (light if free else light - 1))
            elif free:
                a *= xp.exp2(octaves * exponent)

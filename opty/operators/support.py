"""Where the probe may be: a support in the plane of the sample, or of its Fourier transform."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from opty.algebra.operator import Operator
from opty.algebra.protocols import State
from opty.operators import variation

_LEAST = 0.5  # px: a smaller radius was meant in metres


class Support(Operator, reads="probe", writes="probe"):
    """Confine the probe to a region of real or Fourier space.

    P_m <- W P_m, or F^-1 [W F P_m]: the probe is kept where the weight W lets it be.

    Parameters
    ----------
    region : radius [px] of a disc round the centre, or the name of an array of weights (n, n) from 0 to 1 that the
        state holds, centred: ``p = p.replace(arrays={"pinhole": weights})``, then ``Support("pinhole")``.
    plane : "real" (the sample) or "fourier" (its transform: the aperture of a lens, in pixels of the detector).
    edge : width [px] over which the disc fades; 0 for a hard one.

    What varies of a probe is kept where the probe is.
    Reads and writes probe (M, n, n).
    Raises ValueError where the named array has another shape.
    Source: Thibault et al., Ultramicroscopy 109, 338 (2009), Sec. 4 for the use of a support of the probe.
    """

    over_ranks = True

    region: float | str
    plane: Literal["real", "fourier"] = "real"
    edge: float = 0.0
    scale_free = True
    estimates = False

    def check(self) -> None:
        if isinstance(self.region, str):
            if not self.region.isidentifier():
                raise ValueError(f"Support({self.region!r}): a named array has a name like 'pinhole'")
            if self.edge:
                raise ValueError(f"Support({self.region!r}, edge={self.edge}): give the edge with the array of weights")
        elif not self.region >= _LEAST:
            raise ValueError(f"Support({self.region}): give a radius in pixels, from {_LEAST} on")
        if self.edge < 0:
            raise ValueError(f"Support(edge={self.edge}): give a width from 0 (hard) up, in pixels")

    def effects(self) -> tuple[frozenset[str], frozenset[str]]:
        named = {self.region} if isinstance(self.region, str) else set()
        return self.reads | named, self.writes

    def apply(self, s: State) -> None:
        weight = self._weight(s)
        s.probe = self._kept(s, s.probe, weight)
        if variation.varies(s):
            s.opr_modes = self._kept(s, s.opr_modes, weight)
            variation.settle(s)

    def _kept(self, s: State, waves: Any, weight: Any) -> Any:
        if self.plane == "real":
            return waves * weight
        spectrum = s.backend.fft2(waves, threads=s.threads)
        spectrum *= s.xp.fft.ifftshift(weight)
        return s.backend.ifft2(spectrum, True, s.threads)

    def _weight(self, s: State) -> Any:
        n = s.data.n
        if isinstance(self.region, str):
            weight = getattr(s, self.region)
            if weight.shape != (n, n):
                raise ValueError(f"{self!r}: the array {self.region!r} has shape {weight.shape}; expected ({n}, {n})")
            return weight.astype(s.real_dtype)
        x = np.arange(n) - n // 2
        beyond = np.hypot(x[:, None], x) - self.region
        weight = np.clip(0.5 - beyond / self.edge, 0, 1) if self.edge else beyond <= 0
        return s.backend.asarray(weight, dtype=s.real_dtype)

"""The beam moved to where the views lie, by fractions of a pixel in Fourier space, and brought back."""

from __future__ import annotations

from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from opty.physics.propagation import phase_ramp


class Spectra(NamedTuple):
    """The Fourier transforms (B, M, n, n) of waves, in the place of the waves: chi that returns to a steady probe."""

    of_views: Any


class Moves(NamedTuple):
    """A stage that moves while a view is taken: state s lies ``places[s]`` (S,) times ``travel`` (B, 2) px beside."""

    places: Any
    travel: Any


class MovedBeam:
    """What views do to a beam: part of ``ModelViews``, which says what the attributes are."""

    fraction: Any
    brightness: Any
    n: int
    dtype: np.dtype
    threads: int
    backend: ModuleType

    if TYPE_CHECKING:

        @property
        def xp(self) -> Any: ...

        @property
        def patches(self) -> Any: ...

        def leaf(self, name: str) -> Any: ...

    @cached_property
    def ramp(self) -> tuple[Any, Any]:
        """Row and column factors of the Fourier shift by ``fraction``, with an axis for the modes."""
        row, col = phase_ramp(self.fraction, self.n, self.xp, self.dtype)
        return row[:, None], col[:, None]

    def _illum_spectrum(self) -> Any:
        """Return the spectrum of the probe as each view sees it, (B or 1, M, n, n): transforms of the probe alone."""
        spectrum = self.backend.fft2(self.leaf("probe"), threads=self.threads)[None]
        if self.fraction is not None:
            spectrum = spectrum * self.ramp[0]
            spectrum *= self.ramp[1]
        return spectrum if self.brightness is None else spectrum * self.brightness[:, None]

    def shift(self, spectrum: Any) -> Any:
        """Return waves (B, M, n, n) moved by ``fraction``, from their spectrum (B or 1, M, n, n); may overwrite it."""
        row, col = self.ramp
        moved = spectrum * row
        moved *= col
        return self.backend.ifft2(moved, True, self.threads)

    def as_seen(self, probe: Any) -> Any:
        """Return a probe, or a change of it, as each view sees it, (B or 1, M, n, n): one for all (M, n, n), or one for
        each (B, M, n, n).
        """
        each = probe if probe.ndim == 4 else probe[None]
        seen = each if self.fraction is None else self.shift(self.backend.fft2(each, threads=self.threads))
        return seen if self.brightness is None else seen * self.brightness[:, None]

    def on_source(self, waves: Any) -> Any:
        """Return the adjoint of ``as_seen``: waves (B, M, n, n) at the entrance summed to (M, n, n); may overwrite.

        They may be given by their ``Spectra``.
        """
        if isinstance(waves, Spectra):
            spectra = waves.of_views if self.brightness is None else waves.of_views * self.brightness[:, None]
            back = spectra if self.fraction is None else self._moved_back(spectra)
            return self.backend.ifft2(back.sum(axis=0), True, self.threads)
        if self.brightness is not None:
            waves = waves * self.brightness[:, None]
        if self.fraction is None:
            return waves[0] if len(waves) == 1 else waves.sum(axis=0)
        return self.backend.ifft2(self.unshifted(waves).sum(axis=0), True, self.threads)

    def unshifted(self, waves: Any) -> Any:
        """Return the spectra of waves (B, M, n, n), each moved back by ``fraction``; may overwrite them."""
        return self._moved_back(self.backend.fft2(waves, True, self.threads))

    def _moved_back(self, spectrum: Any) -> Any:
        row, col = self.ramp
        spectrum *= row.conj()
        spectrum *= col.conj()
        return spectrum

    def on_probe(self, waves: Any) -> Any:
        """Return sum_j conj(O_j) waves_j (M, n, n), the adjoint of ``as_seen`` times the patches; keeps the waves."""
        return self.on_source(self.patches.conj()[:, None] * waves)

"""The Fourier projection: put the measured modulus on the waves at the detector."""

from __future__ import annotations

from typing import Any

from opty.algebra.operator import ViewOperator
from opty.algebra.protocols import State, Views


class FourierProject(ViewOperator, reads="waves", writes="waves delta predicted"):
    """Replace the modulus at the detector by the measured one, modes together: Psi'_m = Psi_m sqrt(I / Ihat).

    Ihat = sum_m |Psi_m|^2 + background. A masked pixel keeps its predicted value. Measures the misfit
    sum w (sqrt I - sqrt Ihat)^2 of the waves that it is given.

    Reads waves (B, M, n, n); writes waves (projected) and delta = projected minus given waves, both (B, M, n, n), and
    predicted = Ihat (B, n, n) [photons] in the order of the transform.
    Source: Thibault, Menzel, Nature 494, 68 (2013) for incoherent modes; Maiden, Rodenburg, Ultramicroscopy 109, 1256
    (2009).
    """

    over_ranks = True
    measures = True
    opens = frozenset({"delta", "predicted"})

    def apply(self, s: State, b: Views) -> None:
        there = at_detector(s, b, overwrite=False)
        b.predicted = intensity_of(s, b, there)
        b.delta = projected(s, b, there, difference=True)
        b.waves = b.waves + b.delta


class _Lean(ViewOperator, register=False):
    """FourierProject without unused outputs, in the buffer of the waves; ``predicted`` says whether Ihat is read.

    Waves that are a view of something kept (``base``) are left alone.
    """

    over_ranks = True

    predicted: bool = False
    projects = True  # one that writes no delta compares with the data all the same
    measures = True

    def effects(self) -> tuple[frozenset[str], frozenset[str]]:
        return self.reads, self.writes | {"predicted"} if self.predicted else self.writes

    def detector_waves(self, s: State, b: Views) -> Any:
        """Return the waves at the detector, having noted their intensity where it is read."""
        there = at_detector(s, b, overwrite=b.waves.base is None)
        if self.predicted:
            b.predicted = intensity_of(s, b, there)
        return there


class DeltaProject(_Lean, reads="waves", writes="waves delta", register=False):
    """FourierProject where no step reads the projected waves."""

    def apply(self, s: State, b: Views) -> None:
        b.delta = projected(s, b, self.detector_waves(s, b), difference=True)
        b.drop("waves")


class WaveProject(_Lean, reads="waves", writes="waves", register=False):
    """FourierProject where no step reads delta."""

    def apply(self, s: State, b: Views) -> None:
        b.waves = projected(s, b, self.detector_waves(s, b), difference=False)


class IntensityOnly(_Lean, reads="waves", writes="waves", register=False):
    """FourierProject where steps read the intensity alone: no transform back to the sample."""

    def apply(self, s: State, b: Views) -> None:
        put_modulus(s, b, self.detector_waves(s, b), difference=True)
        b.drop("waves")


def at_detector(s: State, b: Views, overwrite: bool) -> Any:
    """Return the detector waves of b.waves."""
    return b.at_detector(b.waves, overwrite)


def intensity_of(s: State, b: Views, there: Any) -> Any:
    """Return Ihat (B, n, n) of detector waves (B, M, n, n), with the background."""
    power = b.intensity(there)
    if s.incoherent is not None:
        power += s.incoherent
    return power


def put_modulus(s: State, b: Views, there: Any, difference: bool) -> None:
    """Put the measured modulus on detector waves, in place, and leave their misfit on the batch."""
    b.add_misfit(b.put_modulus(there, s.incoherent, difference))


def projected(s: State, b: Views, there: Any, difference: bool) -> Any:
    """Return the projected waves at the sample, or their difference to the given ones; overwrites the detector's."""
    put_modulus(s, b, there, difference)
    return b.from_detector(there)

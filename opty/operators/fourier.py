"""The Fourier projection: put the measured modulus on the waves at the detector."""

from __future__ import annotations

from opty.algebra.operator import ViewOperator


class FourierProject(ViewOperator, reads="waves", writes="waves delta"):
    """Replace the modulus at the detector by the measured one, modes together: Psi'_m = Psi_m sqrt(I / Ihat).

    Ihat = sum_m |Psi_m|^2 + background. A masked pixel keeps its predicted value. Measures the misfit
    sum w (sqrt I - sqrt Ihat)^2 of the waves that it is given.

    Reads waves (B, M, n, n); writes waves (projected) and delta = projected minus given waves, both (B, M, n, n).
    Source: Thibault, Menzel, Nature 494, 68 (2013) for incoherent modes; Maiden, Rodenburg, Ultramicroscopy 109, 1256
    (2009).
    """

    def apply(self, s, b):
        b.delta = project(s, b, b.waves, difference=True, overwrite=False)
        b.waves = b.waves + b.delta


class DeltaProject(ViewOperator, reads="waves", writes="waves delta", register=False):
    """FourierProject where nobody reads the projected waves: makes only delta, in the buffer of the waves.

    Waves that are a view of something kept (``base``) are left alone.
    """

    def apply(self, s, b):
        b.delta = project(s, b, b.waves, difference=True, overwrite=b.waves.base is None)
        b.drop("waves")


class WaveProject(ViewOperator, reads="waves", writes="waves", register=False):
    """FourierProject where nobody reads delta: works in the buffer of the waves."""

    projects = True  # it writes no delta, by which the plan knows that a pass compares with the data

    def apply(self, s, b):
        b.waves = project(s, b, b.waves, difference=False, overwrite=b.waves.base is None)


def project(s, b, waves, difference: bool, overwrite: bool):
    """Return the projected waves, or their difference to the given ones, and leave the misfit on the batch."""
    propagator, measured = s.measured.propagator, s.measured
    there = propagator.forward(waves, b.fraction, overwrite, s.threads)
    misfit = s.backend.fourier_modulus(
        there, measured.intensity_of(b.selection), measured.mask_of(b.selection), s.incoherent, difference
    )
    b.add_misfit(misfit)
    return propagator.adjoint(there, b.fraction, True, s.threads)

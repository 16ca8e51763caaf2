"""Freedoms of the problem, fixed: the scale between object and probe, the basis of the probe modes."""

from __future__ import annotations

import numpy as np

from opty.algebra.effects import KEPT
from opty.algebra.operator import Operator
from opty.analysis.misfit import compare
from opty.state.batch import sweep_batches


class ScaleObjProbe(Operator, reads="obj probe positions background", writes="obj probe kept_waves"):
    """Scale object and probe: predicted photons equal measured ones, and the lit object has a mean magnitude of one.

    First P <- P sqrt(sum (I - b) / sum (Ihat - b)), b the background, then O <- O / g, P <- P g with
    g = sum |O| W / sum W, W = sum_j S_j the light that fell on each pixel: the probe's power is then the photons that a
    view would have through a clear object.

    Reads obj, probe, positions, background; writes obj, probe (kept waves, which would no longer fit, are dropped).
    Source: Favre-Nicolin et al., J. Appl. Cryst. 53, 1404 (2020) for the operator; the convention of scale is opty's.
    """

    frees = frozenset({KEPT})

    def apply(self, s):
        sums = compare(s)
        dark = _background_photons(s)
        ratio = max(sums.measured - dark, 0) / max(sums.predicted - dark, 1e-300)
        probe = s.probe
        probe *= s.xp.asarray(ratio**0.5 if ratio > 0 else 1, dtype=s.real_dtype)
        light = light_on(s.store)
        mean = (s.xp.abs(s.obj) * light).sum() / light.sum()
        obj = s.obj
        obj /= mean
        probe *= mean
        s.drop(KEPT)


def _background_photons(s) -> float:
    """Return the photons that the background brings to the unmasked pixels of all views."""
    if s.incoherent is None:
        return 0.0
    mask, views = s.measured.mask, s.data.views
    seen = views if mask is None else mask.sum(axis=0) if mask.ndim == 3 else mask * views
    return float((s.incoherent * seen).sum())


def light_on(store):
    """Return sum_j S_j (H, W) real [photons]: the light that fell on each pixel of the object."""
    light = store.xp.zeros(store.object_shape, store.real_dtype)
    for b in sweep_batches(store):
        store.backend.add_windows(light, b.corners, b.illum_power)
    return light


class Orthogonalise(Operator, reads="probe", writes="probe kept_waves"):
    """Turn the probe modes into orthogonal ones, the strongest first; predicted intensities do not change.

    P' = U^H P with U the eigenvectors of the Gram matrix <P_a, P_b>. Kept exit waves are turned with the probe.

    Reads and writes probe (M, n, n); writes kept_waves (N, M, n, n) where there are any.
    Source: Thibault, Menzel, Nature 494, 68 (2013); Odstrcil et al., Opt. Express 24, 8360 (2016).
    """

    def apply(self, s):
        probe = s.probe
        modes = len(probe)
        flat = probe.reshape(modes, -1)
        gram = s.backend.to_host(flat.conj() @ flat.T).astype(np.complex128)
        turn = _basis(gram)
        u = s.backend.asarray(turn, dtype=s.dtype)
        s.probe = (u @ flat).reshape(probe.shape)
        if s.has(KEPT):
            waves = s.kept_waves
            for j in range(len(waves)):  # one view at a time: the kept waves may fill the memory
                waves[j] = (u @ waves[j].reshape(modes, -1)).reshape(probe.shape)


def _basis(gram: np.ndarray) -> np.ndarray:
    """Return the unitary (M, M) that makes modes with Gram matrix <P_a, P_b> = sum conj(P_a) P_b orthogonal."""
    powers, vectors = np.linalg.eigh(gram.conj())
    turn = vectors[:, np.argsort(powers)[::-1]].conj().T
    # Each new mode in phase with the old mode that it holds most of, so that repeating the step changes nothing.
    main = turn[np.arange(len(turn)), np.abs(turn).argmax(axis=1)]
    return turn * (np.abs(main) / main)[:, None]

"""Scenes for the tests of tilts: columns that stand upright through several slices, under an inclined beam."""

from __future__ import annotations

import numpy as np
from small_scans import smooth
from thick_scene import GEOMETRY, PIXEL, SIZE, WAVELENGTH, N, aperture, places

import opty
from opty.model import Probe, Slices
from opty.simulate import experiment


def columns(rng, kind):
    """Return what all slices share (H, H), from 0 to 1: smooth, or dots."""
    if kind == "smooth":
        a = smooth(rng, (SIZE, SIZE), 1.2).real
    else:
        row, col = np.indices((SIZE, SIZE))
        a = sum(np.exp(-((row - r) ** 2 + (col - c) ** 2) / 4.5) for r, c in rng.uniform(0, SIZE, (140, 2)))
    return (a - a.min()) / np.ptp(a)


def upright(kind, seed, across, count=3, turns=8.0, own=0.2, photons=None):
    """Return (data, starting probe, model without tilt, tilt (2,) rad).

    ``across`` : px by which the beam moves from the first slice to the last; ``turns`` : of the gaps, lambda z / px^2,
    one for all or one for each; ``own`` : of the phase of a slice, what no other has.
    """
    rng = np.random.default_rng([5, seed])
    common = columns(rng, kind)
    layers = []
    for _ in range(count):
        phase = 0.6 * ((1 - own) * rng.uniform(0.8, 1.2) * common + own * columns(rng, "smooth"))
        layers.append((1 - 0.15 * phase) * np.exp(1j * phase))
    gaps = tuple((np.broadcast_to(turns, count - 1) * PIXEL**2 / WAVELENGTH).tolist())
    tilt = np.arctan(np.array(across) * PIXEL / sum(gaps))
    model = Slices(count, gaps, tilt=tuple(tilt.tolist())) * Probe()
    data = experiment(np.array(layers), aperture(50.0), places(rng), photons, geometry=GEOMETRY, model=model, seed=seed)
    return data, aperture(54.0) * ((photons or 1e6) / 1e6) ** 0.5, Slices(count, gaps) * Probe(), tilt


def begun(scene, tilt=(0.0, 0.0), **machine):
    """Return the state at the start: flat slices in the truth's frame, a probe of another defocus."""
    data, probe, model, _ = scene
    sample = Slices(model.sample.n, model.sample.spacing, tilt=tuple(np.asarray(tilt).tolist()))
    shape = (sample.n, SIZE, SIZE)
    p = opty.PtychoState(data, probe, obj=np.ones(shape, np.complex64), model=sample * Probe(), **machine)
    return p.replace(positions=data.truth["positions"])


def off(p, tilt):
    """Return by how much the beam of a state moves too far from the first slice to the last (2,) [px]."""
    return (np.tan(p.tilt) - np.tan(tilt)) * p.spacing.sum() / PIXEL


def lean(p):
    """Return by how much what slices share moves from the first slice to the last (2,) [px], by correlation."""
    first, last = (np.angle(a / a.mean())[N // 4 : -N // 4, N // 4 : -N // 4] for a in p.numpy("obj")[[0, -1]])
    window = np.outer(*2 * [np.hanning(len(first))])
    q = np.fft.fftfreq(len(first))
    high = 1 - np.exp(-((q[:, None] ** 2 + q**2) / 0.01))
    spectra = [np.fft.fft2(a * window) for a in (first, last)]
    fine = np.zeros((8 * len(first),) * 2, complex)  # eight samples a pixel
    at = np.ix_(*2 * [np.rint(q * len(first)).astype(int)])
    fine[at] = spectra[0].conj() * spectra[1] * high
    place = np.unravel_index(np.fft.ifft2(fine).real.argmax(), fine.shape)
    return np.array([(k + len(fine) // 2) % len(fine) - len(fine) // 2 for k in place]) / 8

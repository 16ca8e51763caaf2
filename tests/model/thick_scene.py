"""A scene for the tests of models: two slices behind each other."""

from __future__ import annotations

import numpy as np
from small_scans import smooth

import opty
from opty.model import Probe, Slices
from opty.simulate import experiment

N, SIZE, PIXEL, WAVELENGTH = 32, 64, 1e-8, 1e-9
GEOMETRY = opty.Geometry(WAVELENGTH, PIXEL * N * 1e-4 / WAVELENGTH, 1e-4)
SPACING = 12 * PIXEL**2 / WAVELENGTH  # lambda z / pixel^2 = 12: the probe's shadow moves by 12 px between the slices


def layer(rng, width):
    """Return a slice (H, H): smooth, of 0.85 to 1 in amplitude and some tenths of a radian."""
    a = smooth(rng, (SIZE, SIZE), width).real
    a = (a - a.min()) / np.ptp(a)
    return (1 - 0.15 * a) * np.exp(0.8j * a)


def aperture(defocus, photons=1e6):
    """Return a defocused aperture as a probe (1, n, n)."""
    q = np.fft.fftfreq(N)
    radius = np.hypot(q[:, None], q)
    pupil = np.exp(1j * np.pi * defocus * radius**2) / (1 + np.exp((radius - 0.2) / 0.02))
    probe = np.fft.fftshift(np.fft.ifft2(pupil))[None]
    return probe * np.sqrt(photons / (np.abs(probe) ** 2).sum())


def places(rng, across=9, step=3.4):
    grid = np.stack(np.meshgrid(np.arange(across), np.arange(across), indexing="ij"), -1).reshape(-1, 2) * step
    return grid + rng.uniform(-1, 1, grid.shape)


def simulated():
    """Two slices, simulated by opty without noise: (data, starting probe); truth in the data."""
    rng = np.random.default_rng(7)
    slices = np.array([layer(rng, 1.2), layer(rng, 1.0)])
    model = Slices(2, SPACING) * Probe()
    data = experiment(slices, aperture(50.0), places(rng), geometry=GEOMETRY, model=model)
    return data, aperture(56.0)


def thick_state(thick, spacing=SPACING, positions=None, **machine):
    """Return the state at the start: flat slices in the truth's frame, a probe of another defocus."""
    data, probe = thick
    p = opty.PtychoState(
        data, probe, obj=np.ones((2, SIZE, SIZE), np.complex64), model=Slices(2, spacing) * Probe(), **machine
    )
    return p.replace(positions=data.truth["positions"] if positions is None else positions)


def slice_errors(p):
    """Return the error of each slice where there is light, and of their product."""
    data = p.data
    light = np.zeros((SIZE, SIZE))
    for r, c in np.rint(data.truth["positions"]).astype(int):
        light[r : r + N, c : c + N] += (np.abs(data.truth["probe"]) ** 2).sum(0)
    lit, found, truth = light > 0.1 * light.max(), p.numpy("obj"), data.truth["obj"]
    pairs = [*zip(found, truth, strict=True), (found.prod(0), truth.prod(0))]
    return [opty.analysis.object_error(a, b, mask=lit, offset=(0, 0)) for a, b in pairs]

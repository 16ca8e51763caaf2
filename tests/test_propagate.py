"""Propagators: unitary, adjoint, and the sums that their formulae say."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from small_scans import TOLERANCE, shifted, smooth

from opty import Geometry, PtychoData, PtychoState, Sweep, misfit, rPIE
from opty.kernels import numpy_backend
from opty.physics.propagation import Propagator, phase_ramp

PIXELS = {"far": 50e-6, "cone": 50e-6, "near": 2e-6}


def geometry(kind, n=8):
    if kind == "far":
        return Geometry(1e-10, 2.0, 50e-6)
    if kind == "cone":
        return Geometry(1e-10, 2.0, 50e-6, focus_to_sample=4e-3, propagation="cone")
    return Geometry(1e-10, 0.05, 2e-6, focus_to_sample=0.03, propagation="near")


def waves(rng, n, dtype="complex128", views=3, modes=2):
    shape = (views, modes, n, n)
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)


def dft(n):
    k = np.arange(n)
    return np.exp(-2j * np.pi * np.outer(k, k) / n) / np.sqrt(n)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("with_fraction", [False, True])
@pytest.mark.parametrize("kind", PIXELS)
def test_unitary_and_adjoint(kind, with_fraction, dtype):
    rng = np.random.default_rng(0)
    x, y = waves(rng, 16, dtype), waves(rng, 16, dtype)
    fraction = rng.uniform(-0.5, 0.5, (3, 2)) if with_fraction else None
    propagator = Propagator(geometry(kind), 16, numpy_backend, dtype)
    there, back = propagator.forward(x, fraction), propagator.adjoint(y, fraction)
    assert there.dtype == back.dtype == dtype
    scale = np.linalg.norm(x) * np.linalg.norm(y)
    assert abs(np.vdot(y, there) - np.vdot(back, x)) < TOLERANCE[dtype] * scale
    assert np.linalg.norm(there) == pytest.approx(np.linalg.norm(x), rel=TOLERANCE[dtype])
    again = propagator.adjoint(there, fraction)
    assert abs(again - x).max() < TOLERANCE[dtype] * abs(x).max()


@pytest.mark.parametrize("kind", PIXELS)
def test_input_is_kept_unless_it_may_be_overwritten(kind):
    x = waves(np.random.default_rng(1), 8)
    copy = x.copy()
    propagator = Propagator(geometry(kind), 8, numpy_backend, "complex128")
    first = propagator.forward(x)
    propagator.adjoint(x)
    assert (x == copy).all()
    assert (propagator.forward(x, overwrite=True) == first).all()


@pytest.mark.parametrize("where", [None, geometry("far")])
def test_far_field_is_the_fourier_sum(where):
    x = waves(np.random.default_rng(2), 8)
    direct = dft(8) @ x @ dft(8).T
    propagator = Propagator(where, 8, numpy_backend, "complex128")
    assert abs(propagator.forward(x) - direct).max() < 1e-12
    centred = propagator.from_kernel_order(direct)
    assert abs(centred[..., 4, 4] - direct[..., 0, 0]).max() == 0
    assert (propagator.to_kernel_order(centred) == direct).all()


def test_cone_beam_is_the_fourier_sum_with_a_curved_phase():
    g = geometry("cone")
    x = waves(np.random.default_rng(3), 8)
    q = (np.arange(8) - 4) * g.pixel_size  # on the detector, from the centre
    curve = np.pi / g.wavelength * (1 / (g.focus_to_sample + g.distance) - 1 / g.distance)
    phase = np.exp(1j * curve * (q[:, None] ** 2 + q**2))
    propagator = Propagator(g, 8, numpy_backend, "complex128")
    got = propagator.from_kernel_order(propagator.forward(x))
    far = np.fft.fftshift(dft(8) @ x @ dft(8).T, axes=(-2, -1))
    assert abs(got - far * phase).max() < 1e-12
    assert abs(np.angle(phase)).max() > 1e-3
    assert abs(abs(got) - abs(far)).max() < 1e-12


@pytest.mark.parametrize("with_fraction", [False, True])
def test_near_field_is_the_angular_spectrum(with_fraction):
    g = geometry("near")
    rng = np.random.default_rng(4)
    x = waves(rng, 8)
    fraction = rng.uniform(-0.5, 0.5, (3, 2)) if with_fraction else np.zeros((3, 2))
    pixel = g.pixel_size / g.magnification
    k = np.fft.fftfreq(8, pixel)
    z = g.distance / g.magnification
    path = 2 * np.pi * z * (np.sqrt(1 / g.wavelength**2 - k[:, None] ** 2 - k**2) - 1 / g.wavelength)
    f = np.fft.fftfreq(8)
    inverse = np.conj(dft(8))
    got = Propagator(g, 8, numpy_backend, "complex128").forward(x, fraction if with_fraction else None)
    assert abs(path).max() > 0.1
    for j in range(3):
        back = np.exp(2j * np.pi * (f[:, None] * fraction[j, 0] + f * fraction[j, 1]))
        for m in range(2):
            spectrum = dft(8) @ x[j, m] @ dft(8).T
            direct = inverse @ (spectrum * np.exp(1j * path) * back) @ inverse.T
            assert abs(got[j, m] - direct).max() < 1e-6  # the path's subtraction loses digits in the direct sum


def test_near_field_takes_a_gaussian_to_its_wider_self():
    """A beam of waist w0 at the sample is w0 sqrt(1 + (z / zR)^2) wide at the effective distance."""
    n, g = 256, Geometry(1e-9, 0.02, 1e-6, propagation="near")
    x = (np.arange(n) - n / 2) * g.sample_pixel(n)
    waist = 3e-6
    beam = np.exp(-(x[:, None] ** 2 + x**2) / waist**2).astype(complex)
    power = abs(Propagator(g, n, numpy_backend, "complex128").forward(beam[None, None])[0, 0]) ** 2
    width = 2 * np.sqrt((power.sum(axis=1) * x**2).sum() / power.sum())
    rayleigh = np.pi * waist**2 / g.wavelength
    assert width == pytest.approx(waist * np.hypot(1, 0.02 / rayleigh), rel=1e-3)


def test_the_detector_of_a_near_field_stands_still():
    """Moving the whole exit wave by a fraction of a pixel and telling so gives the pattern of the wave unmoved."""
    rng = np.random.default_rng(5)
    wave = smooth(rng, (32, 32), 3)[None, None]
    propagator = Propagator(geometry("near"), 32, numpy_backend, "complex128")
    still = propagator.forward(wave)
    fraction = np.array([[0.3, -0.45]])
    told = propagator.forward(shifted(wave, fraction[0]), fraction)
    assert abs(told - still).max() < 1e-12 * abs(still).max()
    untold = propagator.forward(shifted(wave, fraction[0]))
    assert abs(untold - still).max() > 0.05 * abs(still).max()


def test_near_field_scan_with_fractions_is_consistent():
    """The beam is fixed to the detector: a sample shifted by a fraction of a pixel gives the pattern of that shift."""
    rng, n, g = np.random.default_rng(6), 32, Geometry(1e-9, 0.004, 1e-6, propagation="near")
    big = 64
    obj = 0.9 + 0.1 * smooth(rng, (big, big), 5)
    x = np.arange(n) - n / 2
    probe = 30 * np.exp(-(x[:, None] ** 2 + x**2) / 40).astype(complex)
    propagator = Propagator(g, n, numpy_backend, "complex128")
    positions = rng.uniform(4, 20, (9, 2))
    patterns = []
    for position in positions:
        corner = np.rint(position).astype(int)
        moved = shifted(obj, corner - position)  # the sample moves, the beam stays
        window = moved[corner[0] : corner[0] + n, corner[1] : corner[1] + n]
        patterns.append(abs(propagator.forward((probe * window)[None, None])[0, 0]) ** 2)
    data = PtychoData(np.array(patterns), positions * g.sample_pixel(n), g)
    p = PtychoState(data, probe=probe, obj=obj, dtype="complex128", device="cpu", threads=1)
    assert misfit(p) < 1e-8
    rounded = PtychoState(
        PtychoData(np.array(patterns), np.rint(positions) * g.sample_pixel(n), g),
        probe=probe,
        obj=obj,
        dtype="complex128",
        device="cpu",
    )
    assert misfit(rounded) > 100 * misfit(p)
    q = rPIE() ** 10 * p.replace(obj=np.ones((big, big)))
    assert q.history["misfit"][-1] < 0.1 * q.history["misfit"][0]


def test_pixels_finer_than_half_a_wavelength_are_refused():
    with pytest.raises(ValueError, match=r"finer than half the wavelength.*check the units"):
        Propagator(Geometry(1e-6, 0.01, 0.4e-6, propagation="near"), 16, numpy_backend, "complex64")


def test_the_ramp_moves_to_larger_rows_and_columns():
    a = np.zeros((16, 16), complex)
    a[5, 7] = 1
    row, col = phase_ramp(np.array([[2.0, -3.0]]), 16, np, "complex128")
    moved = np.fft.ifft2(np.fft.fft2(a) * row[0] * col[0])
    assert abs(moved[7, 4]) == pytest.approx(1)


def test_cone_and_far_field_reconstruct_alike():
    from small_scans import scan

    data = scan(views=4)
    states = []
    for kind in ("far", "cone"):
        g = geometry(kind)
        there = data.replace(geometry=g, positions=data.positions * g.sample_pixel(16))
        states.append(
            PtychoState(there, probe=data.truth["probe"], obj=np.ones((40, 40)), dtype="complex128", device="cpu")
        )
    far, cone = (Sweep(rPIE().expand().body, order="scan") ** 3 * p for p in states)
    assert abs(far.obj - cone.obj).max() < 1e-9

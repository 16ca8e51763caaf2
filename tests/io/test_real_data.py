"""The two real X-ray scans: what is read from them, and that the conventions are right, by reconstructing."""

import numpy as np
import pytest

from opty.io import info, load
from opty.kernels import numpy_backend
from opty.physics.propagation import Propagator


def misfit_after(data, positions, probe, sweeps, propagation):
    """Plain rPIE with whole-pixel windows on a few views; returns sum (|Psi| - sqrt I)^2 / sum I of the last sweep."""
    n = data.n
    amplitude = np.sqrt(np.array([data.unmasked(j) for j in range(data.views)], float))
    corners = np.rint(positions - positions.min(axis=0)).astype(int)
    obj = np.ones(corners.max(axis=0) + n, complex)
    probe = probe * np.sqrt((amplitude**2).sum((1, 2)).max() / (np.abs(probe) ** 2).sum())
    rng = np.random.default_rng(0)
    for _ in range(sweeps):
        error = 0.0
        for j in rng.permutation(data.views):
            window = obj[corners[j, 0] : corners[j, 0] + n, corners[j, 1] : corners[j, 1] + n]
            psi = probe * window
            wave = propagation.forward(psi[None, None])[0, 0]
            size = np.abs(wave)
            measured = propagation.to_kernel_order(amplitude[j])
            good = True if data.mask is None else propagation.to_kernel_order(data.mask)
            error += (np.where(good, size - measured, 0) ** 2).sum()
            wave = np.where(good, wave * measured / np.maximum(size, 1e-9), wave)
            change = propagation.adjoint(wave[None, None])[0, 0] - psi
            old, power, thickness = window.copy(), np.abs(probe) ** 2, np.abs(window) ** 2
            window += probe.conj() * change / (0.05 * power.max() + 0.95 * power)
            probe = probe + old.conj() * change / (0.5 * thickness.max() + 0.5 * thickness)
    return error / (amplitude**2).sum()


@pytest.fixture(scope="module")
def near(shared_data):
    return load(shared_data / "PETRAIII_P25_Near_Field_Ptycho.cxi", focus_to_sample=3.65e-3, propagation="near")


def test_siemens_star_contents(star):
    assert star.intensities.shape == (516, 128, 128)
    assert star.intensities.dtype == np.float32
    assert star.intensities.max() == 963
    assert (star.intensities == np.rint(star.intensities)).all()
    assert star.probe.shape == (1, 128, 128)
    assert star.geometry is None
    assert np.ptp(star.positions, axis=0) == pytest.approx([331.9, 328.9], abs=0.05)
    mean = star.intensities.mean(axis=0)
    centre = [(np.indices(mean.shape)[axis] * mean).sum() / mean.sum() for axis in (0, 1)]
    assert centre == pytest.approx([64, 64], abs=3)  # the direct beam is in the middle, not in the corners


def test_siemens_star_conventions(star):
    """psi = probe * obj[window at +scan], zero frequency where it was put: any other reading fits clearly worse."""
    near_middle = np.flatnonzero((np.abs(star.positions) < 60).all(axis=1))
    some = star.replace(intensities=star.intensities[near_middle], positions=star.positions[near_middle])
    far = Propagator(None, 128, numpy_backend, np.complex128)
    right = misfit_after(some, some.positions, star.probe[0], 3, far)
    for wrong in (-some.positions, some.positions[:, ::-1], some.positions * [1, -1]):
        assert right < 0.8 * misfit_after(some, wrong, star.probe[0], 3, far)


def test_petra_contents(near):
    assert near.intensities.shape == (200, 100, 100)
    assert near.intensities.dtype == np.int32
    assert near.intensities.max() == 29176
    assert (~near.mask).sum() == 5
    geometry = near.geometry
    assert (geometry.distance, geometry.pixel_size) == (1.12, 55e-6)
    assert geometry.wavelength == pytest.approx(9.794912e-11, rel=1e-6)
    assert near.pixel == pytest.approx(55e-6 * 3.65e-3 / (3.65e-3 + 1.12), rel=1e-12)
    assert near.positions[0] == pytest.approx([-38.3996e-6, -53.4000e-6], abs=1e-10)
    assert np.ptp(near.positions_px, axis=0) == pytest.approx([106.6, 112.8], abs=0.05)


def test_petra_orientation(near):
    """Row = +y, column = +x: the other choices fit worse."""
    step = Propagator(near.geometry, 100, numpy_backend, np.complex128)
    mean = np.sqrt(near.intensities.mean(axis=0)).astype(complex)
    start = step.adjoint(mean[None, None])[0, 0]
    right = misfit_after(near, near.positions_px, start, 4, step)
    for wrong in (-near.positions_px, near.positions_px[:, ::-1]):
        assert right < 0.7 * misfit_after(near, wrong, start, 4, step)


def test_info_of_both(shared_data):
    star = info(shared_data / "siemens-star-small.npz.bz2")
    assert star.format.startswith("tike")
    assert star.overlap == pytest.approx(0.84, abs=0.02)
    assert "no wavelength" in star.missing[0]
    near = info(shared_data / "PETRAIII_P25_Near_Field_Ptycho.cxi", focus_to_sample=3.65e-3, propagation="near")
    assert near.energy == pytest.approx(12658, abs=1)
    assert near.extent == pytest.approx((19.05e-6, 20.16e-6), rel=1e-3)


def test_results_point_to_the_real_file(tmp_path, star):
    from opty.io import save
    from opty.ptycho_state import PtychoState

    p = PtychoState(star, device="cpu", threads=1)
    save(tmp_path / "r.h5", p)
    assert (tmp_path / "r.h5").stat().st_size < star.intensities.nbytes / 8
    back = load(tmp_path / "r.h5", device="cpu", threads=1)
    np.testing.assert_array_equal(back.data.intensities, star.intensities)
    np.testing.assert_array_equal(back.obj, p.obj)

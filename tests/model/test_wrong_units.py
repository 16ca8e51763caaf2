"""Parameters of elements in another unit are refused, or warned of, before a run; what may be right is not."""

import numpy as np
import pytest
from thick_scene import GEOMETRY, PIXEL, WAVELENGTH, N
from thin_scene import simulated

import opty
from opty.model import FlyScan, Probe, Saturation, Slices, Wavelengths

SAMPLED = N * PIXEL**2 / WAVELENGTH  # m: lambda z / (n dx^2) = 1


@pytest.fixture(scope="module")
def measured():
    data, _ = simulated(photons=1e5)
    return opty.PtychoData(data.intensities[:], data.positions_px * PIXEL, geometry=GEOMETRY, probe=data.truth["probe"])


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (lambda: FlyScan(3, travel=(0, 2)), r"travel of 2 m is longer than the window.*3.2e-07 m \(32 px\)"),
        (lambda: Slices(2, spacing=10), r"lambda z / \(n dx\^2\) is 3.12e\+06.*3.2e-06 m: give spacing in metres"),
        (lambda: Slices(3, spacing=(1e-7, 11 * SAMPLED)), r"is 11 for a gap"),
        (lambda: Saturation(10), "which a detector that reads no more than 10 cannot"),
        (lambda: Wavelengths((10, 11)), "ratios are wavelengths over that of the geometry"),
        (lambda: Wavelengths((1e-9, 1.1e-9)), "of wavelengths in metres give each over"),
    ],
)
def test_another_unit_is_refused(measured, model, says):
    with pytest.raises(ValueError, match=says):
        opty.PtychoState(measured, model=model())


def test_without_a_geometry_a_travel_is_in_pixels(measured):
    bare = measured.replace(geometry=None, positions=measured.positions_px)
    with pytest.raises(ValueError, match=r"travel of 40 px is longer than the window of a view, 32 px \(32 px\)"):
        opty.PtychoState(bare, model=FlyScan(2, travel=(40, 0)))
    assert opty.PtychoState(bare, model=FlyScan(2, travel=(3.4, 0))).iteration == 0


def test_a_wide_gap_is_warned_of(measured):
    with pytest.warns(UserWarning, match=r"is 2.5 for a gap of .*leaves the window of 32 px"):
        opty.PtychoState(measured, model=Slices(2, spacing=2.5 * SAMPLED))


def test_what_may_be_right_passes(measured):
    most = float(measured.intensities[:].max())
    for model in (
        FlyScan(3, travel=(0, 3 * PIXEL)),
        Slices(2, spacing=1.9 * SAMPLED),
        Saturation(0.8 * most),  # a flat-field correction spreads the readings of saturated pixels
        Wavelengths((1, 1 / 3)),  # a harmonic
        Probe(variable=2),
    ):
        assert opty.PtychoState(measured, model=model).iteration == 0
    hot = measured.intensities[:].copy()
    hot[:, 3, 4] = 1e9
    mask = np.ones((N, N), bool)
    mask[3, 4] = False
    masked = measured.replace(intensities=hot, mask=mask)
    assert opty.PtychoState(masked, model=Saturation(most)).iteration == 0

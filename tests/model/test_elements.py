"""Each element: its backward is the adjoint of its tangent, and that the derivative of its forward map."""

from __future__ import annotations

import numpy as np
import pytest
from user_elements import Tilt

import opty
from opty.model import Element, FarField, Object, Probe, Slices
from opty.testing import check_element

NEAR = opty.Geometry(wavelength=1e-9, distance=1e-3, pixel_size=1e-7, propagation="near")
CONE = opty.Geometry(wavelength=1e-9, distance=1, pixel_size=1e-4, focus_to_sample=0.01, propagation="cone")


@pytest.mark.parametrize("geometry", [None, NEAR, CONE], ids=["far", "near", "cone"])
@pytest.mark.parametrize(
    "model",
    [
        Object(),
        Slices(2, spacing=1e-7),
        Slices(3, spacing=(1e-7, 3e-7), tilt=(0.1, -0.05)),
        Object() * Tilt(),
        Tilt() * Slices(2, 1e-7),
    ],
    ids=repr,
)
def test_adjoint_and_derivative(model, geometry):
    errors = check_element(model, geometry=geometry)
    assert {"obj", "probe", "positions"} <= errors.keys()
    assert max(errors.values()) < 1e-14


class WrongSign(Element):
    """An element whose adjoint lacks the conjugate."""

    def forward(self, v, wave):
        return wave * 1j

    def tangent(self, v, dwave, changes):
        return None if dwave is None else dwave * 1j

    def backward(self, v, chi, power):
        return chi * 1j, power


class WrongSlope(WrongSign):
    """An element whose tangent is no derivative."""

    def tangent(self, v, dwave, changes):
        return None if dwave is None else dwave * 2j

    def backward(self, v, chi, power):
        return chi * -2j, power


def test_the_check_finds_a_wrong_adjoint_and_a_wrong_derivative():
    with pytest.raises(AssertionError, match="not the adjoint"):
        check_element(Object() * WrongSign())
    with pytest.raises(AssertionError, match="not the derivative"):
        check_element(Object() * WrongSlope())


def test_one_slice_of_vacuum_changes_nothing():
    """Two slices, the second empty, are the thin object seen through free space: the far field is the same."""
    rng = np.random.default_rng(3)
    obj = rng.uniform(0.5, 1, (24, 24)) * np.exp(1j * rng.uniform(0, 1, (24, 24)))
    probe = rng.normal(size=(12, 12)) + 1j * rng.normal(size=(12, 12))
    geometry = opty.Geometry(wavelength=1e-9, distance=0.12, pixel_size=1e-3)
    places = rng.uniform(0, 10, (5, 2)) * geometry.sample_pixel(12) / geometry.sample_pixel(12)
    thin = opty.simulate.experiment(obj, probe, places, geometry=geometry)
    two = opty.simulate.experiment(
        np.stack([obj, np.ones_like(obj)]), probe, places, geometry=geometry, model=Slices(2, 2e-7)
    )
    np.testing.assert_allclose(two.intensities, thin.intensities, rtol=2e-5, atol=1e-5 * thin.intensities.max())


def test_leaves_are_declared_as_estimates():
    with pytest.raises(TypeError, match="role='estimate'"):

        class NoEstimate(Element):
            leaves = (opty.Leaf("memory", "view"),)


def test_the_first_waves_are_probe_times_object():
    assert (FarField() * Object() * Probe()).thin
    assert not (FarField() * Slices(2, 1e-7) * Probe()).thin

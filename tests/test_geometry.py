"""Geometry: lengths in metres, pixels at the sample, and what makes no sense."""

import numpy as np
import pytest
import scipy.constants

from opty import Geometry, PtychoData, PtychoState
from opty.physics.optics import aperture_probe, lens_probe


def test_seed_equation_one():
    g = Geometry(wavelength=1.24e-9, distance=0.2, pixel_size=55e-6)
    assert g.sample_pixel(128) == pytest.approx(1.24e-9 * 0.2 / (128 * 55e-6))
    assert g.magnification == 1


def test_energy_and_wavelength():
    energy = 8000 * scipy.constants.e
    g = Geometry.from_energy(energy, distance=1, pixel_size=1e-5)
    assert g.wavelength == pytest.approx(1.5498e-10, rel=1e-4)
    assert g.energy == pytest.approx(energy, rel=1e-12)


def test_a_lens_makes_the_starting_probe():
    """Geometry(semi_angle=): the state starts with the aperture in focus, at the power of the brightest view."""
    g = Geometry.from_reciprocal(4e-3, voltage=300e3, semi_angle=21e-3)
    pixel = g.sample_pixel(32)
    np.testing.assert_array_equal(lens_probe(g, 32), aperture_probe(32, g.wavelength, pixel, 21e-3))
    lens = {"defocus": 2e-9, "aberrations": {"C30": 1e-6}, "central_stop": 0.3}
    np.testing.assert_array_equal(lens_probe(g, 32, **lens), aperture_probe(32, g.wavelength, pixel, 21e-3, **lens))
    data = PtychoData(np.random.default_rng(0).poisson(9, (3, 3, 32, 32)), geometry=g, scan_step=0.5e-10)
    probe = PtychoState(data, device="cpu").numpy("probe")
    np.testing.assert_allclose(probe[0], lens_probe(g, 32) * np.sqrt(data.photons().max()), rtol=1e-5, atol=1e-5)
    for angle, message in ((21.0, r"give an angle in radians"), (0, "in radians"), ("21mrad", "in radians")):
        with pytest.raises(ValueError, match=f"semi_angle is .*{message}"):
            Geometry(1e-10, 2.0, 5e-5, semi_angle=angle)
    with pytest.raises(ValueError, match="of a lens in the far field, and the geometry says 'near'"):
        Geometry(1e-10, 2.0, 5e-5, propagation="near", semi_angle=1e-3)
    with pytest.raises(ValueError, match="has no aperture, of which a probe could be made: give semi_angle="):
        lens_probe(Geometry(1e-10, 2.0, 5e-5), 32)


def test_fresnel_scaling():
    g = Geometry(1e-10, 0.9, 1e-6, focus_to_sample=0.1, propagation="near")
    assert g.magnification == pytest.approx(10)
    assert g.effective_distance == pytest.approx(0.1 * 0.9 / (0.1 + 0.9))
    assert g.sample_pixel(77) == pytest.approx(1e-7)
    parallel = Geometry(1e-10, 0.9, 1e-6, propagation="near")
    assert (parallel.magnification, parallel.effective_distance, parallel.sample_pixel(9)) == (1, 0.9, 1e-6)


@pytest.mark.parametrize("name", ["wavelength", "distance", "pixel_size"])
@pytest.mark.parametrize("value", [0, -1e-10, np.nan, np.inf, "1e-10"])
def test_lengths_are_positive(name, value):
    lengths = {"wavelength": 1e-10, "distance": 2.0, "pixel_size": 5e-5} | {name: value}
    with pytest.raises(ValueError, match=rf"{name} is .*; give a positive length in metres"):
        Geometry(**lengths)


@pytest.mark.parametrize("lengths", [(1e-300, 1e-300, 1e-5), (1e-10, 1e300, 1e-300), (1e-10, 2.0, 5e-324)])
def test_lengths_that_make_no_field_together(lengths):
    with pytest.raises(ValueError, match=r"give a field of (0.0|inf) m at the sample; give all three in metres"):
        Geometry(*lengths)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"propagation": "cone"}, "needs focus_to_sample in metres; without a focus use 'far'"),
        ({"focus_to_sample": 1e-3}, "has no meaning for propagation='far'; use 'cone' or 'near'"),
        ({"propagation": "cone", "focus_to_sample": -1.0}, "positive length"),
        ({"propagation": "near", "focus_to_sample": np.inf}, "positive length"),
        ({"propagation": "fresnel"}, "choose one of far, cone, near"),
    ],
)
def test_focus_and_propagation_agree(options, message):
    with pytest.raises(ValueError, match=message):
        Geometry(1e-10, 2.0, 5e-5, **options)


def test_a_geometry_is_a_value():
    assert Geometry(1e-10, 2.0, 5e-5) == Geometry(1e-10, 2.0, 5e-5) != Geometry(1e-10, 2.1, 5e-5)
    with pytest.raises(AttributeError):
        Geometry(1e-10, 2.0, 5e-5).distance = 3


@pytest.mark.parametrize("wrong", [{"wavelength": 0.15}, {"pixel_size": 55.0}])
def test_lengths_that_are_not_in_metres(wrong):
    """0.15 nm and 55 um, as files and people have them."""
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} is .*, and no {name} of ptychography is: give it in metres"):
        Geometry(**({"wavelength": 1e-10, "distance": 2.0, "pixel_size": 55e-6} | wrong))


def test_a_notebook_shows_a_table():
    shown = Geometry(1e-9, 0.1, 5e-6, focus_to_sample=2e-3, propagation="near")._repr_html_()
    assert "<tr><td>wavelength</td><td>1 nm, photons of 1.2398 keV</td></tr>" in shown
    assert "<td>2 mm</td>" in shown
    assert "electrons of 300 kV" in Geometry(voltage=300e3, distance=1.0, pixel_size=5e-5)._repr_html_()

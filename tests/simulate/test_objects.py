"""Objects: the ranges asked for, the sizes, and a star with the right number of spokes."""

import numpy as np
import pytest

from opty.simulate import objects

pytest.importorskip("skimage")


def test_ranges_are_filled_exactly():
    rng = np.random.default_rng(0)
    obj = objects.from_images(
        rng.random((40, 50)), rng.random((60, 30)), (64, 48), magnitude_range=(0.2, 0.9), phase_range=(-0.5, 1.5)
    )
    assert obj.shape == (64, 48)
    assert obj.dtype == np.complex64
    assert [np.abs(obj).min(), np.abs(obj).max()] == pytest.approx([0.2, 0.9], abs=1e-6)
    assert [np.angle(obj).min(), np.angle(obj).max()] == pytest.approx([-0.5, 1.5], abs=1e-6)


def test_colour_becomes_luminance():
    grey = np.linspace(0, 1, 900).reshape(30, 30)
    colour = np.stack([grey, grey, grey, np.ones_like(grey)], axis=-1)
    one = objects.from_images(grey, grey, (30, 30))
    other = objects.from_images(colour, colour[..., :3], (30, 30))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_resizing_down_does_not_alias():
    checks = np.indices((256, 256)).sum(axis=0) % 2
    ramp = np.linspace(0, 1, 256)[:, None] + 0.5 * checks
    obj = objects.from_images(ramp, ramp, (32, 32))
    # The one-pixel checks must average out: what is left is the ramp, the same in every column.
    assert np.ptp(np.abs(obj[8:24]), axis=1).max() < 0.02


def test_pure_phase_object_takes_a_flat_magnitude():
    obj = objects.from_images(np.ones((8, 8)), np.eye(8), (8, 8), magnitude_range=(0.7, 0.7))
    np.testing.assert_allclose(np.abs(obj), 0.7, rtol=1e-6)


def test_flat_image_cannot_fill_a_range():
    with pytest.raises(ValueError, match="phase is 3 everywhere"):
        objects.from_images(np.eye(8), np.full((8, 8), 3), (8, 8))
    with pytest.raises(ValueError, match=r"magnitude has shape \(4, 8, 8\)"):
        objects.from_images(np.zeros((4, 8, 8)), np.eye(8), (8, 8))


def test_every_bundled_image_loads_without_a_network(monkeypatch):
    import socket

    def refuse(*args, **kwargs):
        raise AssertionError("a bundled image asked for the network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in objects.BUNDLED:
        obj = objects.two_images((16, 16), names=(name, "camera"))
        assert np.ptp(np.abs(obj)) == pytest.approx(0.6, abs=1e-5), name


def test_unknown_image_lists_the_bundled_ones():
    with pytest.raises(ValueError, match=r"'perseverance'.*astronaut, brick, camera"):
        objects.two_images((16, 16), names=("camera", "perseverance"))
    with pytest.raises(ValueError, match="give two"):
        objects.two_images((16, 16), names=("camera",))


@pytest.mark.parametrize("spokes", [7, 36])
def test_star_has_its_spokes_and_half_of_the_disc(spokes):
    material = 0.5 * np.exp(0.3j)
    star = objects.siemens_star((300, 280), spokes, radius=120, magnitude=0.5, phase=0.3)
    angle = np.arange(4000) * 2 * np.pi / 4000
    circle = star[np.rint(150 + 100 * np.sin(angle)).astype(int), np.rint(140 + 100 * np.cos(angle)).astype(int)]
    inside = np.abs(circle - 1) > 0.5 * abs(material - 1)
    assert np.count_nonzero(np.diff(inside.astype(int)) == 1) == spokes
    covered = ((star - 1) / (material - 1)).real.sum()
    assert covered == pytest.approx(np.pi * 120**2 / 2, rel=2e-3)
    assert np.abs(star[:25] - 1).max() == 0
    # One pixel on the axis of the first sector, whose bounds are 0 and pi / spokes.
    middle = np.pi / spokes / 2
    assert star[round(150 + 100 * np.sin(middle)), round(140 + 100 * np.cos(middle))] == pytest.approx(
        material, abs=1e-6
    )

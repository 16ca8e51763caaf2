"""Objects: the ranges asked for, the sizes, and a star with the right number of spokes."""

import numpy as np
import pytest
import scipy.ndimage
import tifffile

from opty.simulate import objects

pytest.importorskip("skimage")
imageio = pytest.importorskip("skimage.io")


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


@pytest.mark.parametrize("radius", [30.0, 60.0, 110.0])
def test_period_of_the_spokes_is_two_pi_r_over_their_number(radius):
    """Loebich, Wueller, Klingen, Jaeger, Proc. SPIE 6502, 65020N (2007): the period of a star grows with its radius."""
    spokes, n = 36, 300
    star = objects.siemens_star((n, n), spokes, radius=120)
    arc = np.arange(0, 2 * np.pi * radius, 0.25)  # lengths along the circle [px]
    places = n // 2 + radius * np.array([np.sin(arc / radius), np.cos(arc / radius)])
    line = scipy.ndimage.map_coordinates(np.abs(star), places, order=1)
    spectrum = np.abs(np.fft.rfft(line - line.mean(), 16 * len(line)))
    period = 1 / (np.fft.rfftfreq(16 * len(line), 0.25)[spectrum.argmax()])
    assert period == pytest.approx(2 * np.pi * radius / spokes, rel=0.02)


def test_random_phase_has_its_range_and_its_grain():
    obj = objects.random_phase((256, 300), feature=9, phase_range=(-1, 0.5), magnitude=0.8, seed=3)
    np.testing.assert_allclose(np.abs(obj), 0.8, rtol=1e-6)
    phase = np.angle(obj)
    assert [phase.min(), phase.max()] == pytest.approx([-1, 0.5], abs=1e-6)
    noise = phase - phase.mean()
    correlation = np.fft.ifft2(np.abs(np.fft.fft2(noise)) ** 2).real
    assert np.interp(4.5, np.arange(9), correlation[0, :9]) / correlation[0, 0] == pytest.approx(0.5, abs=0.03)
    assert not np.array_equal(obj, objects.random_phase((256, 300), 9, seed=4))
    with pytest.raises(ValueError, match="feature is 0"):
        objects.random_phase((8, 8), 0)


def test_cells_cover_absorb_and_turn_the_phase_together():
    obj = objects.cells((300, 320), diameter=60, cover=0.4, absorption=0.3, phase=-1.2, seed=2)
    assert np.abs(obj).min() == pytest.approx(0.7, rel=1e-4)
    assert np.angle(obj).min() == pytest.approx(-1.2, rel=1e-4)
    thick = np.abs(obj) < 1 - 1e-6
    assert 0.2 < thick.mean() < 0.5
    # One material: the same thickness decides both.
    np.testing.assert_allclose(np.log(np.abs(obj)) / np.log(0.7), np.angle(obj) / -1.2, atol=1e-5)
    assert not np.array_equal(obj, objects.cells((300, 320), 60, seed=3))
    with pytest.raises(ValueError, match="absorption 1"):
        objects.cells((64, 64), 20, absorption=1)


@pytest.mark.parametrize("kind", objects.CONTRASTS)
def test_contrasts_fill_their_ranges(kind):
    magnitude, phase = objects.CONTRASTS[kind]
    obj = objects.with_contrast(objects.two_images((64, 64)), magnitude, phase)
    assert [np.abs(obj).min(), np.abs(obj).max()] == pytest.approx(magnitude, abs=1e-6)
    assert [np.angle(obj).min(), np.angle(obj).max()] == pytest.approx(phase, abs=1e-6)
    with pytest.raises(ValueError, match=r"magnitude is 0\.8 everywhere"):
        objects.with_contrast(objects.random_phase((64, 64), 5, magnitude=0.8), (0.4, 1), phase)


def test_pictures_come_from_files_too(tmp_path):
    image = (np.arange(48 * 64).reshape(48, 64) % 251).astype(np.uint8)
    np.save(tmp_path / "a.npy", image)
    imageio.imsave(tmp_path / "b.png", image, check_contrast=False)
    tifffile.imwrite(tmp_path / "c.tif", image)
    for name in ("a.npy", "b.png", "c.tif"):
        np.testing.assert_array_equal(objects.picture(str(tmp_path / name)), image)
    obj = objects.two_images((48, 64), names=(str(tmp_path / "c.tif"), "camera"))
    np.testing.assert_allclose(np.abs(obj), 0.4 + 0.6 * image / 250, atol=1e-6)

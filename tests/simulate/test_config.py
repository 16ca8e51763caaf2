"""Experiments from text files: the example, every key, and what is said about a wrong one."""

import inspect
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from opty.simulate import Detector, Exposure, config, experiment, objects, probes, read_config, scans, stage

pytest.importorskip("skimage")

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "simulate.toml"
SMALL = """
seed = 3
[geometry]
pixels = 32
wavelength = 1e-9
distance = 0.1
pixel_size = 50e-6
[object]
kind = "siemens_star"
shape = [90, 100]
[probe]
kind = "gaussian"
fwhm = 12.0
[scan]
kind = "raster"
shape = [3, 4]
step = 6.0
"""


def given(tmp_path, text=SMALL, **changes):
    """Read a config in which some pieces of text are replaced by others."""
    for old, new in changes.get("swap", ()):
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "scan.toml"
    path.write_text(text + changes.get("more", ""))
    return read_config(path)


def test_the_example_is_the_same_as_the_calls_it_stands_for():
    tables = tomllib.loads(EXAMPLE.read_text())
    e = read_config(EXAMPLE)
    n, pixel = 128, 1.24e-9 * 0.2 / (128 * 55e-6)
    wave = probes.spherical_wave(n, 1.24e-9, pixel, 1.4e-3, 2.5e-6, 2.0)
    shape = scans.grid((300, 320), n, 12, 8)
    data = experiment(
        objects.two_images((300, 320), ("camera", "moon")),
        probes.zernike(wave, (1, 2, 3), (6, 2, 1)),
        scans.raster(shape, 12, 3),
        photons=1e6,
        geometry=e.geometry,
        position_error=[stage.Gaussian(0.7), stage.Affine(0.005, 0.0, (1.0, 1.002))],
        exposure=Exposure(fluctuation=0.02, background=0.02),
        detector=Detector(**tables["detector"]),
        seed=0,
    )
    made = e.measure()
    np.testing.assert_array_equal(made.intensities, data.intensities)
    np.testing.assert_array_equal(made.positions, data.positions)
    np.testing.assert_array_equal(made.mask, data.mask)
    for name in ("obj", "probe", "positions"):
        np.testing.assert_array_equal(made.truth[name], data.truth[name])
    assert data.pixel == pytest.approx(pixel)
    other = read_config(EXAMPLE, seed=1).measure()
    assert not np.array_equal(other.intensities, made.intensities)


def test_the_example_names_every_key_and_every_kind():
    text = EXAMPLE.read_text()
    fixed = {"n", "wavelength", "pixel", "probe", "seed"}
    for kinds in (config.OBJECTS, config.PROBES, config.MODES, config.SCANS, config.ERRORS):
        for kind, function in kinds.items():
            assert f'kind = "{kind}"' in text
            for name in set(inspect.signature(function).parameters) - fixed:
                assert re.search(rf"\b{name}\b", text), (kind, name)
    for settings in (Exposure, Detector):
        for name in inspect.signature(settings).parameters:
            assert re.search(rf"^#? ?{name} = ", text, re.MULTILINE), name
    for contrast in objects.CONTRASTS:
        assert f'"{contrast}"' in text


@pytest.mark.parametrize(
    "swap",
    [
        ('kind = "siemens_star"', 'kind = "random_phase"\nfeature = 5.0'),
        ('kind = "siemens_star"', 'kind = "cells"\ndiameter = 20.0'),
        ('kind = "siemens_star"', 'kind = "siemens_star"\nspokes = 8\ncontrast = "strong absorption"'),
        ('kind = "gaussian"\nfwhm = 12.0', 'kind = "aperture"\ndiameter = 12.0\nedge = 0\ndefocus = 1e-5'),
        ('kind = "gaussian"\nfwhm = 12.0', 'kind = "two_images"\ndiameter = 20.0'),
        ('kind = "gaussian"\nfwhm = 12.0', 'kind = "hermite_gauss"\nfwhm = [4.0, 5.0]\npowers = [3, 1]'),
        (
            'kind = "gaussian"\nfwhm = 12.0',
            'kind = "zone_plate"\ndiameter = 1e-4\nouter_zone = 1e-7\ncentral_stop = 5e-5\nosa = [4e-5, 1e-3]',
        ),
        (
            'kind = "gaussian"\nfwhm = 12.0',
            'kind = "gaussian"\nfwhm = 9\n[probe.modes]\nkind = "polynomials"\npowers = [2, 1]',
        ),
        ('kind = "raster"\nshape = [3, 4]\nstep = 6.0', 'kind = "raster"\noverlap = 0.5\ndiameter = 20.0'),
        ('kind = "raster"\nshape = [3, 4]\nstep = 6.0', 'kind = "fermat"\nviews = 20\nstep = 5.0'),
        ('kind = "raster"\nshape = [3, 4]\nstep = 6.0', 'kind = "concentric"\nrings = 3\noverlap = 0.8'),
        ('kind = "raster"\nshape = [3, 4]\nstep = 6.0', 'kind = "lissajous"\nviews = 20\nsize = [40, 50]'),
        (
            'kind = "raster"\nshape = [3, 4]\nstep = 6.0',
            'kind = "fly_lines"\nshape = [3, 4]\nstep = 6.0\n[exposure]\nphotons = 1e4\nduty = 0.8\nsteps = 3',
        ),
        ("distance = 0.1", 'distance = 0.1\npropagation = "near"'),
        ("wavelength = 1e-9", "energy = 1.9864e-16"),
        ("wavelength = 1e-9", "voltage = 300e3"),
    ],
)
def test_every_kind_works_from_a_file(tmp_path, swap):
    data = given(tmp_path, swap=[swap]).measure()
    assert data.photons().min() > 0
    assert data.views > 8


def test_fly_lines_move_along_their_lines(tmp_path):
    fly = "\n".join(['kind = "fly_lines"', "shape = [3, 4]", "step = 6.0", "[exposure]", "duty = 0.5"])
    e = given(tmp_path, swap=[('kind = "raster"\nshape = [3, 4]\nstep = 6.0', fly)])
    np.testing.assert_allclose(e.exposure.travel[:, 1], np.repeat([3.0, -3.0, 3.0], 4))
    assert (e.exposure.travel[:, 0] == 0).all()


def test_positions_and_pictures_lie_beside_the_config(tmp_path):
    pixel = 1e-9 * 0.1 / (32 * 50e-6)
    np.save(tmp_path / "scan.npy", np.array([[0, 0], [3, 4.5], [10, 20]]) * pixel)
    np.save(tmp_path / "image.npy", np.random.default_rng(0).random((50, 50)))
    e = given(
        tmp_path,
        swap=[
            ('kind = "raster"\nshape = [3, 4]\nstep = 6.0', 'kind = "from_file"\npath = "scan.npy"'),
            ('kind = "siemens_star"', 'kind = "two_images"\nnames = ["image.npy", "moon"]'),
        ],
    )
    np.testing.assert_allclose(np.diff(e.truth["positions"], axis=0), [[3, 4.5], [7, 15.5]])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("fwhm", "fwmh", r"\[probe\] has no key 'fwmh'; did you mean 'fwhm'\?"),
        ("[scan]", "[scann]", r"has no key 'scann'; did you mean 'scan'\?"),
        ('"raster"', '"rastre"', r"\[scan\] kind is 'rastre'; did you mean 'raster'\?"),
        ('"siemens_star"', "5", r"\[object\] kind is 5; give a text"),
        ('"siemens_star"', '"two_images"\nnames = "camera"', r"\[object\] names is 'camera'; give \[a text"),
        ('"siemens_star"', '"siemens_star"\ncontrast = "weka"', "did you mean 'weak'"),
        ('"siemens_star"', '"diatom"', "kind is 'diatom'; there are two_images, siemens_star"),
        ("wavelength", "wavelenth", r"\[geometry\] has no key 'wavelenth'; did you mean 'wavelength'\?"),
        ("pixels = 32", "pixels = 32.5", r"\[geometry\] pixels is 32.5; give a whole number"),
        ("pixels = 32", "", r"\[geometry\] lacks pixels"),
        ("distance = 0.1", 'distance = "10 cm"', r"\[geometry\] distance is '10 cm'; give a number"),
        ("distance = 0.1", "distance = -0.1", "distance is -0.1; give a positive length"),
        ("shape = [90, 100]", "", r"\[object\] lacks shape"),
        (
            "shape = [90, 100]",
            "shape = [90, 100, 3]",
            r"shape is \[90, 100, 3\]; give \[a whole number, a whole number\]",
        ),
        ("shape = [90, 100]", "shape = [40, 40]", "the object has 40 x 40 pixels but this scan"),
        ("fwhm = 12.0", "fwhm = true", r"\[probe\] fwhm is True; give a number"),
        ("fwhm = 12.0", "fwhm = 12.0\nn = 64", r"\[probe\] has no key 'n'"),
        ("step = 6.0", "step = 6.0\noverlap = 0.5", "both overlap and step"),
        ("step = 6.0", "", r"\[scan\] lacks step"),
        ("seed = 3", "seed = 3.5", "seed is 3.5; give a whole number"),
        ("seed = 3", "seed = ", "is not TOML"),
        ("seed = 3", "seed = 3\nstage = 5", r"\[\[stage\]\]"),
        ("[scan]", '[detector]\ndtype = "uint99"\n[scan]', "uint99"),
        ("[scan]", '[exposure]\ntravel = "far"\n[scan]', r"travel is 'far'; give \[a number, a number\]"),
        ("[scan]", '[[stage]]\nkind = "drift"\nwalk = -1.0\n[scan]', r"Drift\(walk\) is -1"),
    ],
)
def test_mistakes_are_named(tmp_path, old, new, says):
    with pytest.raises((ValueError, TypeError), match=says) as caught:
        given(tmp_path, swap=[(old, new)])
    assert "scan.toml" in str(caught.value) + "".join(getattr(caught.value, "__notes__", ()))

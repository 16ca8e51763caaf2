"""4D-STEM from an array in a file to a picture: options of the load, rotation found, atoms where they are."""

import sys
from pathlib import Path

import numpy as np
import pytest

import opty
from opty.analysis import health
from opty.errors import FormatError
from opty.geometry import Geometry
from opty.io import load

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from test_optics import scan_4d

STEP = 0.5e-10
ELECTRONS = {"voltage": "300kV", "reciprocal_pixel": "3.75mrad", "scan_step": STEP, "semi_angle": "21.4mrad"}


@pytest.fixture
def saved(tmp_path):
    def save(defocus=0.0, n=32, **more):
        frames, geometry, probe, truth = scan_4d(12, defocus, n, **more)
        np.save(tmp_path / "4d.npy", frames)
        return tmp_path / "4d.npy", frames, geometry, probe, truth

    return save


def test_everything_is_in_the_options(saved):
    path, frames, geometry, probe, _ = saved(side=6)
    data = load(path, **ELECTRONS, scan_rotation="12deg")
    np.testing.assert_array_equal(data.intensities, frames.reshape(36, 32, 32))
    assert data.geometry == Geometry(voltage=300e3, distance=1.0, pixel_size=geometry.pixel_size, semi_angle=21.4e-3)
    assert data.pixel == pytest.approx(geometry.wavelength / (32 * 3.75e-3))
    c, s = np.cos(np.deg2rad(12)), np.sin(np.deg2rad(12))
    np.testing.assert_allclose(data.positions[7], STEP * np.array([c - s, s + c]), rtol=1e-9)
    np.testing.assert_allclose(data.probe[0], probe, atol=1e-6)
    by_length = ELECTRONS | {"reciprocal_pixel": f"{3.75e-3 / geometry.wavelength * 1e-10} 1/A"}
    assert load(path, **by_length).geometry.pixel_size == pytest.approx(3.75e-3)
    assert load(path, **ELECTRONS, rebin=2).pixel == pytest.approx(data.pixel)
    assert load(path, scan_step=2.0).geometry is None


def test_files_keep_the_aperture(saved, tmp_path):
    """A state saved, and a measurement written for another program, start with the lens that the options gave."""
    path, *_ = saved(side=6)
    data = load(path, **ELECTRONS).replace(probe=None)
    opty.save(tmp_path / "a.h5", data)
    opty.save(tmp_path / "a.cxi", data, format="cxi")
    opty.save(tmp_path / "a.tif", data, format="tiff")
    for name in ("a.h5", "a.cxi", "a.tif"):
        found = load(tmp_path / name)
        assert (found.geometry.semi_angle, found.geometry.voltage) == (21.4e-3, 300e3), name
        again = load(tmp_path / name, defocus="1nm")
        np.testing.assert_array_equal(again.probe, load(path, **ELECTRONS, defocus="1nm").probe)
        assert load(tmp_path / name, semi_angle="10mrad").geometry.semi_angle == 10e-3
        lens = load(tmp_path / name, aperture="40um", focal_length="2mm").geometry
        assert lens.semi_angle == pytest.approx(np.arctan(0.01))
    assert "aperture 21.4 mrad" in str(opty.info(tmp_path / "a.h5"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "the file has no positions: give the distance between views on a grid, scan_step="),
        ({"scan_step": "0.5A"}, "give wavelength=, distance=, pixel_size="),
        (ELECTRONS | {"distance": 1.0}, "reciprocal_pixel is in place of distance and pixel_size"),
        (ELECTRONS | {"reciprocal_pixel": "3.75"}, "give an angle or a reciprocal length"),
        (ELECTRONS | {"aberrations": {"C99": 1}}, "there is no aberration 'C99'"),
        (ELECTRONS | {"defocus": "1um"}, "spread over"),
        ({"scan_step": 1.0, "defocus": "1nm"}, "defocus needs the aperture, semi_angle="),
        ({"scan_step": 1.0, "positions": np.zeros((36, 2))}, "scan_step and positions are given"),
        ({"scan_step": 1.0, "semi_angle": "21mrad"}, "needs wavelength, distance and pixel size: give voltage="),
        (ELECTRONS | {"scan_rotation": "auto", "views": "0:9"}, "needs all views of the grid"),
    ],
)
def test_options_that_do_not_fit(saved, options, message):
    path, *_ = saved(side=6)
    with pytest.raises(ValueError, match=message):
        load(path, **options)


def test_a_damaged_array(saved):
    path, *_ = saved(side=6)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(FormatError, match="truncated or damaged"):
        load(path, **ELECTRONS)


@pytest.mark.parametrize(("defocus", "n"), [(0.0, 32), (8e-9, 48)])
def test_from_the_file_to_the_atoms(saved, defocus, n):
    path, _, _, _, truth = saved(defocus, n, seed=1)
    lens = ELECTRONS | {"reciprocal_pixel": f"{120 / n}mrad", "defocus": defocus}
    data = load(path, **lens, scan_rotation="auto")
    down = data.positions[24] - data.positions[0]
    assert np.degrees(np.arctan2(down[1], down[0])) == pytest.approx(12, abs=0.5)
    p = opty.ePIE() ** 6 * opty.PtychoState(data, seed=0, device="cpu", threads=1)
    obj, places = p.numpy("obj"), p.numpy("positions")
    offset = np.rint((places - truth["positions"]).mean(axis=0)).astype(int)
    inner = tuple(slice(n // 2 + 8, n // 2 + 60) for _ in range(2))
    found = obj[tuple(slice(i.start + o, i.stop + o) for i, o in zip(inner, offset, strict=True))]
    phases = [np.angle(a * np.exp(-1j * np.angle(a.mean()))) for a in (found, truth["obj"][inner])]
    assert np.corrcoef(*(phase.ravel() for phase in phases))[0, 1] > 0.9


@pytest.mark.slow
def test_check_says_that_the_scan_is_turned(saved):
    path, *_ = saved(side=12)
    said = health(load(path, **ELECTRONS)).warnings
    assert any("turned by 1" in line and "scan_rotation='1" in line for line in said)
    assert not any("turned by" in line for line in health(load(path, **ELECTRONS, scan_rotation="12deg")).warnings)

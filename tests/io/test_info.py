"""info(): numbers that can be checked by hand, what is missing, and the text."""

import json

import numpy as np
import pytest

from opty.data import PtychoData
from opty.geometry import Geometry
from opty.io import info, save
from opty.ptycho_state import PtychoState


@pytest.fixture
def disc():
    """A scan of 5 x 6 views, 8 and 10 px apart, with a uniform disc of 40 px as probe, 100 photons in each pixel."""
    rows, cols = np.indices((64, 64)) - 32
    probe = (np.hypot(rows, cols) <= 20).astype("c8")
    positions = np.array([(8.0 * i, 10.0 * j) for i in range(5) for j in range(6)])
    return PtychoData(np.full((30, 64, 64), 100, "uint16"), positions, probe=probe)


def test_scan_without_geometry(tmp_path, disc):
    save(tmp_path / "d.h5", disc)
    found = info(tmp_path / "d.h5")
    assert (found.format, found.views, found.pattern, found.dtype) == ("opty data (HDF5)", 30, 64, "uint16")
    assert found.extent_px == (32.0, 50.0)
    assert found.extent is None
    assert found.step_px == 8.0
    assert found.probe_diameter_px == pytest.approx(40, abs=0.5)
    assert found.probe_from == "the starting probe"
    assert found.overlap == pytest.approx(0.8, abs=0.003)
    assert found.coverage == pytest.approx(30 * np.pi * 400 / (72 * 90), rel=0.03)
    assert (found.photons_min, found.photons_max, found.photons_total) == (409600, 409600, 30 * 409600)
    assert found.brightest_pixel == 100
    assert found.missing == (
        "no wavelength, distance, pixel size: lengths are in pixels only",
        "no mask: every pixel counts",
    )
    assert found.warnings == ()


def test_geometry_mask_and_metres(tmp_path, disc):
    geometry = Geometry(wavelength=1e-10, distance=2.0, pixel_size=50e-6)
    mask = np.ones((64, 64), bool)
    mask[:16] = False
    data = PtychoData(disc.intensities, disc.positions * geometry.sample_pixel(64), geometry, mask)
    save(tmp_path / "d.h5", data)
    found = info(tmp_path / "d.h5")
    assert found.energy == pytest.approx(12398.42, rel=1e-6)  # h c / e = 12398.42 eV Angstrom
    assert found.sample_pixel == pytest.approx(1e-10 * 2 / (64 * 50e-6))
    assert found.extent == pytest.approx((32 * found.sample_pixel, 50 * found.sample_pixel))
    assert found.usable == 0.75
    assert found.photons_mean == 100 * 48 * 64
    assert found.missing == ("no starting probe: one is made from the mean pattern",)
    for piece in ("100 pm", "12398 eV", "far field", "62.5 nm", "75.00% of the pixels", "2 µm x 3.125 µm"):
        assert piece in str(found)


@pytest.mark.parametrize("width", [6, 12])
def test_probe_size_is_estimated_from_the_mean_amplitude(tmp_path, width):
    """A flat square of w px has sinc-shaped amplitudes; its diameter by half power is 2 sqrt(2) r(1/2) ~ 1.13 w."""
    probe = np.zeros((64, 64))
    probe[32 - width // 2 : 32 + width // 2, 32 - width // 2 : 32 + width // 2] = 100
    wave = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe), norm="ortho"))
    data = PtychoData(np.repeat(np.abs(wave)[None] ** 2, 4, 0), np.arange(8.0).reshape(4, 2))
    save(tmp_path / "d.h5", data)
    found = info(tmp_path / "d.h5")
    assert found.probe_from == "the mean amplitude, at focus"
    # |F| in place of F folds the signs of the side lobes away: the estimate is a lower bound of the order of the truth.
    assert 0.4 * width < found.probe_diameter_px < 1.3 * width


@pytest.mark.parametrize(("step", "overlap"), [(3, "at least"), (40, "unknown without a probe")])
def test_overlap_without_a_probe(tmp_path, step, overlap):
    """Of a focus 20 px wide that a defocus would widen: what is known is the least, and nothing where that is none."""
    rows, columns = np.indices((64, 64)) - 32
    probe = np.where(np.hypot(rows, columns) < 10, 100, 0)
    wave = np.abs(np.fft.fftshift(np.fft.fft2(probe))) ** 2
    places = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * float(step)
    save(tmp_path / "d.h5", PtychoData(np.repeat(wave[None], 4, 0), places))
    found = info(tmp_path / "d.h5")
    assert f"overlap     {overlap}" in str(found)
    assert "probe       at least " in str(found)
    assert (found.overlap is None) == (step == 40)
    assert (found.coverage is None) == (step == 40)
    save(tmp_path / "p.h5", PtychoData(np.repeat(wave[None], 4, 0), places, probe=probe + 0j))
    known = info(tmp_path / "p.h5")
    assert known.overlap == pytest.approx(max(0, 1 - step / 20), abs=0.1)
    assert "at least" not in str(known)


def test_near_field_beam_is_seen_on_the_detector(tmp_path):
    rows, cols = np.indices((64, 64)) - 32
    beam = np.where(np.hypot(rows, cols) <= 15, 50, 0)
    geometry = Geometry(wavelength=1e-10, distance=1.0, pixel_size=1e-6, propagation="near")
    save(tmp_path / "d.h5", PtychoData(np.repeat(beam[None], 4, 0), np.arange(8.0).reshape(4, 2) * 1e-6, geometry))
    found = info(tmp_path / "d.h5")
    assert found.probe_from == "the mean pattern"
    assert found.probe_diameter_px == pytest.approx(30, abs=0.5)


@pytest.mark.filterwarnings("ignore:1 of 4 views hold no photon")
def test_odd_data_draw_attention(tmp_path, counts):
    geometry = Geometry(wavelength=1e-10, distance=2.0, pixel_size=55e-6)
    counts[2] = 0
    save(tmp_path / "um.h5", PtychoData(counts, np.arange(8.0).reshape(4, 2), geometry))  # micrometres, not metres
    found = info(tmp_path / "um.h5")
    assert "give opty.load: position_unit='um'" in found.warnings[0]
    assert "1 frame is missing (no light): 2" in found.warnings[1]
    assert "attention" in str(found)
    save(tmp_path / "m.h5", PtychoData(counts, np.arange(8.0).reshape(4, 2) * 1e-6))  # metres, taken for pixels
    assert "all views lie on one spot" in info(tmp_path / "m.h5").warnings[0]
    save(tmp_path / "mm.h5", PtychoData(counts, np.arange(8.0).reshape(4, 2) * 1e-2))
    assert "all views lie within 0.06 px" in info(tmp_path / "mm.h5").warnings[0]


def test_cxi_asks_for_what_it_cannot_hold(make_cxi):
    assert any("focus_to_sample=" in line for line in info(make_cxi()).missing)
    near = info(make_cxi(), focus_to_sample=0.01, propagation="near")
    assert near.focus_to_sample == 0.01
    assert near.sample_pixel == pytest.approx(55e-6 / 201)
    assert not any("focus_to_sample=" in line for line in near.missing)


def test_single_view_has_no_step(tmp_path, counts):
    save(tmp_path / "d.h5", PtychoData(counts[:1], np.zeros((1, 2))))
    found = info(tmp_path / "d.h5")
    assert found.step_px is None
    assert found.overlap is None
    assert found.warnings == ("one view: there is no overlap to learn from",)


def test_result_tells_its_recipe_with_or_without_its_measurement(tmp_path, counts):
    np.savez(tmp_path / "scan.npz", data=counts, scan=np.arange(8.0).reshape(4, 2))
    from opty.io import load

    p = PtychoState(load(tmp_path / "scan.npz"), device="cpu")
    leaves = {name: p.numpy(name) for name in ("obj", "probe", "positions")}
    history = {"misfit": np.array([0.5, 0.25]), "iteration": np.array([6, 7])}
    p = PtychoState.restore(
        p.data, leaves, origin=p.origin, seed=0, iteration=7, history=history, recipe=p.recipe, device="cpu"
    )
    save(tmp_path / "r.h5", p)
    whole = info(tmp_path / "r.h5")
    assert (whole.recipe, whole.iteration, whole.sweep_misfit) == ("Identity()", 7, 0.25)
    assert whole.brightest_pixel == counts.max()
    (tmp_path / "scan.npz").unlink()
    found = info(tmp_path / "r.h5")
    assert (found.recipe, found.iteration, found.sweep_misfit) == ("Identity()", 7, 0.25)
    assert (found.photons_total, found.views, found.step_px) == (counts.sum(), 4, whole.step_px)
    assert found.brightest_pixel == counts.max()
    assert (found.dtype, found.frames_bytes, found.in_file) == (None, None, None)
    assert "scan.npz: no such file" in found.missing[0]
    assert "data='NEWPATH'" in found.missing[0]
    assert "last sweep  misfit 0.25" in str(found)


def test_json_holds_the_same_numbers(tmp_path, disc):
    save(tmp_path / "d.h5", disc)
    found = info(tmp_path / "d.h5")
    fields = json.loads(found.to_json())
    assert fields["views"] == 30
    assert fields["overlap"] == found.overlap
    assert fields["extent_px"] == [32.0, 50.0]

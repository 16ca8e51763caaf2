"""What is known of a scan without running anything: each kind of fault is found, and a good scan is left alone."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))
from small_scans import scan

import opty
from benchmarks import cases, scans
from opty.analysis import Findings, health, quick_look
from opty.analysis.check.conclusion import Decision
from opty.analysis.check.findings import of_positions
from opty.analysis.check.frame_statistics import look_at_frames
from opty.analysis.check.quick import probe_size
from opty.physics.pixels import hot
from opty.search.repair import repaired
from opty.simulate import experiment, misplaced_scan, objects, probes
from opty.simulate.demo import demo_scan
from opty.simulate.scans import raster

P25 = "PETRAIII_P25_Near_Field_Ptycho.cxi"


def simulated(photons=1e5, grid=(7, 7), step=7, **options):
    """49 views of 64 x 64 with a probe of 30 px that fills the aperture, and the true probe as the start."""
    probe, positions = probes.aperture(64, 30, edge=2), raster(grid, step=step, jitter=1, seed=0)
    size = 64 + 8 + int(np.ptp(positions, axis=0).max())
    data = experiment(objects.two_images((size, size)), probe, positions, photons=photons, seed=0, **options)
    return data.replace(probe=data.truth["probe"])


def benchmark(case):
    arrays = scans.pictured(case)
    return opty.PtychoData(arrays["diff"], arrays["pos"], probe=arrays["probe0"])


def cone():
    """A diverging beam: in focus it would be far smaller than the steps."""
    g = opty.Geometry(1e-10, distance=1.0, pixel_size=50e-6, focus_to_sample=2e-3, propagation="cone")
    row, column = np.indices((64, 64)) - 32
    probe = np.exp(-(((row**2 + column**2) / 18.0**2) ** 2))
    return experiment(objects.two_images((120, 120)), probe, raster((6, 6), step=7), geometry=g, photons=1e5, seed=0)


GOOD = {
    "A": lambda: benchmark(cases.A),
    "B": lambda: benchmark(cases.B),
    "demo": lambda: demo_scan(0),
    "misplaced": misplaced_scan,
    "1e5 photons": simulated,
    "1e3 photons": lambda: simulated(photons=1e3),
    "without a probe": lambda: simulated().replace(probe=None),
    "4 views that overlap": lambda: simulated(grid=(2, 2), step=10),
    "views in one line": lambda: simulated(grid=(1, 20), step=8),
    "small": scan,
    "small, modes and a mask": lambda: scan(modes=3, mask=3, background=True),
    "small, from the true probe": lambda: (lambda d: d.replace(probe=d.truth["probe"]))(scan(views=30)),
    "cone": lambda: cone().replace(probe=None),
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "B")) for name in GOOD])
def test_a_good_scan_is_left_alone(name):
    assert quick_look(GOOD[name]()) == Findings()


@pytest.mark.parametrize("name", ["star", P25])
def test_the_real_scans_are_left_alone(star, shared_data, name):
    options = dict(propagation="near", focus_to_sample=3.65e-3)
    assert quick_look(star if name == "star" else opty.load(shared_data / name, **options)) == Findings()


@pytest.fixture(scope="module")
def good():
    return simulated()


def only(found, *, problem=(), warning=()):
    """Check that these texts, and no others, are in the findings."""
    for lines, parts in ((found.problems, problem), (found.warnings, warning)):
        assert len(lines) == len(parts), lines
        for line, part in zip(lines, parts, strict=True):
            assert part in line
    assert found.ok is not bool(problem)


def some(data, index):
    return data.replace(intensities=data.intensities[index], positions=data.positions[index], truth=None)


# -- positions


def test_one_view(good):
    only(quick_look(some(good, slice(3, 4))), problem=["one view"])


@pytest.mark.parametrize("factor", [1e-3, 1e-6, 0.0])
def test_views_on_one_spot(good, factor):
    found = quick_look(good.replace(positions=good.positions * factor))
    assert not found.ok
    assert "spot" in found.problems[0] or "lie within" in found.problems[0]


@pytest.mark.parametrize("factor", [1e3, 1e6])
def test_positions_that_no_object_can_be_made_for(good, factor):
    found = quick_look(good.replace(positions=good.positions * factor))
    only(found, problem=["far more than 49 views"])
    assert found.impossible


def test_one_position_far_from_all_others(good):
    positions = good.positions.copy()
    positions[7] += 1e5
    (problem,) = quick_look(good.replace(positions=positions)).problems
    assert "positions[7] is" in problem
    positions[7] += 150 - 1e5
    only(quick_look(good.replace(positions=positions)), warning=["1 positions jump away from all others: 7"])


def test_windows_that_do_not_overlap():
    """In one line the object stays small, though no view has anything in common with another."""
    line = np.stack([np.zeros(50), 1000.0 * np.arange(50)], axis=1)
    only(of_positions(line, 128, 60.0, known=True), problem=["no two windows of 128 px overlap"])
    only(of_positions(line, 128, 1.0, known=False), problem=["no two windows of 128 px overlap"])


def test_a_scan_too_wide_for_any_memory_and_one_that_is_odd(monkeypatch):
    from opty.analysis.check import findings

    line = np.stack([np.zeros(20_001), 100.0 * np.arange(20_001)], axis=1)
    only(of_positions(line, 128, 300.0, known=True), warning=["probably not in metres"])
    monkeypatch.setattr(findings, "free_memory", lambda: 10**6)
    found = of_positions(line, 128, 300.0, known=True)
    only(found, problem=["are free"])
    assert found.impossible


def test_the_probe_is_known_and_does_not_reach_the_next_view(good):
    spread = good.replace(positions=good.positions * 6)
    only(quick_look(spread), problem=["views do not overlap"])
    only(quick_look(spread.replace(probe=None)), warning=["only if the probe is out of focus"])
    only(quick_look(good.replace(positions=good.positions * 3)), warning=["60 to 80 % is better"])


def test_groups_of_views_without_a_link():
    grid = np.indices((5, 5)).reshape(2, -1).T * 5.0
    two = np.concatenate([grid, grid + np.array([0, 60])])
    only(of_positions(two, 64, 20.0, known=True), warning=["2 groups that do not overlap, of 25, 25 views"])
    only(of_positions(np.concatenate([two, [(0, 30), (0, 40), (0, 50)]]), 64, 20.0, known=True))


def test_a_stage_that_stands_still(good):
    positions = good.positions.copy()
    positions[20:30] = positions[20]
    found = quick_look(good.replace(positions=positions))
    only(found, warning=["10 views lie on one position"])
    positions[:] = good.positions
    positions[10] = positions[9]  # measured twice, on purpose
    only(quick_look(good.replace(positions=positions)))


def test_a_near_field_without_its_geometry(shared_data):
    file = shared_data / P25
    only(quick_look(opty.load(file)), warning=["only if the probe is out of focus"])
    in_mm = opty.load(file, propagation="near", focus_to_sample=3.65)
    only(quick_look(in_mm), problem=["all views lie within 0.48 px"])


# -- light


def test_few_photons_are_doubtful_and_hardly_any_pointless():
    only(quick_look(simulated(photons=60)), warning=["60.3 photons a view are few: ML()"])
    only(quick_look(simulated(photons=10)), problem=["are too few to tell anything"])


def test_normalised_frames_are_no_low_dose(good):
    frames = good.intensities / good.photons().max()
    only(quick_look(good.replace(intensities=frames.astype("f4"))), warning=["in fractions: the frames are probably"])


# -- pixels


@pytest.mark.parametrize("dtype", ["uint16", "int32", "uint32", "int64", "float32", "float64"])
@pytest.mark.parametrize(
    "which", [np.s_[:, 40:42], np.s_[:, 5, 7], np.s_[:, :, 3]], ids=["rows", "one pixel", "column"]
)
def test_gaps_at_the_end_of_the_scale(good, dtype, which):
    """Also as numbers of a wider type, in which they were stored before."""
    counts = np.random.default_rng(0).binomial(good.intensities.astype(int), 0.05 if dtype == "uint16" else 1)
    counts = counts.astype(dtype)
    counts[which] = np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else 2**32 - 1
    found = quick_look(good.replace(intensities=counts))
    only(found, problem=["of the light is in"])
    assert "mask='saturated'" in found.problems[0]
    assert not any("off the middle" in line or "samples" in line for line in found.every)


def test_pixels_that_were_too_bright_for_the_detector(good):
    top = int(np.sort(good.intensities.ravel())[-500])
    found = quick_look(good.replace(intensities=np.minimum(good.intensities, top)))
    (line,) = found.warnings
    assert found.ok
    assert line.endswith("saturated pixels: load with mask='saturated'")


@pytest.mark.parametrize("top", [150, 255])
def test_a_detector_of_few_counts_saturates_too_but_not_few_photons_in_large_steps(good, top):
    found = look_at_frames(good.replace(intensities=np.minimum(good.intensities, top)))
    assert np.array_equal(found.saturated, good.intensities.max(axis=0) >= top)
    share = 5 / good.intensities.max()
    steps = 500 * np.random.default_rng(0).binomial(good.intensities.astype(int), share)
    assert not look_at_frames(good.replace(intensities=steps.astype("uint32"))).saturated.any()


def test_dead_pixels_are_no_minima_of_a_pattern(good):
    """Between the rings of an aperture, too, live pixels may count nothing."""
    counts = good.intensities.copy()
    counts[:, 30, 34] = 0
    only(quick_look(good.replace(intensities=counts)), warning=["1 dead pixel: load with mask='dead'"])
    phase = objects.two_images((130, 130), magnitude_range=(1, 1), phase_range=(-0.3, 0.3))
    positions = raster((8, 8), step=6, jitter=1, seed=1)
    for photons in (1e3, 1e4):
        for edge in (28, 50):
            only(quick_look(experiment(phase, probes.aperture(64, edge, edge=2), positions, photons=photons, seed=0)))


GAPS = {
    "through the beam": np.s_[:, 30:34],
    "two lines": np.s_[:, 39:41],
    "a module's width": np.s_[:, :, 36:50],
    "the middle": np.s_[:, 26:38, 24:40],
    "a cross": (np.s_[:, 29:31], np.s_[:, :, 40:43]),
    "a module in the corner": np.s_[:, 35:, 34:],
    "a side": np.s_[:, :26],
}


@pytest.mark.parametrize("which", GAPS)
def test_gaps_and_dead_bands_are_found(which):
    good = simulated(photons=1e6)
    counts, gap = good.intensities.copy(), np.zeros((good.n, good.n), bool)
    parts = GAPS[which] if isinstance(GAPS[which][0], tuple) else (GAPS[which],)
    for part in parts:
        counts[part] = 0
        gap[part[1:]] = True
    data = good.replace(intensities=counts, truth=None)
    found = look_at_frames(data).dead
    assert (found & gap).sum() > 0.9 * gap.sum()
    assert not (found & ~gap).any()
    masked = data.replace(mask=~gap)
    assert not look_at_frames(masked).dead.any()
    assert any("dead pixels: load with mask='dead'" in line for line in quick_look(data).warnings)


def test_hot_pixels_shift_neither_centre_nor_size(good):
    counts = good.intensities.copy()
    for place in ((5, 60), (60, 5), (8, 8)):
        counts[:, *place] = np.random.default_rng(0).poisson(1e5, len(counts))
    hot = good.replace(intensities=counts, probe=None)
    only(quick_look(hot), warning=["3 hot pixels: load with mask='hot'"])
    h, clean = (look_at_frames(d) for d in (hot, good.replace(probe=None)))
    assert probe_size(hot, h) == pytest.approx(probe_size(good.replace(probe=None), clean), rel=0.02)
    np.testing.assert_allclose(h.centre, clean.centre, atol=0.1)


def test_the_direct_beam_of_a_wide_probe_is_not_hot():
    """A probe as wide as the window puts nearly all light on one pixel of the far field."""
    probe, positions = np.ones((64, 64)), raster((5, 5), step=10)
    obj = 1 + 0.05 * (objects.two_images((110, 110)) - 1)
    data = experiment(obj, probe, positions, photons=1e6, seed=0)
    assert (data.intensities[:, 32, 32] > 0.5 * data.photons()).all()
    assert not any("hot" in line for line in quick_look(data.replace(probe=data.truth["probe"])).every)


# -- frames


def changed(data, views, value):
    counts = data.intensities.copy()
    counts[views] = value
    return data.replace(intensities=counts)


@pytest.mark.filterwarnings("ignore:.*views hold no photon")
def test_frames_without_light(good):
    only(
        quick_look(changed(good, [4, 30], 0)), warning=["2 frames are missing (no light): 4, 30: load with leave_out="]
    )
    only(quick_look(changed(good, slice(20, None), 0)), problem=["29 of 49 frames"], warning=["29 frames are missing"])


def test_frozen_frames(good):
    found = quick_look(changed(good, [10, 11], good.intensities[9]))
    only(found, warning=["2 frames are the same as an earlier one (frozen): 10, 11"])
    found = quick_look(changed(good, slice(20, None), good.intensities[20]))
    only(found, problem=["28 of 49 frames are frozen"], warning=["28 frames are the same"])


def test_the_same_frame_throughout_is_no_mark_for_gaps(good):
    frame = np.array(good.intensities[9])
    frame[20, 20] = np.iinfo(frame.dtype).max
    found = quick_look(good.replace(intensities=np.repeat(frame[None], good.views, axis=0)))
    assert any("48 of 49 frames are frozen" in line for line in found.problems)
    assert not any("of the light is in" in line for line in found.every)
    one = np.array(good.intensities[:])
    one[:, 20, 20] = np.iinfo(one.dtype).max
    (problem,) = quick_look(good.replace(intensities=one)).problems
    assert "of the light is in 1 pixel at" in problem


def test_the_edge_of_a_speckle_beside_a_gap_is_not_hot():
    """What the gap hides of the speckle is no darkness."""
    total = np.full((32, 32), 10.0)
    mask = np.ones((32, 32), bool)
    mask[20:23] = False
    total[19, 26:29] = 60, 400, 60
    total[5, 9] = 1e4
    total[~mask] = 0
    assert np.argwhere(hot(total, mask)).tolist() == [[5, 9]]
    assert np.argwhere(hot(total, np.ones((32, 32), bool))).tolist() == [[5, 9], [19, 27]]
    mask[1:10, 7:12] = False
    mask[5, 9] = True
    assert not hot(total, mask).any()  # nothing to compare with


def test_sparse_frames_that_agree_by_chance_are_not_frozen():
    counts = np.zeros((1600, 16, 16), "u2")
    rng = np.random.default_rng(0)
    for _ in range(3):  # photons on the four pixels of the beam
        counts[np.arange(1600), 7 + rng.integers(0, 2, 1600), 7 + rng.integers(0, 2, 1600)] += 1
    data = opty.PtychoData(counts, raster((40, 40), step=1.0))
    assert len(np.unique(counts.reshape(1600, -1), axis=0)) < 100
    assert not any("frozen" in line for line in quick_look(data).every)


def test_frames_too_bright_or_full_to_the_end(good):
    rng = np.random.default_rng(0)
    mad = changed(good, [5, 20], rng.poisson(2000, (2, 64, 64)))
    bright = "2 frames have more than three times the light of those around them: 5, 20"
    only(quick_look(mad), warning=["2 frames are like no others", bright])
    full = quick_look(changed(good, [7], np.iinfo(good.intensities.dtype).max))
    assert "1 frame is full to the end of the scale: 7: load with leave_out=[7]" in full.every
    assert not any("saturated" in line for line in full.warnings)


@pytest.mark.parametrize(("times", "said"), [(0.1, "less than a fifth of"), (4, "more than three times")])
def test_frames_of_another_light(good, times, said):
    rng = np.random.default_rng(0)
    odd = changed(good, [5, 20], rng.poisson(times * good.intensities[[5, 20]]))
    only(quick_look(odd), warning=[f"2 frames have {said} the light of those around them: 5, 20"])


def test_frames_of_noise(good):
    level = good.intensities.mean()
    noise = changed(good, [5, 20], np.random.default_rng(0).poisson(level, (2, good.n, good.n)))
    only(quick_look(noise), warning=["2 frames are like no others: their light is spread in another way: 5, 20"])


@pytest.mark.parametrize("names", [("horse", "moon"), ("camera", "moon")])
@pytest.mark.parametrize("step", [4, 10])
def test_a_sample_that_absorbs_is_no_fault_of_the_frames(names, step):
    obj = objects.two_images((200, 200), names, magnitude_range=(0.15, 1.0))
    positions = raster((10, 10), step=step, jitter=1, seed=0)
    data = experiment(obj, probes.aperture(64, 28, edge=2), positions, photons=1e5, seed=0)
    photons = data.photons()
    assert photons.max() > 3 * photons.min()
    only(quick_look(data.replace(probe=data.truth["probe"])))


def test_a_beam_off_the_middle(good):
    off = good.replace(intensities=np.roll(good.intensities, (9, -6), axis=(1, 2)))
    only(quick_look(off), warning=["px off the middle: a probe that is reconstructed takes that up; centre="])


# -- the rest


def test_zero_frequency_in_the_corner(good):
    rolled = good.replace(intensities=np.fft.ifftshift(good.intensities, axes=(1, 2)))
    (said,) = quick_look(rolled).problems
    assert "load with zero_frequency='corner', or zero_frequency='centre' where" in said
    mended = repaired(rolled)
    assert mended.options == {"zero_frequency": "corner"}
    assert np.array_equal(mended.data.intensities, good.intensities)


def test_check_has_the_same_rules(good, monkeypatch):
    module = sys.modules["opty.analysis.check.health"]
    monkeypatch.setattr(module, "decide", lambda data, frames: Decision())
    monkeypatch.setattr(module, "of_raster", lambda data: Findings())  # is check's alone
    for data in (good.replace(positions=good.positions * 6), changed(good, [10], good.intensities[9]), good):
        found, h = quick_look(data), health(data)
        assert (found.problems, found.warnings) == (h.problems, h.warnings)


@pytest.mark.filterwarnings("ignore:.*views hold no photon")
def test_frames_that_stay_in_the_file_give_the_same(good, tmp_path):
    counts = good.intensities.copy()
    counts[3], counts[10], counts[:, 40:42] = 0, counts[9], 2**31 - 1
    opty.save(tmp_path / "scan.h5", good.replace(intensities=counts.astype("i4")))
    held, stays = (opty.load(tmp_path / "scan.h5", stream=stream) for stream in (False, True))
    assert stays.in_file
    assert quick_look(stays) == quick_look(held)
    assert not quick_look(stays).ok


def test_what_is_no_measurement():
    with pytest.raises(TypeError, match="data is a str"):
        quick_look("scan.cxi")

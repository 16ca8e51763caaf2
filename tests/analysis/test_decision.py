"""Short runs on held-out views tell orientation and order of the frames, with a starting probe and without one."""

import re

import numpy as np
import pytest

import opty
from opty.analysis.check.decision import decide
from opty.analysis.check.frame_statistics import look_at_frames
from opty.analysis.check.in_brief import orders_in_brief, ways_in_brief
from opty.analysis.check.likeness import likeness, line_ends, orders_like
from opty.analysis.orientation import Orientation
from opty.data.frame_order import frame_order, grid_places
from opty.physics.optics import aperture_probe
from opty.simulate import experiment, objects

N, SIDE = 32, 7
WRONG = {
    "shift:1": np.r_[1 : SIDE**2, SIDE**2 - 1],
    "shift:-1": np.roll(np.arange(SIDE**2), 1),
    "shift:1@20": np.r_[:20, 21 : SIDE**2, SIDE**2 - 1],
    "snake": frame_order("snake", np.indices((SIDE, SIDE)).reshape(2, -1).T),
}


def smooth(rng, size, width):
    q = np.fft.fftfreq(size)
    noise = np.fft.ifft2(np.fft.fft2(rng.normal(size=(size, size))) * np.exp(-(q[:, None] ** 2 + q**2) * width)).real
    return (noise - noise.min()) / np.ptp(noise)


@pytest.fixture(scope="module")
def scan():
    """A raster whose positions are off their places, a tilted and defocused probe; the data keep it as the truth."""
    return drawn(3.0, 0.7)


@pytest.fixture(scope="module")
def shaken():
    """The same with places further apart, and positions further off these."""
    return drawn(4.0, 1.5)


def drawn(step, off):
    rng = np.random.default_rng(5)
    v = (np.arange(N) - N // 2) / N
    r2 = v[:, None] ** 2 + v**2
    probe = np.exp(-18 * r2) * np.exp(8j * r2 + 1.5j * v)
    places = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"), -1).reshape(-1, 2) * step
    places += rng.uniform(-off, off, places.shape)
    places -= places.min(axis=0)
    size = int(places.max()) + N + 4
    obj = (1 - 0.4 * smooth(rng, size, 120)) * np.exp(1.4j * smooth(rng, size, 120))
    return experiment(obj, probe, places, 3e5, seed=3)


def decided(data):
    return decide(data, look_at_frames(data))


@pytest.mark.parametrize("known", [True, False])
def test_a_good_scan_is_left_alone(scan, known):
    found = decided(scan.replace(probe=scan.truth["probe"] if known else None))
    assert found.fits == found.order == "as given"
    assert found.findings.ok
    assert found.findings.warnings == ()
    assert found.excess < 0.3
    assert found.twin == (None if known else "(-row, -column)")


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False])
def test_a_detector_turned_by_a_quarter(scan, known):
    way = Orientation(True, 1, -1, 0.0)
    data = scan.replace(positions=way.apply(scan.positions), truth=None)
    found = decided(data.replace(probe=scan.truth["probe"] if known else None))
    right, half_a_turn = "(-column, row)", "(column, -row)"
    assert found.fits == right if known else {found.fits, found.twin} == {right, half_a_turn}
    assert "transpose=True" in found.findings.problems[0]


@pytest.mark.parametrize("order", WRONG)
def test_frames_in_another_order(scan, order):
    data = scan.replace(intensities=scan.intensities[WRONG[order]], truth=None, probe=scan.truth["probe"])
    found = decided(data)
    assert found.order == order
    assert f"frame_order={order!r}" in found.findings.problems[0]


def test_without_a_probe_too(scan):
    data = scan.replace(intensities=scan.intensities[WRONG["snake"]], truth=None, probe=None)
    assert decided(data).order == "snake"


def test_frames_that_belong_to_no_position(scan):
    frames = np.random.default_rng(1).permutation(SIDE**2)
    found = decided(scan.replace(intensities=scan.intensities[frames], truth=None, probe=scan.truth["probe"]))
    assert (found.fits, found.order) == ("undecided", "as given")
    assert "do not belong together" in found.findings.problems[0]


def test_frames_that_are_all_alike_tell_nothing(scan):
    flat = np.random.default_rng(2).poisson(np.broadcast_to(scan.intensities[:].mean(axis=0) / 50, (SIDE**2, N, N)))
    found = decided(scan.replace(intensities=flat.astype(np.uint32), truth=None, probe=scan.truth["probe"]))
    assert found.fits == "undecided"
    assert found.findings.ok
    assert "could not be told" in found.findings.warnings[0]


def test_neighbours_are_alike_in_the_right_order_alone(scan):
    right = likeness(scan, look_at_frames(scan))
    mixed = scan.replace(intensities=scan.intensities[np.random.default_rng(0).permutation(SIDE**2)], truth=None)
    wrong = likeness(mixed, look_at_frames(mixed))
    assert right.given < 0.5 < 0.8 < wrong.given
    assert right.better == ()
    few = scan.replace(intensities=scan.intensities[:9], positions=scan.positions[:9], truth=None)
    assert likeness(few, look_at_frames(few)) is None


def test_orders_of_frames():
    grid = np.indices((3, 4)).reshape(2, -1).T * 2.0 + 0.1
    assert frame_order("rows", grid).tolist() == list(range(12))
    assert frame_order("snake", grid).tolist() == [0, 1, 2, 3, 7, 6, 5, 4, 8, 9, 10, 11]
    assert frame_order("columns", grid).tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
    assert frame_order("column-snake", grid).tolist() == [0, 4, 8, 9, 5, 1, 2, 6, 10, 11, 7, 3]
    back = grid[frame_order("snake", grid)]
    assert (back[frame_order("rows", back)] == grid).all()
    assert frame_order("reversed", grid).tolist() == list(range(11, -1, -1))
    assert frame_order("shift:1", grid).tolist() == [*range(1, 12), -1]
    assert frame_order("shift:-2", grid).tolist() == [-1, -1, *range(10)]
    assert frame_order("shift:1@10", grid).tolist() == [*range(10), 11, -1]
    assert frame_order("shift:-1@10", grid).tolist() == [*range(10), -1, 10]
    assert grid_places(np.random.default_rng(0).random((12, 2))) is None
    for order, says in (("zigzag", "choose 'rows'"), ("shift:12", "0 to 11"), ("shift:1@12", "0 to 11"), (3, "choose")):
        with pytest.raises(ValueError, match=says):
            frame_order(order, grid)
    with pytest.raises(ValueError, match="on no grid"):
        frame_order("snake", np.random.default_rng(0).random((12, 2)))


def test_the_remedy_repairs_the_scan(scan, tmp_path):
    lost = scan.replace(intensities=scan.intensities[WRONG["shift:1@20"]], truth=None)
    geometry = opty.Geometry(1e-10, 1.0, 5e-5)
    pixel = geometry.sample_pixel(N)
    opty.save(tmp_path / "scan.cxi", lost.replace(geometry=geometry, positions=scan.positions * pixel), format="cxi")
    loaded = opty.load(tmp_path / "scan.cxi", frame_order="shift:1@20")
    kept = [*range(20), *range(21, SIDE**2)]
    np.testing.assert_array_equal(loaded.intensities[:], scan.intensities[kept])
    np.testing.assert_allclose(loaded.positions_px - loaded.positions_px[0], (scan.positions - scan.positions[0])[kept])
    some = opty.load(tmp_path / "scan.cxi", frame_order="shift:1@20", views="18:24")
    np.testing.assert_array_equal(some.intensities[:], scan.intensities[[18, 19, 21, 22, 23, 24]])
    with pytest.raises(ValueError, match="leaves none of the chosen frames a position"):
        opty.load(tmp_path / "scan.cxi", frame_order="shift:1", views=[SIDE**2 - 1])


def test_a_probe_that_changes_half_way(scan):
    v = (np.arange(N) - N // 2) / N
    r2 = v[:, None] ** 2 + v**2
    other = np.exp(-40 * r2) * np.exp(-20j * r2)
    later = experiment(scan.truth["obj"], other, scan.truth["positions"], 3e5, seed=8)
    counts = scan.intensities[:].copy()
    counts[SIDE**2 // 2 :] = later.intensities[SIDE**2 // 2 :]
    changing = scan.replace(intensities=counts, truth=None, probe=scan.truth["probe"])
    (line,) = [w for w in decided(changing).findings.warnings if "the probe changes during the scan" in w]
    half = SIDE**2 // 2
    model = re.search(r"model='(.*?)'", line)[1]
    assert opty.model.parse(model) == opty.model.Object() * opty.model.Probe(scans=(half, SIDE**2 - half))
    one, each = (opty.misfit(opty.rPIE() ** 15 * opty.PtychoState(changing, model=m)) for m in (None, model))
    assert each < 0.2 * one


def test_few_photons_turn_no_scan(scan):
    """Where patterns are hardly more than noise, one of eight orientations is always a little better than the rest."""
    dim = np.random.default_rng(4).binomial(scan.intensities[:], 60 / 3e5).astype(np.uint32)
    found = decided(scan.replace(intensities=dim, truth=None, probe=scan.truth["probe"]))
    assert found.findings.ok
    assert found.order == "as given"


def in_brief(data):
    return ways_in_brief(data, look_at_frames(data))


@pytest.mark.parametrize("ask", [in_brief, lambda data: decided(data).findings])
def test_the_reversed_order_is_told_from_half_a_turn(shaken, ask):
    """A raster turned by half a turn is nearly the reversed order: positions that are off their places tell them."""
    known = shaken.replace(truth=None, probe=shaken.truth["probe"])
    (reversed_,) = ask(known.replace(intensities=shaken.intensities[::-1])).problems
    assert "in the order 'reversed'" in reversed_
    assert "flip" not in reversed_
    (turned,) = ask(known.replace(positions=-shaken.positions)).problems
    assert "fit as (-row, -column)" in turned
    assert "reversed" not in turned
    (both,) = ask(known.replace(intensities=shaken.intensities[::-1], positions=-shaken.positions)).problems
    assert "in the order 'reversed'" in both
    assert "flip='both', or leave that out where it was given" in both


def test_both_are_named_where_positions_are_on_their_places(shaken):
    places = np.indices((SIDE, SIDE)).reshape(2, -1).T * 3.0
    exact = experiment(shaken.truth["obj"], shaken.truth["probe"], places, 3e5, seed=3)
    known = exact.replace(truth=None, probe=exact.truth["probe"], intensities=exact.intensities[::-1])
    (either,) = in_brief(known).problems
    assert "flip='both'" in either
    assert "or the frames are in the order 'reversed', by frame_order='reversed'" in either


def test_orders_that_turn_a_scan():
    grid = np.indices((4, 4)).reshape(2, -1).T * 2.0
    half = Orientation(False, -1, -1, np.nan)
    assert [(name, turn.name) for name, turn in orders_like(grid, half)] == [
        ("columns", "(-column, -row)"),
        ("reversed", "(row, column)"),
    ]
    there_and_back = grid[frame_order("snake", grid)]
    flipped = dict(orders_like(there_and_back, Orientation(False, -1, 1, np.nan)))
    assert flipped["reversed"].as_given  # of an even number of lines
    assert orders_like(np.random.default_rng(0).random((40, 2)), half) == ()


def test_a_search_for_the_probe_leaves_the_order_to_tell(shaken):
    blind = shaken.replace(truth=None, probe=None)
    for order in ("reversed", "shift:-1"):
        data = blind.replace(intensities=shaken.intensities[WRONG.get(order, slice(None, None, -1))])
        found = orders_in_brief(data, look_at_frames(data), opty.analysis.find_probe(data).probe)
        assert f"frame_order={order!r}" in found.problems[0]
        assert "flip" not in found.problems[0]
    probe = opty.analysis.find_probe(blind).probe
    assert orders_in_brief(blind, look_at_frames(blind), probe).every == ()


def test_frames_late_by_one_are_no_right_result_though_positions_were_refined(shaken):
    known = shaken.replace(truth=None, probe=shaken.truth["probe"])
    late = known.replace(intensities=shaken.intensities[WRONG["shift:-1"]])
    recipe = (opty.PosCorrect() * opty.rPIE()) ** 60
    with pytest.warns(opty.MisfitWarning):
        moved = recipe * opty.PtychoState(late)
    said = opty.analysis.verdict(moved, test=True)
    assert said.word == "doubtful"
    assert any("frame_order='shift:-1'" in reason for reason in said.reasons)
    assert opty.analysis.position_report(moved).warning in said.reasons
    off = known.replace(positions=shaken.positions + np.random.default_rng(2).normal(0, 1.3, shaken.positions.shape))
    found = recipe * opty.PtychoState(off)
    assert opty.analysis.position_report(found).moved > 1
    assert opty.analysis.verdict(found, test=True).word == "right"


RASTER = opty.Geometry(1.24e-10, 2.0, 172e-6)


LITTLE = pytest.param(0.2, marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=[0.0, LITTLE, 2.0], ids=["on its places", "little off", "off"])
def raster(request):
    """Return a scan of 11 lines of 11 views, 7 px apart, whose neighbours overlap little, with its probe."""
    rng = np.random.default_rng(41)
    places = np.stack(np.indices((11, 11)), -1).reshape(-1, 2) * 7.0 + rng.uniform(-1, 1, (121, 2)) * request.param
    places -= places.min(axis=0)
    obj = objects.two_images((150, 150), ("camera", "brick"), (0.6, 1.0), (-0.8, 0.4))
    pixel = RASTER.sample_pixel(48)
    half_angle = 0.3 * RASTER.wavelength / (2 * pixel)
    beam = aperture_probe(48, RASTER.wavelength, pixel, half_angle, defocus=18 * pixel / (2 * half_angle))
    data = experiment(obj, beam, places, 3e5, geometry=RASTER, seed=42)
    return data.replace(truth=None, probe=data.truth["probe"])


def test_the_ends_of_lines_tell_frames_late_by_one(raster):
    frames = raster.intensities[:]
    assert ways_in_brief(raster, look_at_frames(raster)).every == ()
    for shift in (1, -1):
        late = raster.replace(intensities=np.roll(frames, shift, axis=0))
        (problem,) = ways_in_brief(late, look_at_frames(late)).problems
        assert f"frame_order='shift:{-shift}'" in problem
        blind = late.replace(probe=None)
        (problem,) = orders_in_brief(blind, look_at_frames(blind), raster.probe).problems
        assert f"frame_order='shift:{-shift}'" in problem


def test_the_frame_is_named_from_which_on_they_are_late(raster):
    frames = raster.intensities[:]
    twice = raster.replace(intensities=np.insert(frames, 57, frames[57], axis=0)[:121])
    (problem,) = ways_in_brief(twice, look_at_frames(twice)).problems
    assert "frame_order='shift:-1@58'" in problem
    lost = raster.replace(intensities=np.delete(frames, 57, axis=0), positions=raster.positions[:-1])
    (problem,) = ways_in_brief(lost, look_at_frames(lost)).problems
    assert abs(int(problem.split("frame_order='shift:1@")[1].split("'")[0]) - 57) <= 3


def test_ends_of_lines():
    grid = np.stack(np.indices((5, 4)), -1).reshape(-1, 2) * 7.0
    assert line_ends(grid) == (12, 11)
    assert line_ends(grid, 9) == (16, 15)
    assert line_ends(grid, 9, middle=False) == (12, 11)
    assert line_ends(grid[frame_order("snake", grid)]) is None
    assert line_ends(np.random.default_rng(0).random((40, 2))) is None


@pytest.mark.parametrize("raster", [0.0], indirect=True)
def test_too_few_photons_are_said(raster):
    thin = np.random.default_rng(43).poisson(raster.intensities[:] * (200 / 3e5)).astype(np.uint16)
    few = raster.replace(intensities=thin, probe=None)
    (warning,) = decide(few, look_at_frames(few)).findings.warnings
    assert "photons a view patterns differ by hardly more than their noise" in warning
    assert "ML(smooth=0.3) ** 60" in warning

"""The scan check finds what was done to a good scan, and leaves a good one alone."""

import json

import numpy as np
import pytest

import opty
from opty.analysis import health
from opty.analysis.check.conclusion import Decision
from opty.analysis.check.trials import cropped
from opty.analysis.orientation import WAYS, Orientation
from opty.data.parts import coarser
from opty.simulate.demo import demo_scan

MIDDLE = np.abs(np.indices((128, 128)) - 64).max(axis=0) < 2


@pytest.fixture(scope="module")
def good():
    """Half of the demo scan: 98 views of 128 x 128 with a starting probe."""
    data = demo_scan(0)
    return data.replace(intensities=data.intensities[:98], positions=data.positions[:98], truth=None)


@pytest.fixture(scope="module")
def found(good):
    """What is found of it at half the resolution."""
    return health(coarser(good, 2).replace(probe=cropped(good.probe, 64)))


@pytest.fixture
def quick(monkeypatch):
    """Leave out the short runs, for what does not need them."""
    import importlib

    monkeypatch.setattr(
        importlib.import_module("opty.analysis.check.health"), "decide", lambda data, frames: Decision()
    )


def test_a_good_scan_is_fit(found):
    assert found.ok
    assert found.fits == "as given"
    assert found.orientations[0].misfit < 0.5 * found.orientations[1].misfit
    assert np.allclose(found.centre, 32, atol=2)
    assert (found.dead, found.hot, found.saturated) == (0, 0, 0)
    assert found.frozen_frames == found.missing_frames == found.far_views == found.repeated_views == ()
    assert found.photons_mean == pytest.approx(1e6, rel=0.02)
    assert 0.7 < found.overlap < 0.9
    assert found.sampling > 1
    assert "verdict     reconstruct" in str(found)
    assert json.loads(found.to_json())["ok"] is True


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [(True, 1, -1), (False, -1, 1)])
def test_wrong_axes_are_named_and_turning_the_image_is_a_remedy(good, wrong, tmp_path):
    turned = good.replace(positions=Orientation(*wrong, 0.0).apply(good.positions))
    h = health(turned)
    assert not h.ok
    best = h.orientations[0]
    np.testing.assert_allclose(best.apply(turned.positions), good.positions)
    assert f"the positions fit as {best.name}" in str(h)
    swap, flip = best.turn
    opty.save(tmp_path / "scan.cxi", turned.replace(probe=None), format="cxi")
    loaded = opty.load(tmp_path / "scan.cxi", transpose=swap, flip=flip)
    again = loaded.replace(probe=good.probe[:, ::1] if not swap else good.probe.swapaxes(-1, -2))
    assert health(again).fits == "as given"


def test_the_eight_ways_are_different_and_say_which(good):
    ways = [Orientation(*way, 0.0) for way in WAYS]
    assert len({way.name for way in ways}) == len({way.turn for way in ways}) == 8
    assert [way.name for way in ways if way.as_given] == ["(row, column)"]


def test_bad_pixels_and_frames_are_counted(good, quick):
    counts = good.intensities.copy()
    counts[:, 60, 60] = 0
    counts[:, 5, 7] = 60_000
    counts[30] = counts[29]
    counts[50] //= 4
    h = health(good.replace(intensities=counts))
    assert (h.dead, h.hot) == (1, 1)
    assert np.argwhere(h.frames.hot).tolist() == [[5, 7]]
    assert h.frozen_frames == (30,)
    assert 50 in h.dim_frames
    with pytest.warns(UserWarning, match="view 40"):
        dark = good.replace(intensities=np.where(np.arange(98)[:, None, None] == 40, 0, good.intensities))
    h = health(dark)
    assert h.missing_frames == (40,)
    assert any("leave_out=[40]" in line for line in h.warnings)
    h = health(good.replace(intensities=np.minimum(good.intensities, 2000)))
    assert h.saturated == np.count_nonzero((good.intensities >= 2000).any(axis=0))


def test_positions_that_jump_and_repeat(good, quick):
    positions = good.positions.copy()
    positions[10] = positions[9]
    positions[20] += 150 * good.pixel
    h = health(good.replace(positions=positions))
    assert h.repeated_views == (10,)
    assert h.far_views == (20,)


def test_beam_off_the_middle(good, quick):
    h = health(good.replace(intensities=np.roll(good.intensities, (12, -9), axis=(1, 2))))
    row, column = (c - 64 for c in h.centre)
    assert (row, column) == (pytest.approx(12, abs=2), pytest.approx(-9, abs=2))
    assert any("takes that up; centre=" in line for line in h.warnings)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.replace(positions=d.positions * 1e3), "far more than 98 views"),
        (lambda d: d.replace(positions=d.positions * 6), "views do not overlap"),
        (lambda d: d.replace(intensities=np.minimum(d.intensities, 1) * MIDDLE), "too few"),
        (lambda d: d.replace(intensities=d.intensities[:1], positions=d.positions[:1]), "one view"),
        (lambda d: d.replace(intensities=np.repeat(d.intensities[:1], 98, axis=0)), "frozen or missing"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_makes_a_reconstruction_pointless(good, change, says):
    h = health(change(good))
    assert not h.ok
    assert any(says in line for line in h.problems), h.problems
    assert "pointless" in str(h)


def test_the_picture(found):
    from opty import plot

    fig = plot.health(found)
    titles = [axes.get_title(loc="left") for axes in fig.axes]
    assert "positions fit: as given" in titles
    ways = next(axes for axes in fig.axes if axes.get_title(loc="left").startswith("positions fit"))
    assert [bar.get_width() for bar in ways.patches] == [way.misfit for way in found.orientations]


def test_what_is_no_measurement():
    with pytest.raises(TypeError, match="data is a str"):
        health("scan.cxi")


@pytest.mark.slow
def test_near_field_scan_tells_its_orientation(shared_data):
    file = shared_data / "PETRAIII_P25_Near_Field_Ptycho.cxi"
    data = opty.load(file, propagation="near", focus_to_sample=3.65e-3)
    h = health(data)
    assert h.ok
    assert h.fits == "as given"
    assert h.orientations[0].misfit < 0.7 * h.orientations[1].misfit
    turned = health(data.replace(positions=data.positions[:, ::-1], source=None))
    assert turned.orientations[0].name == "(column, row)"
    assert not turned.ok


def test_a_probe_that_a_search_finds_gives_its_size(right):
    """In the far field without a starting probe: the mean pattern alone implies a focus."""
    known, found = health(right), health(right.replace(probe=None, truth=None))
    assert (known.searched, found.searched, found.size_known) == (False, True, True)
    assert found.probe_diameter == pytest.approx(known.probe_diameter, rel=0.25)
    assert found.overlap == pytest.approx(known.overlap, abs=0.1)
    assert "at least" not in str(found)
    assert "check the unit" not in str(found)

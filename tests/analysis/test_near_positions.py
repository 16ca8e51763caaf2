"""Patterns of a near field are images: how they move tells orientation, scale, focus and views that are off."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import opty
from opty.analysis import health
from opty.analysis.check.frame_statistics import look_at_frames
from opty.analysis.check.near_positions import near_positions
from opty.analysis.check.trials import SETTLED, Trials
from opty.analysis.orientation import AS_GIVEN
from opty.cli import main
from opty.data.scan_grid import rotated
from opty.search.repair import repaired
from opty.simulate import experiment, objects, scans

P25 = Path(__file__).parents[3] / "shared" / "data" / "PETRAIII_P25_Near_Field_Ptycho.cxi"
N, FOCUS = 64, 4e-3
CONE = opty.Geometry(1e-10, 1.0, 55e-6, FOCUS, "near")
PARALLEL = opty.Geometry(1e-10, 0.05, 1e-6, None, "near")


def scan(geometry=CONE, seed=3, sample=None):
    """Return 60 views of 64 x 64 in a beam with speckle, positions in metres, 3e5 photons each."""
    rng = np.random.default_rng(seed)
    r2 = sum((np.indices((N, N)) - N / 2) ** 2) / (0.33 * N) ** 2
    places = scans.fermat(60, 4.0) + rng.uniform(-0.4, 0.4, (60, 2))
    places -= places.min(axis=0)
    shape = tuple(int(x) + N + 6 for x in places.max(axis=0))
    obj = objects.two_images(shape, ("camera", "brick"), (0.5, 1), (-0.6, 0.6)) if sample is None else sample(shape)
    beam = np.exp(-r2) * objects.random_phase((N, N), 4.0, seed=seed + 1)
    return experiment(obj, beam, places, 3e5, geometry=geometry, seed=seed + 2).replace(truth=None)


@pytest.fixture(scope="module", params=[CONE, PARALLEL], ids=["cone", "parallel"])
def right(request):
    return scan(request.param)


@pytest.fixture(scope="module")
def cone():
    return scan()


def said(data, **options):
    return near_positions(data, look_at_frames(data), **options)


@pytest.mark.parametrize("seed", [3, 13, 23])
@pytest.mark.parametrize("geometry", [CONE, PARALLEL], ids=["cone", "parallel"])
def test_right_positions_are_left_alone(geometry, seed):
    assert said(scan(geometry, seed)).every == ()


@pytest.mark.parametrize(
    ("change", "way"),
    [
        (lambda p: p[:, ::-1], "(column, row)"),
        (lambda p: p * [1, -1], "(row, -column)"),
        (lambda p: -p, "(-row, -column)"),
        (lambda p: np.column_stack([p[:, 1], -p[:, 0]]), "(-column, row)"),
    ],
)
def test_the_way_is_named(right, change, way):
    (problem,) = said(right.replace(positions=change(right.positions))).problems
    assert f"they move as {way}, not as the positions given" in problem


@pytest.mark.parametrize("times", [0.1, 0.8, 1.3, 10])
def test_a_wrong_focus(cone, times):
    """The images are magnified as the right one says: (1 + 0.004) / 0.004 = 251 times."""
    found = said(cone.replace(geometry=dataclasses.replace(CONE, focus_to_sample=FOCUS * times)))
    (line,) = found.every
    assert found.ok == (times == 0.8)  # where the scale is off by more than a fourth, a run is pointless
    assert float(re.search(r"focus_to_sample=([\d.e-]+)", line)[1]) == pytest.approx(FOCUS, rel=0.03)
    assert float(re.search(r"magnifies ([\d.]+) times", line)[1]) == pytest.approx(251, rel=0.03)


def test_the_remedies_of_a_map_repair_the_scan(right, tmp_path):
    """Positions that are stretched, stretched along rows, and turned: loaded with what is named, nothing is said."""
    turn = rotated(np.eye(2), np.deg2rad(6))
    for name, matrix in {"scale": 1.15 * np.eye(2), "rows": np.diag([1.25, 1.0]), "turned": turn}.items():
        off = right.replace(positions=right.positions @ matrix)
        (line,) = said(off).warnings
        opty.save(tmp_path / "scan.cxi", off, format="cxi")
        geometry = {"propagation": "near", "focus_to_sample": right.geometry.focus_to_sample}
        scale = re.search(r"position_scale=(\([^)]*\)|[\d.]+)", line)
        rotation = re.search(r"scan_rotation='([^']*)'", line)
        options = {} if scale is None else {"position_scale": tuple(map(float, re.findall(r"[\d.]+", scale[1])))}
        options |= {} if rotation is None else {"scan_rotation": rotation[1]}
        assert (rotation is not None) == (name == "turned")
        if len(options.get("position_scale", ())) == 1:
            options["position_scale"] = options["position_scale"][0]
        mended = opty.load(tmp_path / "scan.cxi", **geometry, **options)
        assert said(mended).every == (), name
        np.testing.assert_allclose(mended.positions - mended.positions[0], right.positions - right.positions[0],
                                   atol=0.04 * np.ptp(right.positions))  # fmt: skip


@pytest.mark.parametrize("times", [0.1, 0.8, 1.3, 10])
def test_auto_takes_the_focus_that_the_images_tell(cone, times):
    mended = repaired(cone.replace(geometry=dataclasses.replace(CONE, focus_to_sample=FOCUS * times)))
    assert list(mended.options) == ["focus_to_sample"]
    assert mended.options["focus_to_sample"] == pytest.approx(FOCUS, rel=0.03)
    assert mended.data.geometry.focus_to_sample == mended.options["focus_to_sample"]
    assert mended.problems == ()
    assert "distance of the focus taken as" in mended.done[0]


def test_auto_mends_what_a_map_mends(right):
    """In a beam without a focus by positions; stretched along rows, and turned, in both."""
    turn = rotated(np.eye(2), np.deg2rad(6))
    for name, matrix in {"scale": 1.15 * np.eye(2), "rows": np.diag([1.25, 1.0]), "turned": turn}.items():
        mended = repaired(right.replace(positions=right.positions @ matrix))
        data = mended.data
        expected = {"turned": "scan_rotation"}.get(name, "position_scale")
        if name == "scale" and right.geometry.focus_to_sample is not None:
            assert list(mended.options) == ["focus_to_sample"]
        else:
            assert list(mended.options) == [expected]
        away = data.positions_px - right.positions_px
        assert np.abs(away - away.mean(axis=0)).max() < 0.03 * np.ptp(right.positions_px), name
    assert repaired(right).options == {}


def test_views_that_are_off_one_by_one(right):
    away = np.random.default_rng(7).normal(0, right.pixel, right.positions.shape)
    little, much = (right.replace(positions=right.positions + by * away) for by in (0.3, 2))
    assert said(little).every == ()
    (line,) = said(much).warnings
    assert float(re.search(r"some ([\d.]+) px away", line)[1]) == pytest.approx(2, rel=0.25)
    assert said(much, one_by_one=False).every == ()


def test_frames_in_another_order(right):
    order = np.random.default_rng(8).permutation(right.views)
    found = said(right.replace(intensities=right.intensities[order]))
    assert found is None or "the frames may be in another order" in found.warnings[0]


@pytest.mark.parametrize(("shift", "order"), [(1, "shift:-1"), (-1, "shift:1"), (2, "shift:-2")])
def test_frames_that_are_shifted(right, shift, order):
    late = right.replace(intensities=np.roll(right.intensities, shift, axis=0))
    (problem,) = said(late).problems
    assert f"frame_order={order!r}" in problem
    assert "flip" not in problem


def test_frames_that_are_shifted_from_one_on(right):
    frames = right.intensities[:]
    twice = right.replace(intensities=np.insert(frames, 30, frames[30], axis=0)[:60])
    (problem,) = said(twice).problems
    assert abs(int(re.search(r"shift:-1@(\d+)", problem)[1]) - 31) <= 2
    for way in ((-1, -1), (1, -1)):
        assert "frame_order" not in said(right.replace(positions=right.positions * way)).problems[0]


def test_frames_that_are_shifted_behind_a_strong_diffuser():
    """There images are little alike, and no map fits the shifts that they show: the sum over all pairs tells."""
    rng = np.random.default_rng(61)
    places = np.stack(np.indices((7, 7)), -1).reshape(-1, 2) * 6.0 + rng.uniform(-2, 2, (49, 2))
    places -= places.min(axis=0)
    obj = objects.two_images((N + 46, N + 46), ("camera", "brick"), (0.7, 1), (-0.6, 0.6))
    beam = np.exp(-((sum((np.indices((N, N)) - N / 2) ** 2) / (0.36 * N) ** 2) ** 4))
    beam = beam * objects.random_phase((N, N), 4.0, seed=62) ** 3
    far = opty.Geometry(1e-10, 1.2, 1e-6, None, "near")
    data = experiment(obj, beam, places, 1e6, geometry=far, seed=63).replace(truth=None)
    assert said(data) is None or not said(data).problems
    late = data.replace(intensities=np.roll(data.intensities, 1, axis=0))
    assert "frame_order='shift:-1'" in said(late).problems[0]


@pytest.mark.parametrize(("turns", "speckle"), [(5, 3.0), (6, 4.0)])
def test_a_diffuser_that_is_not_found_yet_is_no_doubt(turns, speckle):
    """After the few sweeps of a short run views are predicted no better than by the mean pattern, later they are."""
    rng = np.random.default_rng(61)
    places = np.stack(np.indices((7, 7)), -1).reshape(-1, 2) * 6.0 + rng.uniform(-2, 2, (49, 2))
    places -= places.min(axis=0)
    obj = objects.two_images((N + 46, N + 46), ("camera", "brick"), (0.7, 1), (-0.6, 0.6))
    beam = np.exp(-((sum((np.indices((N, N)) - N / 2) ** 2) / (0.36 * N) ** 2) ** 4))
    beam = beam * objects.random_phase((N, N), speckle, seed=62) ** turns
    far = opty.Geometry(1e-10, 2.0, 1e-6, None, "near")
    data = experiment(obj, beam, places, 1e6, geometry=far, seed=63).replace(truth=None)
    trials = Trials(data, look_at_frames(data))
    trials.views = 48
    part = trials.part(AS_GIVEN)
    assert trials.score(part, trials.probe).excess > 0.9
    assert trials.score(part, trials.probe, SETTLED).excess < 0.1
    found = health(data)
    assert found.fits == "as given"
    assert all(line.startswith("the detector samples") for line in found.problems + found.warnings)
    assert "a run starts from the mean pattern" in found.advice[-1]


def grating(shape):
    return np.exp(0.5j * (np.sin(2 * np.pi * np.arange(shape[1]) / 13) > 0) * np.ones(shape))


def checks(shape):
    rows, columns = (np.sin(2 * np.pi * np.arange(size) / 11) > 0 for size in shape)
    return np.exp(0.5j * (rows[:, None] ^ columns))


@pytest.mark.parametrize("sample", [grating, checks])
def test_samples_that_repeat_tell_nothing(sample):
    assert said(scan(sample=sample)) is None


def test_other_fields_are_not_looked_at(cone):
    assert said(cone.replace(geometry=opty.Geometry(1e-10, 1.0, 55e-6))) is None


def test_check_and_reconstruct_refuse_a_wrong_focus(cone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    opty.save("scan.cxi", cone, format="cxi")
    near = ["--propagation", "near", "--focus-to-sample"]
    wrong = [*near, str(10 * FOCUS)]
    for line in (["check", "scan.cxi", *wrong], ["reconstruct", "scan.cxi", "-o", "out.h5", *wrong]):
        outcome = CliRunner().invoke(main, line)
        assert outcome.exit_code == 1
        assert "would be pointless: the patterns are images of the sample, and they move" in outcome.stderr
        assert "give --focus-to-sample 0.00" in outcome.stderr
    run = ["reconstruct", "scan.cxi", "-o", "out.h5", *near, str(FOCUS), "--recipe", "rPIE()**2", "--device", "cpu"]
    outcome = CliRunner().invoke(main, run)
    assert outcome.exit_code == 0, outcome.stderr
    assert "Warning" not in outcome.stderr


def test_health_says_it_once(cone):
    off = cone.replace(positions=cone.positions * 1.15)
    found = health(off)
    assert sum("move" in line for line in found.warnings) == 1
    assert not any("one scale" in line for line in found.warnings)


@pytest.mark.skipif(not P25.exists(), reason="no real near-field scan")
@pytest.mark.parametrize("times", [0.1, 1, 10])
def test_p25(times):
    data = opty.load(P25, propagation="near", focus_to_sample=3.65e-3 * times)
    found = said(data)
    if times == 1:
        assert found.every == ()
    else:
        (problem,) = found.problems
        assert float(re.search(r"focus_to_sample=([\d.e-]+)", problem)[1]) == pytest.approx(3.65e-3, rel=0.03)

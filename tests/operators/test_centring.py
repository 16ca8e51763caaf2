"""CentreProbe and RemoveRamp: what data leave open is found to a twentieth of a pixel, and no pattern changes."""

import numpy as np
import pytest
from small_scans import same, scan, state

import opty
from opty import DM, mPIE, rPIE
from opty.operators import CentreProbe, RemoveRamp
from opty.simulate import Detector, experiment, objects, probes, scans
from opty.state.growth import grow

N = 96
EXACT = Detector(counting=False, dtype="float32")


@pytest.fixture(scope="module")
def whole_pixels():
    """Thirty-six views at whole pixels under a compact probe of two modes, counted, and a state with errors."""
    return seen(np.rint(scans.raster((6, 6), 7, jitter=2)))


@pytest.fixture(scope="module")
def fractions():
    return seen(scans.raster((6, 6), 7, jitter=2))


def seen(positions):
    spot = probes.defocus(probes.gaussian(N, 14), wavelength=1e-9, pixel=20e-9, distance=4e-5)
    obj = objects.two_images((170, 170), ("camera", "gravel"), (0.6, 1), (-0.8, 0.8))
    data = experiment(obj, probes.modes(spot, (3, 1)), positions, photons=1e6, seed=3)
    rng = np.random.default_rng(5)
    noise = [rng.normal(size=(*shape, 2)) @ [1, 1j] for shape in (obj.shape, (2, N, N))]
    truth = data.truth
    level = 0.05 * abs(truth["probe"]).max() / np.sqrt(2)
    p = opty.PtychoState(
        data,
        probe=truth["probe"] + 0.3 * level * noise[1],
        obj=obj + 0.05 * noise[0],
        dtype="complex128",
        device="cpu",
        threads=1,
    )
    return p.replace(positions=truth["positions"])


def clean(p):
    return p.replace(probe=p.data.truth["probe"])


def with_ramp(p, k):
    """The same state with a ramp of k [detector pixels] on the object, and the opposite one on the probe."""
    row, col = (np.exp(2j * np.pi * turns / N * np.arange(400)) for turns in k)
    h, w = p.obj.shape
    obj = p.obj * row[:h, None] * col[:w]
    return p.replace(obj=obj, probe=p.probe * row[:N, None].conj() * col[:N].conj())


def removed(q):
    return np.array([q.history[name][-1] for name in ("ramp_row", "ramp_column")])


def patterns(p):
    """Predicted intensities (N, n, n), by the model of a state without data."""
    places = p.positions
    found = experiment(p.obj, p.probe, places, detector=Detector(counting=False, dtype="float64"))
    move = found.truth["positions"] - places
    assert abs(move).max() < 1e-9, "the windows have to be in the middle of the object"
    return found.intensities


def change(p, q):
    a, b = patterns(p), patterns(q)
    return np.linalg.norm(a - b) / np.linalg.norm(a)


def in_the_middle(p):
    """The same state in an object that holds its windows just in the middle, as ``experiment`` lays them."""
    low, high = np.floor(p.positions.min(axis=0)), np.ceil(p.positions.max(axis=0))
    first, last = low.astype(int), (high + N).astype(int)
    obj = p.obj[first[0] : last[0], first[1] : last[1]]
    return opty.PtychoState(
        p.data.replace(positions=p.positions - first, truth=None, geometry=None),
        probe=p.probe,
        obj=obj,
        dtype="complex128",
        device="cpu",
        threads=1,
    )


# -- the ramp


@pytest.mark.parametrize("length", [0.3, 5.0, 20.0])
@pytest.mark.parametrize("angle", [0, 35, 155, 270])
def test_a_ramp_is_found_beside_noise_and_modes(fractions, length, angle):
    k = length * np.array([np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))])
    none, some = RemoveRamp() * fractions, RemoveRamp() * with_ramp(fractions, k)
    assert removed(some) - removed(none) == pytest.approx(k, abs=0.001)
    apart = some.obj / none.obj
    assert abs(apart / apart[0, 0] - 1).max() < 2e-3
    assert removed(RemoveRamp() * some) == pytest.approx([0, 0], abs=1e-4)


def test_a_ramp_that_the_start_brings_comes_out_of_the_reconstruction(fractions):
    k = np.array([4.3, -2.6])
    start = fractions.replace(obj=np.ones_like(fractions.obj))
    engine = rPIE(alpha=0.3, batch=6) ** 15
    none, some = engine * start, engine * with_ramp(start, k)
    assert removed(RemoveRamp() * some) - removed(RemoveRamp() * none) == pytest.approx(k, abs=0.05)


def test_a_ramp_of_whole_detector_pixels_changes_no_pattern(fractions):
    p = in_the_middle(clean(fractions))
    for k in ((5, -2), (20, 0)):
        assert change(p, with_ramp(p, k)) < 1e-7
    q = with_ramp(p, (5.3, -1.6))
    back = RemoveRamp(whole=True) * q
    assert removed(back).tolist() == [5, -2]
    assert change(q, back) < 1e-7


def test_any_ramp_changes_no_pattern_at_whole_pixels(whole_pixels):
    p = in_the_middle(whole_pixels)
    assert change(p, RemoveRamp() * with_ramp(p, (0.3, 7.7))) < 1e-12


def test_at_fractions_the_probe_has_to_be_dark_at_the_edges_of_array_and_spectrum(fractions):
    q = with_ramp(in_the_middle(clean(fractions)), (0.3, 7.7))
    assert change(q, RemoveRamp() * q) < 1e-6
    noisy = in_the_middle(fractions)  # white noise of 1.5 percent of its largest amplitude
    q = with_ramp(noisy, (0.3, 7.7))
    assert change(q, RemoveRamp() * q) == pytest.approx(8e-4, rel=0.2)
    assert change(noisy, with_ramp(noisy, (5, -2))) == pytest.approx(5e-4, rel=0.2)


def test_in_the_near_field_a_ramp_of_object_and_probe_changes_no_pattern_either():
    data = opty.simulate.misplaced_scan(near=True, error=0.0)
    rint = np.rint(data.truth["positions"])
    p = opty.PtychoState(data, probe=data.truth["probe"], obj=data.truth["obj"], dtype="complex128", device="cpu")
    p = p.replace(positions=rint)
    q = RemoveRamp() * p
    assert abs(removed(q)).max() > 1e-3
    assert opty.misfit(q) == pytest.approx(opty.misfit(p), rel=1e-9)


@pytest.mark.parametrize("engine", [rPIE(), mPIE(), DM()], ids=repr)
def test_a_run_goes_on_as_before(engine):
    p = engine**3 * state(scan(modes=2, fractional=False), dtype="complex128")
    q = RemoveRamp() * p
    assert abs(removed(q)).max() > 1e-3
    assert set(q.slots) == set(p.slots)
    assert opty.misfit(q) == pytest.approx(opty.misfit(p), rel=1e-9)
    assert opty.misfit(engine**2 * q) == pytest.approx(opty.misfit(engine**2 * p), rel=1e-6)


# -- the place


@pytest.mark.parametrize("d", [(0.3, 0.0), (-2.1, 2.1), (17.0, 0.0), (-12.4, 11.7)])
def test_a_shifted_probe_comes_back(fractions, d):
    """Its middle is that of the probe as it was, to a twentieth of a pixel, beside noise; the object comes along."""
    d = np.array(d)
    none = CentreProbe() * fractions
    whole = np.rint(d)
    moved = shifted(np.roll(fractions.probe, whole.astype(int), axis=(-2, -1)), d - whole)
    off = fractions.replace(probe=moved, positions=fractions.positions - d)
    some = CentreProbe() * off
    apart = (some.positions - none.positions).mean(axis=0)
    assert np.ptp(some.positions - none.positions, axis=0) == pytest.approx([0, 0], abs=1e-9)
    assert apart == pytest.approx(np.rint(apart), abs=0.05), "but for whole pixels by which the object has moved"
    lit = abs(none.probe[0]) > 0.05 * abs(none.probe).max()
    assert abs(some.probe - none.probe)[0, lit].max() < 0.05 * abs(none.probe).max()
    p = clean(fractions)
    off = p.replace(
        probe=shifted(np.roll(p.probe, whole.astype(int), axis=(-2, -1)), d - whole), positions=p.positions - d
    )
    assert opty.misfit(CentreProbe() * off) == pytest.approx(opty.misfit(p), rel=1e-4)


def shifted(waves, fraction):
    q = np.fft.fftfreq(N)
    return np.fft.ifft2(np.fft.fft2(waves) * np.exp(-2j * np.pi * (q[:, None] * fraction[0] + q * fraction[1])))


def test_a_fraction_of_a_pixel_changes_no_pattern(fractions):
    p = fractions.replace(probe=shifted(clean(fractions).probe, (0.3, -0.2)))
    q = CentreProbe() * p
    assert abs(q.positions - p.positions).max() > 0.1
    assert opty.misfit(q) == pytest.approx(opty.misfit(p), rel=1e-7)


def test_what_leaves_the_array_does_not_come_in_on_the_other_side(fractions):
    x = np.arange(N) - N // 2
    tailed = np.exp(-((x[:, None] - 14) ** 2 + x**2) / 60) + 0.2 * (x[:, None] < -44)
    q = CentreProbe() * fractions.replace(probe=tailed + 0j)
    assert abs(q.probe[0, -10:]).max() < 1e-3
    assert (q.probe[0, -14:] == 0).any()


@pytest.mark.parametrize("d", [(2, -1), (-2, 3), (0, 1)])
@pytest.mark.parametrize("engine", [rPIE(), mPIE(), DM()], ids=repr)
def test_centring_moves_the_windows_with_the_probe(d, engine):
    truth = scan(n=32, span=10).truth
    x = np.arange(32) - 16
    spot = np.exp(-(x[:, None] ** 2 + x**2) / 12 * (1 - 0.4j)) * 200
    data = opty.simulate.experiment(truth["obj"], spot, truth["positions"])
    p = opty.PtychoState(data, probe=spot, obj=truth["obj"] ** 0.9, dtype="complex128", device="cpu")
    off = p.replace(probe=np.roll(p.probe, d, axis=(-2, -1)), positions=p.positions - np.array(d))
    assert opty.misfit(off) == pytest.approx(opty.misfit(p), rel=1e-6)
    back = CentreProbe() * off
    assert np.allclose(back.probe, p.probe, atol=1e-3)
    assert np.allclose(back.positions, p.positions)
    run = engine**2 * off
    before, after = run, CentreProbe() * run
    # The tails of the light that cross an edge: less than this share of all photons.
    assert opty.misfit(after) == pytest.approx(opty.misfit(before), abs=1e-7)
    assert set(after.slots) == {*before.slots, "windows_moved"}
    assert opty.misfit(engine**2 * after) == pytest.approx(opty.misfit(engine**2 * before), rel=3e-2)


def test_a_probe_in_the_middle_stays(fractions):
    centred = CentreProbe() * fractions
    assert same(CentreProbe() * centred, centred)


def test_where_windows_would_leave_the_object_it_moves_too():
    data = scan(n=16, span=10)
    low = np.floor(data.positions.min(axis=0)).astype(int)
    tight = data.truth["obj"][low[0] :, low[1] :]
    p = opty.PtychoState(data.replace(positions=data.positions - low), obj=tight, dtype="complex128", device="cpu")
    x = np.arange(16) - 12
    p = p.replace(probe=np.exp(-(x[:, None] ** 2 + x**2) / 2) + 0j)
    q = CentreProbe() * p
    assert (np.rint(q.positions) >= 0).all()
    assert (np.rint(q.positions) + 16 <= np.array(q.obj.shape)).all()
    assert np.allclose(q.positions - p.positions, np.rint(q.positions - p.positions).mean(axis=0), atol=0.6)
    assert opty.misfit(q) == pytest.approx(opty.misfit(p), rel=1e-2)


def test_the_near_field_shows_where_the_probe_is():
    data = opty.simulate.misplaced_scan(near=True, error=0.0)
    p = opty.PtychoState(data, device="cpu")
    with pytest.raises(ValueError, match="in the near field the detector shows where the probe is"):
        CentreProbe() * p


# -- where the windows are


def moved_along(p):
    """How far the windows lie from where the data and ``origin`` say, (N, 2) px."""
    return p.positions - p.data.positions_px - p.origin


@pytest.fixture
def centred(fractions):
    """A state whose windows and object CentreProbe has moved, and what it was before, probe off the middle."""
    d = np.array([30.6, -7.3])  # farther than the frame reaches, so that the object moves too
    whole = np.rint(d)
    probe = shifted(np.roll(fractions.probe, whole.astype(int), axis=(-2, -1)), d - whole)
    off = opty.PtychoState(fractions.data.replace(probe=probe), dtype="complex128", device="cpu", margin=8)
    return off, CentreProbe() * off


def test_the_origin_follows_the_windows(centred, tmp_path):
    off, q = centred
    assert abs(q.positions - off.positions).max() > 5
    for some in (off, q, rPIE() * q, q.replace(obj=q.obj), CentreProbe() * q.replace(probe=np.roll(q.probe, 3, -1))):
        assert moved_along(some) == pytest.approx(0 * some.positions, abs=1e-9)
    opty.save(tmp_path / "half.h5", rPIE() * q)
    assert opty.load(tmp_path / "half.h5").origin == pytest.approx(q.origin)


def test_a_run_that_centres_is_repeated(fractions, tmp_path):
    start = opty.PtychoState(fractions.data.replace(probe=fractions.probe[0]), device="cpu")
    q = (CentreProbe() * rPIE()) ** 2 * start
    assert abs(q.slots["windows_moved"]).max() > 0
    opty.save(tmp_path / "half.h5", q)
    assert opty.rerun(tmp_path / "half.h5").identical


def test_two_states_are_compared_where_the_object_is(centred):
    run = rPIE() ** 2 * centred[0]
    found = opty.analysis.difference(CentreProbe() * run, run)
    assert found.obj < 1e-3
    assert found.positions == pytest.approx(0, abs=1e-6)


def test_views_that_join_later_lie_with_the_others(fractions):
    """Windows of new views are placed by the origin: after the probe was moved they have to move with it."""
    data, some = fractions.data, slice(0, 30)
    few = data.replace(intensities=data.intensities[some], positions=data.positions[some], truth=None)
    p = opty.PtychoState(few, probe=np.roll(fractions.probe, (5, -4), axis=(-2, -1)), device="cpu")
    store = (CentreProbe() * p)._live
    grow(store, data.replace(truth=None))
    places = store.leaves["positions"]
    assert places - places[0] == pytest.approx(data.positions_px - data.positions_px[0], abs=1e-9)

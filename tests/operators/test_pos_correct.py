"""PosCorrect and PosSearch: wrong positions found, right ones left, views that went astray brought home."""

import numpy as np
import pytest
from by_hand import View
from small_scans import same

import opty
from opty import LSQML, ML, Every, Operator, PosCorrect, PosCorrectAdam, PosSearch, Sweep, ePIE, rPIE
from opty.analysis import position_error
from opty.operators.position.evidence import measured_evidence
from opty.operators.position.search import found_places, trial_misfits
from opty.simulate import experiment, objects, probes, scans, stage


def misplaced(error, near=False, photons=1e7, seed=0, modes=1):
    """36 views of 48 x 48 of two pictures under a structured beam; the start knows the beam's aperture only."""
    geometry = opty.Geometry(1e-10, 0.1 * 48 * 1e-14 / 1e-10, 1e-7, propagation="near") if near else None
    probe = probes.two_images(48, 36)
    if modes > 1:
        probe = probes.modes(probe, (3, 1)[:modes])
    data = experiment(
        objects.two_images((110, 110)),
        probe,
        scans.raster((6, 6), 6, jitter=1, seed=seed),
        photons=photons,
        geometry=geometry,
        position_error=error,
        seed=seed,
    )
    start = probes.aperture(48, 36, edge=2) * np.sqrt(data.photons().mean())
    return data, opty.PtychoState(data, probe=start.astype("complex64"), modes=modes, device="cpu", threads=1)


def error(p, affine=True):
    return position_error(p.positions, p.data.truth["positions"], affine)


@pytest.mark.parametrize(("near", "limit"), [(False, 0.1), (True, 0.05)])
def test_wrong_positions_are_found_though_the_probe_is_unknown(near, limit):
    _, p = misplaced(stage.Gaussian(2.0), near)
    q = (PosCorrect() * ePIE()) ** 120 * p
    assert error(p) > 2
    assert error(q) < limit
    # The way there is chaotic: over five orders of the views the share is 0.16 to 0.5; rounding moves it by a fifth.
    assert opty.misfit(q) < 0.3 * opty.misfit(ePIE() ** 120 * p)


@pytest.mark.covering
@pytest.mark.parametrize("engine", [rPIE(alpha=0.1, batch=4), LSQML(batch=9), ePIE()], ids=repr)
@pytest.mark.parametrize("modes", [1, 2])
def test_wrong_positions_are_found_with_a_known_probe(engine, modes):
    data, p = misplaced(stage.Gaussian(2.0), modes=modes)
    q = (PosCorrect() * engine) ** 60 * p.replace(probe=data.truth["probe"])
    assert error(q) < 0.05


def test_right_positions_stay_right():
    data, p = misplaced(0.0, photons=1e5)
    q = (PosCorrect() * ePIE()) ** 60 * p.replace(probe=data.truth["probe"])
    moved = q.positions - p.positions
    assert np.sqrt(((moved - moved.mean(axis=0)) ** 2).sum(axis=1).mean()) < 0.1


@pytest.mark.covering
@pytest.mark.parametrize("photons", [3e3, 1e5, 1e7])
@pytest.mark.parametrize("engine", [rPIE(), LSQML(batch=9)], ids=repr)
def test_right_positions_stay_where_the_counts_say_no_more(photons, engine):
    """With rough knowledge of the probe, and however long: a mean error of a third of the standard error at most."""
    _, p = misplaced(0.0, photons=photons)
    q = (PosCorrect() * engine) ** 60 * p
    moved = q.positions - p.positions
    moved = moved - moved.mean(axis=0)
    assert np.sqrt((moved**2).sum(axis=1).mean()) < max(0.35 * np.median(q.slots["position_uncertainty"]), 0.02)


def test_what_a_wrong_probe_leaves_over_counts_as_noise():
    """Right positions, opty's own start for a beam with aberrations: what is found of displacements is noise, too."""
    f = np.fft.fftfreq(48)
    r, t = np.hypot(f[:, None], f) / 0.16, np.arctan2(f[:, None], f)
    phase = 9 * r**2 + 1.2 * r**2 * np.cos(2 * t) + 0.9 * (3 * r**3 - 2 * r) * np.cos(t + 0.4)
    beam = np.fft.fftshift(np.fft.ifft2((r > 0.35) * (r < 1) * np.exp(1j * phase)))
    data = experiment(objects.two_images((110, 110)), beam, scans.fermat(49, 5.0), photons=1e6, seed=2)
    p = opty.PtychoState(data, device="cpu", threads=1)
    q = (PosCorrect() * rPIE()) ** 20 * p
    found = np.median((q.slots["position_estimate"] ** 2).sum(axis=1)) / np.log(2)
    assert found < 2.5 * np.median(q.slots["position_uncertainty"] ** 2)  # 9 times with single pixels
    assert abs(q.positions - p.positions).max() < 0.01


def rough_start(wrong, seed):
    """49 views of 48 x 48; the start knows the beam but for a phase that is wrong in each pixel."""
    square = (np.arange(48) - 24) ** 2
    beam = probes.aperture(48, 24, edge=2) * np.exp(0.02j * np.add.outer(square, square))
    data = experiment(
        objects.two_images((108, 108)),
        beam,
        scans.raster((7, 7), step=6, jitter=1.5, seed=seed),
        photons=1e6,
        position_error=wrong,
        seed=seed,
    )
    start = beam * np.exp(0.1j * np.random.default_rng(seed).normal(size=beam.shape))
    return opty.PtychoState(data, probe=start, device="cpu", threads=1, seed=seed)


def test_a_long_wait_is_warned_of_where_views_seem_to_be_off():
    with pytest.warns(opty.MisfitWarning, match=r"no position in its 4[0-9] sweeps; views seem to be off by") as caught:
        q = (PosCorrect() * rPIE()) ** 44 * rough_start(stage.Gaussian(1.5), 62)
    assert str(caught[0].message).endswith("go on for more iterations")
    assert np.array_equal(q.positions, rough_start(stage.Gaussian(1.5), 62).positions)
    q = (PosCorrect() * rPIE()) ** 44 * rough_start(0.0, 60)  # right ones: nothing is said, though it waited as long
    assert q.slots["position_course"][2] >= 40


def test_the_standard_error_is_what_positions_scatter_by():
    """Object and probe known, half a pixel wrong, 1e4 photons: what is left is what the error bars say."""
    left, bars = [], []
    for seed in range(3):
        data, _ = misplaced(stage.Gaussian(0.5), photons=1e4, seed=seed)
        truth = data.truth
        p = opty.PtychoState(data, probe=truth["probe"], obj=truth["obj"], device="cpu", threads=1)
        q = Sweep(PosCorrect(search_radius=0, hold=0.0)) ** 30 * p
        off = q.positions - truth["positions"]
        left.append(((off - np.median(off, axis=0)) ** 2).sum(axis=1))
        bars.append(q.numpy("position_uncertainty") ** 2)
    assert np.median(left) / np.log(2) == pytest.approx(np.median(bars), rel=0.5)
    assert 0.02 < np.sqrt(np.median(bars)) < 0.3


def test_the_history_says_how_far_positions_went_and_how_well_they_are_known():
    _, p = misplaced(stage.Gaussian(1.0), photons=1e6)
    q = (PosCorrect() * ePIE()) ** 20 * p
    gone = q.positions - p.positions
    gone = gone - gone.mean(axis=0)
    assert q.history["position_moved"][-1] == pytest.approx(np.sqrt((gone**2).sum(axis=1).mean()), abs=1e-9)
    assert q.history["position_uncertainty"][-1] == pytest.approx(np.median(q.numpy("position_uncertainty")))
    assert (q.history["position_moved"][:3] < 1e-9).all()


def test_nothing_moves_before_all_views_have_been_looked_at():
    _, p = misplaced(stage.Gaussian(2.0))
    recipe = PosCorrect(wait=False) * ePIE()
    assert (recipe**3 * p).positions.tolist() == p.positions.tolist()
    assert abs((recipe**16 * p).positions - p.positions).max() > 0.05
    assert abs((PosCorrect(hold=0.0) * ePIE() * p).positions - p.positions).max() > 0.05


def unsettled(seed, error=0.0):
    """49 views of 48 x 48 whose start knows the beam but for a phase that is wrong in each pixel by 0.1 rad."""
    square = (np.arange(48) - 24) ** 2
    beam = probes.aperture(48, 24, edge=2) * np.exp(0.02j * np.add.outer(square, square))
    data = experiment(
        objects.two_images((108, 108)),
        beam,
        scans.raster((7, 7), step=6, jitter=1.5, seed=seed),
        photons=1e6,
        position_error=stage.Gaussian(error) if error else 0.0,
        seed=seed,
    )
    start = beam * np.exp(0.1j * np.random.default_rng(seed).normal(size=beam.shape))
    return opty.PtychoState(data, probe=start, device="cpu", threads=1, seed=seed)


@pytest.mark.filterwarnings("ignore::opty.MisfitWarning")  # views seem to be off while the object is unfinished
@pytest.mark.parametrize("seed", [62, 98])
def test_a_search_in_an_unfinished_object_throws_no_view_far_off(seed):
    """The misfit stands still while part of the object is missing: views at the rim fit better 20 px away."""
    q = (PosCorrect() * rPIE()) ** 100 * unsettled(seed)
    off = q.positions - q.data.truth["positions"]
    assert np.hypot(*(off - np.median(off, axis=0)).T).max() < 5  # 25 px where each place a fifth better is taken


@pytest.mark.filterwarnings("ignore::opty.MisfitWarning")  # of the run that goes astray
@pytest.mark.parametrize("seed", [12, 22, 34])
def test_right_positions_wait_for_an_object(seed):
    """Moved from the fourth sweep on, they go astray."""
    p = unsettled(seed)
    q = (PosCorrect() * rPIE()) ** 60 * p
    assert error(q, affine=False) < 0.2
    assert error((PosCorrect(wait=False) * rPIE()) ** 60 * p, affine=False) > 0.4
    assert opty.analysis.errors(q)["object"] < 1.1 * opty.analysis.errors(rPIE() ** 60 * p)["object"]


def test_a_wait_ends_and_goes_on_from_a_file(tmp_path):
    """Wrong positions move once the misfit falls no further by itself; the memory of the wait is saved."""
    p = unsettled(0, 1.5)
    recipe = PosCorrect() * rPIE()
    begun = recipe**6 * p
    assert (begun.positions == p.positions).all()
    assert begun.numpy("position_course")[:3].tolist() == [6, 0, 6]
    opty.save(tmp_path / "begun.h5", begun)
    q = recipe**54 * p
    assert same(q, recipe**48 * opty.load(tmp_path / "begun.h5"))
    assert error(q, affine=False) < 0.4 * error(p, affine=False)


def test_the_evidence_is_that_of_finite_differences(four):
    """Where other views give all the light."""

    def looked_at(s):
        return measured_evidence(s, np.arange(3), np.full(s.object_shape, 1e12, s.real_dtype))

    got = probed(looked_at, four)
    for j in range(3):
        assert got[j] == pytest.approx(View(four, j).evidence(), rel=5e-3 if four.dtype == "complex64" else 1e-5)


@pytest.mark.parametrize("near", [False, True])
def test_half_a_pixel_is_seen_and_corrected(near):
    """The model moves the probe by the fraction, and in the near field the exit wave back before it propagates."""
    data, _ = misplaced(0.0, near, photons=1e8)
    truth = data.truth
    p = opty.PtychoState(data, probe=truth["probe"], obj=truth["obj"], device="cpu", threads=1)
    right = p.replace(positions=truth["positions"])
    positions = truth["positions"].copy()
    positions[14] += (0.5, -0.5)
    wrong = right.replace(positions=positions)
    assert opty.misfit(wrong) > 1.05 * opty.misfit(right)
    q = Sweep(PosCorrect(search_radius=0)) ** 25 * wrong
    off = q.positions - truth["positions"]
    assert np.linalg.norm(off[14] - np.median(off, axis=0)) < 0.02
    assert abs(np.delete(off, 14, axis=0) - np.median(off, axis=0)).max() < 0.06  # at the rim, others know little


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("by", [(9, -11), (-12, 3)])
def test_a_view_that_went_astray_comes_home(near, by):
    data, _ = misplaced(0.0, near)
    truth = data.truth
    margin = 20
    start = opty.PtychoState(
        data, probe=truth["probe"], obj=np.pad(truth["obj"], margin, mode="edge"), device="cpu", threads=1
    )
    positions = truth["positions"] + margin
    positions[21] += by
    p = start.replace(positions=positions)
    p = Sweep(PosCorrectAdam(step=1e-6)) * p  # measures each view's misfit
    q = PosSearch() * p
    home = truth["positions"] + margin
    assert abs(q.positions[21] - home[21]).max() <= 1
    others = np.delete(np.arange(36), 21)
    assert (q.positions[others] == p.positions[others]).all()
    assert abs((PosSearch(4) * p).positions[21] - home[21]).max() > 5  # out of reach


def test_a_view_that_the_correlation_does_not_find_is_combed_for(monkeypatch):
    from opty.operators.position import search

    monkeypatch.setattr(search, "_proposed", lambda s, b, reach: np.empty((0, 2)))
    test_a_view_that_went_astray_comes_home(False, (9, -11))


def test_without_structure_a_view_stays():
    data = experiment(
        np.ones((100, 100)), probes.two_images(32, 24), scans.raster((5, 5), 5), photons=1e4, position_error=1.0
    )
    p = opty.PtychoState(data, probe=data.truth["probe"], device="cpu", threads=1)
    dim = data.intensities.copy()
    dim[7] = np.random.default_rng(0).poisson(dim[7] * 0.01)
    p = opty.PtychoState(data.replace(intensities=dim), probe=data.truth["probe"], device="cpu", threads=1)
    q = PosSearch() * (Sweep(PosCorrect(search_radius=0)) * p)
    assert abs(q.positions - p.positions).max() < 0.5


def test_a_search_needs_a_refinement_before_it(p):
    with pytest.raises(opty.EffectError, match="reads 'position_misfit' but no step to its right writes it"):
        PosSearch() * rPIE() * p
    assert ((Every(2, PosSearch()) * PosCorrectAdam() * rPIE()) ** 2 * p).iteration == 2


class Probing(Operator, reads="obj probe positions background", writes=""):
    """Calls a function with the state as an operator sees it."""

    def apply(self, s):
        Probing.result = Probing.function(s)


def probed(function, p):
    Probing.function = staticmethod(function)
    _ = Probing() * p
    return Probing.result


def test_trial_misfits_are_those_of_the_views_there(four):
    """Against the formula written out, for fractional places, modes, masks, background and a flickering beam."""
    rng = np.random.default_rng(4)
    views = np.array([2, 0, 2, 3, 1, 1])
    places = np.clip(four.positions[views] + rng.uniform(-2, 2, (6, 2)), 0, np.array(four.obj.shape) - 16)
    got = probed(lambda s: trial_misfits(s, views, places), four)
    for k, j in enumerate(views):
        positions = four.numpy("positions")
        positions[j] = places[k]
        factors = four.intensity_factors
        there = four.replace(positions=positions, intensity_factors=factors)
        assert got[k] == pytest.approx(View(there, j).projected()[1], rel=2e-3 if four.dtype == "complex64" else 1e-9)
    whole = np.rint(places)
    slow, fast = probed(lambda s: [trial_misfits(s, views, whole, w) for w in (False, True)], four)
    assert np.allclose(slow, fast, rtol=1e-3 if four.dtype == "complex64" else 1e-9)


def test_the_search_works_on_a_gpu_as_here(gpu):
    _, p = misplaced(stage.Gaussian(3.0))
    q = (PosCorrect(search_radius=0) * rPIE(batch=6)) ** 6 * p
    views = np.array([3, 17])
    here = probed(lambda s: found_places(s, views, np.zeros(2), [True, True], 12), q)
    there = probed(lambda s: s.backend.to_host(found_places(s, views, np.zeros(2), [True, True], 12)), q.to("gpu"))
    assert np.allclose(here, there, atol=1e-6)


SPOILT = {"object": np.nan, "probe": np.nan, "run away": 3e19, "infinite": np.inf}


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("how", SPOILT)
def test_a_search_in_numbers_that_have_run_away_moves_nothing(request, p, device, how):
    """What ends as NaN in every trial is no better place; and no window is taken from outside the object."""
    if device == "gpu":
        request.getfixturevalue("standin_gpu")
    q = ((PosCorrect(search_radius=0) * rPIE()) ** 2 * p).to(device)

    def search(s):
        leaf = s.store.leaves["probe" if how == "probe" else "obj"]
        leaf *= SPOILT[how]
        with np.errstate(all="ignore"):
            return s.backend.to_host(found_places(s, np.arange(4), np.ones(4), [True] * 4, 12))

    assert (probed(search, q) == q.numpy("positions")[:4]).all()


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("place", [np.nan, np.inf, 1e300, -1e6])
def test_a_search_from_nowhere_leaves_that_for_the_watch(request, p, device, place):
    if device == "gpu":
        request.getfixturevalue("standin_gpu")
    q = ((PosCorrect(search_radius=0) * rPIE()) ** 2 * p).to(device)

    def search(s):
        s.store.leaves["positions"] = s.positions.copy()
        s.store.leaves["positions"][1, 0] = place
        with np.errstate(all="ignore"):
            return s.backend.to_host(found_places(s, np.array([1, 2]), np.zeros(2), [True, True], 12))

    found = probed(search, q)
    assert np.isfinite(place) or np.array_equal(found[0], [place, q.numpy("positions")[1, 1]], equal_nan=True)
    assert np.isfinite(found[1]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e308, 0.0])
@pytest.mark.parametrize("count", [1, 5, 12])
def test_misfits_that_are_no_numbers_send_no_view_away(p, value, count):
    class Spoils(Operator, reads="position_misfit", writes="position_misfit"):
        def apply(self, s):
            s.position_misfit[:count] = value

    before = (PosCorrect(search_radius=0) * rPIE()) ** 3 * p
    q = PosSearch() * Spoils() * before
    assert (q.positions >= 0).all()
    assert (q.positions <= np.array(q.obj.shape) - 16).all()
    assert count < 6 or np.isfinite(value) or (q.positions == before.positions).all()


@pytest.mark.parametrize(
    "recipe",
    [
        PosCorrect(search_every=6, wait=False) * ePIE(batch=2),
        PosCorrect(search_every=6, hold=0.0) * ML(),
    ],
    ids=repr,
)
def test_the_split_law_holds_for_what_it_remembers(recipe):
    _, p = misplaced(stage.Gaussian(3.0))
    q = recipe**13 * p
    assert abs(q.positions - p.positions).max() > 0.1
    assert same(q, recipe**4 * (recipe**9 * p))


def test_gains_learn(p):
    q = (PosCorrect(wait=False) * rPIE()) ** 12 * p
    gains = q.slots["position_gain"]
    assert (gains >= 0.15).all()
    assert (gains <= 1.5).all()
    assert np.ptp(gains) > 0.3


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"search_radius": -1}, "from 0"), ({"search_every": 0}, "from 1 on"), ({"max_step": 0}, "longest step")],
)
def test_parameters_out_of_range_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        PosCorrect(**wrong)
    with pytest.raises(ValueError, match="from 1 up"):
        PosSearch(0)

"""Views against the object that the others make: CheckPositions, when PosCorrect begins, reports of positions."""

import warnings

import numpy as np
import pytest

import opty
from opty import CheckPositions, PosCorrect, rPIE
from opty.analysis import position_report
from opty.operators.position.jumps import largest_jump
from opty.operators.position.others import counting_noise, doubts, others_say
from opty.simulate import experiment, objects, probes, scans


def scan(photons=1e6, positions=None, views=6):
    places = scans.raster((views, views), 6, jitter=1, seed=5)
    obj = objects.two_images((110, 110))
    data = experiment(obj, probes.two_images(48, 36), places, photons=photons, seed=6)
    given = data if positions is None else data.replace(positions=positions(data.positions.copy()))
    return opty.PtychoState(given, probe=data.truth["probe"], device="cpu", threads=1)


def with_one_astray(positions):
    positions[14] += (11, -9)
    return positions


def test_what_the_others_say_is_the_formula():
    p = rPIE() ** 3 * scan()
    p = p.replace(positions=np.rint(p.positions))
    n, probe, obj = p.data.n, p.numpy("probe")[0].astype(complex), p.numpy("obj").astype(complex)
    corners = p.positions.astype(int)
    amplitudes = np.sqrt(np.fft.ifftshift(p.data.intensities, axes=(1, 2)))
    windows = [(slice(r, r + n), slice(c, c + n)) for r, c in corners]
    psi = []
    for w, a in zip(windows, amplitudes, strict=True):
        there = np.fft.fft2(np.fft.ifftshift(probe * obj[w]), norm="ortho")
        psi.append(np.fft.fftshift(np.fft.ifft2(a * there / np.abs(there), norm="ortho")))
    light = sum(_placed(obj.shape, w, np.abs(probe) ** 2) for w in windows)
    total = sum(_placed(obj.shape, w, probe.conj() * one) for w, one in zip(windows, psi, strict=True))
    mean, dim = total.sum() / light.sum(), 0.02 * light.max()
    found = others_say(p._live, np.array([0, 14, 21]))
    for k, j in enumerate((0, 14, 21)):
        w = windows[j]
        rest, around = total[w] - probe.conj() * psi[j], light[w] - np.abs(probe) ** 2
        more = np.maximum(dim - around, 0)
        others = (rest + more * mean) / (around + more)
        for window, got in ((others, found.here[k]), (np.full_like(others, mean), found.plain[k])):
            there = np.abs(np.fft.fft2(np.fft.ifftshift(probe * window), norm="ortho"))
            assert got == pytest.approx(((amplitudes[j] - there) ** 2).sum(), rel=2e-3)


def _placed(shape, window, image):
    out = np.zeros(shape, complex)
    out[window] = image
    return out


@pytest.mark.parametrize("mean", [1e-6, 0.003, 0.4, 3.0, 50.0])
def test_the_noise_of_counting_is_that_of_poisson(mean):
    counts = np.random.default_rng(1).poisson(mean, 400_000)
    drawn = ((np.sqrt(counts) - np.sqrt(mean)) ** 2).mean()
    assert counting_noise(np, np.array([mean]))[0] == pytest.approx(drawn, rel=0.05, abs=2e-6)


def test_right_positions_are_not_called_lost():
    for photons in (1e4, 1e7):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            q = CheckPositions() * (rPIE() ** 20 * scan(photons))
        assert q.history["check_lost"].tolist() == [0]
        assert not q.slots["position_lost"].any()
        assert np.median(q.slots["position_unexplained"]) < 0.2
        assert position_report(q) is None


def test_a_view_astray_is_named(tmp_path):
    p = rPIE(alpha=0.1) ** 25 * scan(positions=with_one_astray)
    with pytest.warns(opty.MisfitWarning, match=r"1 of 36 views could not be placed \(number 14\)"):
        q = CheckPositions() * p
    assert np.flatnonzero(q.slots["position_lost"]).tolist() == [14]
    moved = (PosCorrect(search_radius=0) * rPIE(alpha=0.1)) ** 20 * p
    report = position_report(moved)
    assert report.lost == (14,)
    assert report.moved == pytest.approx(moved.history["position_moved"][-1], rel=1e-6)
    moved.save(tmp_path / "q.h5")
    said = str(opty.info(tmp_path / "q.h5"))
    assert "could not be placed (number 14)" in said
    assert f"moved {report.moved:.3g} px rms" in said


def test_views_that_hardly_overlap_are_left_where_they_are():
    """Each prints its own object wherever it is; by no more than a few standard errors."""
    data = experiment(
        objects.two_images((150, 150)),
        probes.two_images(48, 30),
        scans.raster((3, 3), 30, jitter=1),
        photons=1e5,
        seed=1,
    )
    p = opty.PtychoState(data, device="cpu", threads=1)
    q = (PosCorrect() * rPIE()) ** 24 * p
    assert abs(q.positions - p.positions).max() < 0.2


def test_the_report_has_what_the_whole_scan_shares():
    p = scan()
    places, turn = p.positions, 0.01
    middle = places.mean(axis=0)
    turned = (places - middle) @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) * 1.02 + middle
    report = position_report(p.replace(positions=turned))
    assert report.scale == pytest.approx((1.02, 1.02), abs=1e-6)
    assert report.rotation == pytest.approx(turn, abs=1e-6)
    assert report.beside < 1e-6
    assert "rotation 0.573 degrees" in str(report)
    assert report.drift_alone is None


def test_a_drift_alone_is_said_where_it_explains_the_move_as_well():
    p = scan()
    drift = np.linspace(-0.5, 0.5, len(p.positions))[:, None] * (4.0, -2.5)
    jitter = np.random.default_rng(5).normal(0, 0.02, p.positions.shape)
    report = position_report(p.replace(positions=p.positions + drift + jitter))
    assert report.drift_alone == pytest.approx((4.0, -2.5), abs=0.05)
    assert "a drift of (4, -2.5) px from the first view to the last explains it as well" in str(report)


def test_a_gpu_says_the_same(standin_gpu):
    p = rPIE(batch=6) ** 6 * scan(positions=with_one_astray)
    here, there = others_say(p._live), others_say(p.to("gpu")._live)
    assert np.allclose(here, there, rtol=1e-3)
    recipe = (PosCorrect() * rPIE(batch=6)) ** 4
    q, r = recipe * p, recipe * p.to("gpu")
    assert np.allclose(r.numpy("positions"), q.positions, atol=1e-3)
    assert np.allclose(r.numpy("position_uncertainty"), q.numpy("position_uncertainty"), rtol=0.05)


@pytest.mark.parametrize(
    ("worst", "moved", "over", "said"),
    [
        (0.2, 3.0, True, "a part of the scan may lie in the wrong place"),
        (0.2, 3.0, False, ""),  # a refinement that goes on may still find it
        (0.2, 0.5, True, ""),
        (0.08, 3.0, True, ""),
        (0.4, 3.0, False, "are not found"),
    ],
)
def test_what_is_said_follows_what_the_worst_tenth_leaves_unexplained(worst, moved, over, said):
    unexplained = np.r_[np.full(85, 0.02), np.full(15, worst)]
    text = doubts(unexplained, np.zeros(100), moved, over)
    assert said in text if said else text == ""
    lost = np.eye(100)[3]
    assert ("number 3" in doubts(unexplained, lost, moved, over)) == (worst <= 0.3)


def grid_of_hundred():
    """Places of 10 x 10 views, 20 px apart, line by line."""
    return np.stack(np.meshgrid(np.arange(10), np.arange(10), indexing="ij"), axis=-1).reshape(-1, 2) * 20.0


def test_a_scan_that_falls_into_parts_is_said_though_each_explains_itself():
    given = grid_of_hundred()
    walk = np.cumsum(np.random.default_rng(4).normal(0, 4, (100, 2)), axis=0)
    assert largest_jump(given + walk, given, 128) is None
    walk[77:] += (30, -25)
    jump = largest_jump(given + walk, given, 128)
    assert jump.view == 76
    assert 4 < jump.usual < 7
    assert jump.size == pytest.approx(39, abs=12)
    text = doubts(np.full(100, 0.02), np.zeros(100), 20.0, True, jump)
    assert "a part of the scan may lie in the wrong place" in text
    assert "from view 76 to view 77" in text


@pytest.mark.parametrize("views", [[40], [99], [40, 41]])
def test_a_view_that_came_back_from_afar_is_no_part_of_the_scan(views):
    given = grid_of_hundred()
    moved = np.random.default_rng(2).normal(0, 0.3, given.shape)
    moved[views] += (22, -17)
    assert largest_jump(given + moved, given, 128) is None
    moved[38:42] += (22, -17)
    assert largest_jump(given + moved, given, 128) is not None


@pytest.mark.parametrize("error", ["independent", "turn", "backlash", "none"])
def test_a_stage_that_errs_without_jumps_is_not_said_to_jump(error):
    given = grid_of_hundred()
    wrong = {
        "independent": np.random.default_rng(5).normal(0, 9, (100, 2)),
        "turn": given @ np.array([[0.05, -0.2], [0.2, 0.1]]),  # from line to line the stage goes back by 180 px
        "backlash": np.where(given[:, :1] // 20 % 2, 6.0, 0.0) * (0, 1),
        "none": np.zeros((100, 2)),
    }[error]
    assert largest_jump(given + wrong, given, 128) is None

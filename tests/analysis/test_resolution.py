"""The resolution of a scan from two halves: the crossing against known noise, the halves, and what is refused."""

import dataclasses
import json

import click.testing
import numpy as np
import pytest

import opty
from opty.analysis import RingCorrelation, align, frc, resolution
from opty.analysis.frc import _rings
from opty.analysis.halves import alternating, in_halves, thinned
from opty.analysis.rectangle import largest_rectangle
from opty.analysis.settled import settled
from opty.cli import main
from opty.simulate import experiment, objects, probes, scans

SIZE = 256


def curve(correlation, half_bit=0.3):
    k = len(correlation)
    flat = np.full(k, half_bit)
    return RingCorrelation(np.arange(1, k + 1) / (2 * k), np.asarray(correlation, float), flat, flat + 0.1)


def ring_power(image):
    ring, rings = _rings(image.shape)
    power = np.abs(np.fft.fft2(image)) ** 2
    return np.bincount(ring.ravel(), power.ravel(), rings + 1)[1 : rings + 1]


def test_two_low_rings_below_the_curve_do_not_end_what_agrees_beyond():
    found = curve([0.25, 0.28, *[0.9] * 10, 0.7, 0.1, 0, 0.05, -0.1, 0])
    assert found.resolution() == pytest.approx(1 / (2 * (13 + 0.4 / 0.6) / 36))
    assert found.crossing(1) < found.crossing(0.5)


def test_a_ring_that_agrees_by_chance_lengthens_nothing():
    found = curve([*[0.9] * 8, 0.1, 0.05, 0.0, 0.35, 0.0, 0.0])
    assert 8 / 28 < found.crossing() < 9 / 28
    assert curve([0.1, 0.0, 0.32, 0.1]).resolution() == float("inf")
    assert curve([0.9] * 6).resolution() == 1
    with pytest.raises(ValueError, match="bits is 2"):
        found.crossing(2)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise", [0.003, 0.02])
def test_crossing_is_that_of_the_true_error_spectrum(seed, noise):
    """Objects have spectra that fall, noise is white: C = S / (S + N) from the powers that went in."""
    rng = np.random.default_rng(seed)
    q = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE), np.fft.fftfreq(SIZE)))
    draw = lambda: rng.normal(size=(SIZE, SIZE)) + 1j * rng.normal(size=(SIZE, SIZE))  # noqa: E731
    signal = np.fft.ifft2(np.fft.fft2(draw()) / (1 + (q / 0.03) ** 2))
    errors = [noise * draw() for _ in range(2)]
    found = frc(*(signal + error for error in errors))
    powers = ring_power(signal), (ring_power(errors[0]) + ring_power(errors[1])) / 2
    true = RingCorrelation(found.frequency, powers[0] / (powers[0] + powers[1]), found.half_bit, found.one_bit)
    for bits in (0.5, 1):
        assert found.crossing(bits) == pytest.approx(true.crossing(bits), rel=0.1)


@pytest.mark.parametrize("lacking", [0, 0.1, 0.5])
def test_settled_tells_what_both_halves_lack_and_leaves_noise_out(lacking):
    rng = np.random.default_rng(7)
    draw = lambda: rng.normal(size=(SIZE, SIZE)) + 1j * rng.normal(size=(SIZE, SIZE))  # noqa: E731
    detail = draw()
    halves, later = (np.stack([share * detail + 0.3 * draw() for _ in range(2)]) for share in (1 - lacking, 1))
    assert settled(halves, later, 0.4) == pytest.approx(1 - lacking, abs=0.04)
    assert settled(halves, np.stack([later[0], -later[0]]), 0.4) == 0


def simulated(photons=3e5, n=32, raster=(9, 9), **options):
    probe = probes.aperture(n, 16, edge=2)
    positions = scans.raster(raster, step=4, jitter=1, seed=1)
    return experiment(objects.random_phase((76, 76), 1.5, seed=2), probe, positions, photons=photons, seed=3, **options)


@pytest.mark.slow
def test_reconstructed_halves_cross_where_their_errors_against_the_truth_do():
    """The correlation of two halves is the product of theirs with the truth, where their errors are independent."""
    data = simulated(photons=1e4)
    start = opty.PtychoState(data, probe=data.truth["probe"], device="cpu", threads=1)
    found = resolution(start, opty.ML().fix("probe") ** 50, split="counts")
    offset = np.rint(start.numpy("positions") - data.truth["positions"]).mean(axis=0).astype(int)
    rows, columns = (slice(part.start - o, part.stop - o) for part, o in zip(found.area, offset, strict=True))
    truth = data.truth["obj"][rows, columns]
    with_truth = [frc(align(half, truth)[0], truth).correlation for half in found.halves]
    true = dataclasses.replace(found.curve, correlation=with_truth[0] * with_truth[1])
    assert 0.15 < true.crossing() < 0.4
    assert found.curve.crossing() == pytest.approx(true.crossing(), rel=0.1)


def test_half_scans_from_data_and_what_it_says():
    data = simulated()
    metres = opty.Geometry(wavelength=1e-10, distance=1.0, pixel_size=50e-6)
    data = data.replace(positions=data.positions * metres.sample_pixel(32), geometry=metres, probe=data.truth["probe"])
    recipe = opty.rPIE() ** 15
    found = resolution(data, recipe, device="cpu", threads=1)
    assert found.views == (41, 40)
    assert data.pixel <= found.half_bit < 4 * data.pixel
    assert found.half_bit == found.curve.resolution(data.pixel)
    assert found.local.shape == found.places.shape[:2]
    assert np.isfinite(found.local).all()
    said = str(found)
    assert "nm (half period at the half-bit curve)" in said
    assert "every other view: 41 and 40" in said
    assert "of the finest detail stays as it is when the recipe runs on both halves once more" in said
    assert json.loads(json.dumps(found.figures()))["half_bit"] == found.half_bit


def test_a_state_that_ran_starts_its_halves_flat():
    data = simulated()
    start = opty.PtychoState(data, probe=data.truth["probe"], device="cpu", threads=1)
    fresh, ran = (in_halves(p, "counts") for p in (start, opty.rPIE() ** 3 * start))
    assert (ran[0].obj == 1).all()
    assert ran[0].iteration == 0
    assert (abs(ran[0].probe) ** 2).sum() == pytest.approx((abs(fresh[0].probe) ** 2).sum(), rel=0.2)
    assert (abs(fresh[1].probe) ** 2).sum() == pytest.approx((abs(start.probe) ** 2).sum() / 2, rel=1e-5)


def test_views_alternate_like_a_chess_board():
    grid = np.stack(np.meshgrid(np.arange(6.0), np.arange(7.0), indexing="ij"), axis=-1).reshape(-1, 2)
    board = alternating(grid).reshape(6, 7)
    assert (board[:, 1:] != board[:, :-1]).all()
    assert (board[1:] != board[:-1]).all()
    spiral = scans.fermat(101, step=3)
    side = alternating(spiral)
    assert side.sum() in (50, 51)
    middle = np.linalg.norm(spiral[side].mean(axis=0) - spiral[~side].mean(axis=0))
    assert middle < 2
    with pytest.raises(ValueError, match="7 views"):
        alternating(grid[:7])


def test_thinned_counts_are_independent_and_add_up():
    data = simulated()
    one, two = thinned(data, seed=4)
    assert np.array_equal(one.intensities + two.intensities, data.intensities)
    mean = data.intensities / 2
    z = (one.intensities - mean)[mean > 5] / np.sqrt(mean[mean > 5] / 2)
    assert z.var() == pytest.approx(1, abs=0.05)  # of Binomial(n, 1/2): n / 4
    with pytest.raises(ValueError, match="not whole counts"):
        thinned(data.replace(intensities=data.intensities * 1.3))
    with pytest.raises(ValueError, match="split is 'half'"):
        resolution(data, opty.rPIE(), split="half", device="cpu")


@pytest.mark.parametrize(("size", "edge", "many"), [(SIZE, 64, 7), (64, 32, 3), (40, 24, 2)])
def test_tiles_tell_where_the_noise_is(size, edge, many):
    """In an area that is one tile small too."""
    from opty.analysis.resolution import _local

    rng = np.random.default_rng(0)
    q = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE), np.fft.fftfreq(SIZE)))
    common = np.fft.ifft2(np.fft.fft2(rng.normal(size=(SIZE, SIZE))) / (1 + (q / 0.05) ** 2)).real[:size, :size]
    noise = np.where(np.arange(size) < size // 2, 0.01, 0.3)
    halves = np.array([common + noise * rng.normal(size=(size, size)) for _ in range(2)])
    tile, places, local = _local(halves, (slice(10, 10 + size), slice(0, size)), 1e-9)
    assert tile == edge
    assert local.shape == (many, many)
    assert places[0, 0].tolist() == [10 + (edge - 1) / 2, (edge - 1) / 2]
    assert places[-1, -1].tolist() == [10 + size - (edge + 1) / 2, size - (edge + 1) / 2]
    assert np.nanmedian(local[:, -1]) > 1.5 * np.nanmedian(local[:, 0])


def test_largest_rectangle():
    mask = np.zeros((40, 50), bool)
    assert largest_rectangle(mask) == (slice(0, 0), slice(0, 0))
    mask[5:30, 10:44] = True
    mask[7, 12] = False
    assert largest_rectangle(mask) == (slice(5, 30), slice(13, 44))
    big = np.kron(mask, np.ones((10, 10), bool))
    rows, columns = largest_rectangle(big)
    assert big[rows, columns].all()
    assert (rows.stop - rows.start) * (columns.stop - columns.start) > 0.95 * 250 * 310


def test_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = simulated()
    opty.save("scan.cxi", data.replace(probe=data.truth["probe"]))
    command = lambda *words: click.testing.CliRunner().invoke(main, ["resolution", *words, "--device", "cpu"])  # noqa: E731
    told = command("scan.cxi", "--recipe", "rPIE()**8", "--json", "-q", "--plot", "r.png")
    assert told.exit_code == 0, told.output
    figures = json.loads(told.stdout)
    assert figures["views"] == [41, 40]
    assert figures["unit"] == "px"
    assert (tmp_path / "r.png").stat().st_size > 10_000
    p = opty.rPIE() ** 8 * opty.PtychoState(opty.load("scan.cxi"), device="cpu")
    p.save("scan.h5")
    again = command("scan.h5", "--json", "-q")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["half_bit"] == pytest.approx(figures["half_bit"])
    text = command("scan.h5", "-q", "--split", "counts")
    assert (text.exit_code, text.stdout) == (0, "")
    assert "--split" in command("scan.cxi", "--split", "halves").output

"""Error bars by resampling: against the spread of reconstructions of redrawn data, gauges, positions, refusals."""

import numpy as np
import pytest

import opty
from opty.analysis import align, uncertainty
from opty.analysis.gauges import without_gauges
from opty.analysis.halves import without_some
from opty.analysis.illumination import lit_area
from opty.analysis.smooth_part import SmoothPart
from opty.analysis.uncertainty import (
    _DELETED,
    _DELETED_WHOLE,
    NOT_COVERED,
    _begun,
    _factor,
    _magnified,
    redrawn,
)

pytestmark = pytest.mark.filterwarnings("ignore::opty.MisfitWarning")
FULL = opty.ML() ** 40 * opty.rPIE(alpha=0.1) ** 10


@pytest.fixture(scope="module")
def arrays():
    """A scan like A of the benchmarks, 64 views of 20 x 20."""
    from benchmarks import scans

    return scans.pictured(scans.Scan("A", (8, 8), 20, 2))


def drawn(arrays, seed, photons=1e5):
    """Return the start of the scan with ``photons`` a view, all but the noise the same for every seed."""
    scale = photons / arrays["diff"].sum(axis=(1, 2)).mean()
    counts = np.random.default_rng(seed).poisson(arrays["diff"] * scale).astype(np.float32)
    start = {"probe": arrays["probe0"] * np.sqrt(scale), "obj": arrays["obj0"]}
    return opty.PtychoState(opty.PtychoData(counts, arrays["pos"]), **start, device="cpu", threads=1)


@pytest.fixture(scope="module")
def converged(arrays):
    return FULL * drawn(arrays, 0)


@pytest.mark.slow
def test_deviations_are_those_of_reconstructions_of_redrawn_data(arrays, converged):
    """Median over the lit pixels of the bootstrap's deviations and of 12 reconstructions', and coverage of these."""
    found = uncertainty(converged, opty.ML() ** 30, n=12)
    lit, reference = lit_area(converged), converged.numpy("obj").astype(complex)
    others = [FULL * drawn(arrays, seed) for seed in range(1, 13)]
    aligned = [align(p.numpy("obj"), reference, lit, offset=(0, 0))[0] for p in others]
    aligned = np.array([without_gauges(obj, reference, lit) for obj in aligned])
    phase = np.angle(aligned * aligned.mean(axis=0).conj())
    magnitude = np.abs(aligned) - np.abs(aligned).mean(axis=0)
    for deviation, told in ((phase, found.phase), (magnitude, found.magnitude)):
        true = deviation.std(axis=0, ddof=1)
        assert np.median(told[lit] / true[lit]) == pytest.approx(1, abs=0.15)
        z = np.abs(deviation[:, lit]) / told[lit]
        assert (z < 1).mean() == pytest.approx(0.68, abs=0.06)
        assert (z < 1.96).mean() == pytest.approx(0.94, abs=0.04)
    assert found.positions is None
    assert found.excess == pytest.approx(1, abs=0.3)
    assert set(found.scale) == {"phase", "magnitude"}
    assert NOT_COVERED in str(found)
    assert "their smooth part scaled to 10 whole repetitions of the run (phase x " in str(found)
    assert all(0.02 < error < 0.3 for error in found.known.values())


def test_a_run_that_does_not_settle_is_not_magnified(arrays):
    """The smooth part of what ``rPIE`` makes answers to any change of the counts, and not in proportion to it.

    With 0.05 of the photons deleted, and 4.4 times the deviations, the spread comes out 1.75 times too large.
    """
    recipe = opty.rPIE(alpha=0.05) ** 30
    states = [recipe * drawn(arrays, seed, 1e6) for seed in range(24)]
    lit, reference = lit_area(states[0]), states[0].numpy("obj").astype(complex)
    rng, smooth = np.random.default_rng(1), SmoothPart(lit)

    def coefficients(p):
        obj = without_gauges(align(p.numpy("obj"), reference, lit, offset=(0, 0))[0], reference, lit)
        return smooth.coefficients(np.angle(obj * reference.conj()))

    true = np.array([coefficients(p) for p in states])
    repeated = np.array(
        [coefficients(recipe * _begun(states[0], without_some(states[0].data, _DELETED_WHOLE, rng))) for _ in range(16)]
    )
    told = _magnified("counts", _DELETED_WHOLE) * np.sqrt(repeated.var(axis=0, ddof=1).sum())
    assert told / np.sqrt(true.var(axis=0, ddof=1).sum()) == pytest.approx(1, abs=0.3)


def test_the_factor_is_known_as_well_as_few_vectors_of_few_modes_tell():
    """Of vectors of three modes, drawn 2000 times: the standard deviation of the factor is what one draw says of it."""
    rng = np.random.default_rng(4)
    modes = rng.normal(size=(3, 15))
    draws = ([rng.normal(size=(count, 3)) @ modes for count in (20, 10)] for _ in range(2000))
    factors, told = np.array([_factor(few, many) for few, many in draws]).T
    assert factors.mean() == pytest.approx(1, abs=0.05)
    assert np.median(told) == pytest.approx(factors.std(), rel=0.15)


def test_gauges_are_no_uncertainty(arrays):
    rng = np.random.default_rng(0)
    obj = arrays["obj"][:40, :40].astype(complex)
    lit = np.zeros((40, 40), bool)
    lit[5:-5, 5:-5] = True
    row, column = np.indices(obj.shape)
    turned = obj * 1.01 * np.exp(1j * (0.02 + 1e-3 * row - 2e-3 * column))
    assert np.abs(without_gauges(turned, obj, lit) - obj)[lit].max() < 2e-3
    noise = 1e-3 * rng.normal(size=obj.shape)
    rest = without_gauges(obj + noise, obj, lit) - obj
    assert np.linalg.norm(rest[lit]) == pytest.approx(np.linalg.norm(noise[lit]), rel=0.02)


def test_the_smooth_part_is_what_polynomials_describe():
    rng = np.random.default_rng(0)
    row, column = np.indices((50, 60))
    lit = (row - 24) ** 2 / 20**2 + (column - 30) ** 2 / 25**2 < 1
    smooth = SmoothPart(lit)
    image = 0.3 + (row - 24) * (column - 30) / 500 + ((column - 30) / 20) ** 4
    coefficients = smooth.coefficients(image)
    assert smooth.image(coefficients)[lit] == pytest.approx(image[lit], abs=1e-9)
    assert (coefficients**2).sum() == pytest.approx((image[lit] ** 2).mean())
    noise = rng.normal(size=(400, 50, 60))
    found = np.array([smooth.coefficients(one) for one in noise])
    assert smooth.variance(np.cov(found.T))[lit].mean() == pytest.approx(15 / lit.sum(), rel=0.1)


def test_refined_positions_have_deviations_too(converged):
    recipe = opty.PosCorrectGradient() * opty.ePIE()
    p = recipe**5 * converged
    found = uncertainty(p, recipe**5, n=4, repeats=0)
    assert found.positions.shape == (64, 2)
    assert 1e-5 < np.median(found.positions) < 0.3
    assert "not compared with whole repetitions" in str(found)


def test_redrawn_counts_are_poisson_about_the_prediction(converged):
    rng = np.random.default_rng(1)
    mean, other = (redrawn(converged, rng).intensities for _ in range(2))
    bright = mean > 50
    z = (mean - other)[bright] / np.sqrt(mean[bright] + other[bright])
    assert z.std() == pytest.approx(1, abs=0.05)
    assert np.array_equal(mean, np.rint(mean))


@pytest.mark.parametrize("photons", [0.1, 1, 3, 30])
def test_what_misses_some_of_the_photons_tells_the_spread_of_an_amplitude(photons):
    rng = np.random.default_rng(2)
    counts = rng.poisson(photons, (40, 32, 32))
    data = opty.PtychoData(counts, np.zeros((40, 2)))
    drawn = np.array([np.sqrt(without_some(data, _DELETED, rng).intensities) for _ in range(12)])
    told = np.sqrt(drawn.var(axis=0, ddof=1).mean() * (1 - _DELETED) / _DELETED)
    assert told == pytest.approx(np.sqrt(counts).std(), rel=0.17)
    assert np.square(drawn).mean() == pytest.approx(counts.mean(), rel=0.02)


def test_counts_drawn_from_the_prediction_are_a_choice(converged):
    found = uncertainty(converged, opty.ML() ** 3, n=4, repeats=0, draw="prediction")
    assert "4 to counts drawn from the prediction" in str(found)
    assert "4 to counts without a quarter" in str(uncertainty(converged, opty.ML(), n=4, repeats=0))


def test_counts_that_scatter_more_than_poisson_are_said(converged):
    data = converged.data
    scaled = converged.replace(probe=np.sqrt(10) * converged.probe)
    ten = opty.PtychoState(data.replace(intensities=10 * data.intensities), probe=scaled.probe, obj=scaled.obj)
    found = uncertainty(opty.ML() ** 5 * ten, opty.ML(), n=4, repeats=0)
    assert found.excess > 3
    assert "times as much as Poisson counts" in str(found)


def test_refusals(arrays, converged):
    with pytest.raises(ValueError, match="n is 3"):
        uncertainty(converged, opty.ML(), n=3)
    with pytest.raises(ValueError, match="repeats is 1: a spread takes 2 or more"):
        uncertainty(converged, opty.ML(), n=4, repeats=1)
    with pytest.raises(ValueError, match="draw is 'photons'"):
        uncertainty(converged, opty.ML(), n=4, draw="photons")
    halved = opty.PtychoState(converged.data.replace(intensities=converged.data.intensities / 2), device="cpu")
    with pytest.raises(ValueError, match=r"not whole counts .* or draw='prediction'"):
        uncertainty(halved, opty.ML(), n=4)
    with pytest.raises(ValueError, match="made by no recipe"):
        uncertainty(drawn(arrays, 0), opty.ML(), n=4, repeats=2)

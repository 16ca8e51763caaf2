"""Positions of another scale, stretched or turned: found by views held out, and no right scan is touched."""

import math
import re

import numpy as np
import pytest
from scipy import ndimage

import opty
from opty.analysis.check.decision import decide
from opty.analysis.check.frame_statistics import look_at_frames
from opty.analysis.check.scan_stretch import find_stretch, of_stretch, surely_less
from opty.analysis.verdict import verdict
from opty.data.scan_grid import rotated
from opty.operators.position.affine import affine_step


def stretched(data, factors=(1, 1), turn=0.0):
    return data.replace(positions=rotated(data.positions / np.array(factors), -turn), truth=None)


@pytest.mark.parametrize(
    ("factors", "turn"), [((1, 1), 0.0), ((1.05, 1.05), 0.0), ((0.95, 0.95), 0.0), ((1.1, 1.0), 0.0), ((1, 1), 0.06)]
)
def test_the_map_that_was_undone_is_found(right, factors, turn):
    wrong = stretched(right, factors, turn)
    found = find_stretch(wrong, wrong.probe)
    assert np.allclose(found.factors, factors, atol=0.025)  # the object of so few views leans to one side
    assert math.isclose(found.rotation, turn, abs_tol=0.02)
    assert abs(found.shear) < 0.03
    assert found.better == found.off == (factors != (1, 1) or turn != 0)
    assert found.gain > 0.08 or not found.better
    assert bool(of_stretch(found).every) == found.better


def test_the_views_tell_the_scale(right):
    data = stretched(right)
    found = find_stretch(data, data.probe, bracket=True)
    assert not found.off
    assert found.known
    dim = data.replace(intensities=np.random.default_rng(0).poisson(0.5, data.intensities.shape))
    found = find_stretch(dim, data.probe, bracket=True)
    assert not found.better
    assert not found.known


def test_a_view_sees_a_wrong_scale_about_the_middle_of_its_window(right):
    """An object and positions that are both too wide along one axis by 2 percent: the step is -2 percent."""
    p = opty.PtychoState(right.replace(probe=None), right.truth["probe"], right.truth["obj"], device="cpu", threads=1)
    n, middle = right.n, p.numpy("positions").mean(axis=0) + (right.n - 1) / 2
    matrix = np.diag([1.02, 1.0])
    back = np.linalg.inv(matrix)
    big = np.pad(right.truth["obj"], 8, mode="edge")
    wide = ndimage.affine_transform(big, back, 8 + middle - back @ (8 + middle), big.shape, order=3, mode="nearest")
    places = (right.truth["positions"] + (n - 1) / 2 - middle) @ matrix.T + middle - (n - 1) / 2 + 8
    q = opty.PtychoState(right.replace(probe=None, positions=places), right.truth["probe"], wide, device="cpu")
    assert np.allclose(affine_step(p._live).matrix, 0, atol=0.002)
    assert np.allclose(np.eye(2) + affine_step(q._live).matrix, back, atol=0.006)


def test_the_remedy_is_said(right):
    wrong = stretched(right, (1.05, 1.05))
    found = decide(wrong, look_at_frames(wrong))
    assert found.fits == "as given"
    (said,) = found.findings.warnings
    named = re.search(r"load with position_scale=([0-9.]+)", said)
    assert float(named[1].rstrip(".")) == pytest.approx(1.05, abs=0.025)


@pytest.mark.slow
def test_verdicts_on_a_scale(right):
    for data, word in ((stretched(right), "right"), (stretched(right, (1.06, 1.06)), "doubtful")):
        p = opty.rPIE(alpha=0.05) ** 20 * opty.PtychoState(data, device="cpu", threads=1)
        assert verdict(p, test=True).word == word


def test_surely_less_needs_its_standard_errors():
    base = np.array([4.0, 5.0, 6.0, 5.0])
    less = base * np.exp(-np.array([0.20, 0.22, 0.18, 0.20]))
    assert surely_less(less, base, 2.0)
    assert not surely_less(less, base, 2.0, worth=0.25)
    assert not surely_less(base * np.exp(-np.array([0.2, -0.2, 0.1, 0.05])), base, 2.0)
    assert surely_less(base, np.full(4, np.inf), 2.0)

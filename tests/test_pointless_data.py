"""The first run in Python says what makes a reconstruction of its data pointless: once, and never of good data."""

import pickle
import warnings

import numpy as np
import pytest
from click.testing import CliRunner

import opty
from opty import rPIE
from opty.analysis.start_doubt import pointless
from opty.cli import main
from opty.simulate import experiment, objects, scans

GEOMETRY = opty.Geometry(wavelength=1e-9, distance=0.3, pixel_size=55e-6)


@pytest.fixture(scope="module")
def good():
    """A measurement without its truth: 49 views of 32 x 32, with positions in metres and the probe."""
    x = np.arange(32) - 16
    probe = np.exp(-(x[:, None] ** 2 + x**2) / 60 * (1 - 0.6j))
    obj = objects.random_phase((70, 70), feature=3.0, phase_range=(0, 0.9), seed=1)
    data = experiment(obj, probe, scans.raster((7, 7), step=4.0, jitter=1.2, seed=1), 1e5, geometry=GEOMETRY, seed=2)
    return data.replace(truth=None, source=None, probe=data.truth["probe"])


def marked(data):
    counts = data.intensities[:].astype(np.uint32)
    counts[:, 10:12] = 2**32 - 1
    return data.replace(intensities=counts)


WRONG = {
    "a mark for gaps": marked,
    "the roots of counts": lambda data: data.replace(intensities=np.sqrt(data.intensities[:])),
    "all views lie within": lambda data: data.replace(positions=0 * data.positions + 1e-6),
    "check the positions, and their unit": lambda data: data.replace(positions=data.positions * 1e-3),
    "in the corners of the frames": lambda data: data.replace(
        intensities=np.fft.ifftshift(data.intensities[:], axes=(1, 2))
    ),
    "too few to tell anything": lambda data: data.replace(
        intensities=np.random.default_rng(1).binomial(data.intensities[:], 1e-4).astype(np.uint16)
    ),
}


def said(recipe, p):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        recipe * p
    return [str(one.message) for one in caught if one.category is opty.StartWarning]


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.filterwarnings("ignore:.*views have no light")
def test_what_is_wrong_is_said_once(good, what):
    data = WRONG[what](good)
    (text,) = said(rPIE(), opty.PtychoState(data, device="cpu"))
    assert "a run with these data is pointless" in text
    assert what in text
    assert said(rPIE(), opty.PtychoState(data, device="cpu")) == []  # the same data
    assert len(said(rPIE(), opty.PtychoState(pickle.loads(pickle.dumps(data)), device="cpu"))) == 1


def test_nothing_is_said_of_good_data(good):
    for data in (good, good.replace(probe=None), good.replace(geometry=None, positions=good.positions_px)):
        assert pointless(data) == ()
    assert said(rPIE(), opty.PtychoState(good, device="cpu")) == []


def test_what_was_put_into_the_state_counts(good):
    """Positions that a state got in the place of those of the data are looked at, and not these."""
    nowhere = good.replace(positions=0 * good.positions)
    p = opty.PtychoState(nowhere, obj=np.ones((70, 70)), device="cpu")
    assert len(said(rPIE(), p)) == 1
    again = opty.PtychoState(nowhere.replace(probe=good.probe), obj=np.ones((70, 70)), device="cpu")
    placed = again.replace(positions=good.positions_px - good.positions_px.min(axis=0) + 2)
    assert said(rPIE(), placed) == []


def test_trials_of_opty_and_the_command_line_say_it_in_their_own_words(good, tmp_path):
    data = WRONG["check the positions, and their unit"](good)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opty.analysis.find_probe(data.replace(probe=None))
    opty.save(tmp_path / "a.h5", data)
    line = ["reconstruct", str(tmp_path / "a.h5"), "-o", str(tmp_path / "r.h5"), "--recipe", "rPIE()", "--force"]
    outcome = CliRunner().invoke(main, [*line, "--device", "cpu"])
    assert outcome.exit_code == 0, outcome.output
    assert outcome.stderr.count("all views lie within") == 1

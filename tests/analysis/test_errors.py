"""The errors of a state against the truth of its data."""

import numpy as np
import pytest
import scipy.ndimage

from opty.analysis import errors
from opty.ptycho_state import PtychoState
from opty.simulate import experiment, probes, scans


def state(data, obj, positions):
    return PtychoState(data, obj=obj, device="cpu").replace(positions=positions)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    smooth = scipy.ndimage.gaussian_filter(rng.normal(size=(2, 100, 100)), (0, 2, 2))
    obj = np.exp(1j * smooth[0] / smooth.std()) * (1 + 0.2 * smooth[1] / smooth.std())
    return experiment(obj, probes.aperture(32, 20), scans.raster((7, 7), 6), photons=1e4, position_error=1.5)


def test_the_truth_has_no_error_in_any_frame(data):
    obj, positions = data.truth["obj"], data.truth["positions"]
    framed = np.pad(obj, ((17, 3), (40, 60)), constant_values=1)
    found = errors(state(data, framed, positions + np.array([17, 40])))
    assert set(found) == {"object", "position", "position_affine"}
    assert found["object"] < 1e-6
    assert found["position_affine"] == pytest.approx(0, abs=1e-10)
    assert found["position"] == pytest.approx(0, abs=1e-10)


def test_nominal_positions_are_as_wrong_as_the_stage(data):
    found = errors(state(data, data.truth["obj"], data.positions))
    stage = data.truth["positions"] - data.positions
    stage = stage - stage.mean(axis=0)
    assert found["position"] == pytest.approx(np.hypot(*stage.T).mean())
    assert found["object"] < 1e-6


def test_a_flat_object_is_far_from_the_truth(data):
    assert errors(state(data, np.ones((100, 100)), data.positions))["object"] > 0.3


def test_measured_data_have_no_errors_to_give(data):
    with pytest.raises(ValueError, match="no truth"):
        errors(state(data.replace(truth=None), data.truth["obj"], data.positions))
    with pytest.raises(ValueError, match=r"truth of \['obj'\] only"):
        errors(state(data.replace(truth={"obj": data.truth["obj"]}), data.truth["obj"], data.positions))

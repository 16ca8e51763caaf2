"""A state in the format of a measurement: what it gets of the reconstruction, and the warning of what it does not."""

import warnings

import numpy as np
import pytest
from click.testing import CliRunner

import opty
from opty import Geometry, PtychoData, PtychoState
from opty.cli import main
from opty.errors import FormatError
from opty.io import load, save

WITHOUT_PROBE = ("cxi-pynx", "tiff")
NAMES = {"cxi": "a.cxi", "cxi-pynx": "a.cxi", "nexus": "a.nxs", "ptyd": "a.ptyd", "ptylab": "a.h5", "tiff": "a.tif"}
NAMES |= {"tike": "a.npz", "tike-hdf5": "a.h5", "ptychi": "a_dp.h5"}


@pytest.fixture
def geometry():
    return Geometry(wavelength=1e-10, distance=2.0, pixel_size=75e-6)


@pytest.fixture
def data(geometry):
    """Twelve views of 16 x 16, with positions in metres and a starting probe."""
    rng = np.random.default_rng(5)
    positions = rng.uniform(0, 12, (12, 2)) * geometry.sample_pixel(16)
    probe = rng.normal(size=(2, 16, 16)) + 1j * rng.normal(size=(2, 16, 16))
    return PtychoData(rng.poisson(60, (12, 16, 16)).astype("uint16"), positions, geometry, probe=probe)


@pytest.fixture
def away():
    """How far each view was moved (N, 2) [px]: a common offset, and about a pixel besides."""
    return np.random.default_rng(6).normal(size=(12, 2)) + np.array([2.0, -1.0])


@pytest.fixture
def state(data, away):
    """A state whose probe and positions differ from those of the data."""
    start = PtychoState(data, device="cpu", margin=9)
    return start.replace(probe=start.probe * np.exp(0.3j), positions=start.positions + away)


@pytest.mark.parametrize("key", NAMES)
@pytest.mark.parametrize("refined", [None, False, True])
def test_positions_and_probe_are_written_or_named(state, data, away, geometry, tmp_path, key, refined):
    path = tmp_path / NAMES[key]
    with pytest.warns(UserWarning, match="is a file of a measurement: ") as caught:
        save(path, state, format=key, refined_positions=refined)
    (said,) = (str(one.message) for one in caught)
    back = load(path)
    pixel = geometry.sample_pixel(16)
    found = back.positions_px if back.geometry is not None else back.positions
    expected = data.positions / pixel + (away if refined else 0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    assert ("those of the result, which were refined by" in said) == (refined is None)
    assert ("no place for the probe and the object" in said) == (key in WITHOUT_PROBE)
    if key in WITHOUT_PROBE:
        assert back.probe is None
    else:
        np.testing.assert_array_equal(back.probe, state.probe)


def test_the_distance_that_is_said_is_that_without_the_common_offset(state, away, tmp_path):
    beside = np.sqrt(((away - away.mean(axis=0)) ** 2).sum(axis=1).mean())
    with pytest.warns(UserWarning, match=rf"refined by {beside:.3g} px rms: refined_positions=True writes"):
        save(tmp_path / "a.cxi", state, format="cxi")


def test_a_state_without_a_run_has_nothing_to_lose(data, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(tmp_path / "a.cxi", PtychoState(data.replace(probe=None), device="cpu"), format="cxi")
        save(tmp_path / "b.cxi", data, format="cxi")
    assert load(tmp_path / "a.cxi").probe is None


def test_background_and_factors(data, tmp_path):
    """A background that was found is written where there is a place; factors of the views are named."""
    start = PtychoState(data, device="cpu")
    p = start.replace(background=np.full((16, 16), 2.0), intensity_factors=np.ones(12))
    with pytest.warns(UserWarning, match="no place for the object and intensity_factors"):
        save(tmp_path / "a.cxi", p, format="cxi")
    np.testing.assert_array_equal(load(tmp_path / "a.cxi").background, 2.0)
    with pytest.warns(UserWarning, match="no place for the background, the object and intensity_factors"):
        save(tmp_path / "a.ptyd", p, format="ptyd")
    measured = PtychoState(data.replace(background=np.ones((16, 16))), device="cpu")
    with pytest.raises(FormatError, match="no place for a background"):  # it belongs to the measurement
        save(tmp_path / "b.ptyd", measured, format="ptyd")


def test_where_there_is_no_choice_of_positions(state, data, tmp_path):
    with pytest.raises(TypeError, match=r"refined_positions says .* p is a measurement"):
        save(tmp_path / "a.cxi", data, format="cxi", refined_positions=True)
    for key, name in (("opty", "a.h5"), ("ptyr", "a.ptyr")):
        with pytest.raises(TypeError, match=f"format '{key}' holds both"):
            save(tmp_path / name, state, format=key, refined_positions=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.cxi", "out.h5"])
@pytest.mark.filterwarnings("default")
def test_convert_of_a_result(state, data, away, geometry, tmp_path, name):
    result, out = tmp_path / "r.h5", tmp_path / name
    save(result, state)
    for flag, moved in ((None, 0.0), ("--no-refined-positions", 0.0), ("--refined-positions", away)):
        line = ["convert", str(result), str(out), "--overwrite", *([flag] if flag else [])]
        outcome = CliRunner().invoke(main, line)
        assert outcome.exit_code == 0, outcome.output
        assert ("--refined-positions writes these" in outcome.stderr) == (flag is None)
        assert f"positions      {'of the result' if flag == '--refined-positions' else 'as they were given'}" in (
            outcome.stdout
        )
        back = opty.load(out)
        np.testing.assert_allclose(back.positions_px, data.positions_px + moved, rtol=0, atol=1e-9)
        np.testing.assert_array_equal(back.probe, state.probe)


def test_convert_of_a_measurement_has_no_choice(data, tmp_path):
    save(tmp_path / "a.h5", data)
    line = ["convert", str(tmp_path / "a.h5"), str(tmp_path / "b.cxi"), "--refined-positions"]
    outcome = CliRunner().invoke(main, line)
    assert outcome.exit_code == 1
    assert "is a measurement and has no refined positions" in outcome.stderr

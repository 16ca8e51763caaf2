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
NO_GEOMETRY = ("tike", "tike-hdf5")
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


def said_of_saving(path, p, **options):
    """Save, and return the texts of the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        save(path, p, **options)
    return [str(one.message) for one in caught]


@pytest.mark.parametrize("key", NAMES)
@pytest.mark.parametrize("refined", [None, False, True])
def test_positions_and_probe_are_written_or_named(state, data, away, geometry, tmp_path, key, refined):
    path = tmp_path / NAMES[key]
    said, *more = said_of_saving(path, state, format=key, refined_positions=refined)
    assert "is a file of a measurement: " in said
    assert len(more) == (key in NO_GEOMETRY)
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


@pytest.fixture(scope="module")
def stretched():
    """A state whose run has found another distance than the 2 m given, with positions refined besides."""
    true = Geometry(wavelength=1e-10, distance=1.94, pixel_size=75e-6)
    probe = opty.physics.optics.aperture_probe(32, 1e-10, true.sample_pixel(32), 4e-4, defocus=5e-4)
    obj = opty.simulate.objects.random_phase((80, 80), feature=3.0, phase_range=(0, 0.9), seed=1)
    places = opty.simulate.scans.raster((8, 8), step=4.5, jitter=1.5, seed=1)
    data = opty.simulate.experiment(obj, probe, places, photons=1e6, geometry=true, seed=1)
    data = data.replace(geometry=Geometry(wavelength=1e-10, distance=2.0, pixel_size=75e-6), truth=None)
    data = data.replace(probe=probe[None], source=None)
    found = (opty.Refine("distance") * opty.rPIE()) ** 30 * PtychoState(data, device="cpu")
    assert abs(found.geometry.distance - 2.0) > 0.01
    return found.replace(positions=found.positions + np.random.default_rng(9).normal(0, 0.2, found.positions.shape))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("key", [*NAMES, "opty"])
@pytest.mark.parametrize("refined", [False, True])
def test_positions_go_with_the_distance_that_was_found(stretched, tmp_path, key, refined):
    """In metres and pixels: the file makes the state's positions, and those given in the pixels that were found."""
    if key == "opty":  # as convert writes it
        save(tmp_path / "r.h5", stretched)
        flag = "--refined-positions" if refined else "--no-refined-positions"
        outcome = CliRunner().invoke(main, ["convert", str(tmp_path / "r.h5"), str(tmp_path / "a.h5"), flag])
        assert outcome.exit_code == 0, outcome.output
        said, back = outcome.stderr, load(tmp_path / "a.h5")
    else:
        said = said_of_saving(tmp_path / NAMES[key], stretched, format=key, refined_positions=refined)[0]
        back = load(tmp_path / NAMES[key])
    data, pixel = stretched.data, stretched.pixel
    expected = stretched.positions if refined else data.positions / pixel
    found = back.positions_px if back.geometry is not None else back.positions
    np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=0, atol=1e-9)
    assert f"distance {stretched.geometry.distance:.7g} m for 2; " in said
    assert "place for the object and distance" not in said
    if key in NO_GEOMETRY:
        assert back.geometry is None
        return
    assert back.geometry.distance == pytest.approx(stretched.geometry.distance, rel=1e-12)
    if not refined:
        np.testing.assert_allclose(back.positions, data.positions, rtol=0, atol=1e-12)


def test_a_ptyr_holds_the_pixel_that_was_found(stretched, tmp_path):
    data = stretched.data
    save(tmp_path / "a.ptyr", stretched, format="ptyr")
    with pytest.warns(UserWarning, match="the state has the distance"):
        back = load(tmp_path / "a.ptyr", data=data)
    assert back.geometry.distance == pytest.approx(stretched.geometry.distance, rel=1e-9)
    np.testing.assert_allclose(back.positions, stretched.positions, rtol=0, atol=1e-6)
    assert opty.misfit(back) == pytest.approx(opty.misfit(stretched), rel=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(tmp_path / "b.ptyr", PtychoState(data, device="cpu"), format="ptyr")
        load(tmp_path / "b.ptyr", data=data)


def test_data_that_were_given_the_same_lengths_get_those_that_were_found(stretched):
    data = stretched.data
    onto = stretched.onto(data)
    assert onto.geometry == stretched.geometry
    expected = data.positions / stretched.pixel
    np.testing.assert_allclose(onto.positions - onto.positions[0], expected - expected[0], rtol=0, atol=1e-9)
    rows, columns = (int(np.rint(x)) for x in (stretched.positions - onto.positions).mean(axis=0))
    assert (rows, columns) != (0, 0)  # its frame is another one, and the object lies where it was
    seen = onto.obj[8:-8, 8:-8]
    there = stretched.obj[8 + rows : 8 + rows + seen.shape[0], 8 + columns : 8 + columns + seen.shape[1]]
    np.testing.assert_array_equal(seen[: len(there), : there.shape[1]], there)
    other = data.replace(geometry=Geometry(wavelength=1e-10, distance=2.1, pixel_size=75e-6))
    with pytest.raises(ValueError, match="a pixel of the object"):
        stretched.onto(other)


ELEMENTS = {
    "Blur(0.5)": "Blur(sigma=0.5)",
    "Saturation(1e4)": "Saturation(10000.0)",
    "Wavelengths((0.99, 1.01))": "Wavelengths((0.99, 1.01))",
    "FlyScan(2, travel=(0, 1e-9))": "FlyScan(2, travel=(0.0, 1e-09))",
    "Slices(2, 1e-9)": "Slices(2, 1e-09)",
    "Probe(2, variable=1)": "Probe(modes=2, variable=1)",
}


@pytest.mark.parametrize("key", [*NAMES, "ptyr"])
@pytest.mark.parametrize("element", ELEMENTS)
def test_no_element_of_a_model_is_left_out_in_silence(data, tmp_path, key, element):
    """Of each format but opty's own: a warning names it, or the state is refused."""
    p = opty.rPIE() * PtychoState(data, model=element, device="cpu")
    path = tmp_path / NAMES.get(key, "a.ptyr")
    if key == "ptyr" and element.startswith(("Slices", "Probe")):
        with pytest.raises(ValueError, match=r"slices|varies"):
            save(path, p, format=key)
        return
    said = said_of_saving(path, p, format=key)[0]
    assert "it has no place for" in said
    assert ELEMENTS[element] in said


def test_a_ptyr_names_a_background_that_was_found_and_factors(data, tmp_path):
    p = (opty.BackgroundUpdate() * opty.IntensityUpdate() * opty.rPIE()) * PtychoState(data, device="cpu")
    with pytest.warns(UserWarning, match="no place for intensity_factors and background"):
        save(tmp_path / "a.ptyr", p, format="ptyr")
    measured = opty.rPIE() * PtychoState(data.replace(background=np.ones((16, 16))), device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(tmp_path / "b.ptyr", measured, format="ptyr")  # the measurement brings it again


def test_a_lost_geometry_is_said_of_a_measurement_too(data, tmp_path):
    for key in NO_GEOMETRY:
        with pytest.warns(
            UserWarning, match="no place for the geometry: its positions are in pixels; give wavelength="
        ):
            save(tmp_path / NAMES[key], data, format=key)


def test_what_is_refused_says_nothing_else(stretched, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="of electrons"):
            save(tmp_path / "a.emd", stretched, format="emd")


@pytest.mark.filterwarnings("default")
def test_a_scan_that_is_joined_to_itself_is_warned_of(data, tmp_path):
    save(tmp_path / "a.h5", data)
    save(tmp_path / "b.h5", data.replace(positions=data.positions + 1e-8))
    with pytest.warns(UserWarning, match="scans 0 and 1 are the same: its counts"):
        opty.join([data, data])
    line = ["join", *(str(tmp_path / name) for name in ("a.h5", "b.h5", "a.h5")), "-o", str(tmp_path / "c.h5")]
    outcome = CliRunner().invoke(main, line)
    assert outcome.exit_code == 0, outcome.output
    assert f"scans 0 and 2 are the same, {tmp_path / 'a.h5'}" in outcome.stderr
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opty.join([load(tmp_path / "a.h5"), load(tmp_path / "b.h5")])
        opty.join([load(tmp_path / "a.h5", views="0:6"), load(tmp_path / "a.h5", views="6:12")])

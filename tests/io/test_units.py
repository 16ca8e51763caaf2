"""Units as files write them, all through one table."""

import h5py
import numpy as np
import pytest

from opty.errors import FormatError
from opty.geometry import PLANCK_TIMES_C
from opty.io import load
from opty.io.prepare.units import factor, quantity, unit_name, unitless_energy

EV = 1.602176634e-19
SPELT = {
    1e-6: [
        "um",
        b"um",
        np.array([b"um"]),
        np.array(["um"], dtype=object),
        "micrometers",
        "micrometres",
        "Microns",
        "UM",
    ],
    1e-3: ["MM", "millimeters", "millimetres", "mm ", "[mm]"],
    1e-9: ["nanometers", "nm", "NM"],
    1e-10: ["\u212b", "\u00c5", "Angstroms", "angstrom", "A", "\u00e5ngstr\u00f6m"],
    1.0: ["meter", "m", "metres"],
    1e-12: ["pm", "picometers"],
}


@pytest.mark.parametrize(("value", "name"), [(v, n) for v, names in SPELT.items() for n in names])
def test_lengths(value, name):
    assert factor("length", name, "it") == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [("J", 1.0), ("eV", EV), ("KEV", 1e3 * EV), ("MeV", 1e6 * EV), ("meV", 1e-3 * EV), ("GeV", 1e9 * EV)],
)
def test_energies(name, value):
    assert factor("energy", name, "it") == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("name", ["", b"", " ", None, np.array([b""])])
def test_no_unit(name):
    assert unit_name(name) is None


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("energy", "6.2keV", 6.2e3 * EV),
        ("energy", "8.2e-16", 8.2e-16),
        ("length", "1.5e-1 nm", 1.5e-10),
        ("voltage", "300kV", 3e5),
        ("angle", "12 deg", np.pi / 15),
        ("angle", "21.4mrad", 0.0214),
    ],
)
def test_texts(kind, text, value):
    assert quantity(kind, "it", text) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(("number", "unit"), [(1e-15, "J"), (8e-20, "J"), (8266.0, "eV"), (2.0e4, "eV")])
def test_an_energy_without_a_unit_that_can_be_one_thing_only(number, unit):
    assert unitless_energy(number, "it")[1] == unit


@pytest.mark.parametrize("number", [6.2, 0.708, 91.8, 300.0, 710.0, 3e5, 3e9])
def test_an_energy_without_a_unit_that_can_be_several_things(number):
    with pytest.raises(ValueError, match=r"has no unit: give energy="):
        unitless_energy(number, "it")


def test_an_energy_without_a_unit_that_no_photons_have():
    """3 GeV of a ring in eV: as keV it would be nonsense."""
    with pytest.raises(
        ValueError, match=r"is 3e\+09 .*give energy='6\.2keV' of the photons, or voltage='300kV' of elect"
    ):
        unitless_energy(3e9, "it")


# -- files

DETECTOR, SOURCE = "entry_1/instrument_1/detector_1/", "entry_1/instrument_1/source_1/"


@pytest.mark.parametrize(
    ("place", "factor", "unit"),
    [
        (DETECTOR + "distance", 1e3, "mm"),
        (DETECTOR + "x_pixel_size", 1e6, "um"),
        ("entry_1/sample_1/geometry_1/translation", 1e6, "micrometers"),
        (SOURCE + "wavelength", 1e10, "Angstroms"),
        (SOURCE + "energy", 1 / EV / 1e3, "keV"),
    ],
)
def test_units_of_cxi(make_cxi, place, factor, unit):
    right, path = load(make_cxi("right.cxi")), make_cxi("scan.cxi")
    with h5py.File(path, "a") as f:
        names = [place, place.replace("/x_", "/y_")] if "x_pixel" in place else [place]
        if place.endswith("energy"):
            del f[SOURCE + "wavelength"]
        for name in names:
            values = f[name][()] * np.float64(factor)
            del f[name]
            f[name] = values
            f[name].attrs["units"] = np.bytes_(unit)
    found = load(path)
    np.testing.assert_allclose(found.positions, right.positions, rtol=1e-6)
    assert found.pixel == pytest.approx(right.pixel, rel=1e-6)


MAPPING = """
[frames]
path = "/d"
[positions]
path = "/p"
[geometry]
energy = { path = "/e" }
distance = { value = 2 }
pixel_size = { value = 75, unit = "um" }
"""


@pytest.fixture
def mapped(tmp_path, counts):
    (tmp_path / "m.toml").write_text(MAPPING)

    def make(energy, units=None, position_units=""):
        with h5py.File(tmp_path / "a.h5", "w") as f:
            f["d"], f["p"], f["e"] = counts, np.arange(8.0).reshape(4, 2) * 1e-6, energy
            f["p"].attrs["units"] = position_units
            if units is not None:
                f["e"].attrs["units"] = units
        return tmp_path / "a.h5", {"mapping": tmp_path / "m.toml"}

    return make


def test_a_mapping_whose_energy_has_no_unit(mapped):
    path, options = mapped(8266.0)
    with pytest.warns(UserWarning, match="is 8266 and has no unit; it is taken as eV"):
        found = load(path, **options)
    assert found.geometry.wavelength == pytest.approx(PLANCK_TIMES_C / (8266 * EV))
    np.testing.assert_allclose(found.positions, np.arange(8.0).reshape(4, 2) * 1e-6)
    path, options = mapped(6.2)
    with pytest.raises(FormatError, match=r"/e is 6\.2 and has no unit: give energy='6\.2keV'"):
        load(path, **options)
    assert load(path, **options, energy="6.2keV").geometry.energy == pytest.approx(6200 * EV)
    path, options = mapped(6.2, "keV")
    assert load(path, **options).geometry.energy == pytest.approx(6200 * EV)

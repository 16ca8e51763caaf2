"""Models on the command line: --model, configs of several slices, what info and reports say, elements of a user's."""

import json
import os
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import opty
from opty.cli import main
from opty.model.element import ELEMENTS, LEAVES

CONFIG = """
model = "Slices(2, spacing=2e-5)"
[geometry]
pixels = 24
wavelength = 1e-9
distance = 0.1
pixel_size = 50e-6
[[object]]
kind = "random_phase"
shape = [60, 60]
feature = 6.0
[[object]]
kind = "random_phase"
shape = [60, 60]
feature = 4.0
[probe]
kind = "gaussian"
fwhm = 8.0
[scan]
kind = "raster"
shape = [5, 5]
step = 4.0
jitter = 0.5
[exposure]
photons = 1e5
"""

OWN = """
import opty


class Dimmer(opty.model.Element):
    leaves = (opty.Leaf("dim", "view", scale=0, role="estimate"),)
    by: float = 0.0

    def initial(self, name, scan):
        return scan.real_dtype.type(1 - self.by) * (1 + 0 * __import__("numpy").arange(scan.views))

    def forward(self, v, wave):
        v.memory["dim"] = v.rows("dim").astype(v.real_dtype)[:, None, None, None]
        v.memory["wave"] = wave
        return wave * v.memory["dim"]

    def tangent(self, v, dwave, changes):
        out = None if dwave is None else dwave * v.memory["dim"]
        if "dim" in changes:
            more = v.memory["wave"] * v.xp.asarray(changes["dim"], v.real_dtype)[:, None, None, None]
            out = more if out is None else out + more
        return out

    def backward(self, v, chi, power):
        if v.wants("dim"):
            v.add("dim", (v.memory["wave"].conj() * chi).real.sum(axis=(1, 2, 3)))
        square = v.memory["dim"][:, 0] ** 2
        return chi * v.memory["dim"], square if power is None else power * square
"""


def run(*arguments, code=0):
    outcome = CliRunner().invoke(main, [*map(str, arguments)])
    assert outcome.exit_code == code, (outcome.output, outcome.exception)
    assert "Traceback" not in outcome.output
    return outcome


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with scan.cxi of two slices, r.h5 reconstructed from it, and lab.py with an element."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "scan.toml").write_text(CONFIG)
    (folder / "lab.py").write_text(OWN)
    said = run("simulate", folder / "scan.toml", "-o", folder / "scan.cxi").stdout
    assert "object         2 slices of 60 x 60 px" in said
    assert "model          FarField() * Slices(2, 2e-05) * Probe()" in said
    return folder


@pytest.fixture
def work(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield folder
    forget()


def forget():
    """Do as a new process does, which has not imported lab."""
    sys.modules.pop("lab", None)
    ELEMENTS.pop("Dimmer", None)
    LEAVES.pop("dim", None)


CPU = ["--device", "cpu", "--threads", "1"]
MODEL = ["--model", "Slices(2, spacing=2e-5) * Probe(modes=2)"]


def test_the_slices_of_a_config_differ(work):
    data = opty.load("scan.cxi")
    assert data.truth["obj"].shape == (2, 60, 60)
    assert not np.allclose(*data.truth["obj"])


def test_reconstruct_takes_a_model_and_says_it(work):
    said = run("reconstruct", "scan.cxi", "-o", "r.h5", "--recipe", "rPIE()**2", *MODEL, *CPU, "--overwrite").stdout
    model = "FarField() * Slices(2, 2e-05) * Probe(modes=2)"
    assert f"waves of {model}\n" in said
    assert f"model          {model}\n" in said
    p = opty.load("r.h5", device="cpu")
    assert repr(p.model) == model
    assert p.obj.shape[0] == 2
    assert repr(p).startswith("<PtychoState: object 2 slices of ")
    assert f"  model       {model}\n" in run("info", "r.h5").stdout
    assert json.loads(run("info", "r.h5", "--json").stdout)["model"] == model
    more = run("reconstruct", "r.h5", "-o", "more.h5", "--recipe", "rPIE()", *CPU, "--json", "--overwrite")
    assert json.loads(more.stdout)["model"] == model
    assert "identical" in run("rerun", "r.h5", *CPU).stdout


def test_states_of_the_object(work):
    """Simulated of two tables [[object]], reconstructed, told, exported, reported."""
    (work / "states.toml").write_text(CONFIG.replace("Slices(2, spacing=2e-5)", "Object(states=2)"))
    said = run("simulate", "states.toml", "-o", "states.cxi", "--overwrite").stdout
    assert "object         2 states of 60 x 60 px" in said
    model = "FarField() * Object(states=2) * Probe(modes=2)"
    given = ["--model", "FarField() * Object(states=2) * Probe(2)", *CPU, "--overwrite"]
    said = run("reconstruct", "states.cxi", "-o", "states.h5", "--recipe", "OrthogonaliseStates() * rPIE()**2", *given)
    assert f"model          {model}\n" in said.stdout
    assert f"  model       {model}\n" in run("info", "states.h5").stdout
    assert "identical" in run("rerun", "states.h5", *CPU).stdout
    run("export", "states.h5", "-o", "states.tif", "--overwrite")
    refused = run("export", "states.h5", "-o", "states.tif", "--unwrap", "plane", "--overwrite", code=1)
    assert "no pattern tells the phase of each" in refused.stderr
    run("report", "states.h5", "-o", "states.html", "--overwrite")


@pytest.mark.parametrize(
    "model",
    [
        "FarField() * Object() * FlyScan(2, duty=0.9, line=5) * Probe(modes=2)",
        "Blur(0.8) * FarField() * Object() * Probe(1)",
        "Saturation(65535.0) * FarField() * Object() * Probe(1)",
        "FarField() * Wavelengths((0.98, 1, 1.02)) * Object() * Probe(1)",
    ],
)
def test_every_model_is_reconstructed_and_read_back(work, model):
    run("reconstruct", "scan.cxi", "-o", "m.h5", "--recipe", "rPIE()**2", "--model", model, *CPU, "--overwrite")
    p = opty.load("m.h5", device="cpu")
    assert p.model == opty.model.parse(model)
    assert f"  model       {p.model!r}\n" in run("info", "m.h5").stdout
    assert "identical" in run("rerun", "m.h5", *CPU).stdout


def test_a_thin_object_is_not_mentioned(work):
    found = run("reconstruct", "scan.cxi", "-o", "t.h5", "--recipe", "rPIE()", *CPU, "--json", "--overwrite")
    assert json.loads(found.stdout)["model"] is None
    assert "  model " not in run("info", "t.h5").stdout


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--model", "Slices(2, spacing=2e-5)", "--modes", "3"], 2, "write Probe(modes=3) in the model"),
        (["--model", "Slice(2, spacing=2e-5)"], 1, "did you mean Slices?"),
        (["--model", "Slices(2, spacing=2e-5)", "--recipe", "DM()"], 1, "use rPIE, LSQML, ML or AP"),
        (["--model", "NearField() * Object()"], 1, "FarField()"),
        (["--model", "Saturation(10)"], 1, "which a detector that reads no more than 10 cannot"),
    ],
)
def test_models_that_are_refused(work, options, code, says):
    assert says in run("reconstruct", "scan.cxi", "-o", "x.h5", *options, *CPU, code=code).stderr
    assert not os.path.exists("x.h5")


def test_a_result_goes_on_with_its_own_model(work):
    run("reconstruct", "scan.cxi", "-o", "own.h5", "--recipe", "rPIE()", *MODEL, *CPU, "-q", "--overwrite")
    line = run("reconstruct", "own.h5", "-o", "x.h5", "--model", "Object()", *CPU, code=1).stderr
    assert "goes on with its own model: leave --model 'Object()' out, or reconstruct the measurement" in line


def test_slices_without_a_geometry_name_the_options(work):
    data = opty.load("scan.cxi")
    opty.save("px.cxi", data.replace(geometry=None, positions=data.positions_px, truth=None))
    line = run("reconstruct", "px.cxi", "-o", "x.h5", *MODEL, *CPU, code=1).stderr
    assert "give the measurement a geometry, --wavelength, --distance, --pixel-size" in line


def test_an_element_of_a_users_comes_by_import_and_a_result_opens_without_it(work):
    assert "--import MODULE" in run("reconstruct", "scan.cxi", "-o", "x.h5", "--model", "Dimmer()", code=1).stderr
    own = ["--model", "Dimmer(by=0.25) * Object()", "--import", "lab", "--recipe", "rPIE()", *CPU, "-q"]
    run("reconstruct", "scan.cxi", "-o", "d.h5", *own, "--overwrite")
    before = opty.load("d.h5", device="cpu")
    forget()
    said = run("info", "d.h5").stdout
    assert "  model       FarField() * Dimmer(by=0.25) * Object() * Probe(modes=1)" in said
    assert "there is no element 'Dimmer' here; to compute with the model, import the module" in said
    p = opty.load("d.h5", device="cpu")
    np.testing.assert_array_equal(p.dim, before.dim)
    opty.save("again.h5", p)
    run("plot", "d.h5", "-o", "d.png")
    line = run("reconstruct", "d.h5", "-o", "x.h5", "--recipe", "rPIE()", *CPU, code=1).stderr
    assert "Dimmer(by=0.25) cannot be computed with: there is no element 'Dimmer' here; import" in line
    with pytest.raises(opty.RecipeError, match="cannot be computed with"):
        opty.misfit(p)
    run("reconstruct", "again.h5", "-o", "e.h5", "--recipe", "rPIE()", "--import", "lab", *CPU, "-q", "--overwrite")
    assert opty.load("e.h5", device="cpu").iteration == 2


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('model = "Slices(2, spacing=2e-5)"', "", "2 tables [[object]] are slices, or states: say in front"),
        ("shape = [60, 60]\nfeature = 4.0", "shape = [50, 60]\nfeature = 4.0", "[[object]] 2 has 50 x 60 pixels"),
        ("Slices(2,", "Slices(3,", "obj has shape (2, 60, 60); Slices(3, 2e-05) has (3, H, W)"),
        ('"Slices(2, spacing=2e-5)"', "5", "model is 5; give a text in quotes"),
        ("feature = 4.0", "featre = 4.0", "[[object]] 2 has no key 'featre'"),
    ],
)  # fmt: skip
def test_configs_of_slices_that_are_refused(work, old, new, says):
    assert old in CONFIG
    (work / "wrong.toml").write_text(CONFIG.replace(old, new, 1))
    assert says in run("simulate", "wrong.toml", "-o", "x.cxi", code=1).stderr

"""Results on the command line without their measurement and their operators; and what --overwrite keeps from harm."""

import json
import os
import sys

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

import opty
from opty.algebra.operator import REGISTRY
from opty.cli import main
from opty.simulate import experiment, objects, probes, scans

OWN = """
import signal

import opty

class Dim(opty.Operator, reads="obj", writes="obj"):
    by: float = 0.99

    def apply(self, s):
        s.obj *= self.by

class StopAt(opty.Operator, writes="obj"):
    at: int = 2

    def apply(self, s):
        if s.iteration == self.at:
            signal.raise_signal(signal.SIGINT)
"""


def run(*arguments, code=0):
    outcome = CliRunner().invoke(main, [*map(str, arguments)])
    assert outcome.exit_code == code, (outcome.output, outcome.exception)
    assert "Traceback" not in outcome.output
    return outcome


def refused(*arguments):
    """Run opty, which must fail before it does anything; return its one line."""
    outcome = run(*arguments, code=1)
    assert outcome.stdout == ""
    assert outcome.stderr.count("\n") == 1, outcome.stderr
    return outcome.stderr


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A working folder with scan.cxi, 16 views of 32 x 32, and lab.py, which defines two operators."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    positions = scans.raster((4, 4), step=4, jitter=1, seed=0)
    data = experiment(objects.two_images((60, 60)), probes.aperture(32, 16, edge=2), positions, photons=1e5, seed=0)
    geometry = opty.Geometry(wavelength=1e-10, distance=2.0, pixel_size=55e-6)
    metres = data.positions * geometry.sample_pixel(32)
    opty.save("scan.cxi", data.replace(geometry=geometry, positions=metres, truth=None))
    (tmp_path / "lab.py").write_text(OWN)
    yield tmp_path
    sys.modules.pop("lab", None)


def forget():
    """Do as a new process does, which has not imported lab."""
    sys.modules.pop("lab", None)
    for name in ("Dim", "StopAt"):
        REGISTRY.pop(name, None)


@pytest.fixture
def apart(work):
    """r.h5, a result, and k.h5, an interrupted one, of operators that are not here; the measurement is elsewhere."""
    cpu = ["--device", "cpu", "-q", "--import", "lab"]
    run("reconstruct", "scan.cxi", "-o", "r.h5", "--recipe", "(Dim(by=0.995) * rPIE()) ** 2", *cpu)
    run("reconstruct", "scan.cxi", "-o", "k.h5", "--recipe", "(StopAt() * rPIE()) ** 5", *cpu, code=130)
    forget()
    (work / "moved").mkdir()
    os.rename("scan.cxi", "moved/raw.cxi")
    return work


def test_looking_at_a_result_needs_neither_data_nor_classes(apart):
    text = run("info", "r.h5").stdout
    assert "recipe      (Dim(by=0.995) * rPIE()) ** 2" in text
    assert "missing     the frames of the measurement are not here (" in text
    assert "scan.cxi: no such file" in text
    assert "missing     there is no operator 'Dim' here; to run the recipe again, import the module" in text
    assert "--data NEWPATH" in text
    assert "--import MODULE" in text
    run("plot", "r.h5", "-o", "r.png")
    for name, files in (("r.tif", ("r_magnitude.tif", "r_phase.tif")), ("r.npz", ("r.npz",)), ("r.ptyr", ("r.ptyr",))):
        run("export", "r.h5", "-o", name, "-q")
        assert all((apart / file).stat().st_size > 1000 for file in files)
    assert str(np.load("r.npz")["recipe"]) == "(Dim(by=0.995) * rPIE()) ** 2"


def test_running_on_says_what_is_needed(apart):
    """First the class, then the frames; each with an option of the command line."""
    for command in (["rerun", "r.h5"], ["resume", "k.h5"]):
        assert "--import MODULE" in refused(*command)
        assert "--data NEWPATH" in refused(*command, "--import", "lab")
        forget()
    line = refused("reconstruct", "r.h5", "-o", "more.h5", "--recipe", "rPIE()")
    assert "scan.cxi: no such file" in line
    assert "--data NEWPATH" in line
    assert not os.path.exists("more.h5")
    line = refused("convert", "r.h5", "back.cxi")
    assert "its measurement is not here" in line
    assert line.rstrip().endswith("take that one")


def test_with_data_and_import_all_goes_on(apart):
    both = ["--data", "moved/raw.cxi", "--import", "lab", "--device", "cpu"]
    assert "identical: all" in run("rerun", "r.h5", *both).stdout
    forget()
    run("resume", "k.h5", *both, "-q", "-o", "end.h5")
    p = opty.load("end.h5", device="cpu")
    assert (p.iteration, repr(p.recipe)) == (5, "(StopAt() * rPIE()) ** 5")
    assert p.data.absent is None  # the result points to where the measurement is now
    forget()
    run("reconstruct", "r.h5", "-o", "more.h5", "--recipe", "rPIE()", "--data", "moved/raw.cxi", "-q")
    assert opty.load("more.h5", device="cpu").iteration == 3
    assert "are read into memory" in run("info", "r.h5", "--data", "moved/raw.cxi").stdout


def test_data_stands_beside_a_result_alone(work):
    run("reconstruct", "scan.cxi", "-o", "r.h5", "--recipe", "rPIE()", "-q", "--device", "cpu")
    run("export", "r.h5", "-o", "r.ptyr", "-q")
    for command in (["info"], ["reconstruct", "-o", "x.h5"], ["plot", "-o", "x.png"], ["export", "-o", "x.tif"]):
        line = refused(command[0], "scan.cxi", *command[1:], "--data", "scan.cxi")
        assert "--data gives the measurement of a result; scan.cxi is a measurement itself (opty data (HDF5))" in line
    assert "--data SCAN" in refused("plot", "r.ptyr", "-o", "x.png")
    run("plot", "r.ptyr", "-o", "x.png", "--data", "scan.cxi")
    assert "opty result" not in run("info", "r.ptyr", "--data", "scan.cxi").stdout
    other = refused("reconstruct", "r.h5", "-o", "x.h5", "--data", "gone.cxi")
    assert "gone.cxi" in other


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere", "there is no module nowhere"),
        ("nowhere.py", "there is no module nowhere"),
        ("broken", "broken cannot be imported: ZeroDivisionError: division by zero"),
        ("needs", "needs cannot be imported: No module named 'not_there'"),
    ],
)
def test_modules_that_cannot_be_imported(work, name, says):
    (work / "broken.py").write_text("1 / 0\n")
    (work / "needs.py").write_text("import not_there\n")
    failed = run("reconstruct", "scan.cxi", "-o", "x.h5", "--import", name, code=2)
    assert says in failed.stderr


def test_a_module_may_be_a_file_elsewhere(work):
    (work / "sub").mkdir()
    os.rename("lab.py", "sub/lab.py")
    line = ["reconstruct", "scan.cxi", "-o", "x.h5", "--recipe", "Dim() * rPIE()", "-q", "--device", "cpu"]
    assert "unknown operator 'Dim'" in refused(*line)
    run(*line, "--import", "sub/lab.py")
    assert opty.load("x.h5", device="cpu").iteration == 1
    forget()


# -- nothing is replaced


def test_no_file_is_replaced_unless_the_user_says_so(work):
    """Every command that writes, every file that it writes: refused before any work, with the option."""
    run("reconstruct", "scan.cxi", "-o", "r.h5", "--recipe", "rPIE()", "-q", "--device", "cpu")
    (work / "sim.toml").write_text(SIMULATION)
    kept = dict.fromkeys(("x.h5", "x.cxi", "x.tif", "x.npy", "x.npz", "x.ptyr", "x_phase.tif"), b"precious")
    kept |= {"scan_para.h5": b"precious", "x_mask.npy": b"precious"}
    commands = {
        ("reconstruct", "scan.cxi", "-o", "x.h5", "--recipe", "rPIE()"): "x.h5",
        ("rerun", "r.h5", "-o", "x.h5"): "x.h5",
        ("convert", "scan.cxi", "x.h5"): "x.h5",
        ("convert", "scan.cxi", "x.cxi"): "x.cxi",
        ("convert", "scan.cxi", "x.tif"): "x.tif",
        ("convert", "scan.cxi", "scan_dp.h5", "--format", "ptychi"): "scan_para.h5",
        ("export", "r.h5", "-o", "x.tif"): "x_phase.tif",
        ("export", "r.h5", "-o", "x.npz"): "x.npz",
        ("export", "r.h5", "-o", "x.ptyr"): "x.ptyr",
        ("simulate", "sim.toml", "-o", "x.cxi"): "x.cxi",
        ("simulate", "sim.toml", "-o", "y.tif", "-o", "x.h5"): "x.h5",
    }
    for command, there in commands.items():
        (work / there).write_bytes(kept[there])
        line = refused(*command)
        assert line == f"Error: {there} is there already: choose another name, or replace it with --overwrite\n"
        assert (work / there).read_bytes() == b"precious"
        run(*command, "--overwrite", *(["-q"] if command[0] != "rerun" else []))
        assert (work / there).read_bytes() != b"precious"
        for path in (*work.glob("x*"), *work.glob("scan_*")):
            path.unlink()


SIMULATION = """
[geometry]
pixels = 32
wavelength = 1e-9
distance = 0.1
pixel_size = 50e-6
[object]
kind = "siemens_star"
shape = [90, 100]
[probe]
kind = "gaussian"
fwhm = 12.0
[scan]
kind = "raster"
overlap = 0.8
[exposure]
photons = 1e5
"""


def test_a_second_file_counts_as_well(work):
    for name in ("x.npy", "y.npy"):
        (work / name).write_bytes(b"precious")
    assert "x.npy is there already" in refused("convert", "scan.cxi", "x.tif")
    assert (work / "x.npy").read_bytes() == b"precious"
    assert not (work / "x.tif").exists()


def test_resume_goes_on_in_its_own_file_and_replaces_no_other(work):
    run(
        "reconstruct",
        "scan.cxi",
        "-o",
        "k.h5",
        "--recipe",
        "(StopAt() * rPIE()) ** 4",
        "-q",
        "--import",
        "lab",
        code=130,
    )
    (work / "x.h5").write_bytes(b"precious")
    assert "x.h5 is there already" in refused("resume", "k.h5", "-o", "x.h5")
    assert (work / "x.h5").read_bytes() == b"precious"
    run("resume", "k.h5", "-o", "x.h5", "--overwrite", "-q")
    run("resume", "k.h5", "-o", "./k.h5", "-q")
    assert opty.load("k.h5").iteration == opty.load("x.h5").iteration == 4
    forget()


def test_pictures_may_be_replaced(work):
    picture, recipe = work / "r.png", ("--recipe", "rPIE()", "-q", "--plot", "r.png")
    for command in (
        ("reconstruct", "scan.cxi", "-o", "r.h5", *recipe),
        ("plot", "r.h5", "-o", "r.png"),
        ("reconstruct", "scan.cxi", "-o", "s.h5", *recipe),
    ):
        picture.write_bytes(b"of another day")
        run(*command)
        assert picture.read_bytes().startswith(b"\x89PNG")


# -- names and messages


def test_a_measurement_is_not_resumed_whatever_its_name(work):
    data = opty.load("scan.cxi")
    np.savez("ok.npz", diff=data.intensities, pos=data.positions_px)
    opty.save("ok.h5", data)
    for name, kind in (("ok.npz", "opty npz"), ("ok.h5", "opty data"), ("scan.cxi", "opty data")):
        for command in ("resume", "rerun"):
            line = refused(command, name)
            assert f"{name} is a measurement ({kind}" in line
            assert f"first: opty reconstruct {work / name}" in line or f"first: opty reconstruct {name}" in line
    (work / "notes.h5").write_text("nothing\n" * 9)
    assert "not a result of opty" in refused("resume", "notes.h5")


def test_info_says_how_far_an_unfinished_run_is(apart):
    line = next(line for line in run("info", "k.h5").stdout.splitlines() if line.startswith("  unfinished"))
    assert line == f"  unfinished  iteration 2 of (StopAt() * rPIE()) ** 5; to go on: opty resume {apart / 'k.h5'}"
    assert json.loads(run("info", "k.h5", "--json").stdout)["unfinished"] == "(StopAt() * rPIE()) ** 5"
    assert "unfinished" not in run("info", "r.h5").stdout


@pytest.mark.parametrize("name", ["x.png", "x.npz", "x.tif", "x", "x.nxs", "x.h5.bak"])
def test_results_and_measurements_end_as_such(work, name):
    """In Python, in a recipe and on the command line alike."""
    data = opty.load("scan.cxi")
    p = opty.PtychoState(data, device="cpu")
    says = r"does not end with one of \.h5, \.hdf5, \.cxi"
    for act in (
        lambda: opty.save(name, p),
        lambda: opty.save(name, data),
        lambda: p.save(name),
        lambda: opty.Save(name) * p,
        lambda: opty.rPIE() ** 2 * opty.Save(name) * p,
    ):
        with pytest.raises(ValueError, match=says):
            act()
    assert "does not end with one of" in refused("reconstruct", "scan.cxi", "-o", name)
    assert not os.path.exists(name)


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ("cxi", "x.cxi", "x.png"),
        ("nexus", "x.nxs", "x.npz"),
        ("ptyd", "x.ptyd", "x.tif"),
        ("ptylab", "x.hdf5", "x.ptyd"),
        ("tike", "x.npz", "x.h5"),
        ("tike-hdf5", "x.h5", "x.npz"),
        ("ptychi", "x_dp.h5", "x_dp.cxi"),
        ("tiff", "x.tif", "x.h5"),
    ],
)
def test_other_formats_end_as_theirs_do(work, form, good, bad):
    data = opty.load("scan.cxi")
    opty.save(good, data, format=form)
    with pytest.raises(ValueError, match="does not end with one of"):
        opty.save(bad, data, format=form)
    assert "does not end with one of" in refused("convert", "scan.cxi", bad, "--format", form)
    assert not os.path.exists(bad)


def test_what_was_put_in_by_hand_is_not_called_a_recipe(work):
    p = opty.rPIE() ** 2 * opty.PtychoState(opty.load("scan.cxi"), device="cpu")
    opty.save("q.h5", p.replace(obj=p.obj * 2))
    says = "none since arrays were put in by hand at iteration 2"
    assert f"recipe      {says}" in run("info", "q.h5").stdout
    opty.io.export("q.tif", opty.load("q.h5", device="cpu"))
    with tifffile.TiffFile("q_phase.tif") as tif:
        assert tif.pages[0].description == f"phase, rad; opty, 2 iterations, recipe: {says}"

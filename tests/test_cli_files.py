"""check, convert, join, export from the command line; and the real scans through all of it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

import opty
from opty.analysis import health
from opty.analysis.check.trials import cropped
from opty.cli import main
from opty.data.parts import coarser
from opty.simulate.demo import demo_scan


def run(*arguments, code=0):
    outcome = CliRunner().invoke(main, [str(a) for a in arguments])
    assert outcome.exit_code == code, (outcome.output, outcome.exception)
    assert "Traceback" not in outcome.output
    return outcome


@pytest.fixture(scope="module")
def data():
    whole = demo_scan(0)
    return whole.replace(intensities=whole.intensities[:60], positions=whole.positions[:60], truth=None)


@pytest.fixture
def scan(data, tmp_path, monkeypatch):
    """A working folder with scan.h5: 60 views of 128 x 128."""
    monkeypatch.chdir(tmp_path)
    opty.save("scan.h5", data)
    return tmp_path


COMMANDS = (
    "demo", "info", "check", "simulate", "convert", "join", "auto", "live", "batch", "recipes", "reconstruct", "resume",
    "rerun", "resolution", "report", "plot", "export",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_each_capability_is_a_command_with_an_example(command):
    assert f"Example: opty {command}" in run(command, "--help").output


def test_there_is_no_other_command_and_the_page_lists_them_all():
    assert sorted(main.commands) == sorted(COMMANDS)
    page = (Path(__file__).resolve().parents[1] / "docs" / "command_line.md").read_text()
    assert tuple(re.findall(r"^\| `opty (\w+)", page, re.MULTILINE)) == COMMANDS


def test_shell_completion_comes_from_click():
    outcome = CliRunner().invoke(main, [], env={"_OPTY_COMPLETE": "bash_source"}, prog_name="opty")
    assert "_opty_completion" in outcome.output
    asked = {"_OPTY_COMPLETE": "bash_complete", "COMP_WORDS": "opty re", "COMP_CWORD": "1"}
    found = CliRunner().invoke(main, [], env=asked, prog_name="opty").output
    assert sorted(line.split(",")[1] for line in found.split()) == [
        "recipes", "reconstruct", "report", "rerun", "resolution", "resume",
    ]  # fmt: skip


@pytest.fixture
def small(data):
    """The same scan at half the resolution, 64 x 64, with its probe."""
    return coarser(data, 2).replace(probe=cropped(data.probe, 64))


@pytest.fixture
def looked_at_once(monkeypatch):
    """Let a second check of the same measurement say what the first one found."""
    found = {}

    def again(data):
        key = data.intensities[:].tobytes(), data.positions.tobytes()
        return found[key] if key in found else found.setdefault(key, health(data))

    monkeypatch.setattr("opty.analysis.health", again)


def test_check_a_good_scan(scan, small, looked_at_once):
    opty.save("scan.h5", small)
    text = run("check", "scan.h5", "--plot", "check.png").output
    assert "positions fit as given" in text
    assert (scan / "check.png").stat().st_size > 10_000
    told = json.loads(run("check", "scan.h5", "--json", "--quiet").stdout)
    assert told["ok"] is True
    assert told["orientations"][0]["misfit"] < 0.02


def test_check_says_why_a_reconstruction_is_pointless(scan, small, looked_at_once):
    opty.save("wrong.h5", small.replace(positions=small.positions[:, ::-1]))
    failed = run("check", "wrong.h5", "--plot", "wrong.png", code=1)
    assert "would be pointless: the positions fit as (column, row)" in failed.stderr
    assert (scan / "wrong.png").exists()
    assert json.loads(run("check", "wrong.h5", "--json", code=1).stdout)["ok"] is False
    opty.save("scale.h5", small.replace(positions=small.positions * 1e6))
    assert "far more than 60 views" in run("check", "scale.h5", "--quiet", code=1).stderr


def test_convert_and_back(scan, data):
    said = run("convert", "scan.h5", "scan.cxi").output
    assert "written        scan.cxi (cxi)" in said
    run("convert", "scan.cxi", "back.h5", "--quiet")
    back = opty.load("back.h5")
    np.testing.assert_array_equal(back.intensities, data.intensities)
    np.testing.assert_allclose(back.positions, data.positions, atol=1e-9)
    run("convert", "scan.cxi", "half.ptyd", "--rebin", 2, "--views", "::2", "--crop", 64)
    half = opty.load("half.ptyd")
    assert (half.views, half.n) == (30, 32)
    run("convert", "scan.h5", "some.h5", "--views", "3,5,8", "-q")
    np.testing.assert_array_equal(opty.load("some.h5").intensities, data.intensities[[3, 5, 8]])


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["scan.h5", "scan.xyz"], 1, "name the format with --format"),
        (["scan.h5", "scan.h5"], 1, "is the input as well"),
        (["scan.h5", "no/scan.cxi"], 1, "mkdir -p"),
        (["scan.h5", "x.h5", "--format", "jpeg"], 1, "format is 'jpeg'"),
        (["absent.h5", "x.cxi"], 1, "absent.h5"),
        (["scan.h5", "x.cxi", "--views", "a,b"], 2, "is no choice of views"),
        (["scan.h5", "x.cxi", "--centre", "middle"], 2, "ROW,COLUMN"),
        (["scan.h5", "x.cxi", "--views", "70:80"], 1, "none of the 60 views"),
    ],
)
def test_conversions_that_are_refused(scan, arguments, code, says):
    assert says in run("convert", *arguments, code=code).stderr
    assert [path.name for path in scan.iterdir()] == ["scan.h5"]


def test_join(scan, data):
    first, second = data.replace(intensities=data.intensities[:40], positions=data.positions[:40]), data
    opty.save("first.h5", first)
    moves = "--offset", "0", "0", "--offset", "1.5um", "-2e-6"
    said = run("join", "first.h5", "scan.h5", "-o", "both.h5", *moves).output
    assert "written        both.h5: 100 views" in said
    assert "--model 'Object() * Probe(scans=(40, 60))' -o OUT.h5" in said
    both = opty.load("both.h5")
    np.testing.assert_array_equal(both.intensities[40:], second.intensities)
    np.testing.assert_allclose(both.positions[40:], second.positions + np.array((1.5e-6, -2e-6)), rtol=0, atol=1e-15)
    model = "Object() * Probe(scans=(40, 60))"
    run("reconstruct", "both.h5", "--model", model, "--recipe", "rPIE()", "-o", "r.h5", "-q")
    assert opty.load("r.h5").model.owner("probe").scans == (40, 60)


@pytest.mark.filterwarnings("default")
def test_results_that_are_joined_keep_what_they_found_or_say_so(scan, data):
    moved = np.random.default_rng(0).normal(0, 1, data.positions.shape)
    p = opty.rPIE() * opty.PtychoState(data, device="cpu")
    opty.save("r.h5", p.replace(positions=p.positions + moved))
    outcome = run("join", "r.h5", "scan.h5", "-o", "both.h5")
    assert "--refined-positions writes these" in outcome.stderr
    assert "positions      as they were given" in outcome.stdout
    np.testing.assert_allclose(opty.load("both.h5").positions[:60], data.positions)
    np.testing.assert_array_equal(opty.load("both.h5").probe, p.numpy("probe"))
    opty.save("other.h5", p)
    run("join", "r.h5", "other.h5", "-o", "refined.h5", "--refined-positions", "-q")
    there = opty.load("refined.h5").positions[:60] / data.pixel - data.positions_px
    np.testing.assert_allclose(there, moved, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["scan.h5", "-o", "both.h5"], 1, "opty join first.h5 second.h5"),
        (["scan.h5", "scan.h5", "-o", "both.h5", "--refined-positions"], 1, "has no refined positions"),
        (["scan.h5", "scan.h5", "-o", "scan.h5"], 1, "is an input as well"),
        (["scan.h5", "scan.h5", "-o", "both.tif"], 1, ".tif"),
        (["scan.h5", "scan.h5", "-o", "both.h5", "--offset", "0", "0"], 2, "once for each file"),
        (["scan.h5", "small.h5", "-o", "both.h5"], 1, "load them with one crop"),
    ],
)
def test_joins_that_are_refused(scan, data, arguments, code, says):
    opty.save("small.h5", data.replace(intensities=data.intensities[:, 32:96, 32:96], probe=None))
    assert says in run("join", *arguments, code=code).stderr
    assert sorted(path.name for path in scan.iterdir()) == ["scan.h5", "small.h5"]


def test_export(scan):
    run("reconstruct", "scan.h5", "-o", "r.h5", "--recipe", "rPIE()", "-q")
    assert run("export", "r.h5", "-o", "out.tif").output.splitlines() == [
        "written        out_magnitude.tif",
        "written        out_phase.tif",
    ]
    unwrapped = ["export", "r.h5", "-o", "u.tif", "--overwrite", "--unwrap"]
    first = [run(*unwrapped).output.splitlines()[-1], Path("u_unwrapped.tif").read_bytes()]
    assert first[0] == "written        u_unwrapped.tif"
    assert run(*unwrapped, "plane").exit_code == 0
    assert Path("u_unwrapped.tif").read_bytes() == first[1]
    run("export", "r.h5", "-o", "lit.npz", "--crop", "-q")
    with np.load("lit.npz") as found:
        assert found["obj"].shape < opty.load("r.h5").obj.shape
    assert "opty reconstruct" in run("export", "scan.h5", "-o", "out.npz", code=1).stderr
    assert "does not end with one of" in run("export", "r.h5", "-o", "out.jpg", code=1).stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "bar"),
    [
        pytest.param(
            "PETRAIII_P25_Near_Field_Ptycho.cxi",
            ["--focus-to-sample", "3.65e-3", "--propagation", "near"],
            0.012,
            marks=pytest.mark.slow,
        ),
        ("siemens-star-small.npz.bz2", ["--views", "0:60"], 0.04),
    ],
)
def test_real_scans_from_the_command_line_alone(shared_data, star_file, tmp_path, monkeypatch, name, options, bar):
    """Check, reconstruct with checkpoints, stop, resume, export: the end is that of the run that was not stopped."""
    monkeypatch.chdir(tmp_path)
    file, cpu = star_file if name == star_file.name else shared_data / name, ["--device", "cpu", "--threads", 1]
    assert json.loads(run("check", file, *options, "--json").stdout)["fits"] == "as given"
    recipe = "(Save('a_{iteration}.h5', every=2) * rPIE(alpha=0.3)) ** 4"
    told = json.loads(run("reconstruct", file, *options, *cpu, "-o", "all.h5", "--recipe", recipe, "--json").stdout)
    assert told["misfit"] < bar
    again = json.loads(run("resume", "a_00002.h5", *cpu, "-o", "resumed.h5", "--json").stdout)
    assert again["iteration"] == 4
    one, two = opty.load("all.h5", device="cpu"), opty.load("resumed.h5", device="cpu")
    for leaf in ("obj", "probe", "positions"):
        assert np.array_equal(one.numpy(leaf), two.numpy(leaf))
    assert "identical" in run("rerun", "all.h5", *cpu).stdout
    run("export", "resumed.h5", "-o", "out.tif")
    assert tifffile.imread("out_phase.tif").shape == one.obj.shape

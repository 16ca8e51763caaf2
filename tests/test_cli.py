import json
import signal
import tempfile

import numpy as np
import pytest
from click.testing import CliRunner

import opty
from opty.arrays import gpu_available
from opty.cli import main
from opty.simulate import demo, objects, probes, scans
from opty.simulate.experiment import experiment
from opty.simulate.probes import gaussian
from opty.simulate.scans import raster

N = 32


class InterruptCommandAt(opty.Operator, writes="obj"):
    """Do as a user does who presses Ctrl-C in a given iteration."""

    at: int = 2

    def apply(self, s):
        if s.iteration == self.at:
            signal.raise_signal(signal.SIGINT)


class Explode(opty.Operator, writes="obj"):
    """Make the object infinite in a given iteration."""

    at: int = 3

    def apply(self, s):
        if s.iteration == self.at:
            s.obj[...] = np.nan


@pytest.fixture(scope="module")
def measured():
    """A small simulated scan with wrong positions, its truth, and a starting probe."""
    row, col = np.indices((80, 80))
    obj = ((0.8 + 0.2 * np.sin(row / 4)) * np.exp(0.5j * np.cos(col / 5))).astype(np.complex64)
    positions = raster((6, 6), step=6, jitter=1)
    data = experiment(obj, gaussian(N, 9), positions, photons=1e5, position_error=0.5, seed=1)
    return data.replace(probe=(gaussian(N, 10) * np.sqrt(1e5)).astype(np.complex64))


@pytest.fixture(scope="module")
def scan(measured, tmp_path_factory):
    """Path of the same scan in a file."""
    path = tmp_path_factory.mktemp("scan") / "scan.npz"
    np.savez(path, diff=measured.intensities, pos=measured.positions, probe0=measured.probe)
    return path


@pytest.fixture(scope="module")
def result(scan, tmp_path_factory):
    """Path of a result of two iterations."""
    path = tmp_path_factory.mktemp("result") / "result.h5"
    run("reconstruct", scan, "-o", path, "--recipe", "rPIE()**2", code=0)
    return path


def run(*arguments, code):
    """Run opty; check the exit code, and that a failure is one line without a traceback."""
    outcome = CliRunner().invoke(main, [str(a) for a in arguments])
    assert outcome.exit_code == code, (outcome.output, outcome.exception)
    assert "Traceback" not in outcome.output
    if code == 1:
        (line,) = [text for text in outcome.stderr.splitlines() if text.startswith("Error: ")]
        assert outcome.stderr.rstrip().endswith(line)
    return outcome


def refused(*arguments):
    """Run opty, which must fail before it does anything; return its one line."""
    outcome = run(*arguments, code=1)
    assert outcome.stdout == ""
    assert outcome.stderr.count("\n") == 1
    return outcome.stderr


@pytest.mark.parametrize("command", [[], ["demo"], ["info"], ["reconstruct"], ["plot"]])
def test_help_shows_an_example(command):
    assert "Example: opty " in run(*command, "--help", code=0).output


def test_version():
    assert opty.__version__ in run("--version", code=0).output


def test_misspelt_option_is_a_usage_error():
    assert "--mods" in run("reconstruct", "scan.npz", "-o", "x.h5", "--mods", "3", code=2).stderr


def test_misspelt_recipe_comes_first(tmp_path):
    line = refused("reconstruct", tmp_path / "absent.npz", "-o", tmp_path / "no" / "x.h5", "--recipe", "rPIEE()**3")
    assert "did you mean rPIE?" in line
    assert list(tmp_path.iterdir()) == []


def test_steps_in_a_wrong_order_are_refused_before_the_data(tmp_path):
    line = refused(
        "reconstruct", "absent.npz", "-o", tmp_path / "x.h5", "--recipe", "Sweep(FourierProject() * ObjUpdate())"
    )
    assert "ObjUpdate" in line


@pytest.mark.parametrize(
    ("output", "extra", "says"),
    [
        ("no/x.h5", [], "mkdir -p"),
        ("folder.h5", [], "is a folder"),
        ("x.txt", [], "x.h5"),
        ("x.h5", ["--plot", "x.bmp"], ".png"),
        ("x.h5", ["--plot", "no/x.png"], "mkdir -p"),
    ],
)
def test_outputs_are_checked_before_the_data(tmp_path, monkeypatch, output, extra, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.h5").mkdir()
    assert says in refused("reconstruct", "absent.npz", "-o", output, *extra)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.h5"]


def test_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", denied)
    line = refused("reconstruct", "absent.npz", "-o", tmp_path / "x.h5")
    assert f"cannot write in {tmp_path} (Permission denied)" in line


def test_input_is_never_the_output(result):
    before = result.read_bytes()
    assert "input as well" in refused("reconstruct", result, "-o", result)
    assert result.read_bytes() == before


@pytest.mark.skipif(gpu_available(), reason="there is a GPU")
def test_absent_gpu_is_said_before_the_data_are_read(tmp_path):
    assert "no GPU" in refused("reconstruct", "absent.npz", "-o", tmp_path / "x.h5", "--device", "gpu")


@pytest.mark.parametrize("command", ["info", "reconstruct", "plot"])
def test_missing_file(tmp_path, command):
    output = {"info": [], "reconstruct": ["-o", tmp_path / "x.h5"], "plot": ["-o", tmp_path / "x.png"]}[command]
    assert "absent.npz" in refused(command, tmp_path / "absent.npz", *output)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["info", "reconstruct", "plot"])
def test_file_of_another_kind(tmp_path, command):
    wrong = tmp_path / "notes.npz"
    wrong.write_text("beam time was good\n" * 10)
    output = {"info": [], "reconstruct": ["-o", tmp_path / "x.h5"], "plot": ["-o", tmp_path / "x.png"]}[command]
    assert "notes.npz" in refused(command, wrong, *output)
    assert list(tmp_path.iterdir()) == [wrong]


def test_traceback_on_request(tmp_path):
    outcome = CliRunner().invoke(main, ["info", str(tmp_path / "absent.npz"), "--traceback"])
    assert isinstance(outcome.exception, FileNotFoundError)


def test_reconstruct_writes_result_and_picture(scan, tmp_path):
    output, picture = tmp_path / "x.h5", tmp_path / "x.png"
    outcome = run("reconstruct", scan, "-o", output, "--plot", picture, "--modes", 2, "--recipe", "rPIE()**3", code=0)
    p = opty.load(output)
    assert p.iteration == 3
    assert p.probe.shape == (2, N, N)
    assert repr(p.recipe) == "rPIE() ** 3"
    assert p.history["misfit"][-1] < p.history["misfit"][0]
    lines = dict(line.split(maxsplit=1) for line in outcome.stdout.splitlines())
    assert lines["misfit"].split(maxsplit=1)[1] == "of the result"
    assert float(lines["misfit"].split()[0]) == pytest.approx(opty.misfit(p), rel=1e-3)
    assert (
        lines["last"]
        == f"sweep     misfit {p.history['misfit'][-1]:.4g}, summed during the sweep, before the update of each batch"
    )
    assert f"misfit {p.history['misfit'][-1]:.4g}" in outcome.stderr.splitlines()[-1]  # the same in the progress bar
    assert float(lines["R-factor"]) == pytest.approx(opty.analysis.r_factor(p), rel=1e-3)
    assert lines["iterations"] == "3"
    assert (lines["result"], lines["picture"]) == (str(output), str(picture))
    assert picture.stat().st_size > 10_000
    assert "misfit" in outcome.stderr  # the progress bar


def test_a_clear_sample_is_clear_at_few_photons(tmp_path):
    """Sweeps alone leave it dark here: the patterns show P O only, and noise makes the probe grow."""
    probe, positions = probes.aperture(32, 16, edge=2), scans.raster((7, 7), step=4, jitter=1, seed=0)
    clear = np.exp(1j * np.angle(objects.two_images((66, 66))))
    data = experiment(clear, probe, positions, photons=1e3, seed=0)
    opty.save(tmp_path / "dim.cxi", data)
    run("reconstruct", tmp_path / "dim.cxi", "-o", tmp_path / "x.h5", "--probe", "mean", "--force", code=0)
    p = opty.load(tmp_path / "x.h5")
    middle = np.abs(p.obj)[24:42, 24:42].mean()
    assert middle == pytest.approx(1, abs=0.05)
    assert np.abs((opty.rPIE() ** 30 * opty.PtychoState(data)).obj)[24:42, 24:42].mean() < 0.9


def test_the_summary_says_what_became_of_the_positions(scan, tmp_path):
    recipe = "(PosCorrectAdam(step=1.0) * rPIE()) ** 12"
    outcome = run("reconstruct", scan, "-o", tmp_path / "x.h5", "--recipe", recipe, code=0)
    report = opty.analysis.position_report(opty.load(tmp_path / "x.h5"))
    assert report.moved > 0.05
    for line in report.lines():
        assert f"positions      {line}" in outcome.stdout.splitlines()
    assert f"moved {report.moved:.3g} px rms" in run("info", tmp_path / "x.h5", code=0).stdout
    plain = run("reconstruct", scan, "-o", tmp_path / "y.h5", "--recipe", "rPIE()", code=0)
    assert "positions" not in plain.stdout


def test_a_step_that_does_nothing_is_warned_of(scan, tmp_path):
    said = run("reconstruct", scan, "-o", tmp_path / "x.h5", "--recipe", "PosCorrect() * rPIE()**5", code=0).stderr
    assert "Warning: PosCorrect() runs once after rPIE() ** 5, and not in its sweeps" in said
    assert "write (PosCorrect() * rPIE()) ** 50\n" in said
    late = "(After(9, PosCorrect()) * rPIE())**5"
    said = run("reconstruct", scan, "-o", tmp_path / "y.h5", "--recipe", late, code=0).stderr
    assert "Warning: After(9, PosCorrect()) never runs: it begins in iteration 10, and the run ends in 5" in said


def test_reconstruct_goes_on_with_a_result(scan, result, tmp_path):
    run("reconstruct", result, "-o", tmp_path / "more.h5", "--recipe", "rPIE()**3", code=0)
    run("reconstruct", scan, "-o", tmp_path / "once.h5", "--recipe", "rPIE()**5", code=0)
    more, once = opty.load(tmp_path / "more.h5"), opty.load(tmp_path / "once.h5")
    assert more.iteration == 5
    assert np.array_equal(more.obj, once.obj)
    assert "leave --modes 3 out" in refused("reconstruct", result, "-o", tmp_path / "y.h5", "--modes", 3)


def test_quiet_is_quiet(scan, tmp_path):
    outcome = run("reconstruct", scan, "-o", tmp_path / "x.h5", "--recipe", "rPIE()", "--quiet", code=0)
    assert outcome.output == ""


def test_ctrl_c_keeps_the_work(scan, tmp_path):
    output, picture = tmp_path / "x.h5", tmp_path / "x.png"
    recipe = "(InterruptCommandAt(at=2) * rPIE())**50"
    outcome = run("reconstruct", scan, "-o", output, "--plot", picture, "--recipe", recipe, code=130)
    done = opty.load(output).iteration
    assert done == 2
    assert f"Interrupted after {done} iteration" in outcome.stderr
    assert picture.exists()


def test_ctrl_c_before_anything_is_written_says_so(scan, tmp_path, monkeypatch):
    def interrupted(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(opty, "load", interrupted)
    for command in ("reconstruct", "auto"):
        outcome = run(command, scan, "-o", tmp_path / "none.h5", code=130)
        assert f"Interrupted. {tmp_path / 'none.h5'} was not written." in outcome.stderr
    assert not (tmp_path / "none.h5").exists()


def test_divergence_keeps_the_last_finite_state(scan, tmp_path):
    output = tmp_path / "x.h5"
    outcome = run("reconstruct", scan, "-o", output, "--recipe", "(Explode(at=3) * rPIE())**9", code=1)
    p = opty.load(output)
    assert np.isfinite(p.obj).all()
    assert p.iteration == 2
    assert f"the last finite state (iteration 2) is in {output}" in outcome.stderr


def test_plot_draws_a_result_a_measurement_and_frames_of_either(scan, result, tmp_path):
    picture = tmp_path / "x.svg"
    for options, shown in (
        ([result], "object magnitude"),
        ([scan, "--views", "::2"], "maximum of the frames"),
        ([scan, "--frames", "3:5"], "view 4"),
        ([scan, "--maps"], "dark field"),
        ([result, "--frames", "0,-1"], "view 0"),
    ):
        run("plot", *options, "-o", picture, code=0)
        assert shown in picture.read_text()
    assert "--frames has 999, but" in refused("plot", scan, "-o", picture, "--frames", "999")
    assert "two pages" in run("plot", scan, "-o", picture, "--maps", "--frames", "3", code=2).stderr
    assert "one of .png" in refused("plot", result, "-o", tmp_path / "y.doc")


def test_info(scan, result):
    text = run("info", scan, code=0).output
    assert "36" in text
    found = json.loads(run("info", scan, "--json", code=0).output)
    assert found["views"] == 36
    found = run("info", result, code=0).output
    assert "rPIE" in found
    p = opty.load(result)
    fit = f"misfit {opty.misfit(p):.4g}, R-factor {opty.analysis.r_factor(p):.4g}, at the end"
    assert fit in " ".join(found.split())


def test_demo(measured, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "demo_scan", lambda seed: measured)
    monkeypatch.setattr("opty.cli.demo.DEMO_RECIPE", "(PosCorrectAdam() * rPIE()) ** 2")
    outcome = run("demo", "-o", tmp_path, code=0)
    assert {path.name for path in tmp_path.iterdir()} == {"demo.h5", "demo.png"}
    assert "p = (PosCorrectAdam() * rPIE()) ** 2 * p" in outcome.stdout
    row = next(line for line in outcome.stdout.splitlines() if line.startswith("object error"))
    before, after = (float(value) for value in row.split()[-2:])
    assert 0 < after < before < 1.5
    assert opty.load(tmp_path / "demo.h5").iteration == 2

"""Many scans from the command line: what is left is done, one bad scan stops no other, Ctrl-C ends all of it."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import opty
from opty.cli import main
from opty.cli.batch_jobs import Jobs
from opty.cli.batch_records import Record, Scan, scans_of
from opty.io.formats.native import checkpoint
from opty.io.rerun import stopped
from opty.plot.contact import contact_sheet, tile
from opty.runtime.checkpoint import CursorMark, PendingRun
from opty.simulate import experiment, objects, probes, scans

START = ("--device", "cpu", "--probe", "mean")
RECIPE = ("--recipe", "rPIE() ** 3", *START)


def run(*arguments, code=0):
    outcome = CliRunner().invoke(main, ["batch", *map(str, arguments)])
    assert outcome.exit_code == code, (outcome.output, outcome.exception)
    assert "Traceback" not in outcome.output
    return outcome


@pytest.fixture
def inside(monkeypatch):
    """Run each scan in this process, one at a time: a process of its own takes a second to begin."""

    def process(jobs, arguments, log):
        outcome = CliRunner().invoke(main, [*arguments])
        log.write_text(outcome.stderr)
        return outcome.exit_code, outcome.stdout

    monkeypatch.setattr(Jobs, "_process", process)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with a.cxi, b.cxi, more/a.cxi: 16 views of 32 x 32; and bad.cxi, which is none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    positions = scans.raster((4, 4), step=4, jitter=1, seed=0)
    truth = objects.two_images((60, 60)), probes.aperture(32, 16, edge=2), positions
    Path("more").mkdir()
    for k, path in enumerate(("a.cxi", "b.cxi", "more/a.cxi")):
        opty.save(path, experiment(*truth, photons=1e5, seed=k))
    Path("bad.cxi").write_text("no measurement")
    return tmp_path


def table(folder="out"):
    with Path(folder, "summary.csv").open() as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_what_is_left_is_done_and_a_bad_scan_stops_no_other(here, inside):
    files = ["a.cxi", "bad.cxi", "more/a.cxi"]
    first = run(*files, "-o", "out", *RECIPE, code=1)
    assert "2 done, 1 failed" in first.stdout
    found = table()
    folder = here.name
    assert set(found) == {f"{folder}-a", "bad", "more-a"}
    assert [found[name]["state"] for name in (f"{folder}-a", "bad", "more-a")] == ["done", "failed", "done"]
    assert "not a" in found["bad"]["error"] or "no " in found["bad"]["error"]
    assert "Traceback" not in Path("out/bad.log").read_text()
    told = {row["name"]: row for row in json.loads(Path("out/summary.json").read_text())}
    p = opty.load("out/more-a.h5", device="cpu")
    assert p.iteration == told["more-a"]["iterations"] == 3
    assert opty.misfit(p) == pytest.approx(told["more-a"]["misfit"])
    assert p.recipe == opty.parse("rPIE() ** 3")
    alone = opty.parse("rPIE() ** 3") * opty.PtychoState(opty.load("more/a.cxi"), device="cpu")
    assert np.array_equal(p.obj, alone.obj)
    assert Path("out/contact.png").stat().st_size > 10_000

    made = os.stat("out/more-a.h5").st_mtime_ns
    opty.save("bad.cxi", opty.load("b.cxi"))
    again = run(*files, "b.cxi", "-o", "out", *RECIPE)
    assert "2 of 4 scans are done already" in again.stdout
    assert os.stat("out/more-a.h5").st_mtime_ns == made
    assert {row["state"] for row in table().values()} == {"done"}
    assert np.array_equal(opty.load("out/bad.h5", device="cpu").obj, opty.load("out/b.h5", device="cpu").obj)


def test_other_options_and_files_of_others_are_refused_before_any_work(here, inside):
    run("a.cxi", "-o", "out", *RECIPE, "--no-contact", "--quiet")
    made = os.stat("out/a.h5").st_mtime_ns
    refused = run("a.cxi", "-o", "out", "--recipe", "ePIE() ** 2", *START, code=1).stderr
    assert "rPIE() ** 3" in refused
    assert "--overwrite" in refused
    Path("out/b.h5").write_text("mine")
    assert "opty batch did not make it" in run("b.cxi", "-o", "out", *RECIPE, code=1).stderr
    assert os.stat("out/a.h5").st_mtime_ns == made
    recipe_file = Path("recipe.txt")
    recipe_file.write_text("rPIE() ** 3")
    same = run(
        "a.cxi", "-o", "out", "--recipe-file", recipe_file, *START, "--no-contact", "--threads", 1, "--save-every", 2
    )
    assert "1 of 1 scans are done already" in same.stdout
    done = run("a.cxi", "-o", "out", "--recipe", "ePIE() ** 2", "--overwrite", *START, "--json")
    assert json.loads(done.stdout)[0]["iterations"] == 2
    assert opty.load("out/a.h5", device="cpu").recipe == opty.parse("ePIE() ** 2")


@pytest.mark.parametrize(
    ("options", "why", "code"),
    [
        (("--recipe", "rPIF()"), "rPIF", 1),
        (("--minutes", "1"), "it goes with --auto", 2),
        (("--auto", "--recipe", "rPIE()"), "leave --recipe out: opty auto chooses by itself", 2),
        (("--part", "4/3"), "3/16, the third of sixteen", 2),
        (("--modes", "2", "--model", "Probe(modes=3)"), "write Probe(modes=2) in the model", 2),
    ],
)
def test_what_no_scan_could_be_run_with_is_refused_once(here, options, why, code):
    assert why in run("a.cxi", "b.cxi", "-o", "out", *options, code=code).stderr
    assert not Path("out").exists()


def test_parts_of_a_job_array_are_the_whole(here, inside):
    files = ["a.cxi", "b.cxi", "more/a.cxi"]
    run(*files, "-o", "out", *RECIPE, "--part", "1/2", "--no-contact")
    states = {name: row["state"] for name, row in table().items()}
    assert states == {f"{here.name}-a": "done", "b": "waiting", "more-a": "done"}
    run(*files, "-o", "out", *RECIPE, "--part", "2/2", "--no-contact")
    assert {row["state"] for row in table().values()} == {"done"}


def test_auto_for_each(here, monkeypatch):
    """The runs are not made: tests/search has those of opty auto."""
    asked = []

    def process(jobs, arguments, log):
        asked.append(arguments)
        log.write_text("")
        return 0, json.dumps({"verdict": "right", "said": ["2 frames left out"], "misfit": 0.01})

    monkeypatch.setattr(Jobs, "_process", process)
    outcome = run("a.cxi", "-o", "out", "--auto", "--minutes", "2", "--crop", "16", "--no-contact", "--threads", 3)
    assert "right" in outcome.stdout
    result = str(Path("out/a.h5"))
    words = ["--minutes", "2", "--crop", "16", "--threads", "3", "--json", "--quiet"]
    assert asked[0][:2] == ["auto", str(here / "a.cxi")]
    assert asked[0][2:4] == ["-o", result]
    assert sorted(asked[0][4:]) == sorted(words)
    assert table()["a"]["attention"] == "2 frames left out"


def test_ctrl_c_ends_all_and_the_same_command_goes_on(here):
    """By SIGINT to this process alone; the runs save what they reached."""
    command = [sys.executable, "-m", "opty.cli", "batch", "a.cxi", "b.cxi", "bad.cxi", "-o", "out", "--jobs", "2"]
    long = ("--recipe", "ePIE() ** 3000", *START, "--no-contact", "--threads", "1", "--save-every", "1")
    with subprocess.Popen([*command, *long], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        while not (Path("out/a.h5").exists() and Path("out/b.h5").exists()) and child.poll() is None:
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 130, (out, err)
    assert "the same command goes on" in err
    assert [table()[name]["state"] for name in ("a", "b", "bad")] == ["interrupted", "interrupted", "waiting"]
    reached = opty.load("out/a.h5", device="cpu").iteration
    assert 1 <= reached < 3000
    _, unfinished = stopped("out/a.h5", device="cpu")
    assert unfinished.asked.times == 3000


def test_an_interrupted_scan_is_resumed(here, inside):
    run("a.cxi", "-o", "out", *RECIPE, "--no-contact", "--save-every", 1)
    whole = opty.load("out/a.h5", device="cpu")
    record = Record.read(Path("out/a.json"))
    # As a run that was killed after its second iteration left it.
    second = list((opty.rPIE() ** 3).iter(opty.PtychoState(opty.load("a.cxi"), device="cpu")))[1]
    place = (CursorMark(0, 0, 0, 0, ()), CursorMark(0, 0, 2, 2, ()))
    checkpoint("out/a.h5", second, PendingRun(opty.rPIE() ** 3, opty.Identity(), place))
    record.state = "running"
    record.write(Path("out/a.json"))
    run("a.cxi", "-o", "out", *RECIPE, "--no-contact")
    assert "opty resume" in Record.read(Path("out/a.json")).command
    assert np.array_equal(opty.load("out/a.h5", device="cpu").obj, whole.obj)


def test_a_process_that_is_killed_is_a_failure_with_its_signal(here):
    scan = Scan(Path("a.cxi"), here, "a", Record("a.cxi", []))
    jobs = Jobs("reconstruct", [], [], 1)
    jobs._process = lambda arguments, log: (log.write_text(""), (-signal.SIGKILL, ""))[1]
    jobs.run([(scan, "run")], lambda one: None)
    assert scan.record.state == "failed"
    assert "SIGKILL" in scan.record.error
    assert "fewer --jobs" in scan.record.error


def test_names_tell_scans_apart_and_stay(here, tmp_path):
    files = [Path(x) for x in ("/runs/1/scan.cxi", "/runs/2/scan.cxi", "/runs/2/other.nxs", "/x/star.npz.bz2")]
    out = tmp_path / "names"
    out.mkdir()
    first = scans_of(files[:1], out, ["x"], False)
    assert [scan.name for scan in first] == ["scan"]
    first[0].keep()
    assert [scan.name for scan in scans_of(files, out, ["x"], False)] == ["scan", "2-scan", "other", "star"]


def test_reports_of_all_that_is_done(here, inside):
    run("a.cxi", "bad.cxi", "-o", "results", *RECIPE, "--no-contact", code=1)
    assert not list(Path("results").glob("*.html"))
    run("a.cxi", "bad.cxi", "-o", "results", *RECIPE, "--no-contact", "--reports", code=1)
    assert [path.name for path in Path("results").glob("*.html")] == ["a.html"]
    assert "rPIE" in Path("results/a.html").read_text()


def test_contact_sheet_averages_blocks_and_shows_what_has_no_picture():
    image = np.exp(1j * np.arange(600 * 400).reshape(600, 400) / 1e5)
    small = tile("one", "note", image, np.ones(image.shape, bool), 1e-8)
    assert small.image.shape == (200, 133)
    assert small.pixel == pytest.approx(3e-8)
    assert small.image[5, 7] == pytest.approx(image[15:18, 21:24].mean())
    fig = contact_sheet([small, small._replace(image=None, note="broken")])
    assert [axes.get_title(loc="left") for axes in fig.axes] == ["one", "one"]
    with pytest.raises(ValueError, match="1 to 30"):
        contact_sheet([small] * 31)

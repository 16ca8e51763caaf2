"""The command line, when a run is interrupted, killed, or meets a full disk; and when it is to be done again."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import opty
from opty.cli import main
from opty.io.formats import native
from opty.simulate import experiment, objects, probes, scans


class Signal(opty.Operator, writes="obj"):
    """Send oneself a signal in a given iteration, once."""

    at: int = 2
    number: int = int(signal.SIGINT)

    def apply(self, s):
        if s.iteration == self.at and not SENT:
            SENT.append(self)
            signal.raise_signal(signal.Signals(self.number))


SENT = []


class Break(opty.Operator, writes="obj"):
    """Fail in a given iteration, with an object that is spoiled."""

    at: int = 3

    def apply(self, s):
        if s.iteration == self.at:
            s.obj[:] = 7
            raise KeyError("broken")


class FillDisk(opty.Operator, writes="obj"):
    """Let no file of this process grow beyond 20 kB from a given iteration on."""

    at: int = 3

    def apply(self, s):
        if s.iteration == self.at:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@pytest.fixture
def sizes():
    """Undo FillDisk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def scan(tmp_path, monkeypatch):
    """A working folder with scan.cxi: 16 views of 32 x 32."""
    monkeypatch.chdir(tmp_path)
    positions = scans.raster((4, 4), step=4, jitter=1, seed=0)
    data = experiment(objects.two_images((60, 60)), probes.aperture(32, 16, edge=2), positions, photons=1e5, seed=0)
    opty.save("scan.cxi", data)
    return "scan.cxi"


def run(*arguments, code=0):
    outcome = CliRunner().invoke(main, [*map(str, arguments), "--device", "cpu"])
    assert outcome.exit_code == code, (outcome.output, outcome.exception)
    assert "Traceback" not in outcome.output
    return outcome


def same_end(one, two):
    """Whether two results hold the same bits and the same books, leaving out where Save wrote."""
    p, q = (opty.load(path, device="cpu", threads=1) for path in (one, two))
    books = [(s.iteration, repr(s.recipe).replace(str(name), "")) for s, name in ((p, one), (q, two))]
    arrays = [(p.numpy(name), q.numpy(name)) for name in ("obj", "probe", "positions")]
    arrays += [(p.history[name], q.history[name]) for name in p.history]
    return books[0] == books[1] and all(np.array_equal(a, b) for a, b in arrays)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_interrupted_is_resumed_to_the_same_end(scan, number):
    """Ctrl-C by the user, SIGTERM by the queue."""
    recipe = f"(Signal(at=3, number={int(number)}) * rPIE()) ** 6"
    SENT.clear()
    stopped = run("reconstruct", scan, "-o", "a.h5", "--recipe", recipe, code=130)
    assert "to go on: opty resume a.h5" in stopped.stderr
    assert opty.load("a.h5", device="cpu").iteration == 3
    done = run("resume", "a.h5")
    assert "3 (6 in all)" in done.stdout
    run("reconstruct", scan, "-o", "b.h5", "--recipe", recipe)
    assert same_end("a.h5", "b.h5")
    assert "nothing left to do" in run("resume", "a.h5", code=1).stderr


@pytest.mark.slow
def test_checkpoints_of_a_killed_process_are_resumed(scan):
    command = [sys.executable, "-m", "opty.cli", "reconstruct", scan, "-o", "a.h5", "--save-every", "2", "--quiet"]
    recipe = "rPIE() ** 100"
    with subprocess.Popen([*command, "--recipe", recipe, "--device", "cpu"]) as child:
        while not os.path.exists("a.h5") and child.poll() is None:
            time.sleep(0.005)
        child.kill()
    assert child.returncode == -signal.SIGKILL
    assert 2 <= opty.load("a.h5", device="cpu").iteration < 100
    run("resume", "a.h5", "--quiet")
    run("reconstruct", scan, "-o", "b.h5", "--save-every", 2, "--quiet", "--recipe", recipe)
    assert same_end("a.h5", "b.h5")


def test_a_checkpoint_that_moved_goes_on_where_it_is(scan, tmp_path):
    SENT.clear()
    recipe = "(Signal(at=2) * rPIE()) ** 4"
    run("reconstruct", scan, "-o", "a.h5", "--save-every", 1, "--recipe", recipe, code=130)
    (tmp_path / "new").mkdir()
    os.rename("a.h5", "new/a.h5")
    run("resume", "new/a.h5")
    assert opty.load("new/a.h5", device="cpu").iteration == 4
    assert not os.path.exists("a.h5")


def test_resuming_into_another_file(scan):
    SENT.clear()
    run("reconstruct", scan, "-o", "a.h5", "--recipe", "(Signal(at=2) * rPIE()) ** 4", code=130)
    told = json.loads(run("resume", "a.h5", "-o", "b.h5", "--json").stdout)
    assert (told["iterations"], told["iteration"], told["finished"], told["result"]) == (2, 4, True, "b.h5")
    assert opty.load("a.h5", device="cpu").iteration == 2


def test_what_any_failure_leaves_is_resumed_to_the_same_end(scan, monkeypatch, tmp_path):
    recipe = "(Break(at=3) * rPIE()) ** 5"
    failed = run("reconstruct", scan, "-o", "a.h5", "--recipe", recipe, code=1)
    assert (
        "KeyError: 'broken' (this is a fault in opty; --traceback shows where) in Break(), iteration 3" in failed.stderr
    )
    assert "the last whole state, iteration 2, is in a.h5; to go on: opty resume a.h5" in failed.stderr
    assert opty.load("a.h5", device="cpu").iteration == 2
    traced = CliRunner().invoke(
        main, ["reconstruct", scan, "-o", "c.h5", "--recipe", recipe, "--device", "cpu", "--traceback"]
    )
    assert isinstance(traced.exception, KeyError)
    assert opty.load("c.h5", device="cpu").iteration == 2
    monkeypatch.setattr(Break, "apply", lambda self, s: None)
    run("resume", "a.h5")
    run("reconstruct", scan, "-o", "b.h5", "--recipe", recipe)
    assert same_end("a.h5", "b.h5")


def test_a_run_that_fails_before_its_first_turn_is_over_leaves_nothing(scan, tmp_path):
    failed = run("reconstruct", scan, "-o", "a.h5", "--recipe", "(Break(at=1) * rPIE()) ** 5", code=1)
    assert "broken" in failed.stderr
    assert ".state" not in failed.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scan.cxi"]


def test_a_rerun_that_fails_says_why(scan, monkeypatch):
    with monkeypatch.context() as m:
        m.setattr(Break, "apply", lambda self, s: None)
        run("reconstruct", scan, "-o", "a.h5", "--recipe", "(Break(at=3) * rPIE()) ** 5")
    failed = run("rerun", "a.h5", code=1)
    assert "broken" in failed.stderr
    assert ".state" not in failed.stderr
    assert "resume" not in failed.stderr


def test_disk_that_fills_up_at_a_checkpoint(scan, sizes, monkeypatch, tmp_path):
    """The checkpoint before is there, and resumes, though the result could be written nowhere."""
    recipe = "(FillDisk(at=3) * rPIE()) ** 5"
    failed = run("reconstruct", scan, "-o", "a.h5", "--save-every", 2, "--recipe", recipe, code=1)
    sizes()
    assert f"Error: {tmp_path / 'a.h5'}: could not be written whole (File too large): the disk may" in failed.stderr
    assert "the last checkpoint stands: opty resume a.h5" in failed.stderr
    assert opty.load("a.h5", device="cpu").iteration == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "scan.cxi"]
    monkeypatch.setattr(FillDisk, "apply", lambda self, s: None)
    run("resume", "a.h5")
    assert opty.load("a.h5", device="cpu").iteration == 5


def test_a_result_that_its_disk_does_not_take_is_saved_elsewhere(scan, tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    write = native.checkpoint

    def full(path, *rest, **named):
        if path.name == "a.h5":
            raise OSError(28, "No space left on device", str(path))
        write(path, *rest, **named)

    monkeypatch.setattr(native, "checkpoint", full)
    failed = run("reconstruct", scan, "-o", "a.h5", "--recipe", "rPIE() ** 2", "--quiet", code=1)
    (saved,) = (tmp_path / "tmp").iterdir()
    assert f"No space left on device (the state reached is safe in {saved})" in failed.stderr
    assert opty.load(saved, device="cpu").iteration == 2


@pytest.mark.parametrize("ended", [KeyboardInterrupt(), MemoryError("out of memory")])
def test_what_ends_the_figures_of_a_result_does_not_cost_it(scan, monkeypatch, ended):
    def fail(p):
        raise ended

    with monkeypatch.context() as patched:
        patched.setattr("opty.misfit", fail)
        done = CliRunner().invoke(main, ["reconstruct", scan, "-o", "a.h5", "--recipe", "rPIE() ** 2", "--quiet"])
    assert done.exit_code != 0
    assert opty.load("a.h5", device="cpu").iteration == 2
    assert "R-factor" not in str(opty.info("a.h5"))


def test_rerun_says_identical_or_by_how_much_not(scan):
    run("reconstruct", scan, "-o", "a.h5", "--recipe", "(PosCorrectAdam() * rPIE()) ** 3 * DM() ** 2", "--seed", 5)
    assert "identical: all" in run("rerun", "a.h5").stdout
    assert "identical: all" in run("rerun", "a.h5", "--deterministic").stdout  # all runs are, on the CPU
    told = json.loads(run("rerun", "a.h5", "--json", "-o", "b.h5").stdout)
    assert told == {"identical": True, "same_start": True, "differences": {}}
    assert opty.load("b.h5", device="cpu").iteration == 5
    with h5py.File("a.h5", "a") as f:
        f["entry_1/object"][20, 20] *= 1.001
    assert list(json.loads(run("rerun", "a.h5", "--json", code=1).stdout)["differences"]) == ["obj"]
    assert "obj differs by 0.00" in run("rerun", "a.h5", code=1).stdout
    run("rerun", "a.h5", "--tolerance", 0.01)


def test_recipes_from_files(scan, tmp_path):
    (tmp_path / "r.txt").write_text("rPIE(alpha=0.1)\n  ** 2\n")
    (tmp_path / "r.json").write_text(opty.parse("rPIE(alpha=0.1) ** 2").to_json())
    (tmp_path / "bad.txt").write_text("__import__('os').system('touch harm')")
    for name in ("r.txt", "r.json"):
        run("reconstruct", scan, "-o", f"{name}.h5", "--recipe-file", name, "--quiet")
    assert same_end("r.txt.h5", "r.json.h5")
    assert (
        "not allowed in a recipe" in run("reconstruct", scan, "-o", "x.h5", "--recipe-file", "bad.txt", code=1).stderr
    )
    assert not (tmp_path / "harm").exists()
    both = ["--recipe", "rPIE()", "--recipe-file", "r.txt"]
    assert "exclude each other" in run("reconstruct", scan, "-o", "x.h5", *both, code=2).stderr


def test_save_in_a_recipe_is_checked_before_the_data(scan):
    line = run("reconstruct", "absent.cxi", "-o", "x.h5", "--recipe", "(Save('no/x.h5') * AP()) ** 9", code=1).stderr
    assert "mkdir -p" in line


def test_json_is_all_there_is_on_the_output(scan):
    outcome = run("reconstruct", scan, "-o", "a.h5", "--recipe", "rPIE() ** 2", "--json")
    told = json.loads(outcome.stdout)
    assert told["misfit"] == pytest.approx(opty.misfit(opty.load("a.h5", device="cpu")))
    assert told["finished"] is True

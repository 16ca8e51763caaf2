"""opty live and --live: the page of a command."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from small_scans import scan
from viewer import TOKEN, Viewer

import opty
from opty.cli import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = scan()
    opty.save(
        "scan.h5", data.replace(intensities=data.intensities.astype("float32"), truth=None, probe=data.truth["probe"])
    )
    return tmp_path


@pytest.fixture
def started(folder):
    """Function that starts a command in a process of its own; returns it and a viewer of its page."""
    running = []

    def start(*command):
        code = "from opty.cli import main; main()"
        environment = os.environ | {"OPTY_LIVE_TOKEN": TOKEN}
        one = subprocess.Popen(
            [sys.executable, "-c", code, *command], stderr=subprocess.PIPE, text=True, env=environment
        )
        running.append(one)
        for line in one.stderr:
            if found := re.search(r"live page +(http\S+)", line):
                return one, Viewer(found[1])
        raise AssertionError("no page")

    yield start
    for one in running:
        one.kill()
        one.wait()
        one.stderr.close()


def test_a_measurement_is_reconstructed_and_its_page_stays(started, folder):
    command, viewer = started("live", "scan.h5", "--recipe", "rPIE()**30", "-o", "out.h5", "--port", "0", "--force")
    found = viewer.until(lambda found: found["state"] == "finished")
    assert (found["file"].endswith("scan.h5"), found["iteration"], found["recipe"]) == (True, 30, "rPIE() ** 30")
    while "the page stays up" not in command.stderr.readline():
        pass
    assert viewer.status()["state"] == "finished"
    command.send_signal(signal.SIGINT)
    assert command.wait(20) == 0
    assert opty.load("out.h5").iteration == 30


def test_a_result_is_shown_again_when_it_changes(started, folder):
    p = opty.rPIE() ** 2 * opty.PtychoState(opty.load("scan.h5"), device="cpu", threads=1)
    p.save("out.h5")
    _, viewer = started("live", "out.h5", "--port", "0")
    assert viewer.status()["iteration"] == 2
    time.sleep(0.01)
    (opty.rPIE() * p).save("out.h5")
    assert viewer.until(lambda found: found["iteration"] == 3)["kind"] == "result"


def test_options_that_do_not_fit_are_refused(folder):
    opty.PtychoState(opty.load("scan.h5"), device="cpu").save("out.h5")
    for command, said in (
        (["live", "out.h5", "--modes", "2"], "is a result, which is shown as it is: leave --modes out"),
        (["reconstruct", "scan.h5", "-o", "a.h5", "--port", "0"], "--port is of the live page: add --live"),
    ):
        outcome = CliRunner().invoke(main, command)
        assert outcome.exit_code == 2
        assert said in " ".join(outcome.output.split())

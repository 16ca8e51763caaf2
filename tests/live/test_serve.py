"""Serve: what viewers see of a run, and what their orders do to it."""

import threading
import time

import numpy as np
import pytest
from viewer import Viewer

import opty
from opty.errors import InterruptedWarning
from opty.live import server as servers
from opty.live.progress import planned_iterations
from opty.runtime.plan import plan

MANY = 10**6
pytestmark = pytest.mark.filterwarnings("ignore::opty.MisfitWarning")  # of runs far beyond their end


class Break(opty.Operator, reads="obj", writes="obj", register=False):
    """Break the object in the second iteration."""

    def apply(self, s):
        if s.iteration >= 2:
            s.obj[...] = np.nan


def serve(**options):
    return opty.Serve(port=0, **options)


def test_a_run_is_what_it_is_without_a_page(shown, start):
    viewer, future = shown((serve() * opty.rPIE()) ** 5)
    with_page, without = future.result(), opty.rPIE() ** 5 * start
    assert np.array_equal(with_page.obj, without.obj)
    found = viewer.status()
    assert (found["state"], found["iteration"], found["planned"], found["views"]) == (
        "finished",
        5,
        5,
        start.data.views,
    )
    assert found["curve"] == [[1, 2, 3, 4, 5], pytest.approx(without.history["misfit"])]


def test_the_pictures_are_object_probe_and_positions(shown, start):
    viewer, future = shown((serve() * opty.PosCorrect() * opty.rPIE()) ** 4)
    p = future.result()
    obj, place = viewer.part("/object")
    assert (place["iteration"], place["step"], place["rows"]) == (4, 1, [0, p.obj.shape[0]])
    lit = np.isfinite(obj)
    assert lit.mean() > 0.2
    assert np.abs(obj - p.obj)[lit].max() < 2e-4 * np.abs(p.obj[lit]).max()
    probe, _ = viewer.part("/probe")
    assert np.abs(np.abs(probe) - np.abs(p.probe)).max() < 2e-4 * np.abs(p.probe).max()
    rows = np.frombuffer(viewer.get("/positions")[1], "<f4").reshape(-1, 4)
    assert rows[:, :2] == pytest.approx(p.positions + (p.data.n - 1) / 2, abs=1e-3)


def test_pictures_change_while_the_run_goes_on(shown):
    viewer, _ = shown((serve() * opty.rPIE()) ** MANY)
    first = viewer.until(lambda found: found["picture"])["picture"]
    second = viewer.until(lambda found: found["picture"]["serial"] > first["serial"])
    assert second["picture"]["iteration"] > first["iteration"]
    assert second["state"] == "running"
    rated = viewer.until(lambda found: found["rate"])
    assert rated["left"] == pytest.approx((MANY - rated["iteration"]) / rated["rate"], rel=1e-6)


def test_stop_ends_the_run_with_its_state(shown):
    viewer, future = shown((serve() * opty.rPIE()) ** MANY)
    viewer.until(lambda found: found.get("iteration", 0) >= 3)
    viewer.order("stop")
    with pytest.raises(InterruptedWarning) as caught:  # warnings are errors here
        future.result()
    assert 3 <= caught.value.state.iteration < MANY
    found = viewer.until(lambda found: found["state"] == "stopped")
    assert found["picture"]["iteration"] == caught.value.state.iteration
    assert viewer.refused("/pause", "POST") == (409, "No run is under way.")


def test_pause_holds_the_run_until_go_on(shown):
    viewer, _ = shown((serve() * opty.rPIE()) ** MANY)
    viewer.order("pause")
    held = viewer.until(lambda found: found["state"] == "paused")
    time.sleep(0.3)
    assert viewer.status()["iteration"] == held["iteration"]
    viewer.order("go_on")
    viewer.until(lambda found: found["state"] == "running" and found["iteration"] > held["iteration"])


def test_stop_ends_a_pause(shown):
    viewer, future = shown((serve() * opty.rPIE()) ** MANY)
    viewer.order("pause")
    viewer.until(lambda found: found["state"] == "paused")
    viewer.order("stop")
    with pytest.raises(InterruptedWarning):
        future.result()


def test_save_now_writes_a_checkpoint_from_which_the_run_goes_on(shown, start, tmp_path):
    path = tmp_path / "now_{iteration}.h5"
    viewer, future = shown((serve(path=str(path)) * opty.rPIE()) ** 400)
    viewer.order("pause")
    held = viewer.until(lambda found: found["state"] == "paused")
    viewer.order("save")
    said = viewer.until(lambda found: found.get("note"))["note"]
    viewer.order("go_on")
    saved = tmp_path / f"now_{held['iteration']:05d}.h5"
    assert said == {"failed": False, "text": f"saved to {saved} after iteration {held['iteration']}"}
    whole = future.result()
    assert np.array_equal(opty.resume(saved, data=start.data).obj, whole.obj)


def test_a_file_that_cannot_be_written_is_said_and_the_run_goes_on(shown, tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    viewer, future = shown((serve(path=str(folder / "a.h5")) * opty.rPIE()) ** 300)
    viewer.order("pause")
    viewer.until(lambda found: found["state"] == "paused")
    folder.rmdir()
    viewer.order("save")
    said = viewer.until(lambda found: found.get("note"))["note"]
    assert said["failed"]
    assert "could not be written" in said["text"]
    viewer.order("go_on")
    assert future.result().iteration == 300


def test_a_run_that_diverges_says_so(shown, start):
    viewer, future = shown((serve() * Break() * opty.rPIE()) ** 5)
    with pytest.raises(opty.DivergedError):
        future.result()
    found = viewer.until(lambda found: found["state"] == "diverged")
    assert "no longer finite" in found["note"]["text"]
    assert found["picture"]["iteration"] == 1  # the last finite state


def test_a_later_run_takes_the_same_page(shown):
    viewer, future = shown((serve() * opty.rPIE()) ** 2)
    p = future.result()
    (serve() * opty.rPIE()) ** 3 * p
    assert len(servers._servers) == 1
    assert viewer.status()["iteration"] == 5


def test_iterating_shows_the_run_and_its_end(token, start):
    for p in ((serve() * opty.rPIE()) ** 3).iter(start):
        last = p
    found = Viewer(servers._servers[-1].url).status()
    assert (found["state"], found["iteration"]) == ("finished", last.iteration)


def test_a_viewer_that_reads_nothing_does_not_hold_the_run(shown):
    """It asks for many pictures and reads none of the answers: its thread waits, the run does not."""
    import socket

    viewer, _ = shown((serve() * opty.rPIE()) ** MANY)
    viewer.until(lambda found: found["picture"])
    host, port = viewer.base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(f"GET /object?token={viewer.token} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 300)
        before = viewer.status()["iteration"]
        viewer.until(lambda found: found["iteration"] > before + 50)
        assert any(thread.name.startswith("Thread") for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("text", "planned"),
    [
        ("rPIE()**7", (7, True)),
        ("(rPIE()*ML()**3)**5*DM()**2", (22, True)),
        ("rPIE()**Until(tol=1e-3, max_turns=40)", (40, False)),
        ("(Every(2, rPIE()**3)*ML())**4", (16, False)),
    ],
)
def test_iterations_are_counted_before_the_run(text, planned):
    assert planned_iterations(plan(opty.parse(text))) == planned


def test_what_cannot_be_served_is_refused_before_the_run(token, start, tmp_path):
    with pytest.raises(ValueError, match=r"Serve\(port=70000\): ports go from 0"):
        opty.Serve(port=70000)
    with pytest.raises(FileNotFoundError):
        serve(path=str(tmp_path / "none" / "a.h5")) * start
    held = servers.serving("127.0.0.1", 0)
    with pytest.raises(OSError, match="in use") as caught:
        opty.Serve(port=held.server_address[1]) * start
    assert any("cannot be served" in note for note in caught.value.__notes__)

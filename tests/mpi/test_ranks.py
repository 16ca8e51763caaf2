"""Views spread over the ranks of MPI: the same as one process, and an end of all where one fails."""

import json
import os
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from launching import MPIEXEC, TESTS, launched

import opty
from opty.cli import main

pytest.importorskip("mpi4py", reason="mpi4py is not installed")
pytestmark = pytest.mark.skipif(MPIEXEC is None, reason="there is no mpiexec: pip install mpich")


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """What the job of three ranks found. It runs once for all workers of pytest-xdist: the first to come runs it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "ranks"
    kept = folder / "found.json"
    try:
        folder.mkdir()
    except FileExistsError:
        until = time.monotonic() + 200
        while not kept.exists():
            assert time.monotonic() < until, "the worker that runs the job did not end"
            time.sleep(0.2)
    else:
        done, _ = launched(3, Path(__file__).with_name("ranks_job.py"), TESTS, folder=folder, timeout=180)
        seconds = time.time() - float((folder / "failed_at").read_text()) if (folder / "failed_at").exists() else None
        written = [done.stdout, done.stderr, done.returncode, seconds]
        (folder / "found.part").write_text(json.dumps(written))
        (folder / "found.part").replace(kept)
    stdout, stderr, code, seconds = json.loads(kept.read_text())
    assert stdout.startswith("{"), stderr
    done = subprocess.CompletedProcess([], code, stdout, stderr)
    return json.loads(stdout.splitlines()[0]), done, folder, seconds


def test_three_ranks_are_one_process_to_rounding(job):
    """complex128; views that do not divide, a rank without any, one view in all."""
    found, *_ = job
    assert len(found["equal"]) == 49
    for name, differs in found["equal"].items():
        worst = max(differs, key=differs.get)
        bound = 1e-4 if name == "vortices" else 1e-11  # conjugate gradients that stop at 1e-5 rad
        assert differs[worst] < bound, (name, worst, differs[worst])
        assert differs["ranks that differ"] == 0


def test_a_sum_that_is_left_keeps_its_memory(job):
    """MPI may go on writing into the array: where it had been freed, ranks crashed now and then, sweeps later."""
    waited, failed, too = job[0]["left"]
    assert failed == 2, "two letters to the others"
    assert waited + too >= 1, "sums that the others were waiting for"


def test_what_does_not_run_over_ranks_is_refused_by_name(job):
    refused = job[0]["refused"]
    for text, (kind, message, _) in refused.items():
        assert kind in ("RecipeError", "EffectError", "RankError"), (text, kind, message)
    moving = next(message for text, (_, message, _) in refused.items() if "MovesInSweep" in text)
    assert "MovesInSweep() moves positions from batch to batch" in moving
    assert "p.gather()" in moving
    assert "s.memo['sum']" in refused["MemoOverViews() * AP()"][1]
    assert "'rows_of_views'" in refused["RowsTooEarly() * AP()"][1]
    assert "kept_waves has an image for each view" in refused["ImagesOfViews() * DM()"][1]
    assert "positions has a row for each view" in job[0]["positions"]
    assert "p.gather()" in job[0]["analysis"]


def test_messages_give_a_view_its_number_in_the_scan(job):
    """Twelve views on three ranks: the ninth is the first of the last rank."""
    stray, notes = job[0]["stray"], job[0]["notes"]
    assert {kind for kind, *_ in stray} == {"DivergedError"}
    assert all("the position of view 8, (900, 5) px, left the frame" in message for _, message, _ in stray)
    assert [any("views [8]" in note for note in of_rank) for of_rank in notes] == [False, False, True]


def test_a_scan_that_grows_is_followed_over_ranks(job):
    found, *_ = job
    assert max(found["follow"].values()) < 1e-10
    over, one, views, series, count = found["followed"]
    assert over == one
    assert (views, series, count) == ([8, 8, 8], [15, 16, 24], 24)


def test_the_first_rank_serves_a_page_of_the_whole(job):
    pages, iteration, differs, positions = job[0]["served"]
    assert pages == [1, 0, 0]
    assert (iteration, positions) == (4, [12, 2])
    assert differs == 0


def test_pie_on_three_ranks_comes_as_near_to_the_truth_as_batches_of_three(job):
    """In other batches than those of one process."""
    three, one = job[0]["pie"]
    assert one < 0.03
    assert three < 1.3 * one


def test_what_one_rank_meets_ends_the_run_of_all(job):
    found, *_ = job
    assert [kind for kind, _, _ in found["interrupt"]] == ["KeyboardInterrupt"] * 3
    assert [at for _, _, at in found["interrupt"]] == [2] * 3
    assert [kind for kind, _, _ in found["spoil"]] == ["DivergedError"] * 3
    assert [at for _, _, at in found["spoil"]] == [1] * 3
    assert [kind for kind, _, _ in found["fail"]] == ["RankError", "KeyError", "RankError"]
    assert "rank 1 of 3 failed: KeyError: 'a fault of rank 1'" in found["fail"][0][1]
    assert [at for _, _, at in found["fail"]] == [1] * 3


def test_an_exception_that_nobody_catches_ends_all_and_is_printed_once(job):
    _, done, _, seconds = job
    assert done.returncode != 0
    assert done.stderr.count("ZeroDivisionError: the last rank fails") == 1
    assert seconds < 30  # from the exception to the end of the launcher


def test_each_rank_reads_its_own_views_and_files_are_whole(job):
    found, _, folder, _ = job
    assert found["read"] == [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]
    data = opty.load(folder / "scan.cxi")
    one = opty.parse("AP() ** 4") * opty.PtychoState(data, device="cpu", threads=1, seed=3)
    p = opty.load(folder / "ranks.h5", device="cpu")
    assert np.abs(p.obj - one.obj).max() < 1e-5 * np.abs(one.obj).max()
    assert found["misfit"] == [pytest.approx(opty.misfit(one), rel=1e-4)] * 3
    assert p.data.source["path"].endswith("scan.cxi")
    on = opty.resume(folder / "half.h5", device="cpu", threads=1)
    end = opty.load(folder / "whole.h5", device="cpu")
    assert on.iteration == end.iteration == 4
    assert on.slots["kept_waves"].shape == end.slots["kept_waves"].shape == (10, 1, 16, 16)
    assert np.abs(on.obj - end.obj).max() < 1e-5 * np.abs(end.obj).max()


def test_what_a_sweep_sends_is_what_the_page_says(job):
    """AP: object and probe with their weights, of which those of the object are real; the rest are single numbers."""
    calls, sent, obj, probe = job[0]["cost"]
    arrays = 2 * (1.5 * obj + 1.5 * probe)
    assert arrays <= sent < arrays + 2 * 400
    assert calls <= 2 * 8 + 4


def test_batches_of_all_ranks_send_what_they_share(job):
    """LSQML over rows of views: of the object no more than its rows that several ranks light, and the rest once."""
    sent, batches, shared, frame, obj, probe = job[0]["shared"]
    assert 0 < shared < 0.7 * frame
    of_batches = batches * (shared / frame * 2 * obj + 2 * probe + 8 * 4)
    assert of_batches < sent < of_batches + obj + 2 * 400


@pytest.fixture
def scan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from opty.simulate import experiment, objects, probes, scans

    positions = scans.raster((4, 4), step=4, jitter=1, seed=0)
    data = experiment(objects.two_images((60, 60)), probes.aperture(32, 16, edge=2), positions, photons=1e5, seed=0)
    opty.save("scan.cxi", data)
    (tmp_path / "failing.py").write_text(
        "import opty\n"
        "class FailsOnLastOfTwo(opty.Operator, writes='obj'):\n"
        "    over_ranks = True\n"
        "    def apply(self, s):\n"
        "        ranks = s.store.ranks\n"
        "        if s.iteration == 3 and ranks.rank == 1 and ranks.size == 2:\n"
        "            raise KeyError('broken')\n"
    )
    return tmp_path


def test_a_command_whose_rank_fails_saves_and_goes_on_with_another_number(scan):
    """Two ranks, of which one fails; four go on; one process is the judge."""
    recipe = "(FailsOnLastOfTwo() * AP()) ** 6"
    options = ("--recipe", recipe, "--import", "failing.py", "--probe", "mean", "--device", "cpu")
    command = ("-m", "opty.cli", "reconstruct", "scan.cxi", "-o", "a.h5", *options)
    done, seconds = launched(2, *command, folder=scan)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("broken") == 1
    assert "rank 1 of 2 failed: KeyError: 'broken'" in done.stderr
    assert "opty resume a.h5" in done.stderr
    assert seconds < 60
    with h5py.File("a.h5") as file:
        assert file["entry_1/reconstruction"].attrs["iteration"] == 2
    done, _ = launched(4, "-m", "opty.cli", "resume", "a.h5", "--import", "failing.py", "-q", folder=scan)
    assert done.returncode == 0, done.stderr
    outcome = CliRunner().invoke(main, ["reconstruct", "scan.cxi", "-o", "b.h5", *options, "-q"])
    assert outcome.exit_code == 0, outcome.output
    a, b = (opty.load(path, device="cpu") for path in ("a.h5", "b.h5"))
    assert a.iteration == b.iteration == 6
    assert a.recipe == b.recipe
    assert np.abs(a.probe - b.probe).max() < 1e-4 * np.abs(b.probe).max()


def test_a_communicator_is_needed(tmp_path):
    from small_scans import scan as small

    with pytest.raises(TypeError, match=r"comm is a str; give a communicator of mpi4py, such as MPI\.COMM_WORLD"):
        opty.PtychoState(small(), device="cpu", comm="world")

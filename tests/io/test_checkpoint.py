"""Checkpoints: whatever ends a run, the last good one is there, and resuming it gives the very same end."""

import copy
import json
import resource
import signal
import sys

import h5py
import numpy as np
import pytest

import opty
from opty import parse
from opty.errors import FormatError, InterruptedWarning, RecipeError, SaveError
from opty.io.formats import native
from opty.ptycho_state import PtychoState
from opty.runtime.interrupt import ctrl_c_returns


@pytest.fixture
def start(tmp_path, full_data, monkeypatch):
    """The start of a run on data in a file, in a working folder of its own."""
    monkeypatch.chdir(tmp_path)
    opty.save("scan.h5", full_data)
    return PtychoState(opty.load("scan.h5"), seed=3, device="cpu", threads=1)


def checkpoints(monkeypatch, recipe, p):
    """Run a recipe and keep every file that it writes; returns the end and the files."""
    write, files = native.checkpoint, []

    def keep(path, state, unfinished):
        files.append(f"kept{len(files)}.h5")
        write(files[-1], state, unfinished)

    with monkeypatch.context() as m:
        m.setattr("opty.io.save_operator.checkpoint", keep)
        return recipe * p, files


@pytest.mark.filterwarnings("ignore::opty.MisfitWarning")
@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("(Save('a.h5') * rPIE()) ** 4", 4),
        ("(Save('a.h5', every=2) * rPIE()) ** 5", 2),
        ("AP() ** 2 * (Save('a.h5') * rPIE(batch=2)) ** 3 * DM() ** 3", 3),
        ("((Save('a.h5') * AP()) ** 2 * Save('a.h5') * DM() ** 2) ** 2", 6),
        ("(Every(3, Save('a.h5') * Orthogonalise()) * rPIE()) ** 7", 2),
        ("(Every(3, (Save('a.h5') * DM()) ** 3 * AP()) * rPIE()) ** 4", 3),
        ("(PosCorrectAdam() * rPIE() * Save('a.h5') * Progress()) ** 3", 3),
        ("(Save('a.h5') * AP()) ** Until(tol=0.2, max_turns=30)", None),
        ("(Save('a.h5') * ML()) ** 3 * LSQML()", 3),
    ],
)
def test_every_checkpoint_goes_on_to_the_very_same_end(start, monkeypatch, assert_same_state, text, count):
    whole, files = checkpoints(monkeypatch, parse(text), start)
    assert len(files) == (whole.iteration if count is None else count)
    for file in files:
        assert_same_state(opty.resume(file, threads=1), whole)


def test_a_rule_is_not_started_anew(start, monkeypatch):
    """A loop that ends by the misfits of two turns ends at the same turn, though the first was met before the kill."""
    whole, files = checkpoints(monkeypatch, parse("(Save('a.h5') * AP()) ** Until(tol=0.2, max_turns=30)"), start)
    assert 2 < whole.iteration < 30
    assert opty.resume(files[-1], threads=1).iteration == whole.iteration
    assert opty.resume(files[-2], threads=1).iteration == whole.iteration


def test_resuming_writes_the_checkpoints_that_were_asked_for(start, monkeypatch, assert_same_state):
    recipe = parse("(Save('a_{iteration}.h5', every=2) * rPIE()) ** 6")
    whole = recipe * start
    assert_same_state(opty.resume("a_00002.h5", threads=1), whole)
    assert_same_state(opty.resume("a_00004.h5", threads=1), whole)
    assert opty.load("a_00006.h5", device="cpu").iteration == 6


def test_a_run_may_go_on_from_a_state_that_went_on(start, monkeypatch, assert_same_state):
    middle = parse("DM() ** 2") * start
    whole, files = checkpoints(monkeypatch, parse("(Save('a.h5') * rPIE()) ** 3"), middle)
    resumed = opty.resume(files[0], threads=1)
    assert_same_state(resumed, whole)
    assert repr(resumed.recipe) == "(Save('a.h5') * rPIE()) ** 3 * DM() ** 2"


def test_turns_of_iter_checkpoint_too(start, assert_same_state):
    turns = list(parse("(Save('a{iteration}.h5') * rPIE()) ** 3").iter(start))
    assert_same_state(opty.resume("a00001.h5", threads=1), turns[-1])


class InterruptAt(opty.Operator, writes="obj"):
    """Do as a user does who presses Ctrl-C in a given iteration."""

    at: int = 2

    def apply(self, s):
        if s.iteration == self.at and InterruptAt.works:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("text", ["({} * rPIE()) ** 5", "AP() * (({} * rPIE()) ** 2 * DM()) ** 3"])
def test_what_ctrl_c_left_can_be_resumed(start, monkeypatch, assert_same_state, text):
    opty.algebra.operator.REGISTRY["InterruptAt"] = InterruptAt
    recipe = parse(text.format("InterruptAt(at=2)"))
    monkeypatch.setattr(InterruptAt, "works", False, raising=False)
    whole = recipe * start
    monkeypatch.setattr(InterruptAt, "works", True)
    with ctrl_c_returns(), pytest.warns(InterruptedWarning) as caught:
        p = recipe * start
    assert p.iteration < whole.iteration
    native.checkpoint("a.h5", p, caught[0].message.unfinished)
    monkeypatch.setattr(InterruptAt, "works", False)
    assert_same_state(opty.resume("a.h5", threads=1), whole)


# -- what is refused


def test_a_whole_result_and_a_measurement_are_not_resumed(start):
    (parse("rPIE() ** 2") * start).save("r.h5")
    with pytest.raises(ValueError, match=r"whole result, there is nothing left to do; .*opty reconstruct r\.h5"):
        opty.resume("r.h5")
    with pytest.raises(FormatError, match="not a result of opty"):
        opty.resume("scan.h5")


def test_a_place_that_is_in_no_plan(start):
    parse("(Save('a.h5') * rPIE()) ** 3") * start
    with h5py.File("a.h5", "a") as f:
        text = f[native.OWN]["unfinished"]
        kept = json.loads(text.asstr()[()])
        kept["place"][0]["node"] = 7
        del f[native.OWN]["unfinished"]
        f[native.OWN]["unfinished"] = json.dumps(kept)
    with pytest.raises(RecipeError, match="another version of opty wrote it"):
        opty.resume("a.h5")
    with h5py.File("a.h5", "a") as f:
        f[native.OWN]["unfinished"][()] = '{"place": 3}'
    with pytest.raises(FormatError, match="not the place of a run"):
        opty.load("a.h5")


def test_a_folder_that_is_not_there_is_said_before_the_run(start):
    steps = []

    class Count(opty.Operator):
        def apply(self, s):
            steps.append(s.iteration)

    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        (opty.Save("nowhere/a.h5", every=100) * opty.rPIE() * Count()) ** 200 * start
    assert steps == []


# -- disks


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_disk_that_fills_up_in_the_middle_of_a_run(start, tmp_path, assert_same_state):
    """The second checkpoint meets a limit on the size of files: an error, the first file, and the state in memory."""

    class Fill(opty.Operator, writes="obj"):
        def apply(self, s):
            if s.iteration == 1:
                resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    recipe = (opty.rPIE() * Fill() * opty.Save("a.h5") * opty.rPIE()) ** 4
    try:
        with pytest.raises(SaveError, match=r"a\.h5 could not be written at iteration 3 .*an earlier file") as caught:
            recipe * start
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "scan.h5"]
    assert opty.load("a.h5", device="cpu").iteration == 1
    p = caught.value.state
    assert p.iteration == 3
    assert np.isfinite(p.obj).all()
    p.save("elsewhere.h5")
    assert_same_state(opty.load("elsewhere.h5", device="cpu", threads=1), p)


def test_killed_runs_resume_to_the_same_end(tmp_path):
    """One of the kills of benchmarks/kill.py, which does fifty."""
    from benchmarks.kill import killed_and_resumed

    found = killed_and_resumed(tmp_path, times=1, seed=1)
    assert [good for _, good in found] == [True]
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == ["checkpoint.h5"]


# -- running again


def test_a_rerun_is_the_same_bit_for_bit_and_writes_nothing(start, tmp_path):
    recipe = parse(
        "(After(1, PosCorrectAdam()) * Save('a.h5') * Show(every=2, path='a.png') * Log() * mPIE()) ** 3 * DM() ** 2"
    )
    (recipe * start).save("r.h5")
    (tmp_path / "a.h5").unlink()
    (tmp_path / "a.png").unlink()
    again = opty.rerun("r.h5", threads=1)
    assert again.identical
    assert "bit for bit" in str(again)
    assert again.state.iteration == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.h5", "scan.h5"]


def by_hand(start):
    """States that began with something that the data do not tell, by what it is."""
    data, machine = start.data, {"device": "cpu", "threads": 1, "seed": 3}
    later = parse("mPIE() ** 2") * start
    return {
        "probe": PtychoState(data, probe=np.array(start.probe) * 0.5, **machine),
        "object": PtychoState(data, obj=np.full((60, 60), 0.9 + 0.1j), **machine),
        "margin": PtychoState(data, margin=20, **machine),
        "positions": start.replace(positions=np.array(start.positions) + 0.25),
        "background": start.replace(background=np.full((16, 16), 0.5)),
        "factors": start.replace(intensity_factors=[0.9, 1.1, 1.0, 1.0]),
        "array": start.replace(arrays={"pinhole": np.ones((16, 16))}),
        "in the middle of a run": later.replace(obj=np.array(later.obj) * 0.5),
        "memory that goes on": later.replace(intensity_factors=[0.9, 1.1, 1.0, 1.0]),
    }


@pytest.mark.covering
@pytest.mark.parametrize("what", ["probe", "object", "margin", "positions", "background", "factors", "array"])
@pytest.mark.parametrize("way", ["at once", "in two parts", "donated", "copied"])
def test_a_rerun_of_what_began_with_arrays_from_python(start, what, way):
    """The result keeps them: nothing but the file and its data is needed, and no bit differs."""
    p, recipe = by_hand(start)[what], "Support('pinhole') * rPIE()" if what == "array" else "mPIE()"
    if way == "in two parts":  # saved as it began, and loaded and saved on the way
        for path in ("start.h5", "half.h5"):
            p.save(path)
            p = parse(f"({recipe}) ** 2") * opty.load(path, device="cpu", threads=1)
    elif way == "donated":
        for _ in range(2):
            p = parse(f"({recipe}) ** 2") * p.donate()
    else:
        p = parse(f"({recipe}) ** 4") * (copy.deepcopy(p) if way == "copied" else p)
    p.save("r.h5")
    again = opty.rerun("r.h5", threads=1)
    assert again.identical, str(again)
    assert again.state.iteration == 4


@pytest.mark.parametrize("what", ["in the middle of a run", "memory that goes on"])
def test_a_rerun_of_what_was_changed_on_the_way_goes_from_there(start, what):
    (parse("mPIE() ** 3") * by_hand(start)[what]).save("r.h5")
    again = opty.rerun("r.h5", threads=1)
    assert again.identical, str(again)
    assert again.state.iteration == 5
    assert len(again.state.history["misfit"]) == 5


def test_a_start_is_kept_only_where_the_data_do_not_tell_it(start):
    (parse("rPIE() ** 2") * start).save("r.h5")
    (parse("rPIE() ** 2") * by_hand(start)["probe"]).save("s.h5")
    by_hand(start)["probe"].save("t.h5")
    found = []
    for path in ("r.h5", "s.h5", "t.h5"):
        with h5py.File(path) as f:
            found.append("start" in f[native.OWN])
    assert found == [False, True, False]  # the last one is the start itself


def test_a_checkpoint_that_began_with_a_probe_is_resumed_and_rerun(start):
    p, recipe = by_hand(start)["probe"], parse("(Save('c.h5') * mPIE()) ** 4")
    next(iter(recipe.iter(p)))
    done = opty.resume("c.h5", threads=1)
    done.save("r.h5")
    assert np.array_equal(done.obj, (recipe * p).obj)
    assert opty.rerun("r.h5", threads=1).identical


def test_a_rerun_from_another_start_says_so(start):
    (parse("rPIE() ** 2") * start).save("r.h5")
    other = start.replace(probe=np.array(start.probe) * 0.5)
    other.save("start.h5")
    again = opty.rerun("r.h5", start="start.h5", threads=1)
    assert not again.identical
    assert again.differences["obj"] > 1e-3
    assert "the run began with another state" in str(again)


def test_reruns_that_cannot_be(start):
    start.save("r.h5")
    with pytest.raises(ValueError, match="made by no recipe"):
        opty.rerun("r.h5")
    (parse("rPIE()") * start).save("r.h5")
    framed = PtychoState(start.data, obj=np.ones((60, 60)), device="cpu", threads=1)
    with pytest.raises(ValueError, match=r"its start one of \(60, 60\).*start="):
        opty.rerun("r.h5", start=framed)
    with h5py.File("r.h5", "a") as f:
        f[native.OWN].create_group("start").attrs["iteration"] = 0
    with pytest.raises(FormatError, match=r"r\.h5"):
        opty.rerun("r.h5")


def test_a_result_names_the_software(start):
    (parse("rPIE()") * start).save("r.h5")
    with h5py.File("r.h5") as f:
        found = json.loads(f[native.OWN].attrs["software"])
        assert f[native.OWN].attrs["seed"] == 3
        assert f[native.OWN].attrs["device"] == b"cpu"
    assert found["numpy"] == np.__version__
    assert found["h5py"] == h5py.__version__

"""A few hundred mutated files for all readers together; ``make soak`` does twenty thousand for each."""

import os
import signal
import sys

import pytest

if sys.platform != "linux":
    pytest.skip("the limits on memory and time are those of Linux", allow_module_level=True)

import fuzzing


def test_mutated_files_are_refused_or_read_right(tmp_path):
    tallies = fuzzing.search(tmp_path, files=16, seed=2026)
    assert len(tallies) >= 19
    bad = {key: said for key, tally in tallies.items() for said in tally if said.startswith("BAD")}
    assert not bad
    for key, tally in tallies.items():
        assert tally["refused"] >= 3, (key, tally)
    assert sum(tally["same"] for tally in tallies.values()) >= 13


def test_the_judge_sees_what_is_wrong(tmp_path, monkeypatch):
    """The harness itself: silence, a secret and a crash are told apart."""
    monkeypatch.setenv("OPTY_TRAP", str(tmp_path / "sprung"))
    import opty

    path, options, _ = fuzzing.seeds(tmp_path)["cxi"]
    known = opty.load(path)
    assert fuzzing.verdict(path, options, known) == "same"
    assert fuzzing.verdict(path, options, opty.load(path, views="1:")) == "other"
    assert fuzzing.verdict(path, {"views": [99]}, known).startswith("BAD ValueError")
    assert fuzzing.verdict(tmp_path / "lab.toml", {}, known) == "refused"
    (tmp_path / "sprung").mkdir()
    assert fuzzing.verdict(path, options, known) == "BAD pickle ran (same)"
    (tmp_path / "sprung").rmdir()
    mutants = tmp_path / "mutants"
    mutants.mkdir()
    worker = fuzzing.Worker()
    task = {"known": str(path), "options": options, "mutants": str(mutants), "guarded": True, "seed": 0, "keep": None}
    assert [number for number, _ in worker.verdicts(task | {"first": 3, "last": 6})] == [3, 4, 5]
    worker.process.kill()
    worker.process.wait()
    ((number, said),) = worker.verdicts(task | {"first": 7, "last": 9})
    assert (number, said[:9]) == (7, "BAD crash")
    found = worker.verdicts(task | {"first": 0, "last": 10**6})  # a new process
    assert next(found)[0] == 0
    os.kill(worker.process.pid, signal.SIGSTOP)
    monkeypatch.setattr(fuzzing, "SECONDS", 0.2)
    *_, (_, said) = found
    assert said.startswith("BAD hang")
    assert worker.process is None

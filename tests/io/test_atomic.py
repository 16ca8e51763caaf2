"""A write that fails or is killed leaves what was there, and nothing else."""

import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from opty.files.atomic import _here, atomic
from opty.io import atomic as package_atomic


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_it_is_what_the_package_exports():
    assert package_atomic is atomic


def test_new_content_appears_only_at_the_end(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
        assert part.parent == tmp_path
        assert part.suffix == ".txt"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_exception_keeps_the_old_file_and_removes_the_part(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with atomic(path) as part:
            part.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_failing_flush_or_rename_leaves_nothing(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as m:
            m.setattr(os, name, refuse)
            with pytest.raises(OSError, match="No space"), atomic(tmp_path / "a.txt") as part:
                part.write_text("new")
        assert names(tmp_path) == []


def test_the_part_is_flushed_before_the_rename_and_the_folder_after(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda h: (calls.append("dir" if stat.S_ISDIR(os.fstat(h).st_mode) else "file"), fsync(h))
    )
    monkeypatch.setattr(os, "replace", lambda *a: (calls.append("rename"), replace(*a)))
    with atomic(tmp_path / "a.txt") as part:
        part.write_text("new")
    assert calls == ["file", "rename", "dir"]


def test_writing_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing was written"), atomic(tmp_path / "a.txt"):
        pass


def test_folder_that_is_not_there_and_folder_as_target(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"no folder .*nowhere to write a\.h5"),
        atomic(tmp_path / "nowhere/a.h5"),
    ):
        pass
    with pytest.raises(IsADirectoryError, match="is a folder"), atomic(tmp_path):
        pass


def test_permissions_follow_the_umask_or_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    umask = os.umask(0o027)
    try:
        with atomic(path) as part:
            part.write_text("1")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        with atomic(path) as part:
            part.write_text("2")
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(umask)


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "store").mkdir()
    target, link = tmp_path / "store/a.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    with atomic(link) as part:
        part.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_leftovers_of_dead_processes_are_swept_those_of_living_ones_stay(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = [tmp_path / f".a.{_here()}-{pid}-00ff00ff.part.txt" for pid in (dead.pid, os.getppid())]
    other = tmp_path / f".b.{_here()}-{dead.pid}-00ff00ff.part.txt"
    for part in (*left, other):
        part.write_text("half")
    with atomic(tmp_path / "a.txt") as part:
        part.write_text("new")
    assert names(tmp_path) == sorted(["a.txt", left[1].name, other.name])


KILLED = """
import sys
import numpy as np
from opty.data import PtychoData
from opty.io import save
data = PtychoData(np.random.default_rng(0).poisson(50, (20, 64, 64)), np.arange(40.0).reshape(20, 2))
for k in range(10_000):
    save(sys.argv[1], data.replace(positions=np.full((20, 2), float(k))))
    print(k, flush=True)
"""


def test_kill_9_in_a_loop_of_saves_leaves_the_last_good_file(tmp_path):
    from opty.io import load

    path = tmp_path / "result.h5"
    for delay in (0.0, 0.013):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True) as child:
            for _ in range(3):
                said = int(child.stdout.readline())
            time.sleep(delay)
            child.send_signal(signal.SIGKILL)
            said = max([said, *map(int, child.stdout.read().split())])
        assert load(path).positions[0, 0] in (said, said + 1)
    with atomic(path) as part:
        part.write_bytes(path.read_bytes())
    assert names(tmp_path) == ["result.h5"]

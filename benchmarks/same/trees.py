"""Another revision beside this one, and a worker process in either tree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class TreeError(RuntimeError):
    """A revision that is not there, or a worker that does not answer."""


def git(*arguments: str) -> str:
    """Return what git prints; TreeError with its last word where it fails."""
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise TreeError((done.stderr.strip().splitlines() or ["git failed"])[-1])
    return done.stdout.strip()


def is_here(revision: str) -> bool:
    """Say whether this repository has a revision; a shallow clone lacks old ones."""
    try:
        return bool(git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"))
    except TreeError:
        return False


def is_ancestor(old: str, new: str) -> bool:
    """Whether a revision is another one, or comes before it."""
    return is_here(new) and git("merge-base", old, new) == git("rev-parse", f"{old}^{{commit}}")


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """Give a folder with the files of a revision, which is gone afterwards, whatever happens."""
    commit = git("rev-parse", "--verify", f"{revision}^{{commit}}")
    with tempfile.TemporaryDirectory(prefix="opty-same-") as folder:
        # An archive, and no worktree of git: the repository learns nothing of it, so that a kill leaves nothing there.
        packed, tree = Path(folder) / "tree.tar", Path(folder) / "tree"
        git("archive", "--output", str(packed), commit)
        with tarfile.open(packed) as archive:
            archive.extractall(tree, filter="data")
        packed.unlink()
        yield tree


class Tree:
    """A worker in a tree: ``ask`` sends it a request and waits for the answer.

    It runs in a session of its own, so that Ctrl-C reaches this process alone, which then ends it.
    """

    def __init__(self, tree: Path):
        given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        paths = [tree, *(path for path in given if path and not _has_opty(path))]
        self.tree = tree
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("worker.py"))],
            env=os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.communicate()

    def open(self, folder: Path, threads: int) -> None:
        """Open a scan; TreeError where another opty than the tree's answers, or none."""
        answer = self.ask(do="open", folder=str(folder), threads=threads)
        where = Path(answer.get("opty", ""))
        if not where.is_relative_to(self.tree):
            raise TreeError(answer.get("error") or f"the worker in {self.tree} took opty from {where}")

    def ask(self, **request: Any) -> dict[str, Any]:
        """Return the answer to a request; TreeError where the worker ended."""
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise TreeError(f"the worker in {self.tree} ended with {self.process.wait()}")
        return json.loads(answer)


def _has_opty(folder: str) -> bool:
    return (Path(folder) / "opty" / "__init__.py").exists()

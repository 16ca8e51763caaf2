"""The runs of `opty batch`: each scan in a process of its own, a few at a time."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from opty.cli.batch_records import Scan, Task, seen
from opty.cli.failures import INTERRUPTED


class Jobs:
    """Runs of `opty`, each in a process of its own; Ctrl-C (or SIGTERM) ends all of them at the end of their turn.

    ``method`` : "reconstruct" or "auto"; ``options`` of a run from the start, ``on_resume`` of one that goes on.
    """

    def __init__(self, method: str, options: Sequence[str], on_resume: Sequence[str], at_a_time: int):
        self.method, self.options, self.on_resume = method, list(options), list(on_resume)
        self.at_a_time = at_a_time
        self.stopping = False
        self._running: list[subprocess.Popen[str]] = []

    def run(self, tasks: Sequence[tuple[Scan, Task]], tell: Callable[[Scan], None]) -> None:
        """Do the tasks; ``tell`` is called with each scan when its run is over. Returns when nothing runs any more."""
        with self._stopped_by_signals(), ThreadPoolExecutor(self.at_a_time) as pool:
            left = {pool.submit(self._one, scan, task): scan for scan, task in tasks}
            while left:
                over, _ = wait(left, timeout=0.5, return_when=FIRST_COMPLETED)
                for done in over:
                    scan = left.pop(done)
                    if done.result():
                        tell(scan)

    def _one(self, scan: Scan, task: Task) -> bool:
        """Run one scan to its end and write its record; return False where it was not begun."""
        if self.stopping:
            return False
        record = scan.record
        first = ["resume", str(scan.result), *self.on_resume]
        if task == "run":
            scan.report.unlink(missing_ok=True)
            scan.result.unlink(missing_ok=True)  # of an earlier run, which --overwrite, or a changed scan, gives up
            first = [self.method, str(scan.file), "-o", str(scan.result), *self.options]
        record.command = shlex.join(["opty", *first])
        record.state, record.error, record.seen, record.figures = "running", None, seen(scan.file), {}
        scan.keep()
        began = time.perf_counter()
        record.exit_code, out = self._process([*first, "--json", "--quiet"], scan.log)
        record.seconds = time.perf_counter() - began
        record.figures = _figures(out)
        if record.exit_code == 0:
            record.state = "done"
        elif record.exit_code == INTERRUPTED or (self.stopping and record.exit_code < 0):
            record.state = "interrupted"
        else:
            record.state, record.error = "failed", _why(scan.log, record.exit_code)
        scan.keep()
        return True

    def _process(self, arguments: Sequence[str], log: Path) -> tuple[int, str]:
        """Run `opty` with arguments; return its exit code and standard output. The standard error goes to the log."""
        command = [sys.executable, "-m", "opty.cli", *arguments]
        with log.open("w") as err:
            # A session of its own: Ctrl-C at the terminal reaches this process alone, which passes it on once.
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, text=True, start_new_session=True
            )
            self._running.append(child)
            if self.stopping:
                child.send_signal(signal.SIGTERM)
            out, _ = child.communicate()
            self._running.remove(child)
        return child.returncode, out

    @contextmanager
    def _stopped_by_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        old = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def _stop(self, *_: object) -> None:
        """Begin no further scan, and tell those that run to end: see ``opty.cli.run.as_ctrl_c``."""
        self.stopping = True
        for child in list(self._running):
            child.send_signal(signal.SIGTERM)


def threads_each(at_a_time: int) -> int:
    """Return the threads of each of some runs that share the cores of this process."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // at_a_time)


def _figures(out: str) -> dict[str, object]:
    try:
        found = json.loads(out)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _why(log: Path, code: int) -> str:
    """Return the error in a log; where there is none, how the process ended."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    if errors:
        return errors[-1]
    if code < 0:
        killed = "; the memory may be full: fewer --jobs" if -code == signal.SIGKILL else ""
        return f"the process ended by signal {-code} ({signal.Signals(-code).name}){killed}"
    return lines[-1] if lines else f"exit code {code}, without a message"

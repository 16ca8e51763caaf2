"""Programs on several ranks of MPI, for tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent
MPIEXEC = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")


def launched(ranks, *command, folder, timeout=120):
    """Run a command on some ranks; return the finished process and the seconds it took."""
    began = time.perf_counter()
    done = subprocess.run(
        [MPIEXEC, "-n", str(ranks), sys.executable, "-X", "faulthandler", *map(str, command)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return done, time.perf_counter() - began

"""What becomes of four ranks when one fails: ``python -m benchmarks.rank_failures [--turns 3]``.

``opty reconstruct`` under mpiexec on a small scan, ``--save-every 1``; in iteration 5 the third rank raises an
exception, or is killed by SIGKILL. Measured are the seconds from there until the launcher has ended; how often the
message was printed, the exit code, and the iteration in the file; then ``opty resume`` goes on from it on three ranks.

Prints a table and keeps the rows in benchmarks/results/ under the date.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")
RANKS, FEWER, FAILS_IN, ITERATIONS = 4, 3, 5, 12
OPERATOR = f'''
import os, signal, time
from pathlib import Path
import opty


class FailsOnThirdRank(opty.Operator, writes="obj"):
    """Fail on the third of four ranks."""

    how: str
    over_ranks = True

    def apply(self, s):
        ranks = s.store.ranks
        if s.iteration != {FAILS_IN} or (ranks.rank, ranks.size) != (2, {RANKS}):
            return
        Path("failed_at").write_text(str(time.time()))
        if self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise KeyError("a fault of the third rank")
'''


def write_scan(path: Path) -> None:
    """Write a scan of 64 views of 64 x 64."""
    import opty
    from opty.simulate import experiment, objects, probes, scans

    positions = scans.raster((8, 8), step=6, jitter=1, seed=0)
    probe = probes.aperture(64, 32, edge=2)
    opty.save(path, experiment(objects.two_images((130, 130)), probe, positions, photons=1e6, seed=0))


def on(ranks: int, *command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run an opty command on some ranks."""
    from benchmarks.ranks import mpiexec

    env = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    started = [*mpiexec(ranks), sys.executable, "-m", "opty.cli", *command, "--import", "failing.py"]
    return subprocess.run(started, cwd=folder, capture_output=True, text=True, env=env, timeout=300)


def measured(how: str, folder: Path) -> dict[str, Any]:
    """Let a rank fail, and go on from the file; return what came of it."""
    import h5py

    (folder / f"{how}.h5").unlink(missing_ok=True)
    recipe = f"(FailsOnThirdRank('{how}') * AP()) ** {ITERATIONS}"
    options = ("--recipe", recipe, "--probe", "mean", "--device", "cpu", "--save-every", "1", "-o", f"{how}.h5", "-q")
    done = on(RANKS, "reconstruct", "scan.cxi", *options, folder=folder)
    seconds = time.time() - float((folder / "failed_at").read_text())
    with h5py.File(folder / f"{how}.h5") as file:
        saved = int(file["entry_1/reconstruction"].attrs["iteration"])
    resumed = on(FEWER, "resume", f"{how}.h5", "-q", folder=folder)
    with h5py.File(folder / f"{how}.h5") as file:
        end = int(file["entry_1/reconstruction"].attrs["iteration"])
    return {
        "how": how,
        "seconds": seconds,
        "messages": done.stderr.count("a fault of the third rank"),
        "code": done.returncode,
        "saved": saved,
        "resumed_code": resumed.returncode,
        "resumed_to": end,
    }


def main() -> None:
    """Measure, print and keep."""
    from benchmarks.record import keep

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=RESULTS)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_scan(folder / "scan.cxi")
        (folder / "failing.py").write_text(OPERATOR)
        for turn in range(given.turns):
            for how in ("exception", "killed"):
                rows.append({"turn": turn} | measured(how, folder))
                print(rows[-1], flush=True)
    print(keep(given.folder, "rank-failures", rows, ("how", "turn")))


if __name__ == "__main__":
    main()

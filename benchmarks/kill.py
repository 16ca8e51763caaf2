"""Kill a run that checkpoints, again and again: does every last checkpoint load, and resume to the same end?

    python -m benchmarks.kill --times 50

A child process reconstructs a small scan and writes a checkpoint in each turn; SIGKILL hits it at a random moment. The
file it leaves is resumed here and compared, bit for bit, with the run that nobody killed.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import opty
from opty.simulate import experiment, objects, probes, scans

RECIPE = "(Save('{path}') * PosCorrectAdam() * rPIE(batch=4)) ** 40"


def recipe(path: Path) -> opty.Operator:
    """Return the recipe that checkpoints into ``path``."""
    return opty.parse(RECIPE.replace("{path}", path.as_posix()))


def start() -> opty.PtychoState:
    """Return the start of the run: 49 views of 64 x 64."""
    probe = probes.aperture(64, 30, edge=2)
    positions = scans.raster((7, 7), step=7, jitter=1, seed=0)
    data = experiment(objects.two_images((130, 130)), probe, positions, photons=1e5, position_error=0.5, seed=0)
    return opty.PtychoState(data, seed=4, device="cpu", threads=1)


def kill(path: Path, after: float) -> None:
    """Run a child, and kill it ``after`` seconds from the moment at which its first checkpoint is there."""
    path.unlink(missing_ok=True)
    command = [sys.executable, "-c", f"from benchmarks.kill import *; recipe(Path({str(path)!r})) * start()"]
    with subprocess.Popen(command, cwd=Path(__file__).resolve().parents[1]) as child:
        while not path.exists():
            if child.poll() is not None:
                raise RuntimeError(f"the child ended with code {child.returncode} before its first checkpoint")
            time.sleep(0.002)
        time.sleep(after)
        child.kill()


def same(p: opty.PtychoState, q: opty.PtychoState) -> bool:
    """Say whether two states hold the same bits, books included."""
    arrays = [(p.numpy(n), q.numpy(n)) for n in ("obj", "probe", "positions", *p.slots)]
    arrays += [(p.history[n], q.history[n]) for n in p.history]
    one, two = ((s.iteration, s.recipe, set(s.slots), set(s.history)) for s in (p, q))
    return one == two and all(np.array_equal(a, b) for a, b in arrays)


def killed_and_resumed(folder: Path, times: int, seed: int) -> list[tuple[int, bool]]:
    """Return, of each kill, the iteration of the checkpoint and whether resuming it gave the very same end."""
    path, rng = folder / "checkpoint.h5", random.Random(seed)
    began = time.perf_counter()
    whole = recipe(path) * start()
    seconds = time.perf_counter() - began
    found = []
    for _ in range(times):
        kill(path, rng.uniform(0, 0.9 * seconds))
        at = opty.load(path, device="cpu").iteration
        found.append((at, same(opty.resume(path, threads=1), whole)))
    return found


def main() -> None:
    """Print what became of each kill; exit code 1 where one lost anything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=50, help="how often to kill")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = killed_and_resumed(Path(folder), arguments.times, arguments.seed)
    good = sum(same for _, same in found)
    print(f"{good} of {len(found)} resumed to the same end, from iterations {sorted(at for at, _ in found)}")
    sys.exit(good < len(found))


if __name__ == "__main__":
    main()

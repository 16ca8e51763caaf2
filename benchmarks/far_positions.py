"""Positions from far away, on scans drawn by seed: ``python -m benchmarks.far_positions FIRST LAST [--stretch]``.

Each scan has 100 views of 128 x 128 under a beam of two pictures and starts from a flat object and a soft disc. The
stage errs in one of five ways, by turns: errors of single views, a random walk, a long one, a turn with a stretch and
a backlash, none. With --stretch: three modes, and a scan that is longer or shorter than it is said to be, by up to 6
percent on each axis. Run is ``FindPositions()``, then ``(PosCorrect() * rPIE()) ** 50``. Prints, and writes to
benchmarks/results/ under the date: mean distances from the truth in px, the mean offset taken off; views farther off
than 1 px, their median offset taken off; what of the distances an affine map makes, rms px ("map"), and what
``position_report`` says of that ("stretch"); what was said; and the CPU time over that of 50 sweeps of ``rPIE()`` at
the positions that were found.
"""

from __future__ import annotations

import argparse
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

import opty
from benchmarks.record import keep
from opty import FindPositions, PosCorrect, rPIE
from opty.physics.scan_map import position_error
from opty.simulate import experiment, objects, probes, scans, stage

PICTURES = ("astronaut", "brick", "camera", "cat", "cell", "coffee", "coins", "grass", "gravel", "moon", "page", "text")
KINDS = ("single views", "walk", "long walk", "map", "right")
N = 128


def draw(seed: int, stretch: bool = False) -> tuple[str, opty.PtychoState]:
    """Draw a scan by seed; return its kind, and the state at its start."""
    rng = np.random.default_rng([16, seed])
    kind = "stretch" if stretch else KINDS[seed % len(KINDS)]
    names = [str(name) for name in rng.choice(PICTURES, 4, replace=False)]
    across, modes = rng.uniform(0.7, 0.85) * N, 3 if rng.random() < 0.2 or stretch else 1
    step, photons = rng.uniform(14, 26), float(10 ** rng.uniform(5, 7))
    errors: dict[str, object] = {
        "single views": stage.Gaussian(rng.uniform(0.03, 0.1) * N),
        "walk": stage.Drift(walk=rng.uniform(2, 5)),
        "long walk": stage.Drift(walk=rng.uniform(6, 9)),
        "map": [
            stage.Affine(rotation=np.deg2rad(rng.uniform(-12, 12)), scale=tuple(rng.uniform(0.9, 1.1, 2))),
            stage.Backlash(rng.uniform(0, 6)),
        ],
        "stretch": stage.Affine(scale=tuple(np.random.default_rng([17, seed]).uniform(0.94, 1.06, 2))),
        "right": None,
    }
    margin = {"walk": 110, "long walk": 170}.get(kind, 64)
    beam = probes.two_images(N, across, (names[0], names[1]))
    if modes > 1:
        beam = probes.modes(beam, (1.0, 0.3, 0.15))
    size = int(10 * step + N + 4 * margin)
    data = experiment(
        objects.two_images((size, size), (names[2], names[3]), (rng.uniform(0.3, 0.7), 1.0), (-1.2, 1.2)),
        beam,
        scans.raster((10, 10), step, jitter=0.25 * step, seed=seed) + 2 * margin,
        photons=photons,
        position_error=errors[kind],
        seed=seed,
    )
    start = probes.aperture(N, across, edge=12) * np.sqrt(data.photons().mean())
    p = opty.PtychoState(data, probe=start.astype("complex64"), modes=modes, margin=margin, device="cpu", threads=1)
    return kind, p


def away(p: opty.PtychoState) -> float:
    """Return the mean distance of positions from the truth [px]."""
    return position_error(p.positions, p.data.truth["positions"], False)


def judge(seed: int, stretch: bool = False) -> dict:
    """Find the positions of a scan; return what came out."""
    kind, p = draw(seed, stretch)
    start = time.process_time()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        q = FindPositions() * p
        found = time.process_time()
        r = (PosCorrect() * rPIE()) ** 50 * q
    end = time.process_time()
    _ = rPIE() ** 50 * r
    plain = time.process_time() - end
    off = r.positions - p.data.truth["positions"]
    off = np.hypot(*(off - np.median(off, axis=0)).T)
    beside = r.positions - r.positions.mean(axis=0)
    gone = r.positions - p.data.truth["positions"]
    mapped = beside @ np.linalg.lstsq(beside, gone - gone.mean(axis=0), rcond=None)[0]
    report = opty.analysis.position_report(r)
    texts = [str(w.message) for w in said if issubclass(w.category, opty.MisfitWarning)]
    return {
        "seed": seed,
        "kind": kind,
        "modes": len(p.probe),
        "photons": round(float(p.data.photons().mean())),
        "start": round(away(p), 3),
        "found": round(away(q), 4),
        "left": round(away(r), 4),
        "median": round(float(np.median(off)), 4),
        "astray": int((off > 1).sum()),
        "bar": round(float(np.median(r.slots["position_uncertainty"])), 4),
        "map": round(float(np.sqrt((mapped**2).sum(axis=1).mean())), 4),
        "stretch": None if report is None else round(report.stretch, 4),
        "lost": int((r.slots["position_lost"] > 0).sum()),
        "said": texts,
        "seconds": round(found - start, 1),
        "of 50 sweeps": round((found - start) / plain, 2),
    }


def compile_first() -> None:
    """Run what is timed once, so that no seed pays for compiling it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", opty.MisfitWarning)
        _ = FindPositions() * draw(288)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--stretch", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    with ProcessPoolExecutor(given.jobs, initializer=compile_first) as pool:
        for row in pool.map(partial(judge, stretch=given.stretch), range(given.first, given.last + 1)):
            print({k: v for k, v in row.items() if k != "said"}, [t[:70] for t in row["said"]], flush=True)
            keep(Path(__file__).with_name("results"), "far-positions", [row], ["seed", "kind"])


if __name__ == "__main__":
    main()

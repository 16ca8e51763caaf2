"""Does the resolution of half scans tell the truth? ``python -m benchmarks.half_scans FIRST LAST``.

Each scan is drawn by its seed: 81 views of 32 x 32, an object of drawn phases or of two pictures, 10^4 to 10^6 photons
a view, an engine, 12 to 200 iterations from the true probe. ``opty.analysis.resolution`` with halves of the counts.
Prints, and writes to benchmarks/results/ under the date: the frequency at which the halves stop agreeing; that at which
the product of both halves' correlations with the truth falls below the same curve, which is what the first one should
be; their ratio; and ``settled``, the share of the finest detail that another run leaves as it is. Last a table of the
scans that ``settled`` warns of, and of those whose halves promise more than 10 percent too much.
"""

from __future__ import annotations

import argparse
import dataclasses
import warnings
from pathlib import Path

import numpy as np

import opty
from benchmarks.far_positions import PICTURES
from benchmarks.record import keep
from opty.analysis import align, frc, resolution
from opty.analysis.resolution import _SETTLED
from opty.simulate import experiment, objects, probes, scans

N, WITHIN = 32, 1.1
ENGINES = {
    "ML": opty.ML(),
    "rPIE": opty.rPIE(),
    "AP": opty.AP(),
    "LSQML": opty.LSQML(),
    "ML, probe held": opty.ML().fix("probe"),
}
TURNS = (12, 25, 50, 100, 200)


def judge(seed: int) -> dict:
    """Draw a scan, compare its halves with each other and with the truth."""
    rng = np.random.default_rng([22, seed])
    engine, turns = str(rng.choice(list(ENGINES))), int(rng.choice(TURNS))
    photons, names = float(10 ** rng.uniform(4, 6)), rng.choice(PICTURES, 2, replace=False)
    drawn = rng.random() < 0.5
    obj = (
        objects.random_phase((76, 76), rng.uniform(1, 3), seed=seed)
        if drawn
        else objects.two_images((76, 76), (str(names[0]), str(names[1])), (0.5, 1.0), (-1.0, 1.0))
    )
    beam = probes.defocus(probes.aperture(N, 16, edge=2), 1e-10, 2e-8, rng.uniform(1e-6, 1e-5))
    places = scans.raster((9, 9), step=4, jitter=1, seed=seed)
    data = experiment(obj, beam, places, photons=photons, seed=seed)
    start = opty.PtychoState(data, probe=data.truth["probe"], device="cpu", threads=1)
    found = resolution(start, ENGINES[engine] ** turns, split="counts", seed=seed)
    offset = np.rint(start.numpy("positions") - data.truth["positions"]).mean(axis=0).astype(int)
    area = tuple(slice(part.start - o, part.stop - o) for part, o in zip(found.area, offset, strict=True))
    truth = data.truth["obj"][area]
    with_truth = [frc(align(half, truth)[0], truth).correlation for half in found.halves]
    true = dataclasses.replace(found.curve, correlation=np.prod(with_truth, axis=0)).crossing()
    return {
        "seed": seed,
        "object": "phases" if drawn else "pictures",
        "engine": engine,
        "iterations": turns,
        "photons": round(photons),
        "crossing": round(found.curve.crossing(), 4),
        "true": round(true, 4),
        "ratio": round(found.curve.crossing() / true, 3) if true else None,
        "settled": None if np.isnan(found.settled) else round(found.settled, 3),
    }


def table(rows: list[dict]) -> str:
    """Return how many scans promise too much or not, warned of or not."""
    told = [row for row in rows if row["settled"] is not None]
    count = {(much, warned): 0 for much in (False, True) for warned in (False, True)}
    for row in told:
        count[row["ratio"] is None or row["ratio"] > WITHIN, row["settled"] < _SETTLED] += 1
    lines = ["| halves | no warning | warned |", "|---|---|---|"]
    for much, name in ((False, "right, or promise too little"), (True, "promise more than 10 percent too much")):
        lines.append(f"| {name} | {count[much, False]} | {count[much, True]} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    given = parser.parse_args()
    warnings.simplefilter("ignore", opty.MisfitWarning)
    rows = []
    for seed in range(given.first, given.last + 1):
        rows.append(judge(seed))
        print(rows[-1], flush=True)
        keep(Path(__file__).with_name("results"), "half-scans", rows[-1:], ["seed"])
    print(table(rows))


if __name__ == "__main__":
    main()

"""What check says of the positions of near fields: ``python -m benchmarks.near_places FIRST LAST``.

Drawn by seed: near fields, three of five in a cone beam, 64 to 128 px, 50 to 100 views of two pictures, 1e5 to 3e7
photons, under a smooth, a speckled or a diffused beam. Each is judged as it is, with views off by 0.3 px, and wrong in
each of the ways of WRONG. Prints, and writes to benchmarks/results/ under the date, for each way: of how many scans
nothing was said, something, and that nothing can be told.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import opty
from benchmarks.far_positions import PICTURES
from benchmarks.record import keep
from opty.analysis.check.frame_statistics import look_at_frames
from opty.analysis.check.near_positions import near_positions
from opty.simulate import experiment, objects, scans

TURN = np.deg2rad(5)
TURNED = np.array([[np.cos(TURN), -np.sin(TURN)], [np.sin(TURN), np.cos(TURN)]])


def draw(seed: int) -> opty.PtychoData:
    """Draw a scan by seed."""
    rng = np.random.default_rng([77, seed])
    n = int(rng.choice((64, 96, 128)))
    if rng.random() < 0.6:
        geometry = opty.Geometry(1e-10, 1.0, 55e-6, float(rng.choice((2e-3, 4e-3, 8e-3))), "near")
    else:
        geometry = opty.Geometry(1e-10, float(rng.uniform(0.01, 0.1)), 1e-6, propagation="near")
    square = sum((np.indices((n, n)) - n / 2) ** 2)
    probe = np.exp(-square / (rng.uniform(0.28, 0.5) * n) ** 2)
    if rng.choice(("speckle", "diffuser", "smooth")) != "smooth":
        feature = float(rng.uniform(2.5, 6))
        probe = probe * objects.random_phase((n, n), feature, seed=int(rng.integers(1000)))
    views, step = int(rng.integers(50, 100)), float(rng.uniform(0.03, 0.12)) * n
    places = scans.fermat(views, step) + rng.uniform(-0.4, 0.4, (views, 2))
    places = places - places.min(axis=0)
    shape = tuple(int(x) + n + 6 for x in places.max(axis=0))
    names = tuple(rng.choice(PICTURES, 2, replace=False))
    obj = objects.two_images(shape, names, (rng.uniform(0.3, 0.9), 1), (-rng.uniform(0.2, 1), rng.uniform(0.2, 1)))
    photons = float(10 ** rng.uniform(5, 7.5))
    return experiment(obj, probe, places, photons, geometry=geometry, seed=seed).replace(truth=None)


def ways(data: opty.PtychoData, seed: int) -> Iterator[tuple[str, opty.PtychoData]]:
    """Yield a scan as it is, and wrong in each way."""
    rng, pixel, places = np.random.default_rng(seed), data.pixel, data.positions
    off = {f"off by {px} px": places + rng.normal(0, px * pixel, places.shape) for px in (0.3, 1, 3)}
    moved = {
        "right": places,
        "axes exchanged": places[:, ::-1],
        "columns flipped": places * [1, -1],
        "half a turn": -places,
        **off,
        "turned by 5 degrees": places @ TURNED,
        "1.1 times as wide": 1.1 * places,
        "1.5 times as wide": 1.5 * places,
        "rows 1.2 times as wide": places * [1.2, 1],
        "shuffled": rng.permutation(places),
    }
    for name, positions in moved.items():
        yield name, data.replace(positions=positions)
    if (focus := data.geometry.focus_to_sample) is not None:
        for times in (0.1, 0.8, 10):
            yield (
                f"focus {times:g} times",
                data.replace(geometry=dataclasses.replace(data.geometry, focus_to_sample=times * focus)),
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    given = parser.parse_args()
    counted: dict[str, Counter] = {}
    for seed in range(given.first, given.last + 1):
        for name, data in ways(draw(seed), seed):
            found = near_positions(data, look_at_frames(data))
            what = "cannot tell" if found is None else "said" if found.every else "silent"
            counted.setdefault(name, Counter())[what] += 1
    seeds = f"{given.first} to {given.last}"
    rows = [{"seeds": seeds, "way": name, **counts} for name, counts in counted.items()]
    for row in rows:
        print(row)
    keep(Path(__file__).with_name("results"), "near-places", rows, ["seeds", "way"])


if __name__ == "__main__":
    main()

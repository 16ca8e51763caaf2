"""Does opty see frames in another order before a run? ``python -m benchmarks.frame_orders FIRST LAST [--near]``.

The scans of benchmarks.wrong_scans, with a starting probe that is the true one but for a phase that is wrong in each
pixel by 0.05 rad: right, frames late by one, and reversed. Prints what refuses each, as ``opty reconstruct`` without
--check, and how many of each kind are refused. With --near: near fields, a cone beam and a parallel one by turns, of
two pictures in a beam with speckle, 60 views of 64 x 64, 3e5 photons: right, late and early by one.
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter

import numpy as np

import opty
from benchmarks.far_positions import PICTURES
from benchmarks.wrong_scans import draw
from opty.analysis.check.frame_statistics import look_at_frames
from opty.analysis.check.in_brief import ways_in_brief
from opty.analysis.check.near_positions import near_positions
from opty.cli.starts import _said_of_places
from opty.simulate import experiment, objects, scans

ORDERS = {
    "right": lambda n: np.arange(n),
    "late": lambda n: np.roll(np.arange(n), 1),
    "reversed": lambda n: np.arange(n)[::-1],
}
NEAR_ORDERS = {"right": ORDERS["right"], "late": ORDERS["late"], "early": lambda n: np.roll(np.arange(n), -1)}
CONE = opty.Geometry(1e-10, 1.0, 55e-6, 4e-3, "near")
PARALLEL = opty.Geometry(1e-10, 0.05, 1e-6, None, "near")
N = 64


def scan(seed: int) -> opty.PtychoData:
    """Draw a scan by seed, with its starting probe."""
    data = draw(seed)
    probe = np.asarray(data.truth["probe"])
    start = probe * np.exp(0.05j * np.random.default_rng(seed).normal(size=probe.shape))
    return data.replace(truth=None, probe=start.astype("complex64"))


def near_scan(seed: int) -> opty.PtychoData:
    """Draw a near field by seed."""
    rng = np.random.default_rng(seed)
    square = sum((np.indices((N, N)) - N / 2) ** 2) / (0.33 * N) ** 2
    places = scans.fermat(60, 4.0) + rng.uniform(-0.4, 0.4, (60, 2))
    places -= places.min(axis=0)
    names = [str(name) for name in rng.choice(PICTURES, 2, replace=False)]
    shape = tuple(int(x) + N + 6 for x in places.max(axis=0))
    sample = objects.two_images(shape, names, (0.5, 1), (-0.6, 0.6))
    beam = np.exp(-square) * objects.random_phase((N, N), 4.0, seed=seed)
    geometry = PARALLEL if seed % 2 else CONE
    return experiment(sample, beam, places, 3e5, geometry=geometry, seed=seed).replace(truth=None)


def problems(data: opty.PtychoData, near: bool) -> tuple[str, ...]:
    """Return what speaks against a reconstruction."""
    frames = look_at_frames(data)
    if near:
        return near_positions(data, frames).every
    found = ways_in_brief(data, frames)
    return (found + _said_of_places(data, frames, None, False) if found.ok else found).problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--near", action="store_true")
    given = parser.parse_args()
    orders, drawn = (NEAR_ORDERS, near_scan) if given.near else (ORDERS, scan)
    refused: Counter[str] = Counter()
    warnings.simplefilter("ignore")
    for seed in range(given.first, given.last + 1):
        base = drawn(seed)
        for name, order in orders.items():
            said = problems(base.replace(intensities=base.intensities[:][order(base.views)]), given.near)
            refused[name] += bool(said)
            print(seed, name, *said, flush=True)
    print({name: f"{refused[name]} of {given.last - given.first + 1}" for name in orders})


if __name__ == "__main__":
    main()

"""Does ``opty reconstruct`` see frames in another order before a run? ``python -m benchmarks.frame_orders FIRST LAST``.

The scans of benchmarks.wrong_scans, with a starting probe that is the true one but for a phase that is wrong in each
pixel by 0.05 rad: right, frames late by one, and reversed. Prints what refuses each, as ``opty reconstruct`` without
--check, and how many of each kind are refused.
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter

import numpy as np

import opty
from benchmarks.wrong_scans import draw
from opty.analysis.check.decision import ways_in_brief
from opty.analysis.check.frame_statistics import look_at_frames
from opty.cli.starts import _said_of_places

ORDERS = {
    "right": lambda n: np.arange(n),
    "late": lambda n: np.roll(np.arange(n), 1),
    "reversed": lambda n: np.arange(n)[::-1],
}


def scan(seed: int) -> opty.PtychoData:
    """Draw a scan by seed, with its starting probe."""
    data = draw(seed)
    probe = np.asarray(data.truth["probe"])
    start = probe * np.exp(0.05j * np.random.default_rng(seed).normal(size=probe.shape))
    return data.replace(truth=None, probe=start.astype("complex64"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    given = parser.parse_args()
    refused: Counter[str] = Counter()
    warnings.simplefilter("ignore")
    for seed in range(given.first, given.last + 1):
        base = scan(seed)
        for name, order in ORDERS.items():
            data = base.replace(intensities=base.intensities[:][order(base.views)])
            frames = look_at_frames(data)
            found = ways_in_brief(data, frames)
            if found.ok:
                found += _said_of_places(data, frames, None, False)
            refused[name] += not found.ok
            print(seed, name, *found.problems, flush=True)
    print({name: f"{refused[name]} of {given.last - given.first + 1}" for name in ORDERS})


if __name__ == "__main__":
    main()

"""What the scripts of this folder share: the size of the work, the folder for figures, the number each is judged by.

python examples/paper/NAME.py             # reduced: minutes on two cores
python examples/paper/NAME.py --full      # the size of the paper; hours for some
python examples/paper/NAME.py --tiny      # seconds; what the tests run
python examples/paper/NAME.py --out DIR   # where figures and files go; the current folder without it
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.paper_pictures import save_with_machine

_parser = argparse.ArgumentParser(description="Guzzi et al. 2022: see the head of the script.")
_parser.add_argument("--full", action="store_true", help="the size of the paper")
_parser.add_argument("--tiny", action="store_true", help="seconds, for tests; figures are drawn, numbers are loose")
_parser.add_argument("--out", type=Path, default=Path(), help="folder for figures and files")
_given = _parser.parse_args()
SIZE = "full" if _given.full else "tiny" if _given.tiny else "reduced"
OUT = _given.out
OUT.mkdir(parents=True, exist_ok=True)


def sized(tiny, reduced, full):
    """Return the one of three values that goes with the size of the work."""
    return {"tiny": tiny, "reduced": reduced, "full": full}[SIZE]


def save(fig, name):
    """Write a figure, with the machine that made it and the size of the work in a text file beside it."""
    save_with_machine(fig, OUT / f"{name}.png", size=SIZE)


def vectors(lengths, directions=8):
    """Return vectors (L D, 2) of each of these lengths in D directions, 20 degrees off the axes."""
    angles = np.deg2rad(20 + np.arange(directions) * 360 / directions)
    return np.concatenate([length * np.stack([np.sin(angles), np.cos(angles)], axis=1) for length in lengths])


def bare(fig):
    """Return a figure without ticks."""
    for axes in fig.axes:
        axes.set_xticks([])
        axes.set_yticks([])
    return fig


def main_number(what, value, below=None, above=None):
    """Print the number that the script is judged by; the script fails where it is out of its limits."""
    limits = [f"below {below:g}" if below is not None else "", f"above {above:g}" if above is not None else ""]
    print(f"main number: {what}: {value:.4g} ({' and '.join(filter(None, limits))})", flush=True)
    if not ((below is None or value < below) and (above is None or value > above)):
        sys.exit(f"out of its limits: {what}: {value:.4g}")

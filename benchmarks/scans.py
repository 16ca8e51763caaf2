"""The scans that are timed: frames, positions and the start, in a folder of .npy files that any process can load."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import opty
from opty.simulate import experiment, objects, probes, scans

ARRAYS = ("diff", "pos", "probe0", "obj0")  # as make_bench.py names and defines them
_SEEDS = {"A": 0, "B": 1}  # of the common benchmark


@dataclass(frozen=True)
class Scan:
    """A raster of (rows, columns) views of n x n pixels, ``step`` pixels apart, with ``modes`` probe modes."""

    name: str
    raster: tuple[int, int]
    n: int
    step: int
    modes: int = 1

    @property
    def views(self) -> int:
        """Number of views."""
        return self.raster[0] * self.raster[1]


def write(folder: Path, scan: Scan, shared: Path) -> str:
    """Write a scan into a folder and return what made it.

    Scans A and B come from the common benchmark where ``shared`` holds it (bench/make_bench.py); every other scan, and
    those two without it, from ``opty.simulate``: without noise, positions on whole pixels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    script = shared / "bench" / "make_bench.py"
    if scan.name in _SEEDS and script.exists():
        size = dict(n=scan.n, grid=scan.raster[0], step=scan.step, modes=scan.modes, seed=_SEEDS[scan.name])
        with contextlib.redirect_stdout(sys.stderr):  # what it prints is no row of a table
            module(script).make(folder / "scan.npz", **size)
        with np.load(folder / "scan.npz") as archive:
            arrays = {name: archive[name] for name in ARRAYS}
        (folder / "scan.npz").unlink()
    else:
        arrays, script = simulated(scan), Path("opty.simulate")
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return script.name


def simulated(scan: Scan) -> dict[str, np.ndarray]:
    """Return a scan like those of the common benchmark: two pictures as object, probe modes of falling power."""
    span = [scan.step * (count - 1) + scan.n + 8 for count in scan.raster]
    powers = tuple(0.8 * 0.5**m for m in range(scan.modes))
    probe = 1e4 * probes.modes(probes.aperture(scan.n, scan.n / 2, edge=2), powers)
    rng = np.random.default_rng(0)
    positions = scans.raster(scan.raster, scan.step)
    positions += rng.integers(0, 7, positions.shape)
    data = experiment(objects.random_phase(span, scan.n / 8), probe, positions)
    data = data.replace(positions=data.truth["positions"])
    start = opty.PtychoState(data, modes=scan.modes, obj=np.ones(span), device="cpu", threads=1)
    return dict(diff=data.intensities, pos=data.positions_px, probe0=start.probe, obj0=start.obj)


def load(folder: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a scan that ``write`` wrote."""
    return {name: np.load(folder / f"{name}.npy") for name in ARRAYS}


def start(arrays: dict[str, np.ndarray], subpixel: bool, **options) -> opty.PtychoState:
    """Return the state from which a scan is timed; ``subpixel`` : with positions off the pixels, by 0.1 to 0.4."""
    away = np.random.default_rng(1).uniform(0.1, 0.4, arrays["pos"].shape) if subpixel else 0
    data = opty.PtychoData(arrays["diff"], arrays["pos"] + away)
    return opty.PtychoState(data, probe=arrays["probe0"], obj=arrays["obj0"], **options)


def module(path: Path):
    """Import a Python file that is no part of the project."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded

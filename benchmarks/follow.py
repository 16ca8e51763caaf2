"""A reconstruction that keeps up with a detector: ``python -m benchmarks.follow [--rate 100] [--recipe "rPIE()"]``.

A process writes a scan of 2,000 views of 128 x 128, noise-free, at a rate, as an HDF5 file in SWMR mode or as
messages over ZeroMQ; another one follows it with ``(Follow() * RECIPE) ** 30``. For each view the lag is the time
from when it was written to the end of the first turn that swept over it: then it is in the picture. Object errors are
those of ``opty.analysis.object_error`` where at least three views of those that had joined light the object: of the
first picture below 0.3, and 5 s after the last view was written, beside ``RECIPE ** 30`` on the complete scan.
Prints, and writes to benchmarks/results/ under the date.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np

RASTER, N, STEP, TURNS = (50, 40), 128, 12, 30
MAPPING = '[frames]\npath = "/frames"\n[positions]\npath = "/positions"\npixels = true\n'
ADDRESS = "tcp://127.0.0.1:5588"
AFTER = 5.0  # seconds after the end


def write(folder: Path, how: str, rate: float) -> None:
    """Write the scan in a folder view by view, and the time at which each was written."""
    import opty
    from opty.io.messages import Sender

    frames, positions = np.load(folder / "diff.npy", mmap_mode="r"), np.load(folder / "pos.npy")
    count, times = len(frames), np.zeros(len(frames))
    began = time.time() + 1

    def wait(k: int) -> None:
        time.sleep(max(0.0, began + k / rate - time.time()))

    if how == "swmr":
        with h5py.File(folder / "scan.h5", "w", libver="latest") as f:
            data = f.create_dataset("frames", (0, N, N), frames.dtype, chunks=(1, N, N), maxshape=(None, N, N))
            places = f.create_dataset("positions", (0, 2), float, chunks=(64, 2), maxshape=(None, 2))
            f.swmr_mode = True
            for k in range(count):
                wait(k)
                places.resize(k + 1, 0)
                places[k] = positions[k]
                places.flush()
                data.resize(k + 1, 0)
                data[k] = frames[k]
                data.flush()
                times[k] = time.time()
    else:
        with Sender(ADDRESS, opty.PtychoData(frames[:1], positions[:1])) as sender:
            for k in range(count):
                wait(k)
                sender.send(frames[k], positions[k])
                times[k] = time.time()
    np.save(folder / "times.npy", times)


def follow(folder: Path, how: str, recipe: str) -> dict[str, Any]:
    """Follow the scan that another process writes; return lags and errors."""
    import opty
    from benchmarks import scans

    opty.parse(recipe) * scans.start(scans.pictured(scans.Scan("A", (3, 3), N, STEP)), device="cpu")  # compiles
    probe = np.load(folder / "probe0.npy")
    if how == "swmr":
        (folder / "scan.toml").write_text(MAPPING)
        data = opty.load(folder / "scan.h5", mapping=folder / "scan.toml", follow=True, timeout=20)
    else:
        data = opty.load(ADDRESS, follow=True, timeout=20)
    p = opty.PtychoState(data, probe=probe, device="cpu")
    turns = ((opty.Follow() * opty.parse(recipe)) ** TURNS).iter(p)
    met = [(time.time(), q) for q in turns]
    while not (folder / "times.npy").exists():
        time.sleep(0.1)
    return told(folder, met)


def told(folder: Path, met: list[tuple[float, Any]]) -> dict[str, Any]:
    """Return lags and errors of the states met, each with the time of the clock."""
    times = np.load(folder / "times.npy")
    swept = np.full(len(times), np.nan)
    there = 0
    for (_, before), (when, _) in pairwise(met):  # views join at the end of a turn
        swept[there : before.data.views] = when
        there = before.data.views
    lag = swept - times
    first = next(((when, p) for when, p in met if error(folder, p) < 0.3), None)
    late = [p for when, p in met if when <= times[-1] + AFTER][-1]
    return {
        "lag_most": float(np.nanmax(lag)),
        "lag_most_later": float(np.nanmax(lag[len(lag) // 10 :])),  # without the first tenth, which waits for the start
        "lag_median": float(np.nanmedian(lag)),
        "views": int(np.isfinite(lag).sum()),
        "turns_while_growing": int(sum(p.data.views < len(times) for _, p in met)),
        "first_picture_views": None if first is None else int(first[1].data.views),
        "first_picture_written": None if first is None else int((times <= first[0]).sum()),
        "error_after": error(folder, late),
        "views_after": int(late.data.views),
        "seconds_a_turn": float(np.median(np.diff([when for when, p in met[-TURNS:]]))),
    }


def error(folder: Path, p: Any) -> float:
    """Return the object error of a state where three of its views light the object."""
    import opty

    truth, corners = np.load(folder / "obj.npy"), np.load(folder / "pos.npy")[: p.data.views]
    lit = opty.analysis.illuminated(corners, np.load(folder / "probe.npy"), truth.shape)
    offset = np.rint((p.positions - corners).mean(0)).astype(int)
    return float(opty.analysis.object_error(p.numpy("obj"), truth, lit, offset=offset))


def offline(folder: Path, recipe: str) -> float:
    """Return the error of the same recipe on the complete scan."""
    import opty

    data = opty.PtychoData(np.load(folder / "diff.npy"), np.load(folder / "pos.npy"))
    p = opty.PtychoState(data, probe=np.load(folder / "probe0.npy"), device="cpu")
    return error(folder, opty.parse(recipe) ** TURNS * p)


def main() -> None:
    """Write and follow, both ways; print and keep."""
    from benchmarks import scans
    from benchmarks.record import machine

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=100, help="views a second")
    parser.add_argument("--recipe", default="rPIE(alpha=0.3)")
    parser.add_argument("--writer", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.writer:
        write(Path(given.writer[0]), given.writer[1], given.rate)
        return
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for key, array in scans.pictured(scans.Scan("A", RASTER, N, STEP)).items():
            np.save(folder / f"{key}.npy", array)
        whole = offline(folder, given.recipe)
        for how in ("swmr", "zmq"):
            words = ["-m", "benchmarks.follow", "--writer", str(folder), how, "--rate", str(given.rate)]
            writer = subprocess.Popen([sys.executable, *words])
            row = {"how": how, "recipe": given.recipe, "rate": given.rate, "error_offline": whole}
            rows.append(row | follow(folder, how, given.recipe))
            writer.wait()
            (folder / "times.npy").unlink()
            print(json.dumps(rows[-1], indent=1), flush=True)
    path = Path(__file__).with_name("results") / f"{datetime.date.today().isoformat()}-follow.json"
    path.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Data larger than memory: how much is resident while frames stay in their file, and what reading them costs.

    python -m benchmarks.streaming [--gigabytes 40] [--folder /tmp] [--recipe "AP()"]

writes a scan of 1024 x 1024 uint32 frames (contiguous HDF5, so that every byte comes from the disk), runs the recipe
for one iteration in a process of its own, with the frames where ``opty.load`` leaves them by itself, and then on the
first views in memory and in the file. Prints the peak of resident memory, seconds, and the ratio of the two; writes
them to benchmarks/results/ under the date; removes the scan. The object repeats itself every 480 views, and so do the
frames: they are simulated once and written again and again.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import scipy

N, STEP, ROWS, COLUMNS = 1024, 40, 24, 20  # px; views of a tile
FRAME = 4 * N * N
MAPPING = '[frames]\npath = "/frames"\n[positions]\npath = "/positions"\npixels = true\n'


def tile() -> tuple[np.ndarray, np.ndarray]:
    """Return the frames (480, n, n) uint32 of a tile, with counted photons, and its window corners (480, 2) [px]."""
    from opty.simulate import objects, probes

    rng = np.random.default_rng(0)
    ground = objects.two_images((ROWS * STEP, COLUMNS * STEP))
    obj = np.tile(ground, (3, 3))[: ROWS * STEP + N, : COLUMNS * STEP + N]
    probe = probes.aperture(N, 300, edge=4) * 1e4  # a hundred million photons a view
    corners = STEP * np.stack(np.indices((ROWS, COLUMNS)), axis=-1).reshape(-1, 2)
    frames = np.empty((len(corners), N, N), np.uint32)
    for frame, (row, column) in zip(frames, corners, strict=True):
        wave = scipy.fft.fft2(probe * obj[row : row + N, column : column + N], norm="ortho")
        frame[...] = np.fft.fftshift(rng.poisson(np.abs(wave) ** 2))
    return frames, corners


def write(path: Path, gigabytes: float) -> int:
    """Write a scan of about so many gigabytes; return the number of its views."""
    frames, corners = tile()
    count = max(1, round(gigabytes * 1e9 / frames.nbytes))
    across = max(1, round(count**0.5))
    period = np.array([ROWS * STEP, COLUMNS * STEP])
    places = [corners + period * divmod(k, across) for k in range(count)]
    with h5py.File(path, "w") as f:
        f["positions"] = np.concatenate(places).astype(float)
        data = f.create_dataset("frames", (count * len(frames), N, N), np.uint32)
        for k in range(count):
            data[k * len(frames) : (k + 1) * len(frames)] = frames
    path.with_suffix(".toml").write_text(MAPPING)
    return count * len(frames)


def forget(path: Path) -> None:
    """Let the system drop what it keeps of a file in memory, so that reading it again is reading the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def resident() -> int:
    """Return the peak of resident memory of this process [bytes]."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024


def measure(path: Path, recipe: str, views: int | None, stream: bool | None) -> dict:
    """Load, start, run one iteration: seconds of each, peaks of resident memory, and what ``explain`` says."""
    import opty
    from opty.runtime.memory_estimate import footprint
    from opty.runtime.program import program_of

    before, marks = resident(), [time.perf_counter()]
    some = None if views is None else f"0:{views}"
    data = opty.load(path, mapping=path.with_suffix(".toml"), views=some, stream=stream)
    marks.append(time.perf_counter())
    p = opty.PtychoState(data, device="cpu", threads=1)
    marks.append(time.perf_counter())
    started, op = resident(), opty.parse(recipe)
    told = footprint(p._live, program_of(op, p._live)).total
    q = op * p
    marks.append(time.perf_counter())
    load, start, run = np.diff(marks).round(2).tolist()
    return {
        "views": data.views,
        "frames_bytes": data.intensities.nbytes,
        "in_file": data.in_file,
        "seconds": {"load": load, "start": start, "iteration": run},
        "resident_bytes": {"python": before, "started": started, "peak": resident(), "told": before + told},
        "explain": str(op.explain(p)).splitlines()[-1],
        "misfit": float(q.history["misfit"][-1]),
    }


def in_a_process(path: Path, recipe: str, views: int | None, stream: bool | None) -> dict:
    """Measure in a process of its own, with one thread for linear algebra."""
    forget(path)
    call = f"measure(Path({str(path)!r}), {recipe!r}, {views}, {stream})"
    code = f"import json; from pathlib import Path; from benchmarks.streaming import measure; print(json.dumps({call}))"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def report(name: str, found: dict) -> None:
    """Print a line."""
    seconds, peak = found["seconds"], found["resident_bytes"]["peak"]
    where = "in the file" if found["in_file"] else "in memory"
    times = ", ".join(f"{key} {value:.1f} s" for key, value in seconds.items())
    memory = f"peak {peak / 2**30:.3g} GiB (told {found['resident_bytes']['told'] / 2**30:.3g})"
    frames = f"{found['views']} views, {found['frames_bytes'] / 1e9:.3g} GB {where}"
    print(f"{name}: {frames}: {memory}, {times}", flush=True)


def main() -> None:
    """Write the scan, measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=40, help="of frames")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the scan is written")
    parser.add_argument("--recipe", default="AP()", help="what is run, once")
    parser.add_argument("--part", type=int, default=480, help="views that are compared with memory")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results"), help="folder to write to")
    options = parser.parse_args()
    free = shutil.disk_usage(options.folder).free
    if free < 1.1e9 * options.gigabytes:
        sys.exit(f"{options.folder} has {free / 1e9:.3g} GB free: give another --folder, or fewer --gigabytes")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path, rows = Path(folder) / "scan.h5", {}
        began = time.perf_counter()
        views = write(path, options.gigabytes)
        print(f"{views} views written in {time.perf_counter() - began:.0f} s", flush=True)
        for name, some, stream in (
            ("whole", None, None),
            ("memory", options.part, False),
            ("file", options.part, True),
        ):
            rows[name] = in_a_process(path, options.recipe, some, stream)
            report(name, rows[name])
    ratio = rows["file"]["seconds"]["iteration"] / rows["memory"]["seconds"]["iteration"]
    print(f"from the file {ratio:.3g} times the seconds of the same views in memory")
    keep(options.output, options.recipe, rows, ratio)


def keep(folder: Path, recipe: str, rows: dict[str, dict], ratio: float) -> None:
    """Write what was measured into a file of the day."""
    import opty

    today = datetime.date.today().isoformat()
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "h5py": h5py.__version__,
        "opty": opty.__version__,
    }
    found = {"date": today, "machine": machine, "recipe": recipe, "file_over_memory": ratio, "rows": rows}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{today}-streaming.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

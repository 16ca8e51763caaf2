"""By how much results differ between versions of NumPy, numbers of threads and devices.

python -m benchmarks.versions write FILE.npz [--threads N] [--device gpu]    in each environment
python -m benchmarks.versions compare A.npz B.npz ...                        a table, against the first
"""

from __future__ import annotations

import argparse
import platform
import warnings
from pathlib import Path

import numpy as np
import scipy

import opty
from benchmarks import scans

RECIPES = {
    "rPIE": lambda: opty.rPIE() ** 20,
    "AP": lambda: opty.AP() ** 20,
    "DM": lambda: opty.DM() ** 20,
    "LSQML": lambda: opty.LSQML() ** 20,
    "ML": lambda: opty.ML() ** 20,
    "PosCorrect, rPIE": lambda: (opty.PosCorrect() * opty.rPIE()) ** 20,
}


def write(path: Path, threads: int, device: str) -> None:
    """Run all recipes on a small scan of kind A, in single and in double precision, and keep the objects."""
    arrays = scans.pictured(scans.Scan("A", (10, 10), 32, 3))
    data = opty.PtychoData(arrays["diff"], arrays["pos"])
    machine = {"threads": threads, "device": device}
    objects = {}
    for dtype in ("complex64", "complex128"):
        for name, recipe in RECIPES.items():
            start = opty.PtychoState(data, probe=arrays["probe0"], obj=arrays["obj0"], dtype=dtype, **machine)
            objects[f"{name} {dtype}"] = (recipe() * start).numpy("obj")
    packages = f"NumPy {np.__version__}, SciPy {scipy.__version__}, Python {platform.python_version()}"
    what = f"{packages}, {threads} threads, {device}"
    np.savez(path, what=what, **objects)


def compare(paths: list[Path]) -> str:
    """Return a table: the norm of the difference of the objects over that of the first one."""
    files = [np.load(path) for path in paths]
    first, *others = files
    names = [name for name in first.files if name != "what"]
    lines = [f"against {first['what']}", "| recipe | " + " | ".join(str(file["what"]) for file in others) + " |"]
    lines.append("|---" * (len(others) + 1) + "|")
    for name in names:
        apart = [np.linalg.norm(file[name] - first[name]) / np.linalg.norm(first[name]) for file in others]
        lines.append(f"| {name} | " + " | ".join("same bits" if a == 0 else f"{a:.1e}" for a in apart) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    warnings.simplefilter("ignore", opty.MisfitWarning)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("write", "compare"))
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    if given.what == "write":
        write(given.files[0], given.threads, given.device)
    else:
        print(compare(given.files))

"""How good the recipes are: object errors on the benchmark scans A and B, fits of the real data.

    python -m benchmarks.quality --shared ../shared -o benchmarks/results

writes a JSON file named by the date and prints the table of the README. ``--shared`` is the folder with ``bench/``
(make_bench.py and objerr.py, the common work and the common measure) and ``data/`` (the real scans).
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.util
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

import numpy as np
import scipy

import opty

SCAN_A = (  # recipe, iterations at which the object error is taken, and what others reached on the same work
    ("ePIE()", {10: None, 50: "plain script 0.0156, PtyPy 0.0148", 200: "PtyPy 0.0046"}),
    ("rPIE(alpha=0.1)", {10: "plain script 0.0359", 50: "plain script 0.0074", 100: "plain script 0.0030"}),
    ("rPIE(alpha=0.1, batch=16)", {50: None}),
    ("AP()", {50: "PyNX 0.0592", 200: "PyNX 0.0271"}),
    ("DM()", {100: "PyNX 0.0491"}),
    ("RAAR(beta=0.75)", {50: "PtyPy 0.034", 200: "PtyPy 0.0070"}),
    ("mPIE()", {50: None, 100: None}),
    ("LSQML()", {10: "pty-chi 0.0548"}),
    ("ML()", {50: "PtyPy 0.026", 200: "PtyPy 0.0039"}),
)
WHOLE_A = (  # chains, run from right to left
    ("mPIE(friction=0.9, batch=6) ** 150 * mPIE() ** 50", None),
    ("ML() ** 50 * DM() ** 100", "PyNX 0.0193"),
)


def module(path: Path):
    """Import a Python file that is no part of the project."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def make_scan(bench: Path, **size) -> dict[str, np.ndarray]:
    """Make a benchmark scan and return its arrays."""
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.redirect_stdout(sys.stderr):  # what it prints is no row of the table
            module(bench / "make_bench.py").make(Path(folder) / "scan.npz", **size)
        with np.load(Path(folder) / "scan.npz") as z:
            return {name: z[name] for name in z.files}


def start_of(scan: dict[str, np.ndarray]) -> opty.PtychoState:
    """Return the start that every package gets."""
    return opty.PtychoState(opty.PtychoData(scan["diff"], scan["pos"]), probe=scan["probe0"], obj=scan["obj0"])


def errors_on_a(bench: Path):
    """Yield a row for each recipe and stop on scan A."""
    scan = make_scan(bench, n=128, grid=16, step=12, modes=1, seed=0)
    measure = module(bench / "objerr.py")
    lit = measure.coverage_mask(scan["pos"], 128, scan["obj"].shape, scan["probe"])
    for text, stops in SCAN_A:
        p = start_of(scan)
        for stop, others in stops.items():
            p = opty.parse(text) ** (stop - p.iteration) * p
            error = measure.objerr(p.numpy("obj"), scan["obj"], lit)
            yield row("scan A", text, stop, "object error", error, others)
    for batch in (1, 4, 16, "all"):
        p = opty.rPIE(alpha=0.1, batch=batch) ** 20 * start_of(scan)
        lower = opty.misfit(start_of(scan)) / opty.misfit(p)
        yield row("scan A", f"rPIE(alpha=0.1, batch={batch!r})", 20, "misfit, times lower", lower, None)
    for text, others in WHOLE_A:
        p = opty.parse(text) * start_of(scan)
        error = measure.objerr(p.numpy("obj"), scan["obj"], lit)
        yield row("scan A", text, p.iteration, "object error", error, others)


def fit_on_b(bench: Path):
    """Yield how far rPIE brings the misfit down on scan B, with its three modes."""
    start = start_of(make_scan(bench, n=256, grid=14, step=24, modes=3, seed=1))
    p = opty.rPIE() ** 50 * start
    yield row("scan B", "rPIE()", 50, "misfit, times lower", opty.misfit(start) / opty.misfit(p), "bar 20")


def fits_of_real_data(data: Path):
    """Yield the fits of the Siemens star (far field) and of the P25 scan (near field)."""
    star = opty.PtychoState(opty.load(data / "siemens-star-small.npz.bz2"), modes=3)
    p = opty.rPIE(alpha=0.05) ** 30 * star
    name = "Siemens star, 3 modes"
    yield row(name, "rPIE(alpha=0.05)", 30, "R-factor", opty.r_factor(p), "plain script 0.1783")
    others = "plain script 0.354, tike 0.454 (1 mode, 64 epochs)"
    yield row(name, "rPIE(alpha=0.05)", 30, "mean (sqrt I - sqrt Ihat)^2", opty.mean_square(p), others)
    near = opty.load(data / "PETRAIII_P25_Near_Field_Ptycho.cxi", propagation="near", focus_to_sample=3.65e-3)
    for text, stop, others in (
        ("ePIE()", 15, "plain script 0.0068"),
        ("After(5, PosCorrectAdam(step=0.1)) * rPIE(alpha=0.3)", 40, "plain script, positions of CDTools 0.0039"),
    ):
        p = opty.parse(text) ** stop * opty.PtychoState(near)
        yield row("P25 near field", text, stop, "misfit", opty.misfit(p), others)


def row(scan, recipe, iterations, what, value, others) -> dict:
    """Return a result, and print it as a line of a Markdown table."""
    value = float(f"{float(value):.4g}")
    print(f"| {scan} | `{recipe}` | {iterations} | {what} | {value} | {others or ''} |", flush=True)
    return dict(scan=scan, recipe=recipe, iterations=iterations, what=what, value=value, others=others)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with bench/ and data/")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results"), help="folder to write to")
    options = parser.parse_args()
    print("| scan | recipe | iterations | measure | opty | others, same work |\n|---|---|---|---|---|---|")
    bench, data = options.shared / "bench", options.shared / "data"
    rows = [*errors_on_a(bench), *fit_on_b(bench), *fits_of_real_data(data)]
    today = datetime.date.today().isoformat()
    machine = dict(
        processor=platform.processor() or platform.machine(),
        cores=os.cpu_count(),
        python=platform.python_version(),
        numpy=np.__version__,
        scipy=scipy.__version__,
        opty=opty.__version__,
    )
    options.output.mkdir(parents=True, exist_ok=True)
    with opty.io.atomic(options.output / f"{today}-quality.json") as file:
        Path(file).write_text(json.dumps(dict(date=today, machine=machine, rows=rows), indent=1) + "\n")


if __name__ == "__main__":
    main()

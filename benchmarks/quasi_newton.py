"""LBFGS against ML and the live engines: CPU seconds of one thread until the misfit is below three levels.

    python -m benchmarks.quasi_newton [--data FOLDER] [A B positions slices drawn near]

A : scan A, without noise. B : three modes, 64 views of 128 x 128 of the kind of scan B. positions : scan A with
positions wrong by up to 1.5 px on each axis. slices : two slices drawn by seed (benchmarks/thick.py). drawn : scans
drawn by seed with counted photons (benchmarks/drawn_scans.py), positions right or wrong as they are drawn; their levels
are 1.3, 1.1 and 1.03 times the least misfit of ``ML()``. near : the near-field scan of P25, levels after 20 sweeps of
the live recipe of docs/engines.md. A run of two recipes gives both. Prints a table and writes it to benchmarks/results/
under the date.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import opty
from benchmarks import cases, drawn_scans, scans, thick
from benchmarks.record import keep

FITS = (("ML('amplitude')", 120), ("LBFGS('amplitude')", 220), ("ML()", 120), ("LBFGS()", 220))
LIVE = "PosCorrectGradient() * mPIE()"
FREE = "BackgroundUpdate() * IntensityUpdate() * "
COARSE = (
    FREE + "PosCorrectGradient() * ProbeMomentum(0.7) * ObjMomentum(0.7) * "
    "rPIE(alpha=0.3, beta=0.3, batch=20, probe_step=1)"
)
SEEDS = (301, 302, 303, 304, 305, 306)


def part_a():
    """Scan A as it is."""
    p = scans.start(scans.pictured(cases.A), threads=1)
    return timed("A", p, [((recipe, turns),) for recipe, turns in (*FITS, ("mPIE()", 150))], (1e-5, 1e-6, 1e-7))


def part_b():
    """Three modes."""
    small = scans.Scan("B", (8, 8), 128, 12, modes=3)
    p = scans.start(scans.pictured(small), threads=1)
    return timed(
        "B, smaller", p, [((recipe, turns),) for recipe, turns in (*FITS, ("mPIE()", 150))], (1e-3, 1e-4, 1e-5)
    )


def part_positions():
    """Scan A with wrong positions."""
    a = scans.pictured(cases.A)
    away = np.random.default_rng(3).uniform(-1.5, 1.5, a["pos"].shape)
    p = opty.PtychoState(opty.PtychoData(a["diff"], a["pos"] + away), probe=a["probe0"], threads=1)
    ends = ("PosCorrectGradient(gain=1) * LBFGS('amplitude')", "PosCorrect() * ML('amplitude')")
    chains = [((LIVE, 30), (end, 50)) for end in ends]
    return timed("A, positions wrong", p, [((LIVE, 150),), *chains, ((ends[0], 100),)], (1e-5, 4e-6, 2e-6))


def part_slices():
    """Two slices."""
    rows = []
    for seed in (2, 4):
        p, _ = thick.drawn(seed, None)
        rows += timed(f"two slices, seed {seed}", p, [((r, n),) for r, n in FITS[:2]], (1e-4, 3e-5, 1e-5))
    return rows


def part_drawn():
    """Counted photons."""
    rows = []
    for seed in SEEDS:
        p = opty.ScaleObjProbe() * opty.PtychoState(drawn_scans.draw(seed).data, threads=1)
        p = opty.parse("rPIE(alpha=0.2)") ** 10 * p
        least = min((opty.ML() ** 120 * p).history["misfit"])
        levels = tuple(float(f"{least * times:.3g}") for times in (1.3, 1.1, 1.03))
        rows += timed(f"drawn, seed {seed}", p, [(("ML()", 120),), (("LBFGS()", 220),)], levels)
    return rows


def part_near():
    """P25, with background, intensities and positions."""
    path = options.data / "PETRAIII_P25_Near_Field_Ptycho.cxi"
    p = opty.PtychoState(opty.load(path, propagation="near", focus_to_sample=3.65e-3), threads=1)
    fit, refine = FREE + "{}('amplitude')", FREE + "PosCorrectGradient(gain=1) * {}('amplitude')"
    chains = [((COARSE, 20), (end.format(e), 45)) for e in ("ML", "LBFGS") for end in (fit, refine)]
    return timed("P25", p, [((COARSE, 100),), *chains, ((refine.format("LBFGS"), 60),)], (1.5e-3, 1.4e-3, 1.3e-3))


def timed(scan: str, p: opty.PtychoState, runs, levels) -> list[dict]:
    """Return a row for each run, (recipe, turns) after (recipe, turns): seconds to each level, or None."""
    warnings.simplefilter("ignore", opty.MisfitWarning)
    rows = []
    for run in runs:
        q, spent, course = p, 0.0, []
        for recipe, turns in run:
            opty.parse(recipe) ** 2 * q  # compiles
            before = len(q.history["misfit"]) if "misfit" in q.history else 0
            begun = time.process_time()
            q = opty.parse(recipe) ** turns * q
            each = (time.process_time() - begun) / turns
            course += [(spent + each * (k + 1), v) for k, v in enumerate(q.history["misfit"][before:])]
            spent += each * turns
        seconds = [next((round(float(t), 2) for t, v in course if v <= level), None) for level in levels]
        name = " then ".join(f"{f'({recipe})' if ' * ' in recipe else recipe} ** {turns}" for recipe, turns in run)
        least = float(f"{min(v for _, v in course):.3g}")
        print(f"| {scan} | `{name}` | {levels} | {seconds} | {least:.3g} |", flush=True)
        rows.append(dict(scan=scan, recipe=name, levels=levels, seconds=seconds, least_misfit=least))
    return rows


PARTS = {
    "A": part_a,
    "B": part_b,
    "positions": part_positions,
    "slices": part_slices,
    "drawn": part_drawn,
    "near": part_near,
}
options = argparse.Namespace(data=None)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="what to run; default: all")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the real scans")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results"), help="folder to write to")
    parser.parse_args(namespace=options)
    print("| scan | run | levels of the misfit | seconds to each | least |\n" + "|---" * 5 + "|")
    for name in options.parts or PARTS:
        keep(options.output, "quasi-newton", PARTS[name](), ("scan", "recipe"))


if __name__ == "__main__":
    main()

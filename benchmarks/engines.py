"""Engine x scan x (iterations, object error, misfit, seconds): how good the recipes are, and what they cost.

    python -m benchmarks.engines [--data FOLDER] [a b noise star near] [--only TEXT]

prints a table and writes it to benchmarks/results/ under the date; what is not run keeps the rows that the file has.
``--only`` runs the recipes that contain a text. ``--data`` is the folder with the real scans. Seconds are those of one
thread on the machine that the file names.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import opty
from benchmarks import cases, scans
from benchmarks.record import keep

SCAN_A = (  # recipe, iterations at which it is looked at, and what others reached on the same work
    ("ePIE()", {10: None, 50: "plain script 0.0156, PtyPy 0.0148", 200: "PtyPy 0.0046"}),
    ("rPIE(alpha=0.1)", {10: "plain script 0.0359", 50: "plain script 0.0074", 100: "plain script 0.0030"}),
    ("AP()", {50: "PyNX 0.0592", 200: "PyNX 0.0271"}),
    ("DM()", {100: "PyNX 0.0491", 200: "PtyPy 0.028"}),
    ("RAAR(beta=0.75)", {50: "PtyPy 0.034", 200: "PtyPy 0.0070"}),
    ("mPIE()", {50: None, 100: None}),
    ("LSQML()", {10: "pty-chi 0.0548", 50: None}),
    ("ML()", {50: "PtyPy 0.026", 200: "PtyPy 0.0039"}),
)
CHAINS_A = (("ML() ** 50 * DM() ** 100", "PyNX 0.0193"), ("mPIE(momentum=0.9, batch=6) ** 150 * mPIE() ** 50", None))
SCAN_B = (
    ("AP()", {50: "PyNX 0.0762", 200: "PyNX 0.0415"}),
    ("DM()", {100: "PyNX 0.0471"}),
    ("rPIE(alpha=0.05)", {50: None}),
)
CHAINS_B = (
    ("ML() ** 50 * DM() ** 100", "PyNX 0.023"),
    ("mPIE(momentum=0.7, batch=1) ** 150 * mPIE(momentum=0.8, batch=1) ** 50", None),
)
NOISY = ("AP()", "DM()", "ML()", "ML(smooth=0.3)")
STAR = (
    ("PosCorrectGradient(gain=1) * LSQML()", {20: "pty-chi LSQML 0.367", 50: "pty-chi LSQML 0.237"}),
    ("rPIE(alpha=0.05)", {20: None, 50: None}),
)
NEAR = (
    "(BackgroundUpdate() * IntensityUpdate() * ML()) ** 50 * (BackgroundUpdate() * IntensityUpdate() * "
    "PosCorrectGradient() * rPIE(alpha=0.3, beta=0.3, batch=20, probe_step=1)) ** 100"
)


class Scan:
    """Scan A or B: its arrays, the start that every package gets, the error of a state's object."""

    def __init__(self, scan: scans.Scan):
        self.arrays = scans.pictured(scan)
        self.error = scans.Truth(self.arrays).error

    def start(self, seed: int = 0) -> opty.PtychoState:
        """Return the start."""
        return scans.start(self.arrays, seed=seed, threads=1)

    def noisy_start(self, photons: float, seed: int) -> opty.PtychoState:
        """Return the start with counted photons, so many a view on the mean."""
        a = self.arrays
        scale = photons / a["diff"].sum(axis=(1, 2)).mean()
        counts = np.random.default_rng(seed).poisson(a["diff"] * scale).astype(np.uint32)
        data = opty.PtychoData(counts, a["pos"])
        return opty.PtychoState(data, probe=a["probe0"] * scale**0.5, obj=a["obj0"], threads=1)


def runs(scan: Scan, name: str, recipes, chains):
    """Yield a row for each recipe and stop, and for each chain."""
    for text, stops in chosen(recipes):
        p, seconds = scan.start(), 0.0
        for stop, others in stops.items():
            begun = time.perf_counter()
            p = opty.parse(text) ** (stop - p.iteration) * p
            seconds += time.perf_counter() - begun
            yield row(name, text, stop, scan.error(p), opty.misfit(p), seconds, others)
    for text, others in chosen(chains):
        begun = time.perf_counter()
        p = opty.parse(text) * scan.start()
        seconds = time.perf_counter() - begun
        yield row(name, text, p.iteration, scan.error(p), opty.misfit(p), seconds, others, **mode_powers(p, scan))


def chosen(recipes) -> list:
    """Return the recipes that are asked for."""
    return [r for r in recipes if options.only in (r[0] if isinstance(r, tuple) else r)]


def mode_powers(p: opty.PtychoState, scan: Scan) -> dict:
    """Return the shares of the probe's modes, found and true, where there are several."""
    if len(p.probe) == 1:
        return {}
    shares = []
    for probe in ((opty.Orthogonalise() * p).probe, opty.analysis.orthogonal(scan.arrays["probe"])):
        power = (np.abs(probe) ** 2).sum(axis=(1, 2))
        shares.append([round(float(v), 4) for v in power / power.sum()])
    return {"mode_powers": shares[0], "true_mode_powers": shares[1]}


def part_a():
    """Scan A: 256 views of 128 x 128, one mode, without noise; and rPIE's early error over five seeds."""
    scan = Scan(cases.A)
    yield from runs(scan, "A", SCAN_A, CHAINS_A)
    for text in chosen(["rPIE(alpha=0.1)"]):
        errors = [scan.error(opty.parse(text) ** 10 * scan.start(seed)) for seed in range(5)]
        yield row("A, median of seeds 0 to 4", text, 10, np.median(errors), None, None, "plain script 0.0359")


def part_b():
    """Scan B: 196 views of 256 x 256, three modes, without noise."""
    yield from runs(Scan(cases.B), "B", SCAN_B, CHAINS_B)


def part_noise():
    """Scan A with counted photons: the mean error over five seeds after 100 iterations."""
    scan = Scan(cases.A)
    for photons in (1e4, 1e3):
        for text in chosen(NOISY):
            begun = time.perf_counter()
            errors = [scan.error(opty.parse(text) ** 100 * scan.noisy_start(photons, seed)) for seed in range(5)]
            seconds = (time.perf_counter() - begun) / len(errors)
            yield row(f"A, {photons:.0e} photons a view, 5 seeds", text, 100, np.mean(errors), None, seconds, None)


def part_star():
    """The Siemens star: mean (sqrt I - sqrt Ihat)^2 in place of the misfit, and the FRC between half scans."""
    path = options.data / "siemens-star-small.npz.bz2"
    for text, stops in chosen(STAR):
        p, seconds = opty.PtychoState(opty.load(path), modes=5, threads=1), 0.0
        halves = [opty.PtychoState(opty.load(path, views=v), modes=5, threads=1) for v in ("0::2", "1::2")]
        for stop, others in stops.items():
            begun = time.perf_counter()
            p = opty.parse(text) ** (stop - p.iteration) * p
            seconds += time.perf_counter() - begun
            halves = [opty.parse(text) ** (stop - half.iteration) * half for half in halves]
            extra = {"half_scans_agree_to_px": half_scans(*halves)}
            yield row("Siemens star, 5 modes", text, stop, None, opty.analysis.mean_square(p), seconds, others, **extra)


def half_scans(a: opty.PtychoState, b: opty.PtychoState) -> float:
    """Return the half period [px] to which the middles of two half scans agree: FRC, half-bit threshold."""
    low = np.maximum(a.data.positions_px.min(axis=0), b.data.positions_px.min(axis=0))
    crops = []
    for p in (a, b):
        row, col = np.rint(low + p.origin).astype(int) + 64
        crops.append(p.numpy("obj")[row : row + 320, col : col + 320])
    aligned, _ = opty.analysis.align(crops[1], crops[0])
    return round(opty.analysis.frc(crops[0], aligned).resolution(), 3)


def part_near():
    """The near-field scan of P25, with positions, background and per-view intensity refined."""
    path = options.data / "PETRAIII_P25_Near_Field_Ptycho.cxi"
    measured = opty.load(path, propagation="near", focus_to_sample=3.65e-3)
    begun = time.perf_counter()
    p = opty.parse(NEAR) * opty.PtychoState(measured, threads=1)
    others = "CDTools 1.3e-3 (150 epochs, the same freedoms)"
    yield row("P25 near field", NEAR, p.iteration, None, opty.misfit(p), time.perf_counter() - begun, others)


def row(scan, recipe, iterations, error, misfit, seconds, others, **extra) -> dict:
    """Return a result, and print it as a line of a Markdown table."""
    numbers = [None if v is None else float(f"{float(v):.4g}") for v in (error, misfit, seconds)]
    shown = ["" if v is None else f"{v:g}" for v in numbers]
    print(f"| {scan} | `{recipe}` | {iterations} | {' | '.join(shown)} | {others or ''} | {extra or ''} |", flush=True)
    found = dict(zip(("object_error", "misfit", "seconds"), numbers, strict=True))
    return dict(scan=scan, recipe=recipe, iterations=iterations, **found, others=others, **extra)


PARTS = {"a": part_a, "b": part_b, "noise": part_noise, "star": part_star, "near": part_near}
options = argparse.Namespace()  # of the command line


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="what to run; default: all")
    parser.add_argument("--only", default="", help="only recipes that contain this text")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the real scans")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results"), help="folder to write to")
    parser.parse_args(namespace=options)
    print("| scan | recipe | iterations | object error | misfit | seconds | others, same work | |\n" + "|---" * 8 + "|")
    for name in options.parts or PARTS:
        keep(options.output, "engines", list(PARTS[name]()), ("scan", "recipe", "iterations"))


if __name__ == "__main__":
    main()

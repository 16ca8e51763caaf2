"""Figures S9 to S14 of Guzzi et al. 2022 at their size, with five seeds: what each position refinement leaves.

    python -m benchmarks.paper_positions [near far engines] [--seeds 0 1 2 3 4] [--half] [--minutes 5]
    python -m benchmarks docs                            # its tables into docs/paper.md

Near: the regime of their public script, an angular spectrum over 0.82 of N dx^2 / lambda (1 nm, pixels of 0.97656 um,
0.1 m, 128 px), a start of ones and a hard disc of half the window, a Gaussian of 2.5 or 5 px on each axis, 201 sweeps.
Far: the same scene and the same start in the far field, 300 sweeps. Engines: DM and ML in place of ePIE, near, 2.5 px.
36 views; the supplement does not say how many theirs has. ``--half`` : 64 px at the same share of N dx^2 / lambda,
errors of half as many pixels, 60 sweeps: the size of examples/paper/figures_s9_to_s14.py.

An error is the median distance of the views from their true places [px], the median offset taken off; "beside an affine
map" the mean distance once the best affine map is, which near-field data hardly tell. Runs that the record holds
already are not made again, and none begins once the minutes are over: call it until it says that all is done.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import json

import numpy as np

import opty
from benchmarks.record import commit, keep_in
from opty.simulate import Detector, experiment, objects, probes, scans, stage

PIXEL, WAVELENGTH, SHARE = 0.97656e-6, 1e-9, 0.82  # the last of N dx^2 / lambda
SIGMAS = (2.5, 5.0)
SWEEPS = {"near": 201, "far": 300, "engines": 201}
SWEEPS_AT_HALF = 60
METHODS = {
    "S9: gain 1, A": "PosCorrectGain()",
    "S10: gain 1, B": "PosCorrectGain(signal='detector')",
    "S11: Adam, A": "PosCorrectAdam(step=0.3, decay=0.0)",
    "S12: Adam, B": "PosCorrectAdam(step=0.3, decay=0.0, signal='detector')",
    "S13: serial": "PosCorrectSerial()",
    "S13: gradient": "PosCorrectGradient()",
    "PosCorrect()": "PosCorrect()",
}
FIND = "FindPositions(sweeps=8)"
CORRECTING = ("S11: Adam, A", "S13: serial", "S13: gradient", "PosCorrect()")
ENGINES = {f"{name}, {engine}": (METHODS[name], engine) for engine in ("DM()", "ML()") for name in CORRECTING}
RECORD = Path(__file__).with_name("results") / "2026-11-29-paper-positions.json"


def scene(n: int, side: int, sigma: float, seed: int, near: bool) -> opty.PtychoData:
    """Their test scene with pictures that are at hand, side x side views, and their start: a hard disc, half as wide.

    ``sigma`` : of the Gaussian [px] on each axis of the positions. Counts have 1 percent of noise on each pixel.
    """
    step = scans.step_for_overlap(0.85, 0.75 * n)
    nominal = scans.raster((side, side), step, jitter=step / 5, seed=seed)
    wrong = stage.reached(nominal, stage.Gaussian(sigma), np.random.default_rng([seed, 5])) - nominal
    reach = np.concatenate([nominal, nominal + wrong])
    shape = tuple(int(v) + n + 8 for v in np.ceil(np.ptp(reach, axis=0)))
    obj, probe = objects.two_images(shape, ("camera", "moon")), probes.two_images(n, 0.75 * n)
    geometry = opty.Geometry(WAVELENGTH, SHARE * n * PIXEL**2 / WAVELENGTH, PIXEL, propagation="near") if near else None
    exact = Detector(counting=False, dtype="float32", relative_noise=0.01)
    data = experiment(obj, probe, nominal, 1e6, geometry=geometry, position_error=wrong, detector=exact, seed=seed)
    disc = probes.aperture(n, n / 2, edge=0)
    return data.replace(probe=disc * np.sqrt(data.photons().mean() / (abs(disc) ** 2).sum()))


def median_error(p: opty.PtychoState) -> float:
    """Median distance from the true positions [px], the median offset taken off."""
    wrong = p.positions - p.data.truth["positions"]
    return float(np.median(np.linalg.norm(wrong - np.median(wrong, axis=0), axis=1)))


def finished(recipe: opty.Operator, p: opty.PtychoState) -> opty.PtychoState:
    """Run a recipe; a run that diverges ends with its last finite state."""
    try:
        return recipe * p
    except opty.DivergedError as error:
        return error.state


def runs(parts: list[str], seeds: list[int], n: int) -> list[dict]:
    """Return what is to be run with patterns of n x n, all methods for one seed after the other."""
    out = []
    for part in parts:
        for sigma in [n / 128 * sigma for sigma in SIGMAS][: 1 if part == "engines" else None]:
            for seed in seeds:
                names = ENGINES if part == "engines" else (*METHODS, "FindPositions()")
                out += [dict(part=part, n=n, sigma=sigma, seed=seed, method=name) for name in names]
    return out


def recipe_of(run: dict) -> tuple[str, int]:
    """Return the recipe of one sweep, and how many of them."""
    if run["method"] == "FindPositions()":
        return FIND, 1
    position, engine = ENGINES.get(run["method"], (METHODS.get(run["method"]), "ePIE(probe_step=1.0)"))
    return f"({position} * {engine})", SWEEPS[run["part"]] if run["n"] == 128 else SWEEPS_AT_HALF


def measured(run: dict) -> dict:
    """Do one run; return its row."""
    warnings.simplefilter("ignore", opty.MisfitWarning)
    data = scene(run["n"], 6, run["sigma"], run["seed"], run["part"] != "far")
    start = opty.PtychoState(data, threads=1, device="cpu")
    text, sweeps = recipe_of(run)
    begun = time.process_time()
    p = finished(opty.parse(text) ** sweeps, start)
    seconds, truth = time.process_time() - begun, data.truth["positions"]
    row = run | dict(recipe=text, sweeps=sweeps, start=median_error(start), left=median_error(p))
    for name, places in (("start_affine", start.positions), ("left_affine", p.positions)):
        row[name] = opty.analysis.position_error(places, truth, affine=True)
    row["object_error"] = opty.analysis.errors(p)["object"]
    for name in ("object_change", "position_signal"):
        if name in p.history:
            row[name] = [p.history[name][k] for k in (0, len(p.history[name]) // 2, -1)]
    error = p.history["position_error"]
    row["curve"] = list(error[:: max(len(error) // 10, 1)])
    row = {k: _short(v) for k, v in row.items()}
    return row | dict(seconds=round(seconds, 1))


def _short(value):
    if isinstance(value, list):
        return [_short(v) for v in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


@dataclass(frozen=True)
class Finding:
    """One of the paper's: a ratio of what methods leave, and the limit beyond which it holds."""

    words: str
    ratio: Callable[[dict[str, float]], float]  # of the errors left by each method, and that of the start
    limit: float
    below: bool = False

    def holds(self, left: dict[str, float]) -> bool:
        """Whether it does, in one run of all methods."""
        ratio = self.ratio(left)
        return ratio < self.limit if self.below else ratio > self.limit


FINDINGS = (
    Finding("gain 1 with A leaves most of the error (S9)", lambda v: v["S9: gain 1, A"] / v["start"], 0.5),
    Finding("gain 1 with B leaves most of the error (S10)", lambda v: v["S10: gain 1, B"] / v["start"], 0.5),
    Finding("Adam with A corrects to less than half (S11)", lambda v: v["S11: Adam, A"] / v["start"], 0.5, below=True),
    Finding("Adam with B leaves more than Adam with A (S12)", lambda v: v["S12: Adam, B"] / v["S11: Adam, A"], 1),
    Finding(
        "serial and gradient leave more than Adam (S13, S14)",
        lambda v: min(v["S13: serial"], v["S13: gradient"]) / v["S11: Adam, A"],
        1,
    ),
)


def main() -> int:
    """Run, print, write; exit code 3 where runs are left to do."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", default=list(SWEEPS), help="near, far, engines; all without one")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--half", action="store_true", help="64 px, half the errors, 60 sweeps")
    parser.add_argument("--minutes", type=float, default=np.inf, help="after which no run begins")
    parser.add_argument("-o", "--output", type=Path, default=RECORD, help="the record")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(SWEEPS):
        parser.error(f"no part called {', '.join(sorted(unknown))}; there are {', '.join(SWEEPS)}")
    rows = json.loads(given.output.read_text())["rows"] if given.output.exists() else []
    key = ("part", "n", "sigma", "seed", "method")
    done = {tuple(r[k] for k in key) for r in rows}
    left = [
        run
        for run in runs(given.parts, given.seeds, 64 if given.half else 128)
        if tuple(run[k] for k in key) not in done
    ]
    begun, sources = time.monotonic(), commit()  # those that are loaded: others may come meanwhile
    while left and time.monotonic() - begun < 60 * given.minutes:
        row = measured(left.pop(0)) | dict(commit=sources)
        print(*(f"{k} {row[k]}" for k in (*key, "start", "left", "left_affine", "seconds")), flush=True)
        keep_in(given.output, [row], key)
    print(f"{len(left)} runs are left: call again" if left else "all runs are done")
    return 3 if left else 0


if __name__ == "__main__":
    sys.exit(main())

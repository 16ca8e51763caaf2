"""The study of position refinement: methods, starting errors, noise, seeds. Prints tables, writes JSON and pictures.

``python -m benchmarks.positions [short | full | PART ...] [--jobs J] [--seeds S]``

The work is ``opty.simulate.misplaced_scan``: 100 views of 128 x 128, positions wrong by 8 px on the mean, Guzzi et al.
2022's own test. eps_g is the mean distance from the true positions [px] once the mean offset is taken off, "affine"
the same once the best affine map is. But for part engines, all runs are with ``ePIE()``; seconds are CPU seconds of one
thread.
``short`` (two minutes) is one seed of the main parts with fewer iterations; ``full`` takes 40 minutes on two cores.
Part star needs the real scan; it says so and is left out where there is none.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import opty
from benchmarks import cases
from benchmarks.position_pictures import draw, draw_star
from benchmarks.record import keep
from benchmarks.scans import pictured
from opty.simulate import misplaced_scan, stage

SHARES = (2, 4, 6, 8, 10, 12, 15, 20)  # starting errors, percent of a view
FIVE = dict()  # what misplaced_scan does by itself: Gaussian errors of 5 percent of a view
CASES = {
    "far field, 5 %": FIVE,
    "near field, 5 %": dict(near=True),
    "far field, range 7 px": dict(error=3.5),
    "far field, range 14 px": dict(error=7.0),
    "far field, 5 %, 3 modes": dict(modes=3),
    "far field, 5 %, 1e5 photons": dict(photons=1e5),
    "far field, scale 1.02, rotation 1 degree": dict(error=stage.Affine(scale=1.02, rotation=np.deg2rad(1))),
    "far field, drift (6, -4) px": dict(error=stage.Drift(by=(6, -4))),
    "far field, in place, 1e4 photons": dict(error=0.0, photons=1e4),
} | {f"far field, {share} %": dict(error=stage.Gaussian(1.28 * share)) for share in SHARES}
WHOLE = "(WholePixels() * {} * ePIE())"
METHODS = (
    "ePIE()",
    "PosCorrectGain() * ePIE()",
    "PosCorrectGain(signal='detector') * ePIE()",
    WHOLE.format("PosCorrectGain()"),
    "PosCorrectAdam(step=0.3, decay=0.0) * ePIE()",
    "PosCorrectAdam(step=1.0, decay=0.0) * ePIE()",
    "PosCorrectAdam(step=5.0, decay=0.0) * ePIE()",
    "PosCorrectAdam(step=1.0) * ePIE()",
    "PosCorrectAdam(step=0.3, decay=0.0, signal='detector') * ePIE()",
    WHOLE.format("PosCorrectAdam(step=1.0)"),
    "PosCorrectSerial() * ePIE()",
    "PosCorrectAnneal() * ePIE()",
    "PosCorrectGradient(gain=1.0) * ePIE()",
    "PosCorrectGradient() * ePIE()",
    "Every(20, PosSearch()) * PosCorrectAdam(step=1.0) * ePIE()",
    "PosCorrect() * ePIE()",
)
RIVALS = ("PosCorrectAdam(step=1.0) * ePIE()", "PosCorrectSerial() * ePIE()", "PosCorrectGradient() * ePIE()")
OURS = "PosCorrect() * ePIE()"


class WholePixels(
    opty.Operator,
    reads="positions exact_positions",
    writes="positions",
    slots=opty.Leaf("exact_positions", "view 2", unit="px", scale=0),
):
    """Show the engine positions rounded to whole pixels, as Guzzi et al. 2022 do; refinement goes on beneath."""

    def apply(self, s):
        if s.create("exact_positions"):
            s.exact_positions = s.positions.copy()
        else:
            s.exact_positions += s.positions - np.rint(s.exact_positions)
        s.positions = np.rint(s.exact_positions)


def parts(seeds: int) -> dict[str, list[dict]]:
    """Return the runs of each part."""
    five, ranges = ("far field, 5 %", "near field, 5 %"), ("far field, range 7 px", "far field, range 14 px")

    def runs(cases, recipes, stops, seeds=seeds, **options):
        return [
            dict(case=c, recipe=r, stops=stops, seed=s, **options) for c in cases for r in recipes for s in range(seeds)
        ]

    shares = [f"far field, {share} %" for share in SHARES]
    engines = ("rPIE(alpha=0.05)", "rPIE(batch=16)", "mPIE()", "LSQML()", "AP()", "DM()", "ML()")
    model = "PosModel(strength=0.0) * PosModel('drift', strength=0.0) * PosCorrect() * ePIE()"
    return {
        "default": runs((*five, *ranges), (OURS,), (100, 300)),
        "ranges": runs(ranges, (*RIVALS, OURS), (100,), pictures=True),
        "methods": runs(five, METHODS, (100,), 1, pictures=True),
        "harder": runs(list(CASES)[4:6], (OURS,), (100, 300), min(seeds, 2)),
        "map": runs(list(CASES)[6:8], (model,), (100,), 1),
        "in place": runs(list(CASES)[8:9], (OURS,), (100,), min(seeds, 3), truth=True),
        "breakdown": runs(shares, (RIVALS[0], OURS), (150,), 1, margin=96),
        "engines": runs(five[:1], [f"PosCorrect() * {engine}" for engine in engines], (100,), 1),
    }


def measured(run: dict) -> tuple[dict, dict | None]:
    """Do one run; returns its numbers at each stop, and what a picture of it needs where one is asked for."""
    warnings.simplefilter("ignore", opty.MisfitWarning)
    case = CASES[run["case"]]
    data = misplaced_scan(seed=run["seed"], **case)
    p = opty.PtychoState(data, threads=1, modes=case.get("modes"), margin=run.get("margin"))
    truth = data.truth["positions"]
    if run.get("truth"):
        p = p.replace(positions=truth + (p.positions - truth).mean(axis=0))
    if run["recipe"].startswith("(WholePixels"):
        p = WholePixels() * p
    begun, numbers, start = time.process_time(), {}, p.positions
    for stop in run["stops"]:
        p = continued(run["recipe"], stop, p)
        eps = [opty.analysis.position_error(p.positions, truth, affine=affine) for affine in (False, True)]
        numbers[str(stop)] = [float(f"{v:.4g}") for v in eps]
    seconds = round((time.process_time() - begun) / max(p.iteration, 1), 4)
    found = {k: v for k, v in run.items() if k != "pictures"} | dict(numbers=numbers, seconds_per_iteration=seconds)
    if run.get("truth"):
        moved = p.positions - start
        found["moved_rms"] = float(f"{np.sqrt(((moved - moved.mean(axis=0)) ** 2).sum(axis=1).mean()):.3g}")
    models = (name for name in p.history if name.startswith("model_") and name != "model_iteration")
    found |= {name: [round(float(v), 5) for v in p.history[name][-2:]] for name in models}
    return found, shown(p) if run.get("pictures") and run["seed"] == 0 else None


def continued(recipe: str, stop: int, p: opty.PtychoState) -> opty.PtychoState:
    """Go on to an iteration; a run that diverges ends with its last finite state."""
    try:
        return opty.parse(recipe) ** (stop - p.iteration) * p
    except opty.DivergedError as error:
        return error.state


def shown(p: opty.PtychoState) -> dict:
    """Return what a picture of a run needs: curves, the lit part of the object, the probe."""
    low, high = np.rint(p.data.positions_px.min(axis=0) + p.origin), np.rint(p.data.positions_px.max(axis=0) + p.origin)
    lit = tuple(slice(int(a) + 16, int(z) + 112) for a, z in zip(low, high, strict=True))
    names = ("object_change", "position_signal", "position_error")
    curves = {name: p.history[name] for name in names if name in p.history}
    return dict(curves=curves, obj=p.numpy("obj")[lit], probe=p.numpy("probe")[0])


def table(rows: list[dict]) -> None:
    """Print the median and the worst over seeds of each case, recipe and stop."""
    print("| case | recipe | iterations | seeds | eps_g median | worst | affine median | worst | s / iteration |")
    print("|" + "---|" * 9)
    for case, recipe in dict.fromkeys((r["case"], r["recipe"]) for r in rows):
        same = [r for r in rows if (r["case"], r["recipe"]) == (case, recipe)]
        seconds = np.median([r["seconds_per_iteration"] for r in same])
        for stop in same[0]["numbers"]:
            eps = np.array([r["numbers"][stop] for r in same])
            shown = " | ".join(
                f"{v:.4f}" for pair in zip(np.median(eps, axis=0), eps.max(axis=0), strict=True) for v in pair
            )
            print(f"| {case} | `{recipe}` | {stop} | {len(same)} | {shown} | {seconds:.3f} |", flush=True)


def scan_a() -> list[dict]:
    """Scan A with every position wrong by up to 2 px: rms error after 150 iterations."""
    a, rows = pictured(cases.A), []
    wrong = a["pos"] + np.random.default_rng(1).uniform(-2, 2, a["pos"].shape)
    for recipe in ("PosCorrect() * ePIE()", "PosCorrect() * mPIE()"):
        start = opty.PtychoState(opty.PtychoData(a["diff"], wrong), probe=a["probe0"], threads=1)
        p, numbers = start, {}
        for stop in (0, 100, 150, 200):
            p = continued(recipe, stop, p)
            off = p.positions - a["pos"]
            off = off - off.mean(axis=0)
            numbers[str(stop)] = float(f"{np.sqrt((off**2).sum(axis=1).mean()):.4g}")
        print(f"scan A, up to 2 px: {recipe}: rms error [px] {numbers}", flush=True)
        rows.append(dict(case="scan A, up to 2 px", recipe=recipe, seed=0, rms=numbers))
    return rows


def star(file: Path, pictures: Path) -> list[dict]:
    """The real Siemens star, three modes, 30 iterations with and without refinement: misfit, R-factor, pictures."""
    data, done, rows = opty.load(file), {}, []
    for recipe in ("rPIE(alpha=0.05)", "PosCorrect() * rPIE(alpha=0.05)"):
        done[recipe] = p = opty.parse(recipe) ** 30 * opty.PtychoState(data, modes=3, threads=1)
        numbers = dict(mean_square=round(opty.analysis.mean_square(p), 5), r_factor=round(opty.analysis.r_factor(p), 5))
        print(f"Siemens star: `{recipe}` {numbers}", flush=True)
        rows.append(dict(case="Siemens star, 3 modes, 30 iterations", recipe=recipe, seed=0, **numbers))
    draw_star(done, pictures / "positions_star.png")
    return rows


def seconds() -> list[dict]:
    """CPU seconds per iteration with and without refinement, in turns, the median of seven; search included."""
    recipes, rows = ("ePIE()", OURS, *RIVALS, "rPIE(alpha=0.05)", "PosCorrect() * rPIE(alpha=0.05)"), []
    for case in list(CASES)[:2]:
        start = opty.PtychoState(misplaced_scan(**CASES[case]), threads=1)
        states = {text: opty.parse(text) ** 2 * start for text in recipes}
        taken = {text: [] for text in recipes}
        for _ in range(7):
            for text in recipes:
                begun = time.process_time()
                states[text] = opty.parse(text) ** 20 * states[text]
                taken[text].append((time.process_time() - begun) / 20)
        for text in recipes:
            plain = taken["rPIE(alpha=0.05)" if "rPIE" in text else "ePIE()"]
            ratio = float(np.median(np.divide(taken[text], plain)))
            print(
                f"{case}: `{text}` {np.median(taken[text]):.4f} s an iteration, {ratio:.2f} times the engine alone",
                flush=True,
            )
            rows.append(
                dict(case=case, recipe=f"seconds of {text}", seed=0, seconds=float(np.median(taken[text])), ratio=ratio)
            )
    return rows


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", default=["short"], help="short, full, or some of the parts")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--seeds", type=int, default=5, help="seeds of the parts that have several")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the real scan")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results"), help="folder to write to")
    parser.add_argument("--pictures", type=Path, default=Path("docs"), help="folder for the pictures")
    options = parser.parse_args()
    study = parts(options.seeds)
    names = options.parts
    if names == ["short"]:
        study = {
            "short": [
                r | {"stops": (60,), "pictures": False}
                for r in study["methods"]
                if r["recipe"] in (*RIVALS, OURS, "ePIE()")
            ]
        }
        names = ["short"]
    elif names == ["full"]:
        names = [*study, "scan a", "star", "seconds"]
    known = [*study, "scan a", "star", "seconds", "short", "full"]
    if unknown := set(names) - set(known):
        parser.error(f"no part called {sorted(unknown)}; there are {', '.join(known)}")
    real = options.data / "siemens-star-small.npz.bz2"
    with ProcessPoolExecutor(options.jobs) as pool:
        for name in names:
            print(f"\n{name}", flush=True)
            if name == "seconds":
                rows = seconds()
            elif name == "scan a":
                rows = scan_a()
            elif name == "star" and not real.exists():
                print(f"left out: {real} is not there")
                continue
            elif name == "star":
                rows = star(real, options.pictures)
            else:
                done = list(pool.map(measured, study[name]))
                rows = [row for row, _ in done]
                table(rows)
                draw(name, [(row, picture) for row, picture in done if picture], rows, options.pictures)
            if name != "short":
                rows = [dict(part=name, **row) for row in rows]
                keep(options.output, "positions", rows, ("part", "case", "recipe", "seed"))


if __name__ == "__main__":
    main()

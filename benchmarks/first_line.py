"""How near the first line of the README, and ``opty.auto``, come to the best of twenty recipes from the best start.

Scans whose positions are right, at whole pixels: one mode, a zone-plate-like aberrated probe out of focus, no probe in
the data. The twenty (recipe_list.py) run from a rough start, a flat pupil at 73 percent of the defocus, and from the
searched one; the best is known from the truth alone.

python -m benchmarks.first_line list SEED ...     the twenty from both starts
python -m benchmarks.first_line line SEED ...     the first line of the README, as it was and as it is
python -m benchmarks.first_line auto SEED ...     opty.auto
python -m benchmarks.first_line table             what is recorded, as a table
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np

import opty
from benchmarks.drawn_scans import PICTURES, object_error
from benchmarks.recipe_list import twenty
from opty import ML, PosCorrect, ScaleObjProbe, rPIE
from opty.simulate import experiment, objects, scans

RESULTS = Path(__file__).parent / "results" / "first_line"
N, VIEWS, SWEEPS = 64, 120, 200
CUTOFF = 0.16  # cycles per pixel: the aperture of the pupil
MINUTES = 5.0


def draw(seed: int) -> tuple[opty.PtychoData, np.ndarray]:
    """Draw a scan, and the rough start (n, n) for it."""
    rng = np.random.default_rng([22, seed])
    f = np.fft.fftshift(np.fft.fftfreq(N))
    r, t = np.hypot(f[:, None], f) / CUTOFF, np.arctan2(f[:, None], f)
    stop = float(rng.choice((0.0, 0.35)))
    pupil = 1 / (1 + np.exp((r - 1) / 0.04)) * (1 - (stop > 0) / (1 + np.exp((r - stop) / 0.04)))
    defocus = float(rng.choice((1, -1)) * rng.uniform(5.0, 8.0))
    wave = defocus * r**2 + rng.uniform(0.3, 1.2) * r**2 * np.cos(2 * (t - rng.uniform(0, np.pi)))
    wave = wave + rng.uniform(0.3, 0.9) * (3 * r**3 - 2 * r) * np.cos(t - rng.uniform(0, 2 * np.pi))
    probe = _transformed(pupil * (1 + 0.25 * f / CUTOFF) * np.exp(1j * wave))
    places = scans.fermat(VIEWS, float(rng.uniform(3.5, 5.0)))
    places = np.rint(places - places.min(axis=0))
    shape = tuple(int(np.ptp(x)) + N + 24 for x in places.T)
    pictures = tuple(rng.choice(PICTURES, 2, replace=False))
    obj = objects.two_images(shape, pictures, (0.5, 1.0), (-1.1, 1.1))
    data = experiment(obj, probe, places, photons=float(10 ** rng.uniform(4.5, 6.0)), seed=seed)
    rough = _transformed((r < 0.94) * np.exp(0.73j * defocus * r**2))
    power = float(data.photons().mean())
    return data, rough * np.sqrt(power / (np.abs(rough) ** 2).sum())


def _transformed(pupil: np.ndarray) -> np.ndarray:
    return np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(pupil))).astype(np.complex64)


def run(recipe: opty.Operator, data: opty.PtychoData, probe: np.ndarray | None, modes: int = 1) -> dict:
    """Return error and CPU seconds of a run; the search of a probe is part of them where ``probe`` is a text."""
    began = time.process_time()
    bare = data.replace(truth=None)
    try:
        start = opty.analysis.find_probe(bare, threads=1).probe if isinstance(probe, str) else probe
        p = recipe * opty.PtychoState(bare, start, modes=modes, threads=1)
        error = object_error(p, data.truth)
    except opty.DivergedError:
        error = None
    return {"error": error, "seconds": round(time.process_time() - began, 2)}


def listed(seed: int) -> list[dict]:
    """Return a row for each of the twenty and each start."""
    data, rough = draw(seed)
    starts = {"rough": rough, "searched": opty.analysis.find_probe(data.replace(truth=None), threads=1).probe}
    return [
        {"seed": seed, "start": name, "recipe": repr(recipe), **run(recipe, data, probe)}
        for recipe in twenty()
        for name, probe in starts.items()
    ]


def lines(seed: int) -> list[dict]:
    """Return a row for the first line of the README as it was, and as it is."""
    data, _ = draw(seed)
    moving = PosCorrect() * rPIE()
    made = {
        "as it was": (moving**SWEEPS * ScaleObjProbe(), None),
        "from the searched probe": (moving**SWEEPS * ScaleObjProbe(), "searched"),
        "as it is": (ML() ** 30 * moving**100 * ScaleObjProbe(), "searched"),
    }
    return [
        {"seed": seed, "line": name, "recipe": repr(recipe), **run(recipe, data, start, modes=3)}
        for name, (recipe, start) in made.items()
    ]


def chosen(seed: int) -> list[dict]:
    """Return a row for what auto makes of a scan."""
    data, _ = draw(seed)
    began = time.process_time()
    found = opty.auto(data.replace(truth=None), minutes=MINUTES, threads=1)
    row = {"seed": seed, "recipe": found.expression, "verdict": found.verdict.word}
    seconds = round(time.process_time() - began, 1)
    return [row | {"error": object_error(found.state, data.truth), "seconds": seconds}]


def table() -> None:
    """Print a line for each scan that is recorded."""
    print("| seed | best of the twenty | from | error | line as it was | searched probe | line as it is | auto |")
    print("|---|---|---|---|---|---|---|---|")
    for file in sorted(RESULTS.glob("list-*.json")):
        best = min((r for r in json.loads(file.read_text()) if r["error"] is not None), key=lambda r: r["error"])
        cells = [f"`{best['recipe']}`", best["start"], f"{best['error']:.3f}"]
        for command in ("line", "auto"):
            other = RESULTS / file.name.replace("list", command)
            some = json.loads(other.read_text()) if other.exists() else []
            cells += [f"{r['error']:.3f} ({r['error'] / best['error']:.2f}), {r['seconds']:.0f} s" for r in some]
        print(f"| {best['seed']} | {' | '.join(cells)} |")


def main(command: str, *seeds: str) -> None:
    """Run a command on some seeds, and keep what came out."""
    warnings.simplefilter("ignore")
    if command == "table":
        return table()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for seed in map(int, seeds):
        found = {"list": listed, "line": lines, "auto": chosen}[command](seed)
        (RESULTS / f"{command}-{seed}.json").write_text(json.dumps(found, indent=1) + "\n")
        best = min((row for row in found if row["error"] is not None), key=lambda row: row["error"])
        for row in [best] if command == "list" else found:
            print(row, flush=True)
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A beam inclined to what stands upright through several slices: is the tilt found, and what becomes of the slices?

    python -m benchmarks.tilt [SEED ...] [--photons N]

Each seed draws what all slices share, a picture or 500 dots, how many slices there are (3 to 6) and the gap between
them (3 to 9 pixel^2 / wavelength), the way of the beam across them (up to 5 px from the first to the last), and for
each slice a strength (0.8 to 1.2) and a third of its phase that no other slice has: 100 views of 64 x 64 under an
aperture out of focus. Runs begin with flat slices, an upright beam and a probe of 8 percent more defocus; 50 sweeps of
rPIE(alpha=0.05, batch=4): with RegisterSlices every fifth sweep; with SmoothSlices(0.25) too, from the 21st on; and
without both, with the true tilt. Kept are the way across that the tilt is off [px], its standard error, the error of
the worst slice, wherever it lies, and the misfit. Noise-free without ``--photons``.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import opty
from benchmarks.record import keep
from benchmarks.thick import GEOMETRY, PICTURES, PIXEL, WAVELENGTH, aperture, layer
from opty.model import Slices
from opty.simulate import experiment, objects

SIZE, OWN = 120, 0.3
RECIPES = {
    "registered": "After(5, Every(5, RegisterSlices())) * {}",
    "smoothed too": "After(5, Every(5, RegisterSlices())) * After(20, SmoothSlices(0.25)) * {}",
    "tilt known": "{}",
}


def shared(rng: np.random.Generator) -> np.ndarray:
    """Return what all slices have in common (SIZE, SIZE), from 0 to 1."""
    if rng.random() < 0.5:
        phase = np.angle(layer(str(rng.choice(PICTURES)), SIZE))
    else:
        row, col = np.indices((SIZE, SIZE))
        dots = rng.uniform(4, SIZE - 4, (500, 2))
        phase = sum(np.exp(-((row - r) ** 2 + (col - c) ** 2) / 4.5) for r, c in dots)
    return (phase - phase.min()) / np.ptp(phase)


def drawn(seed: int, photons: float | None) -> tuple[opty.PtychoData, Slices, np.ndarray]:
    """Return the measurement, its slices with the true tilt, and a starting probe."""
    rng = np.random.default_rng([77, seed])
    common, count, turns = shared(rng), int(rng.integers(3, 7)), rng.uniform(3, 9)
    way, angle = 5 * rng.random() ** 0.5, rng.uniform(0, 2 * np.pi)
    gap = float(turns * PIXEL**2 / WAVELENGTH)
    tilt = np.arctan(way * np.array([np.sin(angle), np.cos(angle)]) * PIXEL / (gap * (count - 1)))
    slices = []
    for k in range(count):
        own = np.angle(objects.random_phase((SIZE, SIZE), feature=4, phase_range=(0, 1), seed=100 * seed + k))
        phase = 0.5 * rng.uniform(0.8, 1.2) * common + 0.5 * OWN * own
        slices.append((1 - 0.15 * phase) * np.exp(1j * phase))
    grid = np.indices((10, 10)).reshape(2, -1).T * 5.0 + 3
    places = grid + rng.uniform(-1.5, 1.5, grid.shape)
    model = Slices(count, gap, tilt=(float(tilt[0]), float(tilt[1])))
    data = experiment(np.array(slices), aperture(78.0), places, photons, geometry=GEOMETRY, model=model, seed=seed)
    return data, model, aperture(84.0) * np.sqrt((photons or 1e6) / 1e6)


def run(seed: int, photons: float | None) -> list[dict]:
    """Run the recipes on a scan."""
    data, model, probe = drawn(seed, photons)
    truth, depth = data.truth, model.spacing * (model.n - 1) / PIXEL
    way, rows = np.tan(model.tilt) * depth, []
    lit = opty.analysis.illuminated(np.rint(truth["positions"]).astype(int), truth["probe"], (SIZE, SIZE))
    for name, recipe in RECIPES.items():
        sample = model if name == "tilt known" else Slices(model.n, model.spacing)
        p = opty.PtychoState(data, probe, obj=np.ones((model.n, SIZE, SIZE), np.complex64), model=sample, threads=1)
        q = opty.parse(recipe.format("rPIE(alpha=0.05, batch=4)")) ** 50 * p.replace(positions=truth["positions"])
        off = np.tan(q.tilt) * depth - way
        errors = [
            opty.analysis.object_error(a, b, mask=lit, offset=(0, 0))
            for a, b in zip(q.numpy("obj"), truth["obj"], strict=True)
        ]
        error = q.history["tilt_error"][-1] * depth if "tilt_error" in q.history else None
        row = {
            "seed": seed,
            "photons": photons,
            "recipe": name,
            "slices": model.n,
            "turns": round(model.spacing * WAVELENGTH / PIXEL**2, 2),
            "way": np.round(way, 3).tolist(),
            "off": np.round(off, 3).tolist(),
            "standard error": error and round(float(error), 4),
            "worst slice": round(max(errors), 4),
            "misfit": float(f"{opty.misfit(q):.3g}"),
        }
        print(row, flush=True)
        rows.append(row)
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("seeds", nargs="*", type=int, default=[1], help="which scans")
    parser.add_argument("--photons", type=float, help="counted photons a view; default: no noise")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results"), help="folder to write to")
    options = parser.parse_args()
    warnings.simplefilter("ignore", opty.MisfitWarning)
    for seed in options.seeds:
        keep(options.output, "tilt", run(seed, options.photons), ("seed", "photons", "recipe"))


if __name__ == "__main__":
    main()

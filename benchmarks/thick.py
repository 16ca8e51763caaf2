"""Two slices behind each other: the error of the worse slice against CPU seconds, by engine, on scans drawn by seed.

    python -m benchmarks.thick [SEED ...] [--photons N] [--engines NAME ...]

Each seed draws two pictures, one behind the other, and their distance, 12 to 20 pixel^2 / wavelength, seen in 156
views of 64 x 64 (12 x 13, 5 px apart, 1.5 px of jitter at most) under an aperture out of focus. Runs begin with flat
slices and a probe of 13 percent more defocus. Noise-free without ``--photons``. Kept are the error of the worse slice
where there is a tenth of the brightest light, the misfit, and CPU seconds of one thread, each 25 sweeps.
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
from benchmarks.stops import run_to
from opty.model import Slices
from opty.simulate import experiment, objects

N, SIZE, PIXEL, WAVELENGTH = 64, 136, 1e-8, 1e-10
GEOMETRY = opty.Geometry(WAVELENGTH, N * PIXEL * 5e-5 / WAVELENGTH, 5e-5)
PICTURES = ("brick", "camera", "cell", "coins", "grass", "gravel", "moon", "page", "text")
LIVE = "rPIE(alpha=0.02)"  # one view at a time: what the others are measured against
ENGINES = (LIVE, "rPIE(alpha=0.02, batch=4)", "mPIE(alpha=0.02)", "Anderson() * rPIE(alpha=0.02, batch=4)", "ML()")
STOPS = (25, 50, 75, 100)


def layer(name: str, size: int = SIZE) -> np.ndarray:
    """Return a picture as a slice (size, size): 0.85 to 1 in magnitude, 0 to 0.8 rad in phase."""
    from skimage.transform import resize

    grey = resize(objects.picture(name).astype(float), (size, size), anti_aliasing=True)
    grey = (grey - grey.min()) / np.ptp(grey)
    return (1 - 0.15 * grey) * np.exp(0.8j * grey)


def aperture(defocus: float) -> np.ndarray:
    """Return a defocused aperture as a probe (1, n, n) of 1e6 photons."""
    q = np.fft.fftfreq(N)
    radius = np.hypot(q[:, None], q)
    pupil = np.exp(1j * np.pi * defocus * radius**2) / (1 + np.exp((radius - 0.18) / 0.008))
    probe = np.fft.fftshift(np.fft.ifft2(pupil))[None]
    return probe * np.sqrt(1e6 / (np.abs(probe) ** 2).sum())


def drawn(seed: int, photons: float | None) -> tuple[opty.PtychoState, np.ndarray]:
    """Return the start of a scan, and where its slices are compared with the truth."""
    rng = np.random.default_rng([31, seed])
    names, turns = rng.choice(PICTURES, 2, replace=False), float(rng.uniform(12, 20))
    model = Slices(2, turns * PIXEL**2 / WAVELENGTH)
    grid = np.indices((12, 13)).reshape(2, -1).T * 5.0 + 3
    places = grid + rng.uniform(-1.5, 1.5, grid.shape)
    slices = np.array([layer(str(name)) for name in names])
    data = experiment(slices, aperture(78.0), places, photons, geometry=GEOMETRY, model=model, seed=seed)
    start = aperture(88.0) * np.sqrt((photons or 1e6) / 1e6)
    p = opty.PtychoState(data, start, obj=np.ones_like(slices, np.complex64), model=model, threads=1)
    p = p.replace(positions=data.truth["positions"])
    return p, opty.analysis.illuminated(np.rint(p.positions).astype(int), data.truth["probe"], slices.shape[1:])


def run(seed: int, photons: float | None, engine: str) -> dict:
    """Run an engine on a scan; return what it reached at each stop."""
    p, lit = drawn(seed, photons)
    found = []
    for seconds, q in run_to(opty.parse(engine), p, STOPS):
        pairs = zip(q.numpy("obj"), q.data.truth["obj"], strict=True)
        worse = max(opty.analysis.object_error(a, b, mask=lit, offset=(0, 0)) for a, b in pairs)
        found.append([float(f"{v:.3g}") for v in (seconds, worse, opty.misfit(q))])
    row = dict(seed=seed, photons=photons, engine=engine, seconds_error_misfit=found)
    cells = " | ".join(f"{error:.4f} ({seconds:.1f} s)" for seconds, error, _ in found)
    print(f"| {seed} | {photons or 'no noise'} | `{engine}` | {cells} |", flush=True)
    return row


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("seeds", nargs="*", type=int, default=[1], help="which scans")
    parser.add_argument("--photons", type=float, help="counted photons a view; default: no noise")
    parser.add_argument("--engines", nargs="+", default=ENGINES, help="recipes of a sweep")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results"), help="folder to write to")
    options = parser.parse_args()
    warnings.simplefilter("ignore", opty.MisfitWarning)
    print(f"| seed | photons | engine | {' | '.join(f'{stop} sweeps' for stop in STOPS)} |\n" + "|---" * 7 + "|")
    for seed in options.seeds:
        rows = [run(seed, options.photons, engine) for engine in options.engines]
        keep(options.output, "thick", rows, ("seed", "photons", "engine"))


if __name__ == "__main__":
    main()

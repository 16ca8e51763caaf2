"""Samples that change the phase by several turns: the error of the unwrapped phase, with and without RemoveVortices.

    python -m benchmarks.thick_phase [SEED ...] [--engines NAME ...] [--index]

Each seed draws two scans of 32 x 32 pixels with 1 px of jitter, 10^5 counted photons a view, of a sample with fine
detail of 0.3 rad. "balls": fourteen balls, 14 to 20 rad, 13 x 13 views 4.5 px apart, the probe moved by the simulator
of opty; a probe that starts with 12 percent more defocus. "hills": twelve Gaussian hills and hollows, 22 to 30 rad,
whose formula gives the phase at each place, so that the sample moves and nothing is interpolated; 11 x 11 views 5.5 px
apart, a lens with a central stop, 2 percent dead pixels, 15 percent more defocus. Each recipe is run with and without
vortices removed in every tenth iteration from 40 to 100, of 120; with --index the unknown is in a third run u in place
of O = exp(i u). Kept are, of the lit area, points around which the phase does not close, the share of pixels that are
turns off after unwrapping (of u: that differ from the unwrapped phase of exp(i u)), the error of the phase less a
plane, a shift and whole turns [rad], and the misfit; settled: the error after 60 iterations of ML() more; steps and
closed: pairs of pixels of the truth more than pi apart, and whether its phase closes.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import opty
from benchmarks.record import keep
from opty.analysis import phase_map
from opty.model import Element
from opty.model.geometry_numbers import added
from opty.model.sample import OBJ
from opty.model.sums import state_power, state_sum, times
from opty.physics.optics import aperture_probe
from opty.physics.vortices import residues
from opty.simulate import experiment, probes, scans

N, WAVELENGTH = 32, 1e-9
GEOMETRY = opty.Geometry(wavelength=WAVELENGTH, distance=0.032, pixel_size=1e-4)
PIXEL = GEOMETRY.sample_pixel(N)
ENGINES = ("rPIE(alpha=0.1, batch=4)", "LSQML(batch=8)", "ML()")
CLOSED = "After(30, Before(100, Every(10, RemoveVortices())))"
SWEEPS, SIZE = 120, 100


def hills(rng: np.random.Generator, centres: int, sizes: tuple[float, float], heights: np.ndarray):
    """Return a sum of Gaussian hills as a function of rows (H, 1) and columns (1, W) [px]."""
    places, widths = rng.uniform(0, SIZE, (centres, 2)), rng.uniform(*sizes, centres)

    def phase(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        total = np.zeros((rows.shape[0], columns.shape[1]))
        for (row, column), width, height in zip(places, widths, heights, strict=True):
            total += (
                height
                * np.exp(-((rows - row) ** 2) / (2 * width**2))
                * np.exp(-((columns - column) ** 2) / (2 * width**2))
            )
        return total

    return phase


def sample(kind: str, seed: int):
    """Return the phase [rad] as a function of rows and columns [px], and the scan's places (N, 2) [px]."""
    rng = np.random.default_rng([57, seed, kind == "hills"])
    grid = np.arange(float(SIZE))
    fine = hills(rng, 700, (1.2, 2.0), 0.3 * rng.choice([-1, 1], 700))
    span = rng.uniform(14, 20) if kind == "balls" else rng.uniform(22, 30)
    if kind == "hills":
        broad = hills(rng, 12, (9, 16), rng.choice([-1, 1], 12))
    else:
        balls = list(zip(rng.uniform(0, SIZE, (14, 2)), rng.uniform(9, 22, 14), strict=True))

        def broad(rows, columns):
            depth = [np.maximum(r**2 - (rows - c[0]) ** 2 - (columns - c[1]) ** 2, 0) for c, r in balls]
            return sum(np.sqrt(d + 1) - 1 for d in depth)

    scale = span / np.ptp(broad(grid[:, None], grid[None]))

    def phase(rows, columns):
        return scale * broad(rows, columns) + fine(rows, columns)

    grid, step = ((13, 13), 4.5) if kind == "balls" else ((11, 11), 5.5)
    return phase, scans.raster(grid, step=step, jitter=1, seed=seed) + 2


def drawn(kind: str, seed: int) -> tuple[opty.PtychoState, Callable[[np.ndarray], np.ndarray]]:
    """Return the start of a scan, and the true phase on the pixels of its object, moved by (2,) px."""
    phase, places = sample(kind, seed)
    grid = np.arange(float(SIZE))
    if kind == "balls":
        u = phase(grid[:, None], grid[None])
        true, start = (spherical(distance) for distance in (5e-6, 5.6e-6))
        data = experiment(np.exp(1j * u - 0.005 * u), true, places, photons=1e5, geometry=GEOMETRY, seed=seed)
        places = data.truth["positions"]  # of the pixels of the sample
    else:
        true, start = (lens(defocus) for defocus in (1.5e-6, 1.725e-6))
        rng = np.random.default_rng([58, seed])
        true = true * np.sqrt(1e5 / (abs(true) ** 2).sum())
        waves = []
        for row, column in places:
            u = phase(row + np.arange(N)[:, None], column + np.arange(N)[None])
            waves.append(true * np.exp(1j * u - 0.005 * u))
        patterns = abs(np.fft.fftshift(np.fft.fft2(waves, norm="ortho"), axes=(-2, -1))) ** 2
        alive = rng.random((N, N)) > 0.02
        data = opty.PtychoData(rng.poisson(patterns) * alive, places * PIXEL, mask=alive, geometry=GEOMETRY)
    p = opty.ScaleObjProbe() * opty.PtychoState(data, probe=start, threads=1)
    first = places[0] - p.positions[0]

    def truth(move: np.ndarray) -> np.ndarray:
        rows, columns = (at - by + np.arange(size) for at, by, size in zip(first, move, p.obj.shape, strict=True))
        return phase(rows[:, None], columns[None])

    return p, truth


def spherical(distance: float) -> np.ndarray:
    """Return a defocused spot (1, n, n)."""
    return probes.spherical_wave(N, WAVELENGTH, PIXEL, distance=distance, aperture=0.6 * N * PIXEL, edge=3)


def lens(defocus: float) -> np.ndarray:
    """Return the beam of a lens with a central stop (n, n)."""
    beam = aperture_probe(N, WAVELENGTH, PIXEL, semi_angle=16e-3, defocus=defocus, central_stop=0.3)
    return np.asarray(beam).reshape(N, N)


class ProjectedIndex(Element):
    """A thin object by its projected index: psi = exp(i u) psi_in, the leaf obj holding u (H, W), zero at first."""

    leaves = (OBJ,)

    def initial(self, name, scan):
        return np.zeros(scan.shape, scan.dtype)

    def forward(self, v, wave):
        v.memory["incident"], v.memory["o"] = wave, np.exp(1j * v.patches).astype(v.dtype)[:, None]
        return wave * v.memory["o"]

    def tangent(self, v, dwave, changes):
        out = None if dwave is None else dwave * v.memory["o"]
        if "obj" in changes:
            out = added(out, 1j * v.memory["incident"] * v.memory["o"] * v.windows(changes["obj"])[:, None])
        return out

    def backward(self, v, chi, power):
        o, incident = v.memory["o"], v.memory["incident"]
        seen = abs(o[:, 0]) ** 2
        if v.wants("obj"):
            v.add("obj", state_sum(1j * incident * o, chi), times(power, state_power(np, incident) * seen))
        return o.conj() * chi, times(power, seen)


def of_index(engine: str, p: opty.PtychoState, truth: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
    """Run an engine with u as the unknown; return what it reached, by u as it is and by exp(i u)."""
    start = opty.PtychoState(p.data, probe=p.probe, model=ProjectedIndex(), threads=1)
    q = opty.parse(f"({engine}) ** {SWEEPS}") * start
    transmitted = p.replace(obj=np.exp(1j * q.obj), probe=q.probe)
    unwrapped = phase_map(transmitted, background="none")
    window = tuple(
        slice(first, first + size) for first, size in zip(unwrapped.corner, unwrapped.phase.shape, strict=True)
    )
    turns = np.rint((q.obj.real[window] - unwrapped.phase)[np.isfinite(unwrapped.phase)] / (2 * np.pi))
    most = np.unique(turns, return_counts=True)[1].max() / turns.size
    return judged(transmitted, truth) | dict(turns_off=float(f"{1 - most:.3g}"))


def judged(q: opty.PtychoState, truth: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
    """Return what a run reached; a shift and a plane, which no pattern shows, are fitted."""
    found = phase_map(q)
    window = tuple(slice(first, first + size) for first, size in zip(found.corner, found.phase.shape, strict=True))
    known, move = np.isfinite(found.phase), np.zeros(2)
    places = np.indices(known.shape)
    near = known
    for _ in range(12):
        true = truth(move)[window]
        apart = found.phase - true
        terms = np.stack([np.ones(known.shape), *places, *(-slope for slope in np.gradient(true))])
        fit = np.linalg.lstsq(terms[:, near].T, apart[near], rcond=None)[0]
        error = apart - np.tensordot(fit[:3], terms[:3], 1)
        error -= np.median(error[known])
        near = known & (abs(error) < 2)  # pixels on the right turn
        move = np.clip(move + np.clip(fit[3:], -0.3, 0.3), -2, 2)
    turns, true = np.rint(error[known] / (2 * np.pi)), truth(np.zeros(2))[window]
    return dict(
        residues=found.residues,
        turns_off=float(f"{(turns != 0).mean():.3g}"),
        error=float(f"{np.sqrt(((error[known] - 2 * np.pi * turns) ** 2).mean()):.3g}"),
        misfit=float(f"{opty.misfit(q):.3g}"),
        moved=[round(float(by), 2) for by in move],
        steps=int(sum((abs(np.diff(true, axis=k)) > np.pi).sum() for k in (0, 1))),
        closed=not residues(np.angle(np.exp(1j * true)), known).any(),
    )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("seeds", nargs="*", type=int, default=[1], help="which scans")
    parser.add_argument("--engines", nargs="+", default=ENGINES, help="recipes of a sweep")
    parser.add_argument("--index", action="store_true", help="a third run, with the index as the unknown")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results"), help="folder to write to")
    options = parser.parse_args()
    warnings.simplefilter("ignore", opty.MisfitWarning)
    print("| scan | seed | engine | residues | turns off | error, rad | misfit | settled |\n" + "|---" * 8 + "|")
    for seed in options.seeds:
        for kind in ("balls", "hills"):
            p, truth = drawn(kind, seed)
            for engine in options.engines:
                rows = []
                for name in (engine, f"{CLOSED} * {engine}"):
                    q = opty.parse(f"({name}) ** {SWEEPS}") * p
                    found = judged(q, truth) | dict(settled=judged(opty.ML() ** 60 * q, truth)["error"])
                    rows.append(dict(kind=kind, seed=seed, engine=name, **found))
                plain, closed = rows
                cells = (f"{plain[k]} -> {closed[k]}" for k in ("residues", "turns_off", "error", "misfit", "settled"))
                open_truth = "" if plain["closed"] else f" (true phase: {plain['steps']} steps above pi)"
                print(f"| {kind}{open_truth} | {seed} | `{engine}` | {' | '.join(cells)} |", flush=True)
                if options.index:
                    rows.append(dict(kind=kind, seed=seed, engine=f"index by {engine}", **of_index(engine, p, truth)))
                    cells = (str(rows[-1][k]) for k in ("residues", "turns_off", "error", "misfit"))
                    print(f"| {kind} | {seed} | the index as unknown, `{engine}` | {' | '.join(cells)} |", flush=True)
                keep(options.output, "thick-phase", rows, ("kind", "seed", "engine"))


if __name__ == "__main__":
    main()

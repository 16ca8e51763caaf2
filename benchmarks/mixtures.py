"""An object that changes within a view: the error of its states, modulo what no pattern tells, against CPU seconds.

    python -m benchmarks.mixtures [SEED ...] [--photons N] [--engines NAME ...]

Each seed draws an object with two states: two pictures, each 0.5 to 0.75 of the time, or (odd seeds) one picture with
domains, smooth patches that add and take off 0.3 to 0.6 rad, each half of the time. It is seen in 156 views of 64 x 64
(12 x 13, 5 px apart, 1.5 px of jitter at most) under an aperture out of focus. Runs begin with a flat object, and a
probe of 13 percent more defocus. Noise-free without ``--photons``; with it counts, and the detector has a gap of two
columns and 0.5 percent of dead pixels. Each engine runs with one state, with one state and two modes of the probe, and
with two states. Kept are the error of all states in the unitary mix nearest to the truth
(``opty.analysis.align_states``), the misfit, and CPU seconds of one thread, at each stop.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy.ndimage import gaussian_filter

import opty
from benchmarks.record import keep
from benchmarks.stops import run_to
from benchmarks.thick import GEOMETRY, PICTURES, SIZE, N, aperture, layer
from opty.model import Object, Probe
from opty.simulate import experiment

MODELS = ("Object()", "Object() * Probe(modes=2)", "Object(states=2)")
ENGINES = ("rPIE(alpha=0.1, batch=4)", "LSQML(batch=8)", "ML()", "DM()")
STOPS = (30, 60, 120, 240)


def states(rng: np.random.Generator, domains: bool) -> np.ndarray:
    """Return the two states (2, H, W) of an object."""
    if not domains:
        share = float(rng.uniform(0.5, 0.75))
        pair = [layer(str(name)) for name in rng.choice(PICTURES, 2, replace=False)]
        return np.array([share**0.5 * pair[0], (1 - share) ** 0.5 * pair[1]])
    noise = gaussian_filter(rng.normal(size=(SIZE, SIZE)), 4)
    patches = gaussian_filter((noise > 0.7 * noise.std()).astype(float), 0.7)
    turn = np.exp(1j * rng.uniform(0.3, 0.6) * patches)
    return 0.5**0.5 * layer(str(rng.choice(PICTURES))) * np.array([turn, turn.conj()])


def drawn(seed: int, photons: float | None) -> tuple[opty.PtychoData, np.ndarray]:
    """Return a scan and the probe to start with."""
    rng = np.random.default_rng([47, seed])
    grid = np.indices((12, 13)).reshape(2, -1).T * 5.0 + 3
    places = grid + rng.uniform(-1.5, 1.5, grid.shape)
    obj = states(rng, bool(seed % 2))
    data = experiment(obj, aperture(78.0), places, photons, geometry=GEOMETRY, model=Object(states=2), seed=seed)
    if photons:
        mask = rng.random((N, N)) > 0.005
        mask[:, 40:42] = False
        data = data.replace(mask=mask)
    return data, aperture(88.0) * np.sqrt((photons or 1e6) / 1e6)


def start(data: opty.PtychoData, probe: np.ndarray, model: str) -> opty.PtychoState:
    """Return the state in which a run begins, in the frame of the truth."""
    made = opty.model.parse(model)
    if Probe(modes=2) in getattr(made, "elements", ()):
        second = np.linspace(-1, 1, N) * probe
        probe = np.concatenate([probe, 0.1 * second])
    obj = opty.PtychoState(data, probe, model=made, margin=16).numpy("obj")[..., :SIZE, :SIZE]
    p = opty.PtychoState(data, probe, obj=obj, model=made, threads=1)
    return p.replace(positions=data.truth["positions"])


def error(p: opty.PtychoState, lit: np.ndarray) -> float:
    """Return the error of all states in the unitary mix nearest to the truth."""
    found = p.numpy("obj")
    return opty.analysis.align_states(found.reshape(-1, *found.shape[-2:]), p.data.truth["obj"], lit, (0, 0))[1].error


def run(seed: int, photons: float | None, engine: str, model: str) -> dict:
    """Run an engine on a scan with a model; return what it reached at each stop."""
    data, probe = drawn(seed, photons)
    p = start(data, probe, model)
    places = np.rint(p.positions).astype(int)
    lit = opty.analysis.illuminated(places, data.truth["probe"], data.truth["obj"].shape)
    found = []
    for seconds, q in run_to(opty.parse(engine), p, STOPS):
        found.append([float(f"{v:.3g}") for v in (seconds, error(q, lit), opty.misfit(q))])
    kind = "domains" if seed % 2 else "pictures"
    row = dict(seed=seed, kind=kind, photons=photons, engine=engine, model=model, seconds_error_misfit=found)
    cells = " | ".join(f"{one:.4f}, {misfit:.2e} ({seconds:.1f} s)" for seconds, one, misfit in found)
    print(f"| {seed}, {kind} | {photons or 'no noise'} | `{engine}` | `{model}` | {cells} |", flush=True)
    return row


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("seeds", nargs="*", type=int, default=[1, 2], help="which scans")
    parser.add_argument("--photons", type=float, help="counted photons a view; default: no noise")
    parser.add_argument("--engines", nargs="+", default=ENGINES, help="recipes of a sweep")
    parser.add_argument("--models", nargs="+", default=MODELS, help="models to run with")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results"), help="folder to write to")
    options = parser.parse_args()
    warnings.simplefilter("ignore", opty.MisfitWarning)
    head = " | ".join(f"{stop} sweeps" for stop in STOPS)
    print(f"| seed | photons | engine | model | {head} |\n" + "|---" * (4 + len(STOPS)) + "|")
    for seed in options.seeds:
        for engine in options.engines:
            rows = [run(seed, options.photons, engine, model) for model in options.models]
            keep(options.output, "mixtures", rows, ("seed", "photons", "engine", "model"))


if __name__ == "__main__":
    main()

"""Several slices: opty and other packages on the same simulated scans, the error of the worst slice in equal CPU time.

    python -m benchmarks.thick_peers [SEED ...] [--slices 2 3] [--packages NAME ...] [--seconds 12]

The scans are those of benchmarks/thick.py, with windows at whole pixels, for PtyPy knows no others, and for three
slices three pictures. All begin with flat slices and the same probe, of 13 percent more defocus, with one thread, and
know the places and the distance. Kept are the error of the worst slice, as benchmarks/thick.py takes it, and CPU
seconds, after 1/8, 1/4, 1/2 and all of the seconds. ``--tune`` tries several settings of each package; without it runs
what came out best on the seeds on which they were tried. Packages run in environments of their own
(benchmarks/environments.py). ``--check`` gives each the truth, and prints the misfit of its own forward model.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import opty
from benchmarks import environments, thick
from benchmarks.record import commit, keep, load
from benchmarks.sweep import ONE_THREAD
from opty.model import Slices
from opty.simulate import experiment

KEY = ("package", "settings", "seed", "slices")
SHARES = (1 / 8, 1 / 4, 1 / 2, 1)
OPTY = ("rPIE(alpha=0.02)", "mPIE(alpha=0.02)")
TRIED: dict[str, list[dict]] = {
    "ptyrad": [
        dict(lr=lr, probe_lr=probe_lr, batch=batch, smooth=smooth)
        for lr, probe_lr, batch, smooth in (
            (5e-4, 1e-4, 32, True),  # its template
            (2e-3, 1e-3, 32, False),
            (1e-2, 1e-2, 32, False),
            (5e-3, 5e-3, 8, False),
        )
    ],
    "ptychi": [
        dict(engine=engine, batch=batch, step=step)
        for engine, batch, step in (("lsqml", 32, 1.0), ("lsqml", 8, 1.0), ("rpie", 8, 0.5))
    ],
    "ptypy": [
        dict(alpha=alpha, beta=beta, whole=whole)
        for alpha, beta, whole in ((1.0, 1.0, True), (1.0, 1.0, False), (0.5, 0.5, False))
    ],
}
BEST: dict[str, list[dict]] = {  # on seed 1 with two slices, of TRIED; of PtyRAD, which wants long steps, also others
    "ptyrad": [
        dict(lr=lr, probe_lr=lr, batch=batch, smooth=False) for lr, batch in ((1e-2, 32), (2e-2, 32), (1e-2, 8))
    ],
    "ptychi": [dict(engine="lsqml", batch=8, step=1.0)],
    "ptypy": [dict(alpha=1.0, beta=1.0, whole=False)],
}


def drawn(seed: int, count: int) -> tuple[opty.PtychoState, np.ndarray]:
    """Return the start of a scan, and where its slices are compared with the truth."""
    rng = np.random.default_rng([37, seed])
    names, turns = rng.choice(thick.PICTURES, count, replace=False), float(rng.uniform(12, 20))
    model = Slices(count, turns * thick.PIXEL**2 / thick.WAVELENGTH)
    grid = np.indices((12, 13)).reshape(2, -1).T * 5.0 + 3
    places = np.rint(grid + rng.uniform(-1.5, 1.5, grid.shape))
    slices = np.array([thick.layer(str(name)) for name in names])
    data = experiment(slices, thick.aperture(78.0), places, None, geometry=thick.GEOMETRY, model=model, seed=seed)
    p = opty.PtychoState(data, thick.aperture(88.0), obj=np.ones_like(slices, np.complex64), model=model, threads=1)
    p = p.replace(positions=np.rint(data.truth["positions"]))
    lit = opty.analysis.illuminated(np.rint(p.positions).astype(int), data.truth["probe"], slices.shape[1:])
    return p, lit


def worst(obj: np.ndarray, p: opty.PtychoState, lit: np.ndarray) -> float:
    """Return the error of the worst slice."""
    pairs = zip(obj, p.data.truth["obj"], strict=True)
    if not np.isfinite(obj).all():
        return float("inf")
    return max(opty.analysis.object_error(a, b, mask=lit, offset=(0, 0)) for a, b in pairs)


def of_opty(p: opty.PtychoState, lit: np.ndarray, recipe: str, seconds: float) -> dict:
    """Run a recipe for so many CPU seconds; return errors, seconds and iterations."""
    op, marks, spent = opty.parse(recipe), [seconds * share for share in SHARES], 0.0
    op * p  # what is compiled, is so before
    found: dict[str, list] = dict(errors=[], seconds=[], iterations=[])
    while marks:
        begun = time.process_time()
        p = op**5 * p
        spent += time.process_time() - begun
        if spent >= marks[0]:
            marks.pop(0)
            found["errors"].append(worst(p.numpy("obj"), p, lit))
            found["seconds"].append(spent)
            found["iterations"].append(p.iteration)
    return found


def of_package(python: Path, name: str, p: opty.PtychoState, lit: np.ndarray, settings: dict, seconds: float) -> dict:
    """Run a package; return errors, seconds and iterations, or with the truth the misfit of its forward model."""
    truth, geometry = p.data.truth, p.data.geometry
    gap = p.model.sample.spacing
    known = settings.get("truth", False)
    with environments.workplace(python, name) as folder:
        opty.save(folder / "scan.ptyd", p.data.replace(truth=None), format="ptyd")
        np.savez(
            folder / "scene.npz",
            counts=np.asarray(p.data.intensities),
            corners=p.positions,
            probe=truth["probe"] if known else p.numpy("probe"),
            start=truth["obj"] if known else p.numpy("obj"),
            wavelength=geometry.wavelength,
            pixel=p.data.pixel,
            spacing=gap,
            turns=geometry.wavelength * gap / p.data.pixel**2,
        )
        script = environments.PEERS / f"thick_{name}.py"
        asked = environments.command(python, name, script, str(folder), json.dumps(settings), str(seconds))
        done = subprocess.run(asked, env=os.environ | ONE_THREAD, capture_output=True, text=True, check=False)
        if done.returncode:
            raise environments.PeerError((done.stderr.strip().splitlines() or ["no message"])[-1])
        if known:
            return dict(misfit=float(np.load(folder / "told.npz")["misfit"]))
        found = np.load(folder / "found.npz")
        errors = [worst(obj, p, lit) for obj in found["obj"]]
        return dict(errors=errors, seconds=found["seconds"].tolist(), iterations=found["iterations"].tolist())


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("seeds", nargs="*", type=int, default=[1], help="which scans")
    parser.add_argument("--slices", nargs="+", type=int, default=[2], help="how many")
    parser.add_argument("--packages", nargs="+", default=["opty", *TRIED], choices=["opty", *TRIED])
    parser.add_argument("--seconds", type=float, default=12.0, help="of CPU, of one thread")
    parser.add_argument("--tune", action="store_true", help="try all settings")
    parser.add_argument("--check", action="store_true", help="misfits of the packages' models at the truth, no runs")
    parser.add_argument("--folder", type=Path, default=environments.FOLDER, help="of the environments")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results"), help="folder to write to")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print(
        "| slices | seed | package | settings | error of the worst slice (CPU seconds) |\n" + "|---" * 5 + "|",
        flush=True,
    )
    for count in given.slices:
        for seed in given.seeds:
            p, lit = drawn(seed, count)
            for name in given.packages:
                for row in rows_of(name, p, lit, given):
                    row |= dict(seed=seed, slices=count, tuned=given.tune, commit=commit(), load=load())
                    keep(given.output, "thick-packages", [row], KEY)
                    shown = zip(row["errors"], row["seconds"], strict=True)
                    cells = ", ".join(f"{error:.4f} ({seconds:.1f})" for error, seconds in shown)
                    print(f"| {count} | {seed} | {row['package']} | `{row['settings']}` | {cells} |", flush=True)


def rows_of(name: str, p: opty.PtychoState, lit: np.ndarray, given: argparse.Namespace):
    """Yield the rows of a package; what cannot run is said on standard error."""
    if name == "opty":
        for recipe in OPTY:
            yield dict(package="opty", settings=recipe) | of_opty(p, lit, recipe, given.seconds)
        return
    try:
        python = environments.environment(given.folder, name)
        package = f"{name} {environments.version(python, name)}"
    except (environments.PeerError, OSError, subprocess.SubprocessError) as error:
        print(f"{name}: skipped, {error}", file=sys.stderr)
        return
    tried = [TRIED[name][0] | dict(truth=True)] if given.check else TRIED[name] if given.tune else BEST[name]
    for settings in tried:
        try:
            found = of_package(python, name, p, lit, settings, given.seconds)
        except environments.PeerError as error:
            print(f"{name} {settings}: skipped, {error}", file=sys.stderr, flush=True)
            continue
        if given.check:
            print(f"{package}: misfit {found['misfit']:.3g} at the truth", flush=True)
        else:
            yield dict(package=package, settings=json.dumps(settings)) | found


if __name__ == "__main__":
    main()

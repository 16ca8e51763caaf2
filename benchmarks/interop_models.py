"""Results of other packages with several slices or a varying probe: their misfit there, and as opty reads them.

    python -m benchmarks.interop_models [--folder DIR] [--packages ptyrad ptychi ptychodus ptylab] [--output FILE]

Each package gets the counts of a simulated scan with photon noise, of slices that differ, an object that is not square
and positions between pixels (PtyLab: square, on whole pixels). It begins at the truth (PtyLab: with a flat object),
runs a few iterations of its own, and saves its result (benchmarks/peers/models_*.py). Asked is whether the misfit by
its forward model is that of the state that opty reads. PEAR, which saves results of pty-chi, is on no index: the script
writes the same arrays by the same names. A product is written by Ptychodus of what pty-chi found.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import opty
from benchmarks import environments
from benchmarks.environments import PEERS, last_line
from opty.model import Object, Probe, Slices
from opty.simulate import experiment

N, VIEWS = 24, 25
XRAYS = opty.Geometry(wavelength=1e-9, distance=0.032, pixel_size=1e-4)
ELECTRONS = opty.Geometry.from_reciprocal(1.97e-12 / (N * 3e-11), voltage=300e3)  # pixels of 0.3 angstroms
RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Case:
    """A package, and the scan that it gets."""

    result: str  # the file that it saves
    spacing: tuple[float, ...]  # of the slices [m]
    modes: int = 1
    variable: int = 0
    geometry: opty.Geometry = XRAYS
    shape: tuple[int, int] = (61, 52)
    whole: bool = False  # positions on whole pixels
    alike: float = 1e-4  # relative difference of the misfits
    options: dict[str, Any] = field(default_factory=dict)  # with which opty loads the result
    after: str | None = None  # the package that saves what this one found


CASES = {
    # PtyRAD leaves a window where it is though the probe has moved by more than half a pixel; opty cuts the nearest one
    "ptyrad": Case("model.hdf5", (12e-10, 12e-10), modes=2, geometry=ELECTRONS, alike=1e-2),
    "ptychi": Case("recon_Niter3.h5", (2.4e-6, 5e-6), variable=2),
    "ptychodus": Case("product.h5", (2.4e-6, 5e-6), variable=2, after="ptychi"),
    "ptylab": Case("result.hdf5", (2.4e-6,), modes=2, shape=(64, 64), whole=True, options={"spacing": 2.4e-6}),
}


def simulated(case: Case) -> tuple[opty.PtychoData, dict[str, Any]]:
    """The scan of a case, and what a package is told of the truth."""
    rng = np.random.default_rng(3)
    y, x = np.indices(case.shape) / 5
    layers = range(len(case.spacing) + 1)
    obj = [
        (1 - 0.2 * np.sin(x + k) ** 2) * np.exp(0.5j * np.sin(y * (1 + k) + x) + 0.3j * k * np.cos(x)) for k in layers
    ]
    r = np.arange(N) - N // 2
    first = 60 * np.exp(-(r[:, None] ** 2 + 1.3 * r**2) / 36 + 0.02j * (r[:, None] ** 2 + 2 * r**2 + r[:, None]))
    probe = np.array([first, first * (r[:, None] + 0.3 * r) / 15])[: case.modes]
    corners = np.column_stack([rng.uniform(2, size - N - 2, VIEWS) for size in case.shape])
    corners[:2] = (2, 2), np.array(case.shape) - N - 2  # as far from either end, so that the scan stays where it is
    corners = np.rint(corners) if case.whole else corners
    weights = 0.1 * rng.normal(size=(VIEWS, 2))
    leaves = {
        "opr_modes": np.array([first * r[:, None], 1j * first * r]) / 8,
        "opr_weights": weights - weights.mean(axis=0),
    }
    element = Slices(len(obj), case.spacing) if len(obj) > 1 else Object()
    model = element * Probe(modes=case.modes, variable=case.variable)
    seen = experiment(
        np.array(obj), probe, corners, geometry=case.geometry, model=model, leaves=leaves if case.variable else None
    )
    counts = rng.poisson(np.asarray(seen.intensities, np.float64)).astype(np.uint32)
    data = seen.replace(intensities=counts, truth=None, probe=None)
    told = {"counts": counts, "obj": np.array(obj), "probe": probe, "corners": corners, "pixel": data.pixel}
    return data, told | leaves | {"spacing": case.spacing, "wavelength": case.geometry.wavelength}


def row(folder: Path, name: str) -> dict[str, Any]:
    """What became of one package."""
    case = CASES[name]
    steps = (name,) if case.after is None else (case.after, name)
    try:
        pythons = [environments.environment(folder, step) for step in steps]
    except (RuntimeError, subprocess.SubprocessError, OSError) as error:
        return {"fails": f"not installed: {error}"}
    data, told = simulated(case)
    out: dict[str, Any] = {"version": environments.version(pythons[-1], name)}
    with environments.workplace(pythons[0], name) as work:
        np.savez(work / "scene.npz", **told)
        opty.save(work / "scan.hdf5", data, format="ptylab")
        try:
            for python, step in zip(pythons, steps, strict=True):
                last_line(environments.command(python, step, PEERS / f"models_{step}.py", work, name), 900)
            there = float(np.load(work / "told.npz")["misfit"])
            found = opty.load(work / case.result, data=data, device="cpu", **case.options)
        except (RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
            return out | {"fails": str(error)}
    here = opty.misfit(found)
    out |= {"model": repr(found.model), "misfit there": there, "misfit in opty": here}
    return out if abs(here - there) <= case.alike * there else out | {"fails": f"{here:.4g} for {there:.4g}"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=environments.FOLDER)
    parser.add_argument("--packages", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--output", type=Path, default=RESULTS / f"{datetime.date.today()}-interop-models.json")
    given = parser.parse_args()
    rows = {}
    for name in given.packages:
        rows[name] = row(given.folder, name)
        print(f"{name:10}" + "; ".join(f"{asked}: {said}" for asked, said in rows[name].items()), flush=True)
    about = {"date": str(datetime.date.today()), "python": sys.version.split()[0]}
    given.output.write_text(json.dumps(about | {"packages": rows}, indent=1) + "\n")
    return int(any("fails" in found for found in rows.values()))


if __name__ == "__main__":
    sys.exit(main())

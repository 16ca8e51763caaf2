"""Several scans of one object, a probe each: ``python -m benchmarks.several_scans [--photons N]``.

Three scans of 100 views of 64 x 64 of a random phase object, each under another beam (defocus 10, 16 and 7 um), all
started from the beam of the first; 60 sweeps of rPIE(alpha=0.1, batch=4). Prints, and writes to benchmarks/results/
under the date: misfit, and error of the object, of each scan alone, and of all joined with one probe, with two ways to
vary, and with a probe each.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import opty
from benchmarks.record import keep
from opty import ScaleObjProbe, rPIE
from opty.model import Object, Probe
from opty.simulate import experiment, objects, probes, scans

N, VIEWS = 64, (10, 10)
GEOMETRY = opty.Geometry(wavelength=1e-9, distance=0.064, pixel_size=1e-4)
PIXEL = GEOMETRY.sample_pixel(N)
BEAMS = ((10e-6, 36), (16e-6, 30), (7e-6, 40))  # defocus [m], diameter of the aperture [px]
RECIPE = rPIE(alpha=0.1, batch=4) ** 60 * ScaleObjProbe()


def beam(defocus: float, diameter: float) -> np.ndarray:
    """Return a defocused aperture as a probe (n, n)."""
    return probes.spherical_wave(N, GEOMETRY.wavelength, PIXEL, distance=defocus, aperture=diameter * PIXEL, edge=4)


def measured(photons: float) -> tuple[list[opty.PtychoData], opty.PtychoData]:
    """Return the scans, and all of them joined, with the true object and positions."""
    obj = objects.random_phase((160, 160), feature=4, phase_range=(0, 1), seed=0)
    runs = [scans.raster(VIEWS, step=7, jitter=2, seed=k) + 6 for k in range(len(BEAMS))]
    parts = [
        experiment(obj, beam(*how), run, photons=photons, geometry=GEOMETRY, seed=k)
        for k, (how, run) in enumerate(zip(BEAMS, runs, strict=True))
    ]
    moves = [(data.truth["positions"] * PIXEL - data.positions)[0] for data in parts]
    places = np.concatenate([data.truth["positions"] for data in parts])
    return parts, opty.join(parts, moves).replace(truth=dict(parts[0].truth) | {"positions": places})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photons", type=float, default=1e6)
    given = parser.parse_args()
    parts, whole = measured(given.photons)
    runs = {f"scan {k + 1} alone": (data, None) for k, data in enumerate(parts)}
    runs |= {
        "one probe": (whole, None),
        "Probe(variable=2)": (whole, Object() * Probe(variable=2)),
        "a probe each": (whole, Object() * Probe(scans=tuple(data.views for data in parts))),
    }
    for name, (data, model) in runs.items():
        q = RECIPE * opty.PtychoState(data, probe=beam(*BEAMS[0]), model=model, device="cpu", threads=1)
        row = {"photons": given.photons, "run": name, "misfit": round(opty.misfit(q), 5)}
        row["error"] = round(opty.analysis.errors(q)["object"], 4)
        print(row, flush=True)
        keep(Path(__file__).with_name("results"), "several-scans", [row], ["photons", "run"])


if __name__ == "__main__":
    main()

"""Lengths of near fields found along: ``python -m benchmarks.near_distance CASE ... [--scene physics_scene.py]``.

Drawn by seed: 144 views of 64 x 64 of a picture, under a defocused aperture ("near"), a diffuser ("diffuser"), or a
diffuser in a diverging beam ("diverging"). A CASE is SCENE:SEED:LENGTH:FACTOR:PHOTONS:ENGINE, such as
"near:11:distance:1.05:none:rPIE(alpha=0.1, batch=4)"; without any, those of docs/models/refine.md. "physics" and
"physics-slices" are the scene of a file with ``make(turns)`` (counts, places, probe, slices, start), --scene, whose
seed is that of the order of the views. Runs ``(Refine(LENGTH) * ENGINE) ** 50`` from FACTOR times the true length.
Prints, and writes to benchmarks/results/ under the date: by how much the length is off after 10, 20, 30 and 50 sweeps,
and its standard error in the end [percent].
"""

from __future__ import annotations

import argparse
import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

import opty
from benchmarks.record import keep
from benchmarks.thick import PICTURES, PIXEL, WAVELENGTH, N, layer
from opty.model import Slices
from opty.simulate import experiment, scans

EDGE, SWEEPS, STOPS = 144, 50, (10, 20, 30, 50)
CASES = (
    "near:11:distance:1.05:none:rPIE(alpha=0.1, batch=4)",
    "near:12:distance:0.96:1e7:rPIE(alpha=0.1, batch=2)",
    "near:13:distance:1:1e6:rPIE(alpha=0.1, batch=4)",
    "near:14:distance:1:1e5:rPIE(alpha=0.1, batch=4)",
    "near:15:distance:1:1e7:rPIE(alpha=0.1, batch=4)",
    "diffuser:16:distance:0.95:1e7:rPIE(alpha=0.1, batch=4)",
    "diffuser:17:distance:1:1e6:rPIE(alpha=0.1, batch=4)",
    "diffuser:18:distance:1.05:1e5:rPIE(alpha=0.1, batch=8)",
    "diffuser:19:distance:1.04:1e6:LSQML(batch=8)",
    "diffuser:22:distance:1.04:1e7:mPIE()",
    "diverging:20:distance:0.97:1e6:rPIE(alpha=0.1, batch=4)",
    "diverging:21:focus_to_sample:1.03:1e7:rPIE(alpha=0.1, batch=4)",
    "diverging:23:distance:1:1e7:rPIE(alpha=0.1, batch=4)",
    "diffuser:24:pixel_size:1.03:1e6:rPIE(alpha=0.1, batch=4)",
)


def lens(defocus: float, photons: float) -> np.ndarray:
    """Return a defocused aperture as a probe (1, n, n)."""
    q = np.fft.fftfreq(N)
    radius = np.hypot(q[:, None], q)
    pupil = np.exp(1j * np.pi * defocus * radius**2) / (1 + np.exp((radius - 0.18) / 0.008))
    return _of(np.fft.fftshift(np.fft.ifft2(pupil))[None], photons)


def _of(probe: np.ndarray, photons: float) -> np.ndarray:
    return probe * np.sqrt(photons / (np.abs(probe) ** 2).sum())


def drawn(scene: str, seed: int, photons: float | None) -> tuple[opty.PtychoData, np.ndarray]:
    """Draw a scan by seed; return its data with the true geometry, and the probe at the start."""
    rng = np.random.default_rng([77, seed])
    name, power = str(rng.choice(PICTURES, 1, replace=False)[0]), photons or 1e6
    fringes, defocus = float(rng.uniform(25, 50)), rng.uniform(65, 90)  # pixel^2 / wavelength
    probe, start = lens(defocus, 1e6), lens(defocus * rng.uniform(0.9, 1.1), power)
    if scene != "near":
        away = np.hypot(*np.meshgrid(*2 * [np.arange(N) - N // 2]))
        diffuse, wrong = 4 * gaussian_filter(rng.normal(size=(N, N)), 1.5), rng.normal(size=(N, N))
        disc = 1 / (1 + np.exp((away - 16) / 1.5))
        probe = _of((np.exp(1j * diffuse) * disc)[None], 1e6)
        start = _of((np.exp(1j * (diffuse + 0.8 * gaussian_filter(wrong, 2))) * disc)[None], power)
    effective = fringes * PIXEL**2 / WAVELENGTH
    geometry = opty.Geometry(WAVELENGTH, effective, PIXEL, propagation="near")
    if scene == "diverging":  # three times magnified
        geometry = opty.Geometry(WAVELENGTH, 3 * effective, 3 * PIXEL, 1.5 * effective, propagation="near")
    places = scans.raster((12, 12), step=4.5, jitter=1.5, seed=seed)
    return experiment(layer(name, EDGE), probe, places, photons, geometry=geometry, seed=seed), start


def of_file(path: Path, slices: bool, photons: float | None, seed: int, factor: float) -> opty.PtychoState:
    """Return the start of the scene of a file: two slices in the far field, or the first of them in a near field."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    _, places, probe, layers, start = module.make(15.6)
    start = start * np.sqrt((photons or 1e6) / 1e6)
    if not slices:
        geometry = opty.Geometry(WAVELENGTH, 40 * PIXEL**2 / WAVELENGTH, PIXEL, propagation="near")
        data = experiment(layers[0], probe, places, photons, geometry=geometry)
        return _begun(data, start, "distance", factor, seed)
    spacing = 15.6 * PIXEL**2 / WAVELENGTH
    far = opty.Geometry(WAVELENGTH, N * PIXEL * 5e-5 / WAVELENGTH, 5e-5)
    data = experiment(layers, probe, places, photons, geometry=far, model=Slices(2, spacing))
    model = Slices(2, factor * spacing)
    p = opty.PtychoState(data, start, obj=np.ones_like(layers), model=model, threads=1, seed=seed)
    return p.replace(positions=data.truth["positions"])


def _begun(data: opty.PtychoData, start: np.ndarray, length: str, factor: float, seed: int = 0) -> opty.PtychoState:
    told = replace(data.geometry, **{length: factor * getattr(data.geometry, length)})
    p = opty.PtychoState(data.replace(geometry=told), start, margin=12, device="cpu", threads=1, seed=seed)
    return opty.ScaleObjProbe() * p


def judge(case: str, scene_file: Path | None) -> dict:
    """Run a case; return what is left of the error."""
    scene, number, length, factor, counted, engine = case.split(":")
    seed, times, photons = int(number), float(factor), None if counted == "none" else float(counted)
    if scene.startswith("physics"):
        if scene_file is None:
            raise SystemExit(f"{case} needs the file of its scene: --scene physics_scene.py")
        p = of_file(scene_file, scene == "physics-slices", photons, seed, times)
    else:
        p = _begun(*drawn(scene, seed, photons), length, times)
    q = (opty.Refine(length) * opty.parse(engine)) ** SWEEPS * p
    series, error = (np.array(q.history[name]) for name in (length, f"{length}_error"))
    true = float(np.ravel(p.numpy("spacing"))[0] if length == "spacing" else getattr(p.data.geometry, length)) / times
    off = {f"after {stop}": round(100 * float(np.ravel(series[stop - 1])[0] / true - 1), 3) for stop in STOPS}
    return {"case": case, **off, "error": round(100 * float(np.ravel(error[-1])[0]) / true, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--scene", type=Path)
    given = parser.parse_args()
    for case in given.cases:
        row = judge(case, given.scene)
        print(row, flush=True)
        keep(Path(__file__).with_name("results"), "near-distance", [row], ["case"])


if __name__ == "__main__":
    main()

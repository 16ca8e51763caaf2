"""From the raw file of an EMPAD to a picture, in one command: is the rotation found, are the atoms where they are?

    python -m benchmarks.electrons [SEED ...]

Each seed draws a crystal (spacing, tilt, two kinds of atoms, a tenth of them missing) scanned at 300 kV, 24 x 24 views
of 128 x 128 pixels, 1e4 electrons a view with Poisson noise, the scan turned by 12 degrees against the detector:
in focus, and 8 nm out of it. The .raw and the XML are written byte by byte, and ``opty reconstruct`` gets the XML, the
semi-angle and the defocus. Kept are the pixel at the sample, the rotation, the misfit, and how the phase correlates
with that of the crystal, in the middle of the scan.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import scipy.ndimage

import opty
from benchmarks.record import keep
from opty.data.scan_grid import scan_grid
from opty.physics.optics import lens_probe
from opty.simulate import experiment

N, SIDE, ELECTRONS, DEGREES = 128, 24, 1e4, 12.0
ANGLE, SEMI_ANGLE, STEP = 0.94e-3, 21.4e-3, 0.4e-10  # rad a pixel, rad, m
XML = """<root name="scan"><software_version>1.2.2</software_version><raw_file filename="{name}"/>
<scan_parameters mode="acquire"><scan_size>1.0</scan_size><scan_resolution_x>{side}</scan_resolution_x>
<scan_resolution_y>{side}</scan_resolution_y></scan_parameters><iom_measurements><full_scan_field_of_view>
<scale_factor>1.0</scale_factor><x>{field}</x><y>{field}</y></full_scan_field_of_view><high_voltage>300000</high_voltage>
<calibrated_diffraction_angle>{angle}</calibrated_diffraction_angle></iom_measurements></root>"""


def crystal(shape: tuple[int, int], pixel: float, rng: np.random.Generator) -> np.ndarray:
    """Transmission (H, W) of a hexagonal layer of two kinds of atoms, some of them missing; phases upwards."""
    spacing, tilt = rng.uniform(2.0e-10, 2.8e-10) / pixel, rng.uniform(0, np.pi / 3)
    reach = int(max(shape) / spacing) + 4
    i, j = (axis.ravel() for axis in np.mgrid[-reach:reach, -reach:reach])
    sites = [np.column_stack([i + k / 3 + (j + k / 3) / 2, (j + k / 3) * np.sqrt(3) / 2]) * spacing for k in (0, 1)]
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    phase = np.zeros(shape)
    for atoms, strength in zip(sites, (0.6, 0.25), strict=True):
        places = np.rint(atoms @ turn.T + np.array(shape) / 2).astype(int)
        places = places[((places >= 0) & (places < shape)).all(axis=1) & (rng.random(len(places)) > 0.1)]
        layer = np.zeros(shape)
        np.add.at(layer, tuple(places.T), 1.0)
        width = 0.35e-10 / pixel
        phase += strength * 2 * np.pi * width**2 * scipy.ndimage.gaussian_filter(layer, width)
    return np.exp(1j * phase)


def write(folder: Path, seed: int, defocus: float) -> tuple[Path, opty.PtychoData]:
    """Write the scan as an EMPAD does; return its XML and the measurement with its truth."""
    geometry = opty.Geometry.from_reciprocal(ANGLE, voltage=300e3, semi_angle=SEMI_ANGLE)
    pixel = geometry.sample_pixel(N)
    places = scan_grid((SIDE, SIDE), STEP, np.deg2rad(DEGREES)) / pixel
    places -= places.min(axis=0)
    shape = tuple(int(np.ceil(x)) + N + 4 for x in places.max(axis=0))
    obj = crystal(shape, pixel, np.random.default_rng([300, seed]))
    data = experiment(obj, lens_probe(geometry, N, defocus=defocus), places, ELECTRONS, geometry=geometry, seed=seed)
    frames = np.zeros((SIDE**2, N + 2, N), "<f4")
    frames[:, :N] = data.intensities
    frames.tofile(folder / "scan.raw")
    told = {"name": "scan.raw", "side": SIDE, "field": SIDE * STEP, "angle": ANGLE}
    (folder / "scan.xml").write_text(XML.format(**told))
    return folder / "scan.xml", data


def correlation(p: opty.PtychoState, data: opty.PtychoData) -> float:
    """Of the phases of the object and of the crystal, in the middle half of the scan, the ramp taken off."""
    offset = np.rint((p.numpy("positions") - data.truth["positions"]).mean(axis=0)).astype(int)
    middle = data.truth["positions"].mean(axis=0).astype(int) + N // 2
    half = int(SIDE * STEP / data.pixel / 4)
    images = []
    for image, at in ((p.numpy("obj"), middle + offset), (data.truth["obj"], middle)):
        cut = image[at[0] - half : at[0] + half, at[1] - half : at[1] + half]
        phase = np.angle(cut * np.exp(-1j * np.angle(cut.mean())))
        axes = np.column_stack([np.ones(phase.size), *(axis.ravel() for axis in np.indices(phase.shape))])
        images.append(phase.ravel() - axes @ np.linalg.lstsq(axes, phase.ravel(), rcond=None)[0])
    return float(np.corrcoef(*images)[0, 1])


def measured(seed: int, defocus: float, picture: Path | None = None) -> dict:
    """Write one scan, reconstruct it by the command, and compare."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _, data = write(folder, seed, defocus)
        command = ["opty", "reconstruct", "scan.xml", "--scan-rotation", "auto", "--semi-angle", "21.4mrad"]
        command += ["--defocus", f"{defocus * 1e9:g}nm"] if defocus else []
        command += ["--recipe", "ePIE()**20", "-o", "atoms.h5", "--quiet"]
        command += ["--plot", str(picture)] if picture else []
        program = [sys.executable, "-m", "opty.cli", *command[1:]]
        done = subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            return {"seed": seed, "defocus": defocus, "failed": done.stderr.strip().splitlines()[-1]}
        p = opty.load(folder / "atoms.h5", data=data.replace(truth=None), device="cpu")
    down = p.numpy("positions")[SIDE * (SIDE - 1)] - p.numpy("positions")[0]
    return {
        "seed": seed,
        "defocus": defocus,
        "command": " ".join(command),
        "pixel off": p.data.pixel / data.pixel - 1,
        "rotation off [deg]": float(np.degrees(np.arctan2(down[1], down[0]))) - DEGREES,
        "correlation of phases": correlation(p, data),
        "misfit": opty.misfit(p),
    }


def main() -> None:
    for seed in map(int, sys.argv[1:] or ["1", "2"]):
        for defocus in (0.0, 8e-9):
            row = measured(seed, defocus)
            print(row, flush=True)
            keep(Path(__file__).with_name("results"), "electrons", [row], ("seed", "defocus"))


if __name__ == "__main__":
    main()

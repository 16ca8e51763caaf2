"""Do other packages read what opty writes, and does opty read what they write? Prints the matrix.

``python -m benchmarks.interop [--folder DIR] [--packages ptylab cdtools ptychi tike]``

Each package gets an environment of its own below DIR, made with pip on the first run. tike needs CUDA; PyTorch,
which cdtools-py and ptychi need, is a large download. A package that cannot be installed is named with the reason.
The measurement is simulated: 36 views of 32 x 32, positions in metres. Counts must be identical, positions agree to
1e-9 m, lengths to 1e-6.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import opty
from opty.simulate.experiment import experiment
from opty.simulate.probes import gaussian
from opty.simulate.scans import raster

N = 32
GEOMETRY = opty.Geometry(wavelength=1.2e-10, distance=2.0, pixel_size=75e-6)
TELL = "import json, sys, numpy as np\npath, out = sys.argv[1:]\n"

# What runs in the package's own environment: READ takes opty's file to an npz of counts, positions and lengths; WRITE
# takes an npz to a file of the package's own making.
READ = {
    "ptylab": TELL
    + """
from PtyLab.ExperimentalData.ExperimentalData import ExperimentalData
found = ExperimentalData(path, operationMode="CPM")
lengths = [float(found.wavelength), float(found.zo), float(found.dxd)]
np.savez(out, counts=found.ptychogram, positions=found.encoder, lengths=lengths)
""",
    "cdtools": TELL
    + """
from cdtools.datasets import Ptycho2DDataset
found = Ptycho2DDataset.from_cxi(path)
shift = found.translations.numpy()
lengths = [float(found.wavelength), float(found.detector_geometry["distance"])]
lengths.append(float(np.linalg.norm(np.asarray(found.detector_geometry["basis"])[:, 0])))
# the basis of the detector's rows and columns is -y and -x; translations are those of the beam
np.savez(out, counts=found.patterns.numpy(), positions=-shift[:, 1::-1], lengths=lengths)
""",
    "ptychi": TELL
    + """
import h5py
import ptychi.api
with h5py.File(path) as f, h5py.File(path.replace("_dp", "_para")) as g:
    patterns, pixel = f["dp"][()], g["object"].attrs["pixel_height_m"]
    where = np.stack([g["probe_position_y_m"][()], g["probe_position_x_m"][()]], axis=1)
options = ptychi.api.LSQMLOptions()
options.data_options.data = patterns
options.probe_position_options.position_y_px = where[:, 0] / pixel
np.savez(out, counts=np.asarray(options.data_options.data), positions=where, lengths=[])
""",
    "tike": TELL
    + """
import tike.ptycho
with np.load(path) as f:
    data, scan, probe = (np.squeeze(f[name]) for name in ("data", "scan", "probe"))
tike.ptycho.check_allowed_positions(scan - scan.min(0) + 1, np.zeros((1, 400, 400)), probe.shape)
np.savez(out, counts=np.fft.fftshift(data, axes=(1, 2)), positions=scan, lengths=[])
""",
}
WRITE = {
    "cdtools": TELL
    + """
import torch
from cdtools.datasets import Ptycho2DDataset
with np.load(path) as f:
    shift = np.zeros((len(f["positions"]), 3))
    shift[:, 1::-1] = -f["positions"]
    wavelength, distance, pixel = f["lengths"]
    basis = np.array([[0, -pixel], [-pixel, 0], [0, 0]])
    Ptycho2DDataset(shift, f["counts"], wavelength=wavelength, detector_geometry={"distance": distance, "basis": basis,
        "corner": None}).to_cxi(out)
""",
}
FORMAT = {"ptylab": ("ptylab", "scan.hdf5"), "cdtools": ("cxi", "scan.cxi"), "ptychi": ("ptychi", "scan_dp.hdf5")}
FORMAT |= {"tike": ("tike", "scan.npz")}
INSTALL = {"ptylab": "ptylab", "cdtools": "cdtools-py", "ptychi": "ptychi", "tike": "tike"}


def simulated() -> opty.PtychoData:
    """36 views of 32 x 32 with photon noise."""
    row, column = np.indices((90, 90))
    obj = (0.8 + 0.2 * np.sin(row / 4)) * np.exp(0.5j * np.cos(column / 5))
    where = raster((6, 6), step=6, jitter=1)
    data = experiment(obj, gaussian(N, 9), where, photons=1e5, geometry=GEOMETRY, seed=1)
    return data.replace(probe=data.truth["probe"].astype("complex64"), truth=None)


def environment(folder: Path, package: str) -> Path:
    """Python of an environment with the package in it; RuntimeError with pip's last word where there is none."""
    python = folder / package / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / package)], check=True)
    if not (folder / package / "ready").exists():
        done = subprocess.run(
            [str(python), "-m", "pip", "install", "-q", INSTALL[package]], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError((done.stderr.strip().splitlines() or ["pip failed"])[-1])
        (folder / package / "ready").touch()
    return python


def run(python: Path, script: str, *arguments: Path) -> None:
    """Run a script in another environment; RuntimeError with its last line where it fails."""
    done = subprocess.run(
        [str(python), "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])


def differences(data: opty.PtychoData, counts, positions, lengths) -> str:
    """Say in what two measurements differ, or "ok"."""
    given = np.array([data.geometry.wavelength, data.geometry.distance, data.geometry.pixel_size])
    if not np.array_equal(counts, data.intensities):
        return "other counts"
    away = (positions - positions.mean(axis=0)) - (data.positions - data.positions.mean(axis=0))
    if np.abs(away).max() > 1e-9:
        return f"positions differ by up to {np.abs(away).max():.2g} m"
    if len(lengths) and not np.allclose(lengths, given, rtol=1e-6, atol=0):
        return f"lengths {lengths} for {given}"
    return "ok"


def theirs_of_ours(python: Path, package: str, data: opty.PtychoData, folder: Path) -> str:
    """Whether a package reads what opty writes."""
    key, name = FORMAT[package]
    opty.save(folder / name, data, format=key)
    run(python, READ[package], folder / name, folder / "found.npz")
    with np.load(folder / "found.npz") as found:
        scale = data.pixel if package == "tike" else 1.0
        return differences(data, found["counts"], found["positions"] * scale, found["lengths"])


def ours_of_theirs(python: Path, package: str, data: opty.PtychoData, folder: Path) -> str:
    """Whether opty reads what a package writes."""
    if package not in WRITE:
        return "writes no measurements"
    lengths = [data.geometry.wavelength, data.geometry.distance, data.geometry.pixel_size]
    np.savez(folder / "given.npz", counts=data.intensities, positions=data.positions, lengths=lengths)
    run(python, WRITE[package], folder / "given.npz", folder / "theirs.cxi")
    found = opty.load(folder / "theirs.cxi")
    g = found.geometry
    return differences(data, found.intensities, found.positions, [g.wavelength, g.distance, g.pixel_size])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "opty-interop")
    parser.add_argument("--packages", nargs="+", choices=list(INSTALL), default=list(INSTALL))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    data, rows = simulated(), {}
    for package in given.packages:
        try:
            python = environment(given.folder, package)
        except RuntimeError as error:
            rows[package] = {"installed": f"no: {error}"}
            continue
        rows[package] = {}
        for name, check in (("reads opty's file", theirs_of_ours), ("opty reads its file", ours_of_theirs)):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    rows[package][name] = check(python, package, data, Path(folder))
                except (RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
                    rows[package][name] = f"fails: {error}"
    for package, row in rows.items():
        print(f"{package:10}" + "; ".join(f"{name}: {said}" for name, said in row.items()))
    print(json.dumps(rows))


if __name__ == "__main__":
    main()

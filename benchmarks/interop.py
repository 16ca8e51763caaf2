"""Do other packages read what opty writes, and does opty read what they write? Prints the matrix and keeps it.

    python -m benchmarks.interop [--folder DIR] [--packages ptylab cdtools ptychi ptychodus tike] [--output FILE]

Each package gets an environment of its own below DIR (benchmarks/environments.py); what runs there is in
benchmarks/peers. A package that cannot be installed, or a part that needs a GPU, is named with the reason.

The measurement is simulated: 36 views of 32 x 32 with photon noise, positions on whole pixels, in metres. Asked is:

- read: the package's own reader finds identical counts, positions within 1e-9 m of one another, lengths to 1e-6;
- predicts: the package's own forward model makes the counts (within twice the photon noise) of the true object and
  probe at the positions as the package understands them: axes, signs and the place of the zero frequency agree;
- fits: the package's own engine works on the file, its error falls;
- and the same of what the package writes: read by opty, and predicted by opty where the truth is known.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np

import opty
from benchmarks import environments
from benchmarks.environments import PEERS, last_line
from opty.simulate.experiment import experiment
from opty.simulate.probes import gaussian
from opty.simulate.scans import raster

N = 32
GEOMETRY = opty.Geometry(wavelength=1.2e-10, distance=2.0, pixel_size=75e-6)
AWAY = np.array([4e-6, -9e-6])  # of the scan's middle from the origin of the stage [m]
RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Peer:
    """A package: the file opty writes for it, and the file it writes."""

    format: str
    ours: str
    theirs: str | None = None
    truth_known: bool = True  # whether what it writes is the scan of truth.npz


PACKAGES = {
    "ptylab": Peer("ptylab", "scan.hdf5", "theirs.hdf5", truth_known=False),
    "cdtools": Peer("cxi", "scan.cxi", "theirs.cxi"),
    "ptychi": Peer("ptychi", "scan_dp.hdf5"),
    "ptychodus": Peer("ptychi", "scan_dp.hdf5", "theirs_dp.hdf5"),
    "tike": Peer("tike", "scan.npz", "theirs.npz"),
}


def simulated() -> opty.PtychoData:
    """36 views of 32 x 32 with photon noise, on whole pixels, the scan's middle away from the stage's origin."""
    row, column = np.indices((90, 96))
    obj = (0.8 + 0.2 * np.sin(row / 4)) * np.exp(0.5j * np.cos(column / 5 + row / 11))
    where = np.rint(raster((6, 6), step=6, jitter=2))
    data = experiment(obj, gaussian(N, 9), where - where.min(axis=0) + 10, photons=1e5, geometry=GEOMETRY, seed=1)
    return data.replace(positions=data.positions + AWAY, probe=data.truth["probe"].astype("complex64"))


def write_truth(data: opty.PtychoData, path: Path) -> None:
    """Write what the scripts of benchmarks/peers may know of the measurement."""
    g, truth = data.geometry, data.truth
    np.savez(
        path,
        obj=truth["obj"],
        probe=truth["probe"],
        corners=np.rint(truth["positions"]).astype(int),
        positions=data.positions,
        counts=data.intensities,
        lengths=[g.wavelength, g.distance, g.pixel_size],
        pixel=data.pixel,
    )


def compared(found, expected) -> str:
    """Say in what counts, positions [m] and lengths [m] differ, or "ok"."""
    if not np.array_equal(found["counts"], expected["counts"]):
        return "other counts"
    away = (found["positions"] - found["positions"].mean(axis=0)) - (
        expected["positions"] - expected["positions"].mean(axis=0)
    )
    if np.abs(away).max() > 1e-9:
        return f"positions differ by up to {np.abs(away).max():.2g} m"
    lengths = found["lengths"]
    if len(lengths) and not np.allclose(lengths, expected["lengths"], rtol=1e-6, atol=0):
        return f"lengths {list(lengths)} for {list(expected['lengths'])}"
    if "mask" in expected and not np.array_equal(found["mask"], expected["mask"]):
        return "another mask"
    return "ok"


def misfit(predicted: np.ndarray, counts: np.ndarray) -> float:
    """Sum of (sqrt I - sqrt Ihat)^2 over sum of I."""
    return float(((np.sqrt(counts) - np.sqrt(predicted)) ** 2).sum() / counts.sum())


def noise(data: opty.PtychoData) -> float:
    """Misfit of the true object and probe: photon noise."""
    at_corners = data.replace(positions=data.truth["positions"] * data.pixel)
    return opty.misfit(opty.PtychoState(at_corners, probe=data.truth["probe"], obj=data.truth["obj"], device="cpu"))


def theirs_of_ours(python: Path, name: str, data: opty.PtychoData, folder: Path) -> dict[str, str]:
    """What a package makes of the file that opty writes."""
    peer = PACKAGES[name]
    g, expected = data.geometry, {"counts": data.intensities, "positions": data.positions}
    expected["lengths"] = [g.wavelength, g.distance, g.pixel_size]
    ours = data.replace(truth=None)
    if peer.format == "cxi":  # the one of these formats with a place for a mask
        ours = ours.replace(mask=np.arange(N * N).reshape(N, N) % 97 != 5)
        expected["mask"] = ours.mask
    opty.save(folder / peer.ours, ours, format=peer.format)
    said = last_line([python, PEERS / f"with_{name}.py", "read", folder], 600)
    with np.load(folder / "found.npz") as archive:
        found = dict(archive)
    if name == "tike":
        found["positions"] = found["positions"] * data.pixel
    out = {"reads": compared(found, expected)}
    if "predicted" in found:
        wrong, limit = misfit(found["predicted"], data.intensities), 2 * noise(data)
        out["predicts"] = "ok" if wrong < limit else f"misfit {wrong:.3g} at the truth, {limit:.3g} allowed"
        fell = float(found["after"]) / float(found["before"])
        out["fits"] = f"error x {fell:.2g}" if fell < 0.5 else f"error only x {fell:.2g}"
    elif said:
        out["predicts"] = out["fits"] = f"not run: {said}"
    return out


def ours_of_theirs(python: Path, name: str, data: opty.PtychoData, folder: Path) -> dict[str, str]:
    """What opty makes of the file that a package writes."""
    peer = PACKAGES[name]
    if peer.theirs is None:
        return {"is read": "writes no measurements"}
    last_line([python, PEERS / f"with_{name}.py", "write", folder], 600)
    found = opty.load(folder / peer.theirs)
    with np.load(folder / "told.npz") as archive:
        told = dict(archive)
    g = found.geometry
    have = {"counts": found.intensities, "positions": found.positions, "mask": found.mask}
    have["lengths"] = [] if g is None else [g.wavelength, g.distance, g.pixel_size]
    if g is None:
        have["positions"] = found.positions * data.pixel
    out = {"is read": compared(have, told)}
    if peer.truth_known:
        start = data.truth["positions"] * (found.pixel or 1.0)
        shift = found.positions - found.positions.mean(axis=0)
        found = found.replace(positions=shift + start.mean(axis=0))
        p = opty.PtychoState(found, probe=data.truth["probe"], obj=data.truth["obj"], device="cpu")
        wrong, limit = opty.misfit(p), 2 * noise(data)
        out["is predicted"] = "ok" if wrong < limit else f"misfit {wrong:.3g} at the truth, {limit:.3g} allowed"
    else:
        p = opty.PtychoState(found, device="cpu")
        q = opty.rPIE() ** 10 * p
        out["is fitted"] = f"misfit x {opty.misfit(q) / opty.misfit(p):.2g}"
    return out


def row(folder: Path, name: str, data: opty.PtychoData) -> dict[str, str]:
    """All that is asked of one package."""
    try:
        python = environments.environment(folder, name)
    except (RuntimeError, subprocess.SubprocessError, OSError) as error:
        return {"installed": f"no: {error}"}
    out = {"version": environments.version(python, name)}
    for first, check in (("reads", theirs_of_ours), ("is read", ours_of_theirs)):
        with tempfile.TemporaryDirectory() as work:
            write_truth(data, Path(work) / "truth.npz")
            try:
                out |= check(python, name, data, Path(work))
            except (RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
                out[first] = f"fails: {error}"
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=environments.FOLDER)
    parser.add_argument("--packages", nargs="+", choices=list(PACKAGES), default=list(PACKAGES))
    parser.add_argument("--output", type=Path, default=RESULTS / f"{datetime.date.today()}-interop.json")
    given = parser.parse_args()
    data, rows = simulated(), {}
    for name in given.packages:
        rows[name] = row(given.folder, name, data)
        print(f"{name:10}" + "; ".join(f"{asked}: {said}" for asked, said in rows[name].items()), flush=True)
    about = {"date": str(datetime.date.today()), "python": sys.version.split()[0]}
    about |= {"opty": version("opty-ptycho"), "h5py": h5py.__version__, "noise": noise(data)}
    given.output.write_text(json.dumps(about | {"packages": rows}, indent=1) + "\n")
    return int(
        any(
            said.startswith(("fails", "no:", "other", "positions", "lengths", "misfit 0", "another", "error only"))
            for found in rows.values()
            for said in found.values()
        )
    )


if __name__ == "__main__":
    sys.exit(main())

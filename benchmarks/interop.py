"""Do other packages read what opty writes, and does opty read what they write? Prints the matrix and keeps it.

    python -m benchmarks.interop [--folder DIR] [--packages ptypy pynx ptylab cdtools ptychi ...] [--output FILE]

Each package gets an environment of its own below DIR (benchmarks/environments.py); what runs there is in
benchmarks/peers. A package that cannot be installed, or a part that needs a GPU, is named with the reason.

The measurement is simulated: 36 views of 32 x 32 with photon noise, positions on whole pixels, in metres. Asked is:

- read: the package's own reader finds identical counts, positions within 1e-9 m of one another, lengths to 1e-6;
- predicts: the package's own forward model makes the counts (within twice the photon noise) of the true object and
  probe at the positions as the package understands them: axes, signs and the place of the zero frequency agree;
- fits: the package's own engine works on the file, its error falls;
- and the same of what the package writes: read by opty, and predicted by opty where the truth is known;
- result: the misfit of the package's own run, by its forward model, and that of its result as opty reads it.

PtyPy and PyNX get a scan with visible light as well, in which the Fresnel curvature of the plane of the sample turns
the phase by many radians. py4DSTEM gets electrons, 100 views on a grid, along the axes of the detector and turned by 12
degrees: asked too is the rotation that it finds by itself in opty's file (to 2 degrees).
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np

import opty
from benchmarks import environments
from benchmarks.environments import PEERS, last_line
from opty.data.scan_grid import scan_grid
from opty.simulate.experiment import experiment
from opty.simulate.probes import gaussian
from opty.simulate.scans import raster

N = 32
GEOMETRY = opty.Geometry(wavelength=1.2e-10, distance=2.0, pixel_size=75e-6)
VISIBLE = opty.Geometry(wavelength=632.8e-9, distance=7e-3, pixel_size=12e-6)  # the Fresnel curvature turns the phase
ELECTRONS = opty.Geometry.from_reciprocal(1.5e-3, voltage=300e3)
TURN = 12.0  # degrees
AWAY = np.array([4e-6, -9e-6])  # of the scan's middle from the origin of the stage [m]
ALIKE = 0.01  # relative difference of a misfit by two programs in single precision
RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Peer:
    """A package: the file opty writes for it, and the file it writes."""

    format: str
    ours: str
    theirs: str | None = None
    truth_known: bool = True  # whether what it writes is the scan of truth.npz
    start: str | None = None  # what opty writes of the true object and probe, a result
    result: str | None = None  # of a run of its own
    visible: bool = False  # whether a scan with visible light is tried too
    electrons: bool = False  # whether it gets electrons and a scan on a grid
    options: dict[str, str] = field(default_factory=dict)  # with which opty loads what it writes


PACKAGES = {
    "ptypy": Peer("ptyd", "scan.ptyd", "theirs.ptyd", start="result.ptyr", result="theirs.ptyr", visible=True),
    "pynx": Peer("cxi-pynx", "scan.cxi", "theirs.cxi", result="theirs-result.cxi", visible=True),
    "ptylab": Peer("ptylab", "scan.hdf5", "theirs.hdf5", truth_known=False, result="theirs-result.hdf5"),
    "cdtools": Peer("cxi", "scan.cxi", "theirs.cxi", result="theirs-result.h5"),
    "ptychi": Peer("ptychi", "scan_dp.hdf5"),
    "ptychodus": Peer("ptychi", "scan_dp.hdf5", "theirs_dp.hdf5"),
    "tike": Peer("tike", "scan.npz", "theirs.npz"),
    "py4dstem": Peer("emd", "scan.h5", "theirs.h5", electrons=True, options={"voltage": "300kV"}),
}


def simulated(geometry: opty.Geometry = GEOMETRY, turn: float = 0.0) -> opty.PtychoData:
    """36 views of 32 x 32 with photon noise, on whole pixels, the scan's middle away from the stage's origin.

    Electrons: 100 views on a grid that is turned by some degrees.
    """
    row, column = np.indices((90, 96))
    obj = (0.8 + 0.2 * np.sin(row / 4)) * np.exp(0.5j * np.cos(column / 5 + row / 11))
    where = np.rint(raster((6, 6), step=6, jitter=2))
    if geometry.voltage is not None:
        where = scan_grid((10, 10), 4.0, np.deg2rad(turn))
    data = experiment(obj, gaussian(N, 9), where - where.min(axis=0) + 10, photons=1e5, geometry=geometry, seed=1)
    return data.replace(positions=data.positions + AWAY, probe=data.truth["probe"].astype("complex64"))


def true_state(data: opty.PtychoData) -> opty.PtychoState:
    """The state of the true object and probe, in the frame that opty chooses for the positions of the data."""
    p = opty.PtychoState(data.replace(truth=None), probe=data.truth["probe"], device="cpu")
    shift = np.rint(p.numpy("positions")[0] - data.truth["positions"][0]).astype(int)
    obj = np.ones(p.numpy("obj").shape, complex)
    into, out = (tuple(slice(max(sign * k, 0), None) for k in shift) for sign in (1, -1))
    view, part = obj[into], data.truth["obj"][out]
    rows, columns = map(min, zip(view.shape, part.shape, strict=True))
    view[:rows, :columns] = part[:rows, :columns]
    return p.replace(obj=obj)


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
        **({} if g.voltage is None else {"voltage": g.voltage, "rotation": -_turn_of(data)}),
    )


def _turn_of(data: opty.PtychoData) -> float:
    """Rotation of a scan on a grid [degrees]."""
    right = data.positions[1] - data.positions[0]
    return float(np.rad2deg(np.arctan2(-right[0], right[1])))


def compared(found, expected) -> str:
    """Say in what counts, positions [m] and lengths [m] differ, or "ok"."""
    if not np.array_equal(found["counts"], expected["counts"]):
        return "other counts"
    away = (found["positions"] - found["positions"].mean(axis=0)) - (
        expected["positions"] - expected["positions"].mean(axis=0)
    )
    if np.abs(away).max() > min(1e-9, 1e-3 * float(np.ptp(expected["positions"]))):
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
    ours = data.replace(truth=None, probe=None if name in ("pynx", "py4dstem") else data.probe)
    if peer.format == "cxi":  # the one of these formats with a place for a mask
        ours = ours.replace(mask=np.arange(N * N).reshape(N, N) % 97 != 5)
        expected["mask"] = ours.mask
    opty.save(folder / peer.ours, ours, format=peer.format)
    if peer.start is not None:
        opty.save(folder / peer.start, true_state(data), format=Path(peer.start).suffix[1:])
    said = last_line(environments.command(python, name, PEERS / f"with_{name}.py", "read", folder), 600)
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
        if "turn" in found:
            turns = [float(found[name]) for name in ("turn", "written_turn")]
            alike = abs(turns[0] - turns[1]) < 2.0
            out["rotation"] = f"{'ok' if alike else 'another'}, {turns[0]:.0f} found, {turns[1]:.4g} degrees written"
    elif said:
        out["predicts"] = out["fits"] = f"not run: {said}"
    return out | of_result(peer, data, folder, found)


def ours_of_theirs(python: Path, name: str, data: opty.PtychoData, folder: Path) -> dict[str, str]:
    """What opty makes of the file that a package writes."""
    peer = PACKAGES[name]
    if peer.theirs is None:
        return {"is read": "writes no measurements"}
    last_line(environments.command(python, name, PEERS / f"with_{name}.py", "write", folder), 600)
    found = opty.load(folder / peer.theirs, **peer.options)
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
    return out | of_result(peer, data, folder, told)


def of_result(peer: Peer, data: opty.PtychoData, folder: Path, told: dict[str, np.ndarray]) -> dict[str, str]:
    """Compare the misfit of a package's own run, by its forward model, with that of its result in opty."""
    if peer.result is None or "result_misfit" not in told:
        return {}
    measured = data.replace(truth=None, probe=None, mask=told.get("mask", data.mask))
    there = float(told["result_misfit"])
    here = opty.misfit(opty.load(folder / peer.result, data=measured, device="cpu"))
    alike = abs(here - there) <= ALIKE * there
    return {
        "result": f"ok, {there:.4g} there, {here:.4g} here" if alike else f"misfit {there:.4g} there, {here:.4g} here"
    }


def row(folder: Path, name: str) -> dict[str, str]:
    """All that is asked of one package."""
    try:
        python = environments.environment(folder, name)
    except (RuntimeError, subprocess.SubprocessError, OSError) as error:
        return {"installed": f"no: {error}"}
    out = {"version": environments.version(python, name)}
    lights: dict[str, tuple[opty.Geometry, float]] = {"": (GEOMETRY, 0.0)}
    if PACKAGES[name].visible:
        lights["visible light, "] = VISIBLE, 0.0
    if PACKAGES[name].electrons:
        lights = {"": (ELECTRONS, 0.0), f"turned by {TURN:g} degrees, ": (ELECTRONS, TURN)}
    for light, (geometry, turn) in lights.items():
        data = simulated(geometry, turn)
        with environments.workplace(python, name) as work:
            write_truth(data, work / "truth.npz")
            for first, check in (("reads", theirs_of_ours), ("is read", ours_of_theirs)):
                try:
                    found = check(python, name, data, work)
                except (RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
                    found = {first: f"fails: {error}"}
                out |= {light + asked: said for asked, said in found.items()}
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=environments.FOLDER)
    parser.add_argument("--packages", nargs="+", choices=list(PACKAGES), default=list(PACKAGES))
    parser.add_argument("--output", type=Path, default=RESULTS / f"{datetime.date.today()}-interop.json")
    given = parser.parse_args()
    rows = {}
    for name in given.packages:
        rows[name] = row(given.folder, name)
        print(f"{name:10}" + "; ".join(f"{asked}: {said}" for asked, said in rows[name].items()), flush=True)
    about = {"date": str(datetime.date.today()), "python": sys.version.split()[0]}
    about |= {"opty": version("opty-ptycho"), "h5py": h5py.__version__, "noise": noise(simulated())}
    given.output.write_text(json.dumps(about | {"packages": rows}, indent=1) + "\n")
    return int(
        any(
            said.startswith(
                ("fails", "no:", "other", "positions", "lengths", "misfit 0", "misfit 1", "another", "error only")
            )
            for found in rows.values()
            for said in found.values()
        )
    )


if __name__ == "__main__":
    sys.exit(main())

"""PtyPy beside opty in Guzzi et al. 2022: Fig. S7, an optical scan whose illumination came out shifted.

    python -m benchmarks.paper_ptypy [--folder DIR] [--turns 100]

PtyPy simulates the laser scan of its template ptypy_laser_logo_focused (632 nm, 0.15 m, an aperture of 1 mm, its logo)
and writes the .ptyd; its DM starts from an aperture that lies off the middle. opty reads the .ptyd and the .ptyr, in
which the Fresnel curvature of the plane of the sample turns the phase of the probe by many radians, and takes it into
account; ``CentreProbe`` brings the probe back. M-rPIE beside it, at the positions of the file and with positions
refined: PtyPy takes windows at whole pixels, in its simulation as well, and writes positions as they were asked for.
What runs in PtyPy is benchmarks/peers/with_ptypy_paper.py.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import opty
from benchmarks import environments
from benchmarks.environments import PEERS, last_line
from benchmarks.paper_pictures import save_with_machine
from benchmarks.paper_pynx import curvature
from benchmarks.record import keep
from opty.analysis import align, illuminated
from opty.operators import CentreProbe
from opty.physics.centre_of_light import centre_of_light
from opty.plot.figure import new_figure
from opty.simulate import probes

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PICTURES = Path(__file__).with_name("results"), ROOT / "docs/paper"
N, VIEWS, SHIFT = 128, 100, (7, -5)  # px of the sample


def ptypy(python: Path, *arguments: object) -> None:
    """Run a task of the peer script."""
    last_line(environments.command(python, "ptypy", PEERS / "with_ptypy_paper.py", *map(str, arguments)))


def aperture(data: opty.PtychoData) -> np.ndarray:
    """A disc of 1 mm with the light of the mean pattern."""
    disc = probes.aperture(data.n, 1e-3 / data.pixel, edge=3)
    return disc * np.sqrt(data.photons().mean() / (abs(disc) ** 2).sum())


def judged(case: str, p: opty.PtychoState, truth: dict) -> tuple[dict, np.ndarray]:
    """Numbers of a state, and its object in the frame of the truth, NaN where no light fell."""
    lit = illuminated(truth["corners"], truth["probe"], truth["obj"].shape)
    offset = (p.positions - truth["corners"]).mean(axis=0)
    obj, found = align(p.numpy("obj"), truth["obj"], lit, offset)
    wrong = p.positions - truth["corners"]
    light = (abs(p.numpy("probe")) ** 2).sum(axis=0)
    row = dict(case=case, object_error=round(found.error, 4), misfit=opty.misfit(p))
    row["positions"] = float(np.linalg.norm(wrong - wrong.mean(axis=0), axis=1).mean())
    row["probe_off"] = centre_of_light(light).tolist()
    return row, np.where(lit, obj / np.exp(1j * np.angle(np.nansum(obj[lit]))), np.nan)


def compared(python: Path, turns: int) -> tuple[list[dict], dict]:
    """PtyPy's simulation and DM, and what opty makes of both: rows, and (object, probe) of each state."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        ptypy(python, "simulate", work, N, VIEWS)
        data, truth = opty.load(work / "laser.ptyd"), dict(np.load(work / "truth.npz"))
        g = data.geometry
        bent = curvature(N, g.wavelength, g.distance, data.pixel)  # PtyPy has it in its propagator
        wave = aperture(data) * bent
        np.save(work / "start.npy", (np.roll(wave, SHIFT, (0, 1)) / bent)[None])
        ptypy(python, "dm", work, turns, "start.npy", "theirs.ptyr")
        raw = opty.load(work / "theirs.ptyr", data=data, device="cpu")
    start = opty.PtychoState(data.replace(probe=wave), device="cpu")
    states = {
        "PtyPy, DM": raw,
        "PtyPy, DM, CentreProbe()": CentreProbe() * raw,
        "opty, M-rPIE": opty.rPIE(alpha=0.1) ** turns * start,
        "opty, M-rPIE, positions": (opty.PosCorrect() * opty.rPIE(alpha=0.1)) ** turns * start,
    }
    rows, shown = [], {}
    for case, p in states.items():
        row, obj = judged(case, p, truth)
        rows.append(row | dict(turns=turns, ptypy=environments.version(python, "ptypy")))
        shown[case] = obj, p.numpy("probe")[0]
    return rows, shown


def picture(shown: dict, version: str) -> None:
    """Phase of each object over the magnitude of its probe."""
    fig = new_figure(3.1 * len(shown), 6.4)
    lit = ~np.isnan(next(iter(shown.values()))[0])
    cut = tuple(slice(where[0], where[-1] + 1) for where in (np.flatnonzero(lit.any(axis=axis)) for axis in (1, 0)))
    for (upper, lower), (case, (obj, probe)) in zip(fig.subplots(2, len(shown)).T, shown.items(), strict=True):
        upper.imshow(np.angle(obj[cut]), cmap="gray")
        upper.set_title(f"{case}: phase", fontsize=9)
        lower.imshow(abs(probe), cmap="inferno")
        lower.axhline(N // 2, color="w", lw=0.5)
        lower.axvline(N // 2, color="w", lw=0.5)
        lower.set_title("illumination, magnitude", fontsize=9)
        for ax in (upper, lower):
            ax.set_xticks([])
            ax.set_yticks([])
    save_with_machine(fig, PICTURES / "figure_s7_ptypy.png", ptypy=version)


def main() -> int:
    """Run, print, keep, draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=environments.FOLDER, help="of the environments")
    parser.add_argument("--turns", type=int, default=100, help="of DM and of M-rPIE")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, help="folder of the record")
    given = parser.parse_args()
    try:
        python = environments.environment(given.folder, "ptypy")
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        print(f"left out: {error}")
        return 0
    rows, shown = compared(python, given.turns)
    for row in rows:
        print(row)
    keep(given.output, "paper-ptypy", rows, ("case",))
    picture(shown, environments.version(python, "ptypy"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The starts that both revisions are given: arrays and a geometry, so that no default of a load or a state counts."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

import opty
from benchmarks import cases, scans

P25 = "PETRAIII_P25_Near_Field_Ptycho.cxi"
NAMES = ("A", "B", "P25")
QUICK = {"A": scans.Scan("A", (4, 4), 32, 4), "B": scans.Scan("B", (4, 4), 32, 4, modes=3)}


def write(folder: Path, name: str, quick: bool, data: Path) -> str | None:
    """Write a start into a folder; return why it is left out, or None. ``data`` : the folder with the real scans."""
    folder.mkdir(parents=True)
    if name != "P25":
        scans.write(folder, QUICK[name] if quick else {"A": cases.A, "B": cases.B}[name])
        return None
    if not (data / P25).exists():
        return f"{data / P25} is not there"
    options = dict(views="0:16", crop=64) if quick else {}
    measured = opty.load(data / P25, propagation="near", focus_to_sample=3.65e-3, **options)
    p = opty.PtychoState(measured, device="cpu", threads=1)
    geometry = measured.geometry
    arrays = dict(diff=np.asarray(measured.intensities), probe0=p.numpy("probe"), obj0=p.numpy("obj"))
    arrays["pos"] = p.numpy("positions") * geometry.sample_pixel(measured.n)
    if measured.mask is not None:
        arrays["mask"] = np.asarray(measured.mask)
    for key, array in arrays.items():
        np.save(folder / f"{key}.npy", array)
    (folder / "geometry.json").write_text(json.dumps(dataclasses.asdict(geometry)))
    return None

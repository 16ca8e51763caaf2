"""A beginner's ``opty reconstruct`` on CXI files with one thing wrong, and ``opty check`` on those that come out wrong.

python -m benchmarks.beginner SEED ...                  every fault, a line each: error, and what was said
python -m benchmarks.beginner SEED ... 'flip rows' ...  the scan without fault, and these

A fault is silent where the picture is wrong (1.5 times the error without fault, and 0.1 above it), the file was not
refused, and no line begins with "Warning". The files have no starting probe.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from click.testing import CliRunner

import opty
from benchmarks.wrong_scans import DISTANCE, PIXEL, WAVELENGTH, draw, picture_error
from opty.cli.commands import main as opty_command

RESULTS = Path(__file__).parent / "results" / "beginner"
WRONG = 1.5, 0.1  # an error so many times that of the scan without fault, and so far above it


def write(path: Path, counts: np.ndarray, places: np.ndarray, **changed: Any) -> None:
    """Write a plain CXI file; ``places`` (N, 2) are (row, column) [m]."""
    known = {"distance": DISTANCE, "x_pixel_size": PIXEL, "y_pixel_size": PIXEL, "wavelength": WAVELENGTH} | changed
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 160
        for name, value in known.items():
            where = "source_1" if name in ("wavelength", "energy") else "detector_1"
            if value is not None:
                file[f"entry_1/instrument_1/{where}/{name}"] = value
        file["entry_1/instrument_1/detector_1/data"] = counts
        file["entry_1/sample_1/geometry_1/translation"] = np.column_stack([places[:, ::-1], 0 * places[:, 0]])


def faults(data: opty.PtychoData, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each fault by name, and what ``write`` writes of it."""
    rng = np.random.default_rng([77, seed])
    counts, places, n = np.asarray(data.intensities).astype(np.int64), data.positions, data.n
    right = {"counts": counts.astype(np.uint32), "places": places}
    yield "clean", right
    pixels = (_pixels(counts, n, rng), _frames(counts, rng), _numbers(counts, rng), _turned(counts))
    for some in pixels:
        yield from ((name, right | {"counts": made}) for name, made in some)
    step = WAVELENGTH * DISTANCE / (n * PIXEL)
    yield from ((name, right | {"places": made}) for name, made in wrong_places(places, step, rng))
    for name, changed in (
        ("distance in mm", {"distance": DISTANCE * 1e3}),
        ("distance 20 % too long", {"distance": DISTANCE * 1.2}),
        ("distance 50 % too long", {"distance": DISTANCE * 1.5}),
        ("pixel in um", {"x_pixel_size": PIXEL * 1e6, "y_pixel_size": PIXEL * 1e6}),
        ("pixel x 4", {"x_pixel_size": PIXEL * 4, "y_pixel_size": PIXEL * 4}),
        ("wavelength in nm", {"wavelength": WAVELENGTH * 1e9}),
        ("energy in keV", {"wavelength": None, "energy": 8.2656}),
    ):
        yield name, right | changed


def _pixels(counts: np.ndarray, n: int, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    c, top = n // 2, counts.max()
    rows, columns, spots = np.s_[:, c + 5 : c + 7], np.s_[:, :, c - 8 : c - 6], rng.integers(0, n, (2, 5))
    for name, where, value, kind in (
        ("gap of -1", rows, -1, "i4"),
        ("gap of NaN", rows, np.nan, "f4"),
        ("gap of 2^31 - 1", columns, 2**31 - 1, "i4"),
        ("gap of 4095", rows, 4095, "u4"),
        ("dead quadrant", np.s_[:, c + 2 :, c + 2 :], 0, "u4"),
        ("beamstop", np.s_[:, c - 2 : c + 3, c - 2 : c + 3], 0, "u4"),
        ("dead rows through the beam", np.s_[:, c - 1 : c + 1], 0, "u4"),
        ("hot pixels", (slice(None), *spots), 5 * top, "u4"),
        ("pixels hot in every third frame", (slice(0, None, 3), *spots), 20 * top, "u4"),
    ):
        made = counts.astype(float)
        made[where] = value
        yield name, made.astype(kind)
    yield "cut off at a quarter", np.minimum(counts, top // 4).astype("u4")
    yield "cut off at 255", np.minimum(counts, 255).astype("u1")


def _frames(counts: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    views = len(counts)
    orders = {
        "late by one": np.roll(np.arange(views), -1),
        "early by two": np.roll(np.arange(views), 2),
        "one lost in the middle": np.r_[: views // 2, views // 2 + 1 : views, views - 1],
        "reversed": np.arange(views)[::-1],
        "shuffled": rng.permutation(views),
    }
    yield from ((name, counts[order].astype("u4")) for name, order in orders.items())
    some = np.sort(rng.choice(np.arange(3, views), 4, replace=False))
    for name, where, times in (
        ("30 times the light in four", some, 30.0),
        ("5 times the light in four", some, 5.0),
        ("a twentieth of the light in four", some, 0.05),
        ("two exposures by turns", slice(0, None, 2), 0.3),
    ):
        made = counts.copy()
        made[where] = rng.poisson(times * counts[where])
        yield name, made.astype("u4")
    for name, where, value in (
        ("four of noise", some, rng.poisson(counts.mean(), (4, *counts.shape[1:]))),
        ("four missing", some, 0),
        ("four frozen", some, counts[some - 1]),
        ("the last third missing", slice(2 * views // 3, None), 0),
        ("the last third frozen", slice(2 * views // 3, None), counts[2 * views // 3]),
    ):
        made = counts.copy()
        made[where] = value
        yield name, made.astype("u4")
    yield "a beam that decays to 0.3", rng.poisson(counts * np.linspace(1, 0.3, views)[:, None, None]).astype("u4")


def _numbers(counts: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    yield "normalised", (counts / counts.max()).astype("f4")
    yield "amplitudes", np.sqrt(counts).astype("f4")
    yield "amplitudes x 3.7", (3.7 * np.sqrt(counts)).astype("f4")
    yield "amplitudes, rounded", np.rint(np.sqrt(counts)).astype("u4")
    yield "logarithms", np.log10(1.0 + counts).astype("f4")
    yield "gamma 0.7", (counts**0.7).astype("f4")
    noise, level = rng.normal(size=counts.shape), counts.mean()
    yield "a pedestal", counts.astype("u4") + np.uint32(max(1, round(0.1 * level)))
    yield "a pedestal with noise", np.maximum(0, counts + 0.3 * level + 0.1 * level * noise).astype("f4")
    yield "noise, negative", (counts + 2 * noise).astype("f4")
    yield "noise, cut at 0", np.maximum(0, counts + 2 * noise).astype("f4")


def _turned(counts: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    frames = counts.astype("u4")
    yield "transposed", frames.swapaxes(1, 2)
    yield "rows flipped", np.roll(frames[:, ::-1], 1, 1)
    yield "columns flipped", np.roll(frames[:, :, ::-1], 1, 2)
    yield "turned by 90 degrees", np.rot90(frames, 1, (1, 2))
    yield "zero frequency in the corner", np.fft.ifftshift(frames, axes=(1, 2))
    yield "beam 6 px off", np.roll(frames, (6, -4), (1, 2))


def wrong_places(places: np.ndarray, step: float, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Yield positions (N, 2) [m] that are wrong, by name; ``step`` is a pixel at the sample."""
    yield "positions exchanged", places[:, ::-1]
    yield "rows negative", places * (-1, 1)
    for name, times in (("mm", 1e3), ("um", 1e6), ("pixels", 1 / step)):
        yield f"positions in {name}", places * times
    for times in (0.9, 1.15, 2.0):
        yield f"positions x {times}", places * times
    yield "rows x 1.2", places * (1.2, 1)
    for degrees in (10, 45):
        turn = np.deg2rad(degrees)
        spun = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        yield f"positions turned by {degrees} degrees", places @ spun
    yield "sheared by 15 degrees", places @ np.array([[1, 0.26], [0, 1]])
    yield "drift of 8 px", places + np.linspace(0, 8 * step, len(places))[:, None] * (1, 0.5)
    yield "off by 3 px", places + rng.normal(0, 3 * step, places.shape)
    yield "all alike", 0 * places
    yield "on a line", places * (1, 0)
    yield "the columns twice", places[:, [1, 1]]
    yield "in whole steps", np.rint(places / (6 * step)) * 6 * step
    one_far, ends = places.copy(), places.copy()
    one_far[3] += 1e3 * step
    ends[-8:] = 0
    yield "one far away", one_far
    yield "the last eight 0", ends


def said(*words: object) -> tuple[int, str]:
    """Return the exit code and what a command of opty says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = CliRunner().invoke(opty_command, [str(word) for word in words])
    return run.exit_code, run.output


def rows(seed: int, only: list[str]) -> Iterator[dict[str, Any]]:
    """Yield a row for each fault of a drawn scan."""
    data, clean = draw(seed), np.inf
    with tempfile.TemporaryDirectory() as folder:
        file, result = Path(folder) / "scan.cxi", Path(folder) / "out.h5"
        for name, spoiled in faults(data, seed):
            if only and name not in ("clean", *only):
                continue
            write(file, **spoiled)
            code, text = said("reconstruct", file, "-o", result, "--threads", 1, "--overwrite")
            error = round(picture_error(opty.load(result), data.truth), 3) if code == 0 else None
            clean = error if name == "clean" else clean
            wrong = error is not None and error > WRONG[0] * clean and error > clean + WRONG[1]
            warned = re.findall(r"Warning: (.*)", text)
            row = {"seed": seed, "fault": name, "error": error, "wrong": wrong, "warned": warned}
            yield row | {"check": said("check", file) if wrong and not warned else None}


def main(*arguments: str) -> None:
    """Run some seeds, print a line for each fault, keep the rows of those that ran whole."""
    only = [word for word in arguments if not word.isdigit()]
    for seed in (int(word) for word in arguments if word.isdigit()):
        found = []
        for row in rows(seed, only):
            found.append(row)
            what = "refused" if row["error"] is None else "fine" if not row["wrong"] else "SILENT"
            what = "said" if row["wrong"] and row["warned"] else what
            checked = "" if row["check"] is None else "; ".join(re.findall(r"attention +(.*)", row["check"][1]))
            print(f"{seed} {row['fault']:34} {row['error']!s:6} {what:8} {checked[:120]}", flush=True)
        if not only:
            RESULTS.mkdir(parents=True, exist_ok=True)
            (RESULTS / f"{seed}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

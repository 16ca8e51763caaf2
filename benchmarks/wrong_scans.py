"""Scans drawn by seed, right ones and the same with one thing wrong: what checks and verdicts are counted on.

python -m benchmarks.wrong_scans SEED ...    each scan right and with each thing wrong
python -m benchmarks.wrong_scans SEED ... 'distance 5 %' ...      right and with these alone
python -m benchmarks.wrong_scans good SEED ...      what check alone says of right scans: false alarms
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import opty
from opty.analysis import find_probe, illuminated, object_error
from opty.analysis.check.health import health
from opty.analysis.verdict import verdict
from opty.physics.optics import aperture_probe
from opty.simulate import experiment, objects, scans

RESULTS = Path(__file__).parent / "results"
WAVELENGTH, DISTANCE, PIXEL = 1.5e-10, 2.0, 75e-6
PICTURES = ("astronaut", "brick", "camera", "cat", "cell", "coffee", "coins", "grass", "gravel", "moon", "page", "text")
RECIPE = opty.rPIE(alpha=0.05) ** 30  # that of opty reconstruct
WRONG = 1.5, 0.15  # an error of the object so many times that of the right scan's, and that much above it, is wrong


def draw(seed: int) -> opty.PtychoData:
    """Draw a far-field scan with nothing wrong: 32 to 64 px, 80 to 150 views, 1e4 to 1e7 photons; half have a probe."""
    rng = np.random.default_rng([17, seed])
    n = int(rng.choice((32, 40, 48, 64)))
    pixel = WAVELENGTH * DISTANCE / (n * PIXEL)
    semi_angle = rng.uniform(0.22, 0.4) * WAVELENGTH / (2 * pixel)
    across = rng.uniform(0.25, 0.45) * n * pixel
    kind = rng.choice(("lens", "lens", "zone plate", "disc", "gaussian"))
    if kind in ("lens", "zone plate"):
        probe = aperture_probe(
            n,
            WAVELENGTH,
            pixel,
            semi_angle,
            defocus=float(rng.choice((1, -1)) * across / (2 * semi_angle)),
            aberrations={"C12": float(rng.uniform(0, 0.1)) * across / semi_angle, "phi12": rng.uniform(0, np.pi)},
            central_stop=0.35 if kind == "zone plate" else 0.0,
        )
    elif kind == "disc":
        r = np.hypot(*(np.indices((n, n)) - n // 2)) * pixel
        probe = np.clip((across / 2 - r) / pixel + 0.5, 0, 1) * np.exp(1j * rng.uniform(1, 4) * (r / across) ** 2)
        probe = probe.astype(np.complex64)
    else:
        r = np.hypot(*(np.indices((n, n)) - n // 2)) * pixel
        probe = np.exp(-((r / (0.4 * across)) ** 2) * (1 + 1j * rng.uniform(-1.5, 1.5))).astype(np.complex64)
    step = float(rng.uniform(0.16, 0.3)) * across / pixel
    views = int(rng.integers(80, 150))
    if rng.random() < 0.5:
        places = scans.fermat(views, step)
    else:
        edge = int(np.sqrt(views))
        places = np.stack(np.meshgrid(*2 * (np.arange(edge) * step,), indexing="ij"), -1).reshape(-1, 2)
        places = places + rng.uniform(-0.3, 0.3, places.shape) * step
    places = np.rint(places - places.min(axis=0))
    shape = tuple(int(np.ptp(x)) + n + 24 for x in places.T)
    obj = objects.two_images(
        shape,
        tuple(rng.choice(PICTURES, 2, replace=False)),
        (rng.uniform(0.3, 0.8), 1.0),
        (-rng.uniform(0.2, 1.2), rng.uniform(0.2, 1.2)),
    )
    photons = float(10 ** rng.uniform(4, 7))
    geometry = opty.Geometry(WAVELENGTH, DISTANCE, PIXEL)
    data = experiment(obj, probe, places, photons, geometry=geometry, seed=seed)
    return data.replace(probe=data.truth["probe"]) if rng.random() < 0.5 else data


def wrong(data: opty.PtychoData, seed: int) -> Iterator[tuple[str, Callable[[], opty.PtychoData]]]:
    """Yield what may be wrong with a scan, by name, and a function that makes the scan so."""
    rng = np.random.default_rng([18, seed])
    counts, places = np.asarray(data.intensities), data.positions
    sign = rng.choice((1, -1), 2)

    def distance(factor: float) -> Callable[[], opty.PtychoData]:
        return lambda: data.replace(geometry=opty.Geometry(WAVELENGTH, DISTANCE * factor, PIXEL))

    def rolled(shift: tuple[int, ...]) -> Callable[[], opty.PtychoData]:
        return lambda: data.replace(intensities=np.roll(counts, shift, (1, 2)))

    yield "distance 5 %", distance(1 + 0.05 * sign[0])
    yield "distance 20 %", distance(1 + 0.2 * sign[1])
    yield "distance x 1000", distance(1000.0)
    yield "distance / 1000", distance(0.001)
    yield "row scale 10 %", lambda: data.replace(positions=places * (1.1, 1.0))
    yield "pixel size x 2", lambda: data.replace(geometry=opty.Geometry(WAVELENGTH, DISTANCE, 2 * PIXEL))
    yield "centre 5 px", rolled((5, -3))
    yield "zero frequency in the corner", rolled((data.n // 2, data.n // 2))
    yield "pedestal", lambda: data.replace(intensities=counts + _pedestal(counts, seed))
    yield "amplitudes", lambda: data.replace(intensities=np.sqrt(counts).astype(np.float32))
    yield "amplitudes, whole", lambda: data.replace(intensities=np.rint(8 * np.sqrt(counts)).astype(np.uint32))
    yield "squared", lambda: data.replace(intensities=counts.astype(np.float32) ** 2)
    yield "logarithms", lambda: data.replace(intensities=np.log1p(counts).astype(np.float32))
    yield "swapped", lambda: data.replace(positions=places[:, ::-1])
    yield "flipped", lambda: data.replace(positions=places * (1, -1))
    focus = {"propagation": "near", "focus_to_sample": 0.003}
    yield "near", lambda: data.replace(geometry=opty.Geometry(WAVELENGTH, DISTANCE, PIXEL, **focus))
    yield (
        "cone",
        lambda: data.replace(
            geometry=opty.Geometry(WAVELENGTH, DISTANCE, PIXEL, propagation="cone", focus_to_sample=0.003)
        ),
    )


def _pedestal(counts: np.ndarray, seed: int) -> np.ndarray:
    """Return a constant on all pixels, of 3 to 40 percent of all that is counted; drawn where it is below a count."""
    rng = np.random.default_rng([19, seed])
    share = rng.uniform(0.03, 0.4)
    level = share / (1 - share) * counts.mean()
    drawn = np.full(counts.shape, round(level)) if level > 1 else rng.poisson(level, counts.shape)
    return drawn.astype(counts.dtype)


def rows(seed: int, only: tuple[str, ...] = ()) -> Iterator[dict]:
    """Yield a row for a scan as it is, and one for each thing wrong."""
    data = draw(seed)
    truth = data.truth
    best = None
    for name, made in (("right", lambda: data), *wrong(data, seed)):
        if only and name not in ("right", *only):
            continue
        row = {"seed": seed, "wrong": name, "n": data.n, "views": data.views, "probe": data.probe is not None}
        row["photons"] = round(float(data.photons().mean()))
        row |= judged(made, truth)
        if name == "right":
            best = row["error"]
        row["picture"] = None if row["error"] is None else _picture(row["error"], best)
        yield row


def _picture(error: float, best: float | None) -> str:
    return "wrong" if best is not None and error > WRONG[0] * best and error > best + WRONG[1] else "fine"


def judged(made: Callable[[], opty.PtychoData], truth: dict) -> dict:
    """Return what check says, how far a run from a user's start ends from the truth, and its verdict without check."""
    began = time.process_time()
    try:
        data = made().replace(truth=None)
    except (ValueError, TypeError) as error:
        return {"check": "refused", "said": [str(error)], "error": None, "verdict": None}
    found = health(data)
    out = {
        "check": "pointless" if found.problems else "doubt" if found.warnings else "good",
        "said": [*found.problems, *found.warnings],
        "check_seconds": round(time.process_time() - began, 2),
        "error": None,
        "verdict": None,
    }
    try:
        near = data.geometry.propagation == "near"
        start = find_probe(data, threads=1).probe if data.probe is None and not near else None
        p = RECIPE * opty.PtychoState(data, start, threads=1)
    except (ValueError, opty.DivergedError) as error:
        return out | {"run": str(error)}
    began = time.process_time()
    told = verdict(p, (), test=True)
    out |= {"verdict": told.word, "reasons": told.reasons, "verdict_seconds": round(time.process_time() - began, 2)}
    return out | {"error": round(picture_error(p, truth), 4)}


def picture_error(p: opty.PtychoState, truth: dict) -> float:
    """Return the relative error of the object, or of its twin, up to constant and ramp, moved by whole pixels."""
    obj, corners, n = p.numpy("obj"), p.numpy("positions"), p.data.n
    lit = illuminated(truth["positions"], truth["probe"], truth["obj"].shape)
    middle = truth["positions"].mean(axis=0)
    twin = np.array(obj.shape) - n - corners

    def error(one: np.ndarray, at: np.ndarray) -> float:
        try:
            return object_error(one, truth["obj"], lit, np.rint(at.mean(axis=0) - middle).astype(int))
        except ValueError:
            return np.inf

    return min(error(obj, corners), error(obj[::-1, ::-1].conj(), twin))


def good(seeds: list[int]) -> None:
    """Print what check says of right scans, and keep it: a problem is a false alarm, a warning a doubt."""
    found = []
    for seed in seeds:
        began = time.process_time()
        said = health(draw(seed).replace(truth=None))
        seconds = round(time.process_time() - began, 1)
        found.append({"seed": seed, "problems": said.problems, "warnings": said.warnings, "seconds": seconds})
        print(found[-1], flush=True)
    keep(f"good-{seeds[0]}", found)


def keep(name: str, found: list[dict]) -> None:
    """Write rows into the folder of results."""
    file = RESULTS / "wrong_scans" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, indent=1) + "\n")


def main(*arguments: str) -> None:
    """Run some seeds, print a line each, keep the rows; what is no number names what to do wrong."""
    warnings.simplefilter("ignore")
    seeds = [int(word) for word in arguments if word.isdigit()]
    only = tuple(word for word in arguments if not word.isdigit())
    if only == ("good",):
        return good(seeds)
    for seed in seeds:
        found = []
        for row in rows(seed, only):
            found.append(row)
            seconds = f"{row.get('check_seconds', 0):5} s", f"{row.get('verdict_seconds', 0):5} s"
            judged = f"check {row['check']:9} {seconds[0]} verdict {row['verdict']!s:12} {seconds[1]}"
            picture = f"error {row['error']!s:7} {row['picture']!s:6}"
            print(f"{seed:4} {row['wrong']:30} {judged} {picture} {'; '.join(row['said'])[:110]}", flush=True)
        keep(str(seed), found)
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The real PyNX beside opty in Guzzi et al. 2022: Listings 1 and 2, Fig. S6, and its update_pos (Figs. S13, S14).

    python -m benchmarks.paper_pynx [listing_2 ramp positions] [--seeds 3 4] [--engines ML] [--folder DIR]

PyNX is the package of Debian in a small system of its own (benchmarks/environments.py), which takes root and
``debootstrap``; what runs there is benchmarks/peers/with_pynx_paper.py. Its operators for the CPU have no update_pos:
those for OpenCL run on pocl, a CPU too, and the LLK is summed by the operator for the CPU.

- listing_2: the TIFF and NPY of Listing 1 go into Listing 2 word by word, once as they are and once with the columns of
  the NPY swapped, and into opty. Object errors against the truth; the LLK of one state by both.
- ramp: patterns 5 pixels of 64 off the middle of the detector leave a phase ramp in the results of AP, DM and ML;
  opty reads each, and ``RemoveRamp`` is compared with what was put in.
- positions: update_pos=5 on the scene of benchmarks/paper_positions.py, 200 cycles of AP, DM and ML.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import opty
from benchmarks import environments
from benchmarks.environments import PEERS, last_line
from benchmarks.paper_pictures import ramp_panels, save_with_machine
from benchmarks.paper_positions import SIGMAS, scene
from benchmarks.record import commit, keep_in, machine
from opty.analysis import align, fit, illuminated
from opty.operators import RemoveRamp
from opty.plot.figure import BLUE, VERMILION, new_figure
from opty.simulate import experiment, objects, probes, scans, write

PYNX = "{1} of Debian {0}".format(*environments.DEBIAN["pynx"])
ROOT = Path(__file__).resolve().parents[1]
RECORD, PICTURES = Path(__file__).with_name("results") / "2026-11-29-paper-pynx.json", ROOT / "docs/paper"
AP = opty.AP(obj_inertia=0.01, probe_inertia=0.001)  # as PyNX has them
KEY = ("part", "case", "seed")


def pynx(python: Path, *arguments: Path | str) -> float:
    """Run a task of the peer script; return the seconds that it took."""
    begun = time.monotonic()
    last_line(environments.command(python, "pynx", PEERS / "with_pynx_paper.py", *arguments))
    return round(time.monotonic() - begun, 1)


def curvature(n: int, wavelength: float, distance: float, pixel: float) -> np.ndarray:
    """By what PyNX multiplies a wave at the sample before it transforms: exp(i pi r^2 / (lambda z))."""
    r = (np.arange(n) - n // 2) * pixel
    return np.exp(1j * np.pi / (wavelength * distance) * np.add.outer(r**2, r**2))


# -- Listing 2


def as_pynx_has_it(data: opty.PtychoData, found, name: str) -> opty.PtychoState:
    """The state of a result of Listing 2: counts divided by the largest, windows on whole pixels, PyNX's curvature."""
    g, obj, n = data.geometry, found[f"{name}_obj"], data.n
    corners = np.rint((np.array(obj.shape) - n) // 2 + found[f"{name}_where"] / found["pixel"])
    scaled = data.replace(intensities=data.intensities / data.intensities.max(), positions=corners * data.pixel)
    wave = found[f"{name}_probe"] * curvature(n, g.wavelength, g.distance, data.pixel)
    return opty.PtychoState(scaled, probe=wave, obj=obj, device="cpu").replace(positions=corners)


def likelihoods(p: opty.PtychoState, data: opty.PtychoData) -> list[float]:
    """LLK a pixel of a state in PyNX's units, by opty: Poisson's, Gaussian's and Euclidean.

    Poisson's is that of the counts as they were, over the largest: a prediction below 1e-6 photons counts as that much,
    which would be seen once all is divided by the largest count.
    """
    most = float(data.intensities.max())
    counted = opty.PtychoState(
        p.data.replace(intensities=data.intensities), probe=p.probe * np.sqrt(most), obj=p.obj, device="cpu"
    ).replace(positions=p.positions)
    told, of_counts = fit(p), fit(counted)
    return [
        v / data.intensities.size
        for v in (of_counts.poisson.total / most, 2 * told.gaussian.total, 2 * told.euclidean.total)
    ]


def object_found(p: opty.PtychoState, truth: dict) -> tuple[float, np.ndarray]:
    """Error of the object against the truth, and the object in its frame."""
    lit = illuminated(truth["positions"], truth["probe"], truth["obj"].shape)
    offset = (p.positions - truth["positions"]).mean(axis=0)
    obj, found = align(p.numpy("obj"), truth["obj"], lit, offset)
    return round(found.error, 4), np.where(lit, obj, np.nan)


def listing_2(python: Path, cycles: tuple[int, int, int]) -> list[dict]:
    """Both programs on the files of Listing 1."""
    rows, shown = [], {}
    with environments.workplace(python, "pynx") as work:
        script = ROOT / "examples/paper/listing_1.py"
        subprocess.run(
            [sys.executable, str(script), "--tiny", "--out", str(work)], check=True, stdout=subprocess.DEVNULL
        )
        data = opty.load(work / "diatom_synth_new.cxi")
        write(data, work / "swapped.tif", position_swap=True)
        g, truth = data.geometry, data.truth
        fs = g.focus_to_sample
        np.savez(work / "lengths.npz", wvl=g.wavelength, fd=g.distance + fs, fs=fs, psize=g.pixel_size)
        case_of = {"diatom_synth_new": "column 0 as x", "swapped": "columns swapped"}
        for stem in case_of:
            seconds = pynx(
                python, "listing_2", work, stem, *map(str, cycles if stem == "swapped" else (cycles[0], 0, 0))
            )
            found = dict(np.load(work / "found.npz"))
            for name in ("AP", "DM", "ML"):
                if f"{name}_obj" not in found:
                    continue
                p = as_pynx_has_it(data, found, name)
                case = f"PyNX, {name}, {case_of[stem]}"
                error, shown[case] = object_found(p, truth)
                llk = found[f"{name}_llk"].tolist()
                apart = [b / a - 1 for a, b in zip(llk, likelihoods(p, data), strict=True)]
                row = dict(part="listing 2", case=case, seed=0, object_error=error, misfit=opty.misfit(p))
                rows.append(row | dict(llk=llk, llk_apart=apart, seconds=seconds))
        start = as_pynx_has_it(data, found, "start")
        rows += of_opty(data, start, cycles, shown)
    picture_of_listing_2(shown, truth)
    return rows


def of_opty(data: opty.PtychoData, theirs: opty.PtychoState, cycles: tuple[int, int, int], shown: dict) -> list[dict]:
    """The same recipe in opty: from PyNX's own start on whole pixels, and on the positions as they are."""
    wave = probes.spherical_wave(
        data.n, data.geometry.wavelength, data.pixel, data.geometry.focus_to_sample, data.n * data.pixel / 3
    )
    own = opty.PtychoState(data.replace(probe=wave), modes=7, device="cpu")
    obj0 = 0.1 * np.exp(1j * np.random.default_rng(0).uniform(0, 0.5, own.obj.shape))
    own = opty.ScaleObjProbe() * own.replace(obj=obj0)
    flat, _ = object_found(own.replace(obj=np.ones_like(obj0)), data.truth)
    rows = [dict(part="listing 2", case="a flat object", seed=0, object_error=flat)]
    for begun, start in (("PyNX's start, whole pixels", theirs), ("own start", own)):
        after = AP ** cycles[0] * start
        runs = {"AP": after, "DM": opty.DM() ** cycles[1] * after, "ML": opty.ML() ** cycles[2] * after}
        for name, p in runs.items():
            case = f"opty, {name}, {begun}"
            error, shown[case] = object_found(p, data.truth)
            rows.append(dict(part="listing 2", case=case, seed=0, object_error=error, misfit=opty.misfit(p)))
    return rows


def picture_of_listing_2(shown: dict, truth: dict) -> None:
    """Draw phases of the objects side by side, in the frame of the truth."""
    lit = ~np.isnan(next(iter(shown.values())))
    cut = tuple(slice(where[0], where[-1] + 1) for where in (np.flatnonzero(lit.any(axis=axis)) for axis in (1, 0)))
    some = {"truth": np.where(lit, truth["obj"], np.nan)} | {case: obj for case, obj in shown.items() if ", AP" in case}
    fig = new_figure(2.6 * len(some), 3.0)
    for ax, (case, obj) in zip(fig.subplots(1, len(some)), some.items(), strict=True):
        ax.imshow(np.angle(obj[cut] / np.exp(1j * np.angle(np.nansum(obj)))), cmap="gray", vmin=-0.3, vmax=0.2)
        ax.set_title(case, fontsize=8)
        ax.set_axis_off()
    save_with_machine(fig, PICTURES / "listing_2_pynx.png", pynx=PYNX)


# -- Fig. S6


def taken(p: opty.PtychoState) -> np.ndarray:
    """What RemoveRamp has taken off last, (2,) detector pixels."""
    return np.array([p.history[key][-1] for key in ("ramp_row", "ramp_column")])


def of_object(p: opty.PtychoState, truth: dict) -> tuple[np.ndarray, float]:
    """The ramp of the object against the truth, (2,) detector pixels, and its error without it."""
    lit = illuminated(truth["positions"], truth["probe"], truth["obj"].shape)
    offset = (p.positions - truth["positions"]).mean(axis=0)
    found = align(p.numpy("obj"), truth["obj"], lit, offset)[1]
    return -np.array(found.ramp) * p.data.n / (2 * np.pi), round(found.error, 4)


def ramp(python: Path, n: int = 64, turns: int = 200) -> list[dict]:
    """Results of PyNX on patterns that lie off the middle, and the ramp that opty takes off them."""
    off = np.array([3, 4]) * n // 64  # from twice as much neither PyNX nor opty finds the object
    wavelength, distance, pixel = 1.2e-9, 20e-9 * 128 / n * n * 75e-6 / 1.2e-9, 75e-6
    geometry = opty.Geometry(wavelength, distance, pixel)
    side = n // 2
    step = scans.step_for_overlap(0.8, side)
    size = (n + 8 * step.__ceil__(),) * 2
    cells = objects.with_contrast(objects.cells(size, diameter=side / 1.5), (0.8, 1), (-1.5, 0))
    beam = probes.defocus(probes.gaussian(n, side / 2), wavelength, geometry.sample_pixel(n), 6e-5)
    grid = np.rint(scans.raster((7, 7), step, step / 5))
    data = experiment(cells, probes.modes(beam, (6, 1)), grid, photons=1e7, geometry=geometry)
    start = 0.8 * data.truth["probe"] * curvature(n, wavelength, distance, data.pixel).conj()
    measured = data.replace(intensities=np.roll(data.intensities, tuple(off), axis=(-2, -1)), truth=None, probe=None)
    true = opty.PtychoState(data, probe=data.truth["probe"], obj=data.truth["obj"], device="cpu")
    true = RemoveRamp() * true.replace(positions=data.truth["positions"])
    rows, states = [], {}
    with environments.workplace(python, "pynx") as work:
        lengths = [wavelength, distance, pixel]
        given = dict(counts=measured.intensities, positions=data.positions, lengths=lengths, probe=start, turns=turns)
        np.savez(work / "given.npz", **given)
        seconds = pynx(python, "ramp", work)
        for name in ("AP", "DM", "ML"):
            raw = opty.load(work / f"{name}.cxi", data=measured, device="cpu")
            straight = RemoveRamp() * raw
            states[name] = raw, straight
            against, error = of_object(raw, data.truth)
            expected = against + taken(true)
            rows.append(
                dict(part="ramp", case=name, seed=0, patterns_off=off.tolist(), found=taken(straight).tolist())
                | dict(expected=expected.tolist(), apart=float(abs(taken(straight) - expected).max()))
                | dict(misfits=[opty.misfit(p) for p in (raw, straight)], object_error=error, seconds=seconds)
            )
    fig = new_figure(10.5, 10.0)
    for axes, (name, (raw, straight)) in zip(fig.subplots(3, 3), states.items(), strict=True):
        ramp_panels(axes, raw, straight, n // 3)
        axes[0].set_ylabel(name)
        for ax in axes:
            ax.set_xticks([])
            ax.set_yticks([])
    save_with_machine(fig, PICTURES / "figure_s6_pynx.png", pynx=PYNX)
    return rows


# -- Figs. S13, S14


def positions(
    python: Path, seeds: list[int], engines: list[str], sigmas: list[float], cycles: int = 200
) -> Iterator[dict]:
    """PyNX's update_pos in the near field of the paper: positions and LLK at each ten cycles, a row for each run."""
    for engine, sigma, seed in itertools.product(engines, sigmas, seeds):
        data = scene(128, 6, sigma, seed, near=True)
        g, truth = data.geometry, data.truth["positions"]
        lengths = [g.wavelength, g.distance, g.pixel_size]
        given = dict(counts=data.intensities, positions=data.positions, lengths=lengths, probe=data.probe)
        with environments.workplace(python, "pynx") as work:
            np.savez(work / "given.npz", **given, pixel=data.pixel, near=True, update_pos=5)
            seconds = pynx(python, "positions", work, engine, str(cycles))
            found = dict(np.load(work / "found.npz"))
        places = found["places"] / data.pixel
        errors = [of_places(where, truth) for where in places]
        row = dict(part="positions", case=f"{engine}, {sigma:g} px", seed=seed, start=errors[0], left=errors[-1])
        row |= {
            f"{name}_affine": opty.analysis.position_error(where, truth, affine=True)
            for name, where in (("start", places[0]), ("left", places[-1]))
        }
        yield row | dict(least=min(errors), errors=errors, llk=found["llk"][:, 0].tolist(), seconds=seconds)


def picture_of_positions(record: dict) -> None:
    """Draw LLK and true error of seed 0, for each engine and error that the record holds.

    Beside it stand the machine that made the picture, and that of each row where it was another.
    """
    some = [row for row in record["rows"] if row["part"] == "positions" and row["seed"] == 0]
    if not some:
        return
    engines, errors = ({row["case"].split(", ")[k]: None for row in some} for k in (0, 1))
    fig = new_figure(3.6 * len(engines), 2.6 * len(errors))
    grid = fig.subplots(len(errors), len(engines), squeeze=False)
    for row in some:
        engine, error = row["case"].split(", ")
        ax = grid[list(errors).index(error), list(engines).index(engine)]
        at = np.arange(len(row["llk"])) * 10
        left = ax.semilogy(at, row["llk"], color=BLUE, label="LLK a pixel, Poisson")
        ax.set_title(f"PyNX, {row['case']}", fontsize=9)
        ax.set_xlabel("cycle")
        other = ax.twinx()
        right = other.plot(at, row["errors"], color=VERMILION, label="true error [px]")
        other.set_ylim(0, None)
    grid[0, 0].legend(handles=[*left, *right], fontsize=7)
    here = machine()
    made = {row["case"]: row.get("machine", record["machine"]) for row in some}
    elsewhere = {case: of for case, of in made.items() if of != here}
    about = {"rows made elsewhere": elsewhere} if elsewhere else {}
    save_with_machine(fig, PICTURES / "figures_s13_s14_pynx.png", pynx=PYNX, **about)


def of_places(places: np.ndarray, truth: np.ndarray) -> float:
    """Median distance [px], as ``median_error`` takes it of a state."""
    wrong = places - truth
    return float(np.median(np.linalg.norm(wrong - np.median(wrong, axis=0), axis=1)))


def main() -> int:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", default=["listing_2", "ramp", "positions"])
    parser.add_argument("--folder", type=Path, default=environments.FOLDER, help="of the environments")
    parser.add_argument("--cycles", type=int, nargs=3, default=(200, 400, 400), help="of AP, DM and ML in Listing 2")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of part positions")
    parser.add_argument("--sigmas", type=float, nargs="+", default=SIGMAS, help="errors of part positions [px]")
    parser.add_argument("--engines", nargs="+", default=["AP", "DM", "ML"], help="of part positions")
    parser.add_argument("-o", "--output", type=Path, default=RECORD, help="the record")
    given = parser.parse_args()
    try:
        python = environments.environment(given.folder, "pynx")
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        print(f"left out: {error}")
        return 0
    print(f"PyNX {environments.version(python, 'pynx')}")
    work = {
        "listing_2": lambda: listing_2(python, tuple(given.cycles)),
        "ramp": lambda: ramp(python),
        "positions": lambda: positions(python, given.seeds, given.engines, given.sigmas),
    }
    if unknown := set(given.parts) - set(work):
        parser.error(f"no part called {', '.join(sorted(unknown))}; there are {', '.join(work)}")
    about = dict(pynx=environments.version(python, "pynx"), commit=commit(), date=datetime.date.today().isoformat())
    for part in given.parts:
        of_part = dict(cycles=list(given.cycles)) if part == "listing_2" else {}
        for row in work[part]():
            print(row, flush=True)
            keep_in(given.output, [of_part | row | about], KEY)
        if part == "positions":
            picture_of_positions(json.loads(given.output.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

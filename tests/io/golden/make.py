"""Write the golden files of this version: one small result of each kind, and what a reader has to find in it.

    python tests/io/golden/make.py [FOLDER]

FOLDER is that of the version by default. Every later version of opty opens the files of every folder here
(tests/io/test_golden.py); files of an earlier version are never written again.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np

import opty

HERE = Path(__file__).resolve().parent
N, VIEWS = 16, 6


class GoldenDim(opty.Operator, reads="obj", writes="obj"):
    """An operator of a user's own, with parameters of every type."""

    by: float
    words: tuple[str, ...] = ("a b", "größe")
    times: int | None = None
    inner: opty.Operator = opty.rPIE(alpha=0.2) ** 2

    def apply(self, s):
        s.obj *= self.by


class GoldenRecipe(opty.Recipe):
    """A recipe of a user's own."""

    by: float = 0.99

    def expand(self):
        return GoldenDim(self.by, times=3) * opty.rPIE(alpha=0.3)


def scan(masks: bool = False, metres: bool = True) -> opty.PtychoData:
    """Six views of 16 x 16 at fractional positions, through a Gaussian probe, with Poisson noise."""
    rng = np.random.default_rng(5)
    row, col = np.indices((34, 36))
    obj = (0.8 + 0.2 * np.sin(row / 3)) * np.exp(0.6j * np.cos(col / 4))
    x = np.arange(N) - N // 2
    probe = 40 * np.exp(-(x[:, None] ** 2 + x**2) / 18.0)
    where = np.array([(3.0 * (k // 3), 4.0 * (k % 3)) for k in range(VIEWS)]) + rng.uniform(-0.4, 0.4, (VIEWS, 2))
    corners = np.rint(where - where.min(axis=0)).astype(int) + 5
    waves = np.array([probe * obj[r : r + N, c : c + N] for r, c in corners])
    far = np.fft.fftshift(np.fft.fft2(waves, norm="ortho"), axes=(-2, -1))
    counts = rng.poisson(np.abs(far) ** 2 + 0.5).astype(np.uint16)
    geometry = opty.Geometry(wavelength=1e-10, distance=2.0, pixel_size=55e-6) if metres else None
    mask = rng.random((VIEWS, N, N) if masks else (N, N)) > 0.03
    pixel = 1.0 if geometry is None else geometry.sample_pixel(N)
    return opty.PtychoData(counts, where * pixel, geometry, mask, probe=probe.astype(np.complex64))


def start(data: opty.PtychoData, **options) -> opty.PtychoState:
    return opty.PtychoState(data, device="cpu", threads=1, seed=3, **options)


def own() -> opty.PtychoState:
    """Of an operator and a recipe of a user's own, deep in loops and schedules."""
    recipe = opty.Every(2, GoldenDim(0.98, ("x", "y"))) * GoldenRecipe(by=0.995)
    return opty.AP() * recipe**3 * GoldenDim(0.5, inner=opty.DM() * GoldenDim(0.25)) * start(scan())


def streamed() -> opty.PtychoState:
    """Whose frames, and a mask for each view, stay in another file; some views left out."""
    opty.save("streamed_scan.h5", scan(masks=True))
    data = opty.load("streamed_scan.h5", stream=True, views="1:")
    return opty.rPIE() ** 2 * start(data)


def linked() -> opty.PtychoState:
    """Whose frames were read into memory from a file of another program, and cropped."""
    np.savez("linked_scan.npz", diff=scan(metres=False).intensities, pos=scan(metres=False).positions)
    return opty.AP() ** 2 * start(opty.load("linked_scan.npz", crop=14), modes=2)


def background() -> opty.PtychoState:
    """With a background and the brightness of each view, both estimated."""
    data = scan().replace(background=np.full((N, N), 0.4, np.float32))
    recipe = opty.BackgroundUpdate() * opty.IntensityUpdate() * opty.AP()
    return recipe**3 * start(data)


def kept_waves() -> opty.PtychoState:
    """In the middle of a difference map, with the exit waves of all views; in double precision."""
    return opty.DM() ** 3 * start(scan(), dtype="complex128")


def interrupted() -> opty.PtychoState:
    """The checkpoint of a run that did not come to its end, of a user's own operator."""
    opty.save("interrupted_scan.h5", scan())
    step = opty.Save("interrupted.h5", every=2) * GoldenDim(0.99) * opty.rPIE()
    step**3 * start(opty.load("interrupted_scan.h5"))
    return opty.load("interrupted.h5", device="cpu", threads=1)


def refined() -> opty.PtychoState:
    """With positions refined, and frames in the result itself."""
    return (opty.PosCorrect() * opty.rPIE()) ** 3 * start(scan())


def arrays() -> opty.PtychoState:
    """With an array of a user's own by name, and what was put in by hand."""
    x = np.arange(N) - N // 2
    weights = np.exp(-(np.hypot(x[:, None], x) ** 2) / 90)
    p = opty.AP() * start(scan(metres=False))
    p = p.replace(arrays={"pinhole": weights}, probe=p.probe * 1.5)
    return (opty.Support("pinhole") * opty.rPIE()) ** 2 * p


KINDS = (own, streamed, linked, background, kept_waves, interrupted, refined, arrays)


def texts_of(p: opty.PtychoState) -> dict:
    """What a reader has to find, beside numbers."""
    return {
        "recipe": repr(p.recipe),
        "recipe_json": p.recipe.to_json(),
        "iteration": p.iteration,
        "seed": p.seed,
        "geometry": None if p.data.geometry is None else asdict(p.data.geometry),
        "views": p.data.views,
        "counts": str(p.data.intensities.dtype),
    }


def numbers(p: opty.PtychoState) -> dict[str, np.ndarray]:
    """All numbers of a state but its frames; the history in double precision."""
    found = {f"leaf {name}": p.numpy(name) for name in ("obj", "probe", "positions", *p.slots, *p.arrays)}
    if p.background is not None:
        found["background"] = p.background
    if p.intensity_factors is not None:
        found["intensity_factors"] = np.asarray(p.intensity_factors)
    found |= {f"history {name}": np.asarray(series, np.float64) for name, series in p.history.items()}
    return found | {"origin": p.origin, "photons": p.data.photons(), "data positions": p.data.positions}


def main() -> None:
    folder = HERE / (sys.argv[1] if len(sys.argv) > 1 else opty.__version__)
    work = Path(tempfile.gettempdir()) / "opty-golden"  # the same place each time: it is in the results
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    os.chdir(work)
    warnings.simplefilter("ignore", opty.MisfitWarning)
    texts = {}
    for kind in KINDS:
        name = kind.__name__
        p = kind()
        if not Path(f"{name}.h5").exists():
            opty.save(f"{name}.h5", p)
        texts[name] = texts_of(p)
        np.savez_compressed(f"{name}_numbers.npz", **numbers(p))
    Path("texts.json").write_text(json.dumps(texts, indent=1, ensure_ascii=False) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(work, folder)
    shutil.rmtree(work)
    for path in sorted(folder.iterdir()):
        print(f"{path.stat().st_size:8d} bytes  {path.relative_to(HERE)}")


if __name__ == "__main__":
    main()

"""Draw symptoms.png and print the numbers of symptoms.md: a scan with one flaw each, without and with its remedy.

python docs/symptoms.py            # all, a few minutes; symptoms.png beside this file
python docs/symptoms.py positions  # one, into the working folder
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import opty
from opty import DM, ML, BackgroundUpdate, FindPositions, IntensityUpdate, Operator, ScaleObjProbe, rPIE
from opty.data import PtychoData
from opty.simulate import Exposure, experiment, objects, probes, scans

Case = tuple[PtychoData, dict, Operator, PtychoData, dict, Operator]
N = 64
OBJECT = objects.two_images((160, 160))
PROBE = probes.defocus(probes.aperture(N, 26, edge=3), wavelength=1e-9, pixel=40e-9, distance=3e-4)
START = {"probe": PROBE}
PLACES = scans.raster((11, 11), step=7, jitter=2, seed=1)


def scan(probe: np.ndarray = PROBE, places: np.ndarray = PLACES, photons: float = 1e6, **options) -> PtychoData:
    return experiment(OBJECT, probe, places, photons=photons, seed=1, **options)


def positions() -> Case:
    data = scan(position_error=5)
    return data, START, rPIE() ** 60, data, START, rPIE() ** 40 * FindPositions()


def axes() -> Case:
    data = scan()
    swapped = data.replace(positions=data.positions[:, ::-1])
    return swapped, START, rPIE() ** 40, data, START, rPIE() ** 40


def scale() -> Case:
    data = scan()
    return (
        data.replace(positions=data.positions * 1.15),
        START,
        rPIE() ** 40,
        data,
        START,
        rPIE() ** 40,
    )


def modes() -> Case:
    data = scan(probes.modes(PROBE, [0.6, 0.25, 0.15]))
    return data, START, rPIE() ** 60, data, {**START, "modes": 3}, rPIE() ** 60


def background() -> Case:
    data = scan(exposure=Exposure(background=5))
    hidden = data.replace(background=None)
    return (
        hidden,
        START,
        rPIE() ** 60,
        hidden,
        START,
        (BackgroundUpdate(shape="flat") * rPIE()) ** 60,
    )


def flicker() -> Case:
    data = scan(exposure=Exposure(fluctuation=0.4))
    return data, START, rPIE() ** 60, data, START, (IntensityUpdate() * rPIE()) ** 60


def photons() -> Case:
    data = scan(photons=2e3)
    return data, START, rPIE(alpha=0.05) ** 100, data, START, ML(smooth=0.3) ** 60


def probe() -> Case:
    data = scan()
    flat = probes.aperture(N, 60)
    found = opty.analysis.find_probe(data).probe
    return data, {"probe": flat}, rPIE() ** 40, data, {"probe": found}, DM() ** 40 * ML() ** 20


def centre() -> Case:
    data = scan()
    rolled = data.replace(intensities=np.roll(np.asarray(data.intensities), (5, -4), (1, 2)))
    return rolled, START, rPIE() ** 40, data, START, rPIE() ** 40


def hot() -> Case:
    data = scan()
    frames, mask = np.array(data.intensities), np.ones((N, N), bool)
    for row, col in ((20, 41), (33, 12), (50, 50), (8, 30)):
        frames[:, row, col], mask[row, col] = 20_000, False
    data = data.replace(intensities=frames)
    return data, START, rPIE() ** 60, data.replace(mask=mask), START, rPIE() ** 60


CASES: dict[str, tuple[str, str, Callable[[], Case]]] = {
    "positions": ("positions wrong by up to 5 px", "FindPositions()", positions),
    "axes": ("axes of the positions swapped", "position_swap=True", axes),
    "scale": ("positions 15 percent too large", "the right unit or scale", scale),
    "modes": ("partially coherent beam, one mode", "modes=3", modes),
    "background": ("background of 5 photons a pixel", 'BackgroundUpdate(shape="flat")', background),
    "flicker": ("beam that flickers by 40 percent", "IntensityUpdate()", flicker),
    "photons": ("2,000 photons a view, fitted too far", "ML(smooth=0.3)", photons),
    "probe": ("starting probe of the wrong kind", "find_probe(data)", probe),
    "centre": ("beam centre off by 5 and 4 px", "centre=", centre),
    "hot": ("four hot pixels", "mask=", hot),
}


def main(chosen: list[str]) -> None:
    names = chosen or list(CASES)
    fig, axes = plt.subplots(
        -(-len(names) // 2), 4, figsize=(11, 1.5 * len(names)), squeeze=False, layout="constrained"
    )
    for pair, name in zip(axes.reshape(-1, 2), names, strict=False):
        flaw, remedy, make = CASES[name]
        made, line = make(), []
        for one, said, (data, options, recipe) in zip(pair, (flaw, remedy), (made[:3], made[3:]), strict=True):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what is wrong is what is to be seen
                p = recipe * (ScaleObjProbe() * opty.PtychoState(data, seed=0, **options))
                error, misfit = opty.analysis.errors(p)["object"], opty.misfit(p)
            line.append(f"{error:8.3f} {misfit:9.2e}")
            picture = abs(p.numpy("obj"))[lit_box(p)]
            one.imshow(picture, cmap="gray", vmin=0, vmax=np.percentile(picture, 99))
            one.set_title(f"{said}\nobject error {error:.3f}, misfit {misfit:.1e}", fontsize=9)
        print(f"{name:11s} {'   remedy: '.join(line)}", flush=True)
    for one in axes.flat:
        one.set_axis_off()
    fig.savefig("symptoms.png" if chosen else Path(__file__).with_name("symptoms.png"), dpi=60)


def lit_box(p: opty.PtychoState) -> tuple[slice, slice]:
    return opty.analysis.illumination.crop_to(opty.analysis.illumination.lit_area(p))


if __name__ == "__main__":
    main(sys.argv[1:])

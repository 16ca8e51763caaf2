"""The raster grid in Fig. S2 of Guzzi et al. 2022: how strong it is, by how irregular the scan is, and what removes it.

They see it "especially for texture-free areas", and put it down to a jitter that is "really small". Here: cells on a
clear film, scanned with 0, 1, 3 and 5 px of jitter at a step of 8 px. What is left of the truth is transformed: its
power at the frequencies of the raster over that around them, 1 where there is no raster. Alternating projections start
from a probe with a wrong curvature. The remedy is an object filter, TotalVariation.
"""

import numpy as np
from paper import bare, main_number, save, sized

import opty
from opty.analysis import align, illuminated
from opty.operators import TotalVariation
from opty.plot.figure import BLUE, VERMILION, new_figure
from opty.simulate import experiment, objects, probes, scans

N, STEP, VIEWS, SEEDS = 64, 8, 9, sized((0,), (0, 1), (0, 1, 2, 3, 4))
JITTERS = sized((0, 5), (0, 1, 3, 5), (0, 1, 2, 3, 4, 5))
SWEEPS = sized(20, 60, 200)
RECIPES = {"AP()": opty.AP() ** SWEEPS, "TotalVariation(0.002) * AP()": (TotalVariation(0.002) * opty.AP()) ** SWEEPS}


def simulated(jitter, seed):
    """A scan of cells, and a guess of the probe: too weak, with a wrong curvature."""
    size = N + (VIEWS - 1) * STEP + 16
    obj = objects.with_contrast(objects.cells((size, size), diameter=30, cover=0.3), (0.8, 1), (-0.8, 0))
    probe = probes.defocus(probes.aperture(N, 26, edge=1.5), 1e-9, 20e-9, 3e-5)
    data = experiment(obj, probe, scans.raster((VIEWS, VIEWS), STEP, jitter, seed=seed), photons=1e5, seed=seed)
    curvature = np.exp(0.6j * np.add.outer(*2 * [((np.arange(N) - N // 2) / 12) ** 2]))
    return data.replace(probe=0.9 * data.truth["probe"] * curvature)


def left_of_truth(p):
    """Object less truth, over six steps in the middle, and the error of the object."""
    truth = p.data.truth
    offset = np.rint((p.positions - truth["positions"]).mean(axis=0))
    lit = illuminated(truth["positions"], truth["probe"], truth["obj"].shape)
    obj, found = align(p.numpy("obj"), truth["obj"], lit, offset)
    r, c = np.ceil(truth["positions"].min(axis=0) + N // 2 + STEP).astype(int)
    return (obj - truth["obj"])[r : r + 6 * STEP, c : c + 6 * STEP], found.error


def spectrum(image):
    window = np.hanning(len(image))
    return abs(np.fft.fft2((image - image.mean()) * np.outer(window, window))) ** 2


def raster_power(image):
    """Power at the first orders of the raster over the mean of that half-way between them."""
    power, k = spectrum(image), len(image) // STEP
    orders = [(a, b) for a in range(4) for b in range(-3, 4) if (a, b) > (0, 0) and a * a + b * b <= 9]
    there = [power[a * k, b * k] for a, b in orders]
    h = k // 2
    near = [(u, v) for u in (-h, 0, h) for v in (-h, 0, h) if (u, v) != (0, 0)]
    around = [np.mean([power[(a * k + u) % len(power), (b * k + v) % len(power)] for u, v in near]) for a, b in orders]
    return np.sum(there) / np.sum(around)


found, shown = {}, {}
for jitter in JITTERS:
    for name, recipe in RECIPES.items():
        numbers = []
        for seed in SEEDS:
            p = recipe * opty.PtychoState(simulated(jitter, seed))
            image, error = left_of_truth(p)
            numbers.append((raster_power(image), error))
            shown.setdefault((jitter, name), image)
        found[jitter, name] = np.mean(numbers, axis=0)
        print(
            f"jitter {jitter} px, {name:30s}: raster {found[jitter, name][0]:6.3f}, object error {error:.4f}",
            flush=True,
        )

fig = new_figure(13.0, 5.0)
grid = fig.subplots(2, 4, gridspec_kw={"width_ratios": (1.5, 1, 1, 1)})
panels = [(0, "AP()"), (JITTERS[-1], "AP()"), (0, "TotalVariation(0.002) * AP()")]
for (upper, lower), key in zip(grid[:, 1:].T, panels, strict=True):
    upper.imshow(shown[key].real, cmap="gray", vmin=-0.03, vmax=0.03)
    upper.set_title(f"{key[0]} px: {key[1]}", fontsize=8)
    lower.imshow(np.fft.fftshift(np.log10(spectrum(shown[key]) + 1e-6)), cmap="magma", vmin=-4, vmax=0.5)
    lower.set_title("its spectrum", fontsize=8)
bare(fig)
grid[1, 0].remove()
axes = grid[0, 0]
for name, colour in zip(RECIPES, (BLUE, VERMILION), strict=True):
    axes.semilogy(JITTERS, [found[jitter, name][0] for jitter in JITTERS], "o-", color=colour, label=name)
axes.axhline(1, color="0.7", lw=0.8)
axes.set_xticks(JITTERS, JITTERS)
axes.set_title("power at the raster over that around it")
axes.set_xlabel("jitter (px) at a step of 8 px")
axes.legend(fontsize=7)
save(fig, "figure_s2_raster")
rough, smooth = (found[0, name][0] for name in RECIPES)
main_number("raster of a perfect grid over that with 5 px of jitter", rough / found[5, "AP()"][0], above=sized(2, 5, 5))
main_number("raster with the filter over that without", smooth / rough, below=sized(0.8, 0.5, 0.5))

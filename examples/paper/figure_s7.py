"""Fig. S7 of Guzzi et al. 2022: an optical scan whose illumination came out shifted, (a, c), and M-rPIE on it, (b, d).

Visible light, as in the data set of Enders and Thibault that they took; here simulated. A start that lies off the
middle leaves probe and object off it in DM. CentreProbe brings the probe back to a fraction of a pixel, object and
positions with it.

It is judged twice, as DM moves object and probe together, which no pattern shows. Shifts are put on one result of DM,
so that they are known, and the probe that CentreProbe gives is compared with the one that it gives without a shift. And
M-rPIE begins from both starts: after CentreProbe both probes have to lie at the same place of the object.
"""

import numpy as np
from paper import bare, main_number, save, sized, vectors

import opty
from opty.analysis import align, illuminated
from opty.operators import CentreProbe
from opty.plot.figure import new_figure
from opty.simulate import experiment, objects, probes, scans

N = sized(64, 128, 512)
SHIFT = np.array([17.0, -9.3]) * N / 128
SWEEPS = sized(10, 30, 200)
ENGINES = {
    "DM": opty.AP() ** 5 * opty.DM() ** SWEEPS * opty.AP() ** 5,
    "M-rPIE": opty.rPIE(alpha=0.1) ** sized(10, 60, 200),
}
geometry = opty.Geometry(wavelength=633e-9, distance=0.15, pixel_size=24e-6 * 128 / N)
pixel = geometry.sample_pixel(N)

beam = probes.spherical_wave(
    N, geometry.wavelength, pixel, distance=0.15 * N**2 * pixel**2 / 633e-9, aperture=N / 3 * pixel
)
step = scans.step_for_overlap(0.75, N / 3)
size = N + int(8 * step)
obj = objects.two_images((size, size), ("page", "coins"), (0.5, 1), (-0.8, 0.8))
data = experiment(obj, beam, scans.raster((7, 7), step, step / 5), photons=1e7, geometry=geometry)
truth = data.truth
lit = illuminated(truth["positions"], truth["probe"], truth["obj"].shape)


def shifted(p, d):
    """The same state with the probe d [px] off where it was, and its windows as far the other way."""
    q = np.fft.fftfreq(N)
    factor = np.exp(-2j * np.pi * (q[:, None] * d[0] + q * d[1]))
    return p.replace(probe=np.fft.ifft2(np.fft.fft2(p.numpy("probe")) * factor), positions=p.positions - d)


def place(p):
    """How far windows lie off where the object has them [px], (2,); the error of the object."""
    offset = (p.positions - truth["positions"]).mean(axis=0)
    found = align(p.numpy("obj"), truth["obj"], lit, offset)[1]
    return found.shift - (offset - np.rint(offset)), found.error


start = opty.PtychoState(data, probe=0.8 * truth["probe"])
results = {name: [engine * p for p in (start, shifted(start, SHIFT))] for name, engine in ENGINES.items()}
apart = {}
print(f"started {SHIFT} px off the middle, against a start in the middle:")
for name, both in results.items():
    none, some = (CentreProbe() * p for p in both)
    (of_none, error), (of_some, worse) = place(none), place(some)
    apart[name] = abs(of_some - of_none).max()
    print(
        f"{name}: place of the probe on the object {(of_some - of_none).round(4)} px apart; objects wrong by", end=" "
    )
    print(f"{error:.3f}, {worse:.3f}; misfits {opty.misfit(none):.4g}, {opty.misfit(some):.4g}")

print("shifts put on the result of DM from the middle:")
dm = results["DM"][0]
none = CentreProbe() * dm
wrong, changes = [], []
for d in vectors((0.3, 3, 17)):
    off = shifted(dm, d)
    back = CentreProbe() * off
    wrong.append(abs(np.array(align(back.numpy("probe")[0], none.numpy("probe")[0])[1].shift)).max())
    changes.append(opty.misfit(back) / opty.misfit(off) - 1)
for k, length in enumerate((0.3, 3, 17)):
    cut = slice(8 * k, 8 * k + 8)
    print(f"{length} px in eight directions: found to {max(wrong[cut]):.2g} px, misfit by {max(changes[cut]):.2g} more")

raw = results["DM"][1]
fig = new_figure(11.5, 5.6)
for axes, state, name in zip(
    fig.subplots(2, 3).T,
    (raw, results["M-rPIE"][0], CentreProbe() * raw),
    ("DM, (a, c)", "M-rPIE, (b, d)", "DM, centred"),
    strict=True,
):
    middle = np.rint(state.positions.mean(axis=0) + N // 2).astype(int)
    half = int(3.5 * step)
    window = state.obj[middle[0] - half : middle[0] + half, middle[1] - half : middle[1] + half]
    axes[0].imshow(np.angle(window * np.exp(-1j * np.angle(window.sum()))), cmap="gray")
    axes[0].set_title(f"{name}: phase")
    axes[1].imshow(np.abs(state.probe[0]), cmap="inferno")
    axes[1].axhline(N // 2, color="w", lw=0.5)
    axes[1].axvline(N // 2, color="w", lw=0.5)
    axes[1].set_title("illumination, magnitude")
save(bare(fig), "figure_s7")
main_number("shifts of one result, found less put in [px]", max(wrong), below=sized(1, 0.05, 0.05))
main_number("place of the probe, M-rPIE from both starts [px]", apart["M-rPIE"], below=sized(3, 0.05, 0.05))

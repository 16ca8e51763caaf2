"""Fig. S7 of Guzzi et al. 2022: an optical scan whose illumination came out shifted, (a, c), and M-rPIE on it, (b, d).

Visible light, as in the data set of Enders and Thibault that they took; here simulated. A start that lies off the
middle leaves probe and object off it in DM. CentreProbe brings the probe back to a fraction of a pixel, object and
positions with it.
"""

import numpy as np
from paper import bare, main_number, save, sized

import opty
from opty.operators import CentreProbe
from opty.plot.figure import new_figure
from opty.simulate import experiment, objects, probes, scans

N = sized(64, 128, 512)
SHIFT = np.array([17.0, -9.3]) * N / 128
SWEEPS = sized(10, 30, 200)
geometry = opty.Geometry(wavelength=633e-9, distance=0.15, pixel_size=24e-6 * 128 / N)
pixel = geometry.sample_pixel(N)

beam = probes.spherical_wave(
    N, geometry.wavelength, pixel, distance=0.15 * N**2 * pixel**2 / 633e-9, aperture=N / 3 * pixel
)
step = scans.step_for_overlap(0.75, N / 3)
size = N + int(8 * step)
obj = objects.two_images((size, size), ("page", "coins"), (0.5, 1), (-0.8, 0.8))
data = experiment(obj, beam, scans.raster((7, 7), step, step / 5), photons=1e7, geometry=geometry)
q = np.fft.fftfreq(N)
moved = np.exp(-2j * np.pi * (q[:, None] * SHIFT[0] + q * SHIFT[1]))
guess = 0.8 * data.truth["probe"]
off = np.fft.ifft2(np.fft.fft2(guess) * moved).astype(np.complex64)

start = opty.PtychoState(data, probe=off)
start = start.replace(positions=start.positions - SHIFT)
dm = opty.AP() ** 5 * opty.DM() ** SWEEPS * opty.AP() ** 5 * start
centred = CentreProbe() * dm
ours = opty.rPIE(alpha=0.1) ** SWEEPS * opty.PtychoState(data, probe=guess)
reference = CentreProbe() * (
    opty.AP() ** 5 * opty.DM() ** SWEEPS * opty.AP() ** 5 * opty.PtychoState(data, probe=guess)
)
back = (centred.positions - reference.positions).mean(axis=0)
left = abs(back - np.rint(back)).max()
print(
    f"put in {SHIFT}; after CentreProbe positions lie {back.round(3)} from those of the start in the middle: the object"
)
print(f"has moved by whole pixels. misfit before {opty.misfit(dm):.4g}, after {opty.misfit(centred):.4g}")

fig = new_figure(11.5, 5.6)
for axes, state, name in zip(
    fig.subplots(2, 3).T, (dm, ours, centred), ("DM, (a, c)", "M-rPIE, (b, d)", "DM, centred"), strict=True
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
main_number("place of the probe, shifted against not shifted [px]", left, below=sized(1, 0.05, 0.05))

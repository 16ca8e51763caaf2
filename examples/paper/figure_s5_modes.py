"""Fig. S5 of Guzzi et al. 2022: how many modes? Held-out score and time against their number, 1 to 9.

They take three "as a trade-off between reconstruction quality and computational time"; more "did not increase the
reconstruction quality". Here the beam has three modes of Zernike shape. Six percent of the detector pixels are held
out of the run; the score is their deviance, 1 a pixel for a perfect model.
"""

import time

from paper import main_number, save, sized

import opty
from opty.analysis import deviances, withhold
from opty.plot.figure import BLUE, GREY, VERMILION, new_figure
from opty.simulate import experiment, objects, probes, scans

N, SIDE, SWEEPS = sized(32, 48, 256), sized(5, 6, 10), sized(6, 20, 100)
MODES = sized((1, 3, 5), tuple(range(1, 10)), tuple(range(1, 10)))

step = scans.step_for_overlap(0.75, N / 2.5)
size = N + int((SIDE + 1) * step)
obj = objects.two_images((size, size), ("camera", "gravel"), (0.4, 1), (-1, 1))
beam = probes.defocus(probes.aperture(N, N / 2.5, edge=1), 1e-9, 20e-9, 3e-5)
grid = scans.raster((SIDE, SIDE), step, step / 4)
data = experiment(obj, probes.zernike(beam, (1, 2, 3), (4, 2, 1)), grid, photons=1e5)
parts = withhold(data.replace(probe=beam), seed=0)

opty.rPIE() * opty.PtychoState(parts.fitted, modes=2)  # kernels are compiled before times are taken
scores, errors, seconds, powers = [], [], [], []
for modes in MODES:
    begun = time.process_time()
    p = opty.rPIE(alpha=0.2) ** SWEEPS * opty.PtychoState(parts.fitted, modes=modes)
    seconds.append(time.process_time() - begun)
    unseen = opty.PtychoState(parts.blocks, probe=p.probe).replace(obj=p.obj, positions=p.positions)
    lost, pixels = deviances(unseen)
    scores.append(lost.sum() / pixels.sum())
    errors.append(opty.analysis.errors(p)["object"])
    share = (abs(opty.analysis.orthogonal(p.probe)) ** 2).sum(axis=(1, 2))
    powers.append(share / share.sum())
    shown = " ".join(f"{100 * v:.1f}" for v in powers[-1])
    print(
        f"{modes} modes: {scores[-1]:.3f} held out, object {errors[-1]:.3f}, {seconds[-1]:.1f} s; {shown} %", flush=True
    )

fig = new_figure(11.0, 3.4)
left, middle, right = fig.subplots(1, 3)
left.plot(MODES, scores, "o-", color=BLUE)
left.set_title("deviance a pixel held out")
middle.plot(MODES, seconds, "o-", color=VERMILION)
middle.set_title("CPU seconds")
for modes, share in zip(MODES, powers, strict=True):
    strong = modes == 3
    right.semilogy(range(1, modes + 1), share, "o-", ms=3, color=BLUE if strong else GREY, lw=2 if strong else 0.7)
right.set_title("share of each mode; three in blue")
left.set_xlabel("modes")
middle.set_xlabel("modes")
right.set_xlabel("mode")
save(fig, "figure_s5_modes")
three, more = scores[MODES.index(3)], scores[MODES.index(3) + 1 :]
main_number("held-out score of 1 mode over that of 3", scores[0] / three, above=1.05)
main_number("best held-out score of more modes over that of 3", min(more) / three, above=sized(0.5, 0.9, 0.9))

"""Fig. S6 of Guzzi et al. 2022: a result with a phase ramp, (b); corrected, (a); both spectra, (c).

Theirs came from PyNX with an offset of roughly 20 pixels of the spectrum. Here the start brings it: an object that is
turned by 20 detector pixels against the probe. No pattern shows that, so AP and DM leave it as it is.

Ramps of 0.3, 5 and 20 pixels in eight directions are put on the result without one too, so that they are known.
"""

import numpy as np
from paper import bare, main_number, save, sized, vectors

import opty
from benchmarks.paper_pictures import ramp_panels
from opty.operators import RemoveRamp
from opty.plot.figure import new_figure
from opty.simulate import experiment, objects, probes, scans

N = sized(64, 128, 512)
WRONG = np.array([12.0, 16.0]) * N / 128  # 20 detector pixels of 128
SWEEPS = sized(10, 30, 200)

side = N // 2
step = scans.step_for_overlap(0.8, side)
cells = objects.with_contrast(objects.cells((N + 8 * step.__ceil__(),) * 2, diameter=side / 1.5), (0.8, 1), (-1.5, 0))
beam = probes.defocus(probes.gaussian(N, side / 2), 1.2e-9, 20e-9 * 128 / N, 6e-5)
data = experiment(cells, probes.modes(beam, (6, 1)), scans.raster((7, 7), step, step / 5), photons=1e7)
start = opty.PtychoState(data, probe=0.8 * data.truth["probe"])


def turned(image, k):
    """Return images (..., H, W) with a phase ramp of k [turns / N px]."""
    row, col = (
        np.exp(2j * np.pi * turns / N * np.arange(size)) for turns, size in zip(k, image.shape[-2:], strict=True)
    )
    return image * row[:, None] * col


def with_ramp(p, k):
    """The same state with a ramp of k [detector pixels] on the object, and the opposite one on the probe."""
    return p.replace(obj=turned(p.obj, k), probe=turned(p.probe, -k))


def taken(p):
    """What RemoveRamp has taken off last, (2,) detector pixels."""
    return np.array([p.history[key][-1] for key in ("ramp_row", "ramp_column")])


def change(p, q):
    """How far predicted intensities of two states differ, |I - I'| / |I| over all views."""
    a, b = (np.array([opty.analysis.pattern(state, view).predicted for view in range(data.views)]) for state in (p, q))
    return np.linalg.norm(a - b) / np.linalg.norm(a)


found, result = {}, {}
for name, k in (("none", 0 * WRONG), ("turned", WRONG)):
    result[name] = opty.AP() ** 5 * opty.DM() ** SWEEPS * opty.AP() ** 5 * with_ramp(start, k)
    straight = RemoveRamp() * result[name]
    found[name] = taken(straight)
raw = result["turned"]
ramp = found["turned"] - found["none"]
print(
    f"ramp of the start {WRONG}, found {found['turned'].round(3)}, without one {found['none'].round(3)} detector pixels"
)
print(f"misfit before {opty.misfit(raw):.6g}, after {opty.misfit(straight):.6g}")

print("ramps put on the result without one:")
none, off = result["none"], {}
for length in (0.3, 5, 20):
    some = [taken(RemoveRamp() * with_ramp(none, k)) - found["none"] - k for k in vectors([length])]
    off[length] = abs(np.array(some)).max()
    print(f"{length} detector pixels in eight directions: found to {off[length]:.2g}")

print("change of predicted intensities by a ramp of whole pixels, and with fractions:")
by, fine = {}, opty.PtychoState(data, probe=data.truth["probe"], dtype="complex128")
for name, p in (("the probe of the simulation", fine), ("result of DM", fine.replace(probe=none.probe, obj=none.obj))):
    by[name] = [change(p, with_ramp(p, np.array(k))) for k in ((5, -2), (5.3, -1.6))]
    print(f"{name}: {by[name][0]:.2g}, {by[name][1]:.2g}")

fig = new_figure(10.5, 3.6)
ramp_panels(fig.subplots(1, 3), raw, straight, N // 3)
save(bare(fig), "figure_s6")
main_number("ramp found less that put in [detector pixels]", abs(ramp - WRONG).max(), below=sized(1, 0.05, 0.05))
main_number("ramps of one result, found less put in [detector pixels]", max(off.values()), below=sized(1, 0.05, 0.05))
main_number("predicted intensities, a ramp of whole pixels on the result, relative", by["result of DM"][0], below=1e-5)

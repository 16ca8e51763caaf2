"""Figs. S9 to S14 of Guzzi et al. 2022 in their own regime, the near field: which of their five findings hold?

Their public script: angular spectrum over 0.82 of N dx^2 / lambda (1 nm, pixels of 0.97656 um, 0.1 m, 128 px), a start
of ones and a hard disc of half the window, a Gaussian of 2.5 or 5 px on each axis, 201 sweeps, the median error.
Reduced: 64 px at the same share of N dx^2 / lambda, half the errors, fewer views and sweeps, one seed.
"""

import warnings

import numpy as np
from paper import SIZE, main_number, save, sized

import opty
from opty import FindPositions, PosCorrect, PosCorrectAdam, PosCorrectGain, PosCorrectGradient, PosCorrectSerial, ePIE
from opty.plot.figure import BLUE, GREEN, VERMILION, new_figure
from opty.simulate import Detector, experiment, objects, probes, scans, stage

N, SIDE, SWEEPS, SEEDS = sized(32, 64, 128), sized(5, 6, 10), sized(15, 60, 201), sized((0,), (0,), (0, 1, 2, 3, 4))
ERRORS = [sigma * N / 128 for sigma in (2.5, 5.0)]
PIXEL = 0.97656e-6
GEOMETRY = opty.Geometry(1e-9, 0.82 * N * PIXEL**2 / 1e-9, PIXEL, propagation="near")
METHODS = {
    "S9: gain 1, A": PosCorrectGain(),
    "S10: gain 1, B": PosCorrectGain(signal="detector"),
    "S11: Adam, A": PosCorrectAdam(step=0.3, decay=0.0),
    "S12: Adam, B": PosCorrectAdam(step=0.3, decay=0.0, signal="detector"),
    "S13: serial": PosCorrectSerial(),
    "S13: gradient": PosCorrectGradient(),
    "PosCorrect()": PosCorrect(),
}
warnings.simplefilter("ignore", opty.MisfitWarning)  # some runs are to go wrong


def simulated(sigma, seed):
    """Their test scene with pictures that are at hand, and their start: a hard disc, half as wide as the window."""
    step = scans.step_for_overlap(0.85, 0.75 * N)
    nominal = scans.raster((SIDE, SIDE), step, jitter=step / 5, seed=seed)
    wrong = stage.reached(nominal, stage.Gaussian(sigma), np.random.default_rng([seed, 5])) - nominal
    reach = np.concatenate([nominal, nominal + wrong])
    shape = tuple(int(v) + N + 8 for v in np.ceil(np.ptp(reach, axis=0)))
    obj, probe = objects.two_images(shape, ("camera", "moon")), probes.two_images(N, 0.75 * N)
    exact = Detector(counting=False, dtype="float32", relative_noise=0.01)
    data = experiment(obj, probe, nominal, 1e6, geometry=GEOMETRY, position_error=wrong, detector=exact, seed=seed)
    disc = probes.aperture(N, N / 2, edge=0)
    return data.replace(probe=disc * np.sqrt(data.photons().mean() / (abs(disc) ** 2).sum()))


def median_error(p):
    """Median distance from the true positions [px], the median offset taken off."""
    wrong = p.positions - p.data.truth["positions"]
    return float(np.median(np.linalg.norm(wrong - np.median(wrong, axis=0), axis=1)))


found, curves = {}, {}
for sigma in ERRORS:
    for seed in SEEDS:
        start = opty.PtychoState(simulated(sigma, seed))
        found.setdefault(("start", sigma), []).append(median_error(start))
        for name, method in METHODS.items():
            try:
                p = (method * ePIE(probe_step=1.0)) ** SWEEPS * start
            except opty.DivergedError as error:
                p = error.state
            found.setdefault((name, sigma), []).append(median_error(p))
            curves.setdefault((name, sigma), p.history)
        if sigma == ERRORS[0] and SIZE != "tiny":
            p = FindPositions(sweeps=8) * start
            found.setdefault(("FindPositions()", sigma), []).append(median_error(p))
for name in ("start", *METHODS, "FindPositions()"):
    numbers = [np.median(found[name, sigma]) if (name, sigma) in found else np.nan for sigma in ERRORS]
    print(f"{name:16s}" + "".join(f"  sigma {s:.2f} px: {v:7.4f} px" for s, v in zip(ERRORS, numbers, strict=True)))

fig = new_figure(13.5, 5.2)
for row, sigma in zip(fig.subplots(2, len(METHODS)), ERRORS, strict=True):
    for axes, name in zip(row, METHODS, strict=True):
        history = curves[name, sigma]
        axes.semilogy(np.divide(history["object_change"], history["object_change"][0]), color=BLUE, label="E")
        axes.semilogy(np.maximum(history["position_signal"], 1e-4), color=GREEN, label="found")
        axes.semilogy(np.maximum(history["position_error"], 1e-4), color=VERMILION, label="true error")
        axes.set_ylim(1e-4, 30)
        axes.set_title(f"{name}, {sigma:.3g} px", fontsize=8)
        axes.tick_params(labelsize=6)
axes.legend(fontsize=6)
save(fig, "figures_s9_to_s14")

end = {name: np.median(found[name, ERRORS[0]]) for name in METHODS}
begin = np.median(found["start", ERRORS[0]])
findings = {
    "gain 1 with A leaves most of the error (S9)": end["S9: gain 1, A"] > 0.5 * begin,
    "gain 1 with B leaves most of the error (S10)": end["S10: gain 1, B"] > 0.5 * begin,
    "Adam with A corrects (S11)": end["S11: Adam, A"] < 0.5 * begin,
    "Adam with B corrects less than with A (S12)": end["S12: Adam, B"] > end["S11: Adam, A"],
    "serial and gradient leave more than Adam (S13)": min(end["S13: serial"], end["S13: gradient"])
    > end["S11: Adam, A"],
}
for text, holds in findings.items():
    print(f"{'holds' if holds else 'does not hold'}: {text}")
main_number("Adam with B over Adam with A, left", end["S12: Adam, B"] / end["S11: Adam, A"], above=sized(0, 2, 1))
main_number("left by PosCorrect() of the start", end["PosCorrect()"] / begin, below=sized(3, 1, 1))

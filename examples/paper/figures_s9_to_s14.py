"""Figs. S9 to S14 of Guzzi et al. 2022 in their own regime, the near field: which of their five findings hold?

Their public script: angular spectrum over 0.82 of N dx^2 / lambda (1 nm, pixels of 0.97656 um, 0.1 m, 128 px), a start
of ones and a hard disc of half the window, a Gaussian of 2.5 or 5 px on each axis, 201 sweeps, the median error.
Reduced: 64 px at the same share of N dx^2 / lambda, half the errors, fewer sweeps, one seed; the scene, the methods and
five seeds at full size, near field and far, are in benchmarks/paper_positions.py.
"""

import warnings

import numpy as np
from paper import SIZE, main_number, save, sized

import opty
from benchmarks.paper_positions import FIND, FINDINGS, METHODS, SIGMAS, finished, median_error, scene
from opty.plot.figure import BLUE, GREEN, VERMILION, new_figure

N, SIDE, SWEEPS, SEEDS = sized(32, 64, 128), sized(5, 6, 6), sized(15, 60, 201), sized((0,), (0,), (0, 1, 2, 3, 4))
ERRORS = [sigma * N / 128 for sigma in SIGMAS]
warnings.simplefilter("ignore", opty.MisfitWarning)  # some runs are to go wrong


def errors(p):
    """Median error [px], and the mean one beside the best affine map, which data of the near field hardly tell."""
    return median_error(p), opty.analysis.position_error(p.positions, p.data.truth["positions"], affine=True)


found, curves = {}, {}
for sigma in ERRORS:
    for seed in SEEDS:
        start = opty.PtychoState(scene(N, SIDE, sigma, seed, near=True))
        found.setdefault(("start", sigma), []).append(errors(start))
        for name, method in METHODS.items():
            p = finished(opty.parse(f"({method} * ePIE(probe_step=1.0))") ** SWEEPS, start)
            found.setdefault((name, sigma), []).append(errors(p))
            curves.setdefault((name, sigma), p.history)
        if sigma == ERRORS[0] and SIZE != "tiny":
            found.setdefault(("FindPositions()", sigma), []).append(errors(opty.parse(FIND) * start))
left = {key: np.median(rows, axis=0) for key, rows in found.items()}
for (name, sigma), (median, affine) in left.items():
    print(f"sigma {sigma:.3g} px: {name:16s} {median:7.4f} px, {affine:7.4f} beside an affine map")

fig = new_figure(13.5, 5.2)
for row, sigma in zip(fig.subplots(2, len(METHODS)), ERRORS, strict=True):
    for axes, name in zip(row, METHODS, strict=True):
        history = curves[name, sigma]
        axes.semilogy(np.divide(history["object_change"], history["object_change"][0]), color=BLUE, label="E")
        axes.semilogy(np.maximum(history["position_signal"], 1e-4), color=GREEN, label="found")
        axes.semilogy(np.maximum(history["position_error"], 1e-4), color=VERMILION, label="true error")
        axes.set_ylim(1e-4, 30)
        axes.set_title(
            f"{name}, {sigma:.3g} px\n{left[name, sigma][0]:.2f}, affine {left[name, sigma][1]:.2f}", fontsize=8
        )
        axes.tick_params(labelsize=6)
axes.legend(fontsize=6)
save(fig, "figures_s9_to_s14")

for sigma in ERRORS:
    for measure, words in enumerate(("median", "beside an affine map")):
        values = {name: left[name, sigma][measure] for name in ("start", *METHODS)}
        for finding in FINDINGS:
            said = "holds" if finding.holds(values) else "does not hold"
            print(f"{sigma:.3g} px, {words}: {said} ({finding.ratio(values):.3g}): {finding.words}")
begin, adam, other, ours = (left[name, ERRORS[0]] for name in ("start", "S11: Adam, A", "S12: Adam, B", "PosCorrect()"))
main_number("Adam with B over Adam with A, left", other[0] / adam[0], above=sized(0, 2, 1))
main_number("left by Adam with A beside an affine map, of the start", adam[1] / begin[1], below=sized(3, 0.1, 0.5))
main_number("left by PosCorrect() of the start", ours[0] / begin[0], below=sized(3, 1, 1))

"""Pictures on position refinement: figures S9 to S14 of Guzzi et al. 2022 with our own data, and the breakdown."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.paper_pictures import save_with_machine
from opty.analysis.misfit import mean_square
from opty.plot.figure import BLUE, VERMILION, new_figure

GREEN = "#009e73"
FIGURES = {  # their figure: the run that stands for it
    "S9": "PosCorrectGain() * ePIE()",
    "S10": "PosCorrectGain(signal='detector') * ePIE()",
    "S11": "PosCorrectAdam(step=1.0) * ePIE()",
    "S12": "PosCorrectAdam(step=0.3, decay=0.0, signal='detector') * ePIE()",
}


def draw(part: str, pictures: list[tuple[dict, dict]], rows: list[dict], folder: Path) -> None:
    """Draw what a part of the study shows, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if part == "methods":
        far = {row["recipe"]: picture for row, picture in pictures if row["case"].startswith("far")}
        sheet({f"{name}: {recipe}": far[recipe] for name, recipe in FIGURES.items()}, folder / "positions_s9_s12.png")
    elif part == "ranges":
        for name, length in (("S13", "range 7 px"), ("S14", "range 14 px")):
            chosen = {row["recipe"]: picture for row, picture in pictures if row["case"].endswith(length)}
            titled = {f"{name}, {length}: {recipe}": picture for recipe, picture in chosen.items()}
            sheet(titled, folder / f"positions_{name.lower()}.png")
    elif part == "breakdown":
        breakdown(rows, folder / "positions_breakdown.png")


def draw_star(states: dict, path: Path) -> None:
    """Draw the phase of the middle of a Siemens star, side by side."""
    fig = new_figure(9.0, 4.7)
    for axes, (recipe, p) in zip(fig.subplots(1, len(states)), states.items(), strict=True):
        row, column = np.rint(p.data.positions_px.min(axis=0) + p.origin).astype(int) + 64
        obj = p.numpy("obj")[row : row + 330, column : column + 330]
        obj = obj * np.exp(-1j * np.angle(obj.sum()))
        axes.imshow(np.angle(obj), cmap="gray", vmin=-1.0, vmax=0.7, interpolation="nearest")
        axes.set_title(f"{recipe}\nmean (√I − √Î)² {mean_square(p):.4f}", fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
    save_with_machine(fig, path)


def sheet(runs: dict[str, dict], path: Path) -> None:
    """Draw a row for each run: its curves, the object's magnitude and phase, the probe's magnitude."""
    fig = new_figure(10.5, 2.6 * len(runs))
    grid = fig.subplots(len(runs), 4, width_ratios=(1.6, 1, 1, 0.8))
    for (title, run), (curves, magnitude, phase, probe) in zip(runs.items(), grid, strict=True):
        draw_curves(curves, run["curves"])
        curves.set_title(title, fontsize=8)
        obj = run["obj"] * np.exp(-1j * np.angle(run["obj"].sum()))
        high = np.percentile(np.abs(obj), 99.5)
        for axes, image, limits, name in (
            (magnitude, np.abs(obj), (0, high), "|O|"),
            (phase, np.angle(obj), (-1, 1), "arg O [rad]"),
            (probe, np.abs(run["probe"]), (0, None), "|P|"),
        ):
            axes.imshow(image, cmap="gray", vmin=limits[0], vmax=limits[1], interpolation="nearest")
            axes.set_title(name, fontsize=8)
            axes.set_xticks([])
            axes.set_yticks([])
    save_with_machine(fig, path)


def draw_curves(axes, curves: dict) -> None:
    """Draw E (Eq. 3), eps_pos (Eq. 4) and eps_g (Eq. 6) of one run."""
    series = (
        ("object_change", BLUE, "E, relative"),
        ("position_signal", GREEN, "$\\epsilon_{pos}$ [px]"),
        ("position_error", VERMILION, "$\\epsilon_g$ [px]"),
    )
    for name, colour, label in series:
        values = np.asarray(curves[name])
        values = values / values[0] if name == "object_change" else values
        axes.semilogy(np.arange(1, len(values) + 1), values, color=colour, lw=1.2, label=label)
    axes.set_ylim(1e-4, 40)
    axes.set_xlabel("iteration", fontsize=8)
    axes.legend(fontsize=7, frameon=False, ncols=3, loc="upper right")
    axes.grid(True, color="0.9", lw=0.6)


def breakdown(rows: list[dict], path: Path) -> None:
    """Draw the error that is left against the error at the start."""
    fig = new_figure(5.5, 3.6)
    axes = fig.subplots()
    for recipe, colour in zip(dict.fromkeys(row["recipe"] for row in rows), (BLUE, VERMILION), strict=True):
        mine = [row for row in rows if row["recipe"] == recipe]
        starts = [float(row["case"].split(",")[1].split("%")[0]) for row in mine]
        axes.semilogy(
            starts, [list(row["numbers"].values())[-1][0] for row in mine], "o-", color=colour, ms=4, label=recipe
        )
    axes.set_xlabel("positions wrong at the start: sigma [% of a view]")
    axes.set_ylabel("$\\epsilon_g$ after 150 iterations [px]")
    axes.grid(True, color="0.9", lw=0.6)
    axes.legend(fontsize=8, frameon=False)
    save_with_machine(fig, path)

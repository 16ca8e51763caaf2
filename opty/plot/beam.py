"""The beam around the sample: its caustic, and where it is in focus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from opty.plot.figure import BLUE, VERMILION, canvas, root, styled
from opty.plot.images import UNITS, colour_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from opty.analysis.probe_report import ProbeReport
    from opty.state import BareState

_KEPT = 0.999  # of the light, in the widest plane, that the picture shows


@styled
def caustic(p: BareState | ProbeReport, ax: Axes | None = None) -> Figure:
    """Draw the beam along z, summed over rows and over columns, and its sharpness with the focus; returns the figure.

    z [m] runs with the beam, and the sample is at 0. See ``opty.analysis.probe_report``. ``ax`` : axes whose place the
    panels take.

    Raises ValueError for a probe of the near field, or without a geometry: there is no distance to propagate it over.
    """
    from opty.analysis.probe_report import ProbeReport, probe_report

    found = p if isinstance(p, ProbeReport) else probe_report(p)
    beam = found.caustic
    if beam is None:
        raise ValueError("no caustic: it needs a far-field or cone geometry, with wavelength, distance and pixel size")
    fig = canvas(ax, 9.0, 7.2)
    panels = fig.subplots(3, 1, sharex=True, height_ratios=(1, 1, 0.7))
    along, z_unit = _unit(float(beam.z[-1]))
    across, x_unit = _unit(found.diameter)
    seen = np.maximum(beam.rows, beam.columns).max(axis=0)
    outer = np.abs(beam.axis)[seen > (1 - _KEPT) * seen.max()].max()
    for axes, plane, name in zip(panels, (beam.rows, beam.columns), ("row", "column"), strict=False):
        step, dx = beam.z[1] - beam.z[0], beam.axis[1] - beam.axis[0]
        picture = axes.imshow(
            np.sqrt(plane.T),
            aspect="auto",
            cmap="viridis",
            extent=(
                (beam.z[0] - step / 2) / along,
                (beam.z[-1] + step / 2) / along,
                (beam.axis[-1] + dx / 2) / across,
                (beam.axis[0] - dx / 2) / across,
            ),
        )
        axes.set_ylim(outer / across, -outer / across)
        axes.set_ylabel(f"{name} ({x_unit})")
        axes.set_title(f"amplitude along the beam, summed over {'columns' if name == 'row' else 'rows'}")
        colour_bar(axes, picture)
    panels[2].plot(beam.z / along, beam.sharpness / beam.sharpness.max(), color=BLUE, lw=1.4)
    panels[2].set_ylabel("Σ I² / largest")
    panels[2].set_xlabel(f"z ({z_unit}), the sample at 0")
    panels[2].set_title("sharpness")
    for axes in panels:
        axes.axvline(0, color="white" if axes is not panels[2] else "0.5", lw=0.8, ls=":")
        if beam.focus is not None:
            axes.axvline(beam.focus / along, color=VERMILION, lw=1)
    if beam.focus is not None:
        panels[2].set_title(f"sharpness: focus at z = {beam.focus / along:.4g} {z_unit}")
    return root(fig)


def _unit(length: float) -> tuple[float, str]:
    return next(((size, unit) for size, unit in UNITS if length >= size), UNITS[-1])

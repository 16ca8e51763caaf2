"""Are data and starting probe fit for a run? What can be said without running anything, in less than a sweep."""

from __future__ import annotations

import numpy as np

from opty.analysis.check.frame_statistics import look_at_frames
from opty.analysis.check.quick import judged, probe_size
from opty.analysis.coverage import diameter, is_near, probe_power, scan_numbers
from opty.data import PtychoData
from opty.data.parts import chosen
from opty.errors import FormatError, SourceError
from opty.model.starting_probe import split_probe
from opty.remedies import here

FEWEST, MOST, PIXELS = 4, 16, 1 << 19  # frames that are looked at, over the whole scan; and pixels of them in all


def pointless(data: PtychoData) -> tuple[str, ...]:
    """Say what makes a reconstruction of data pointless, by all positions and a few frames; () for nothing.

    The problems that ``quick_look`` finds, which looks at every frame: frames of roots, of marks for bad pixels, or of
    hardly a photon, the light in their corners, positions in another unit. Of a single view, and of a simulation, which
    brings its truth, nothing is said.
    """
    if data.truth is not None or data.absent is not None or data.views < 2:
        return ()
    count = min(max(PIXELS // data.n**2, FEWEST), MOST)
    lit = np.flatnonzero(data.photons() > 0)
    try:
        some = chosen(data, lit[np.unique(np.linspace(0, len(lit) - 1, count).astype(int))])
    except (SourceError, FormatError, OSError):  # frames in a file that is lost or damaged: the run says it
        return ()
    frames = look_at_frames(some)
    known = None if data.probe is None else split_probe(data.probe)  # the state has said it
    return tuple(why for why in judged(data, frames, probe_size(data, frames), some).problems if why != known)


def doubtful_start(data: PtychoData) -> str | None:
    """Say why the starting probe of ``PtychoState(data)`` cannot be right, and what to do; None where nothing tells.

    In the far field without a starting probe it is the focus that the mean pattern implies, with a flat phase. Where
    views at their usual distance would not overlap with that, the beam is out of focus, or the scan is worth nothing.
    A probe in the data, a near field, whose mean pattern is the beam, and frames that are not here leave no doubt; a
    simulation, which brings its truth, is for its author to start.
    """
    if data.probe is not None or data.truth is not None or is_near(data) or data.absent is not None or data.views < 2:
        return None
    across = diameter(probe_power(data))
    found = scan_numbers(data.positions_px, None, across, "")
    if found["overlap"] > 0:
        return None
    remedy = here(
        "opty.PtychoState(data, opty.analysis.find_probe(data).probe), or opty.auto(data)",
        "leave --probe mean out, or let opty auto choose",
    )
    return (
        f"the start is a focus {across:.3g} px wide with a flat phase, and views are {found['step_px']:.3g} px apart: "
        f"the true beam must be wider, out of focus, and from this start a run may fit the data with noise. Search for "
        f"the probe: {remedy}"
    )

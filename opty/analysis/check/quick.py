"""quick_look(data): what can be said of a scan without running anything."""

from __future__ import annotations

import numpy as np

from opty.analysis.check import findings
from opty.analysis.check.findings import Findings
from opty.analysis.check.frame_statistics import Frames, look_at_frames
from opty.analysis.check.number_law import of_numbers
from opty.analysis.coverage import diameter, focused, is_near, size_known
from opty.data import PtychoData
from opty.data.inverted_mask import inverted
from opty.model.starting_probe import split_probe
from opty.physics.pixels import filled


def quick_look(data: PtychoData, frames: Frames | None = None) -> Findings:
    """Find what makes a reconstruction pointless, or its result doubtful, without running anything.

    Mask (inverted), starting probe (in the corners), positions (one view, all on one spot, no overlap, a wrong unit),
    light, pixels (dead, hot, at the end of the scale), frames (missing, frozen, too bright, of two exposures), beam
    centre, sampling.
    ``health`` applies the same rules, and finds out the orientation by short reconstructions. One look at each frame;
    nothing is changed.

    Parameters
    ----------
    data : PtychoData. frames : its frames as they were looked at, where that was done already.

    Returns
    -------
    Findings : texts, ``problems`` and ``warnings``, with the remedies in them.

    Raises TypeError where ``data`` is no PtychoData.
    """
    if not isinstance(data, PtychoData):
        raise TypeError(f"data is a {type(data).__name__}; give a PtychoData, as from opty.load(measurement)")
    frames = look_at_frames(data) if frames is None else frames
    return judged(data, frames, probe_size(data, frames))


def judged(data: PtychoData, frames: Frames, across: float, some: PtychoData | None = None) -> Findings:
    """Apply all rules to a measurement whose frames were looked at, with a probe ``across`` px wide.

    ``some`` : the part of it of whose frames that holds, where that is not all; the mask was judged before then.
    """
    if some is None and (why := inverted(data.intensities, data.mask)) is not None:
        return Findings((why,))
    split = None if data.probe is None else split_probe(data.probe)
    widest = max(across, _shadow(data, frames))
    return (
        Findings(() if split is None else (split,))
        + findings.of_exposures(frames.exposures)
        + findings.of_positions(data.positions_px, data.n, widest, size_known(data))
        + (of_numbers(data) if some is None else of_numbers(some, scatter=False))
        + findings.of_light(data.photons(), frames.whole)
        + findings.of_frames(frames)
        + findings.of_optics(frames.centre, frames.corner, data.n, sampling(data, across), is_near(data))
    )


def probe_size(data: PtychoData, frames: Frames) -> float:
    """Return the diameter of the probe [px]; in the far field, without a starting probe, the least that it can be."""
    if data.probe is not None:
        return diameter((np.abs(data.probe) ** 2).sum(axis=0))
    return diameter(frames.light if is_near(data) else focused(filled(data.mean_amplitude(), frames.bad)))


def _shadow(data: PtychoData, frames: Frames) -> float:
    """Return how wide a cone beam is at the sample [px], as it is on the detector, without a starting probe; else 0."""
    g = data.geometry
    if g is None or g.propagation != "cone" or data.probe is not None:
        return 0.0
    assert g.focus_to_sample is not None  # a cone beam has a focus: Geometry sees to it
    on_detector = diameter(frames.light) * g.pixel_size
    return on_detector * g.focus_to_sample / (g.focus_to_sample + g.distance) / g.sample_pixel(data.n)


def sampling(data: PtychoData, across: float) -> float:
    """Return how finely the detector samples over what it must.

    Far field: the window over twice the probe (Miao, Sayre, Chapman, J. Opt. Soc. Am. A 15, 1662 (1998)). Near field:
    n ps^2 / (lambda z), from which on the propagator's phase turns by less than pi from one frequency to the next.
    """
    g = data.geometry
    if g is None or not is_near(data):
        return data.n / (2 * across)
    return data.n * g.sample_pixel(data.n) ** 2 / (g.wavelength * g.effective_distance)

"""Pictures of a state, fit to publish: drawn with matplotlib's object API, which is imported at the first picture.

figure.py     one style for all figures, and writing them to files, completely or not at all
headline.py   file, recipe, R-factor and date above a picture
images.py     the object: magnitude and phase, cropped to the illuminated area, with a scale bar
slices.py     several slices: each of them, their product, and cuts along the beam
modes.py      the probe: modes with their share of the power, phase as hue
variation.py  a probe that varies: mean, OPR modes, weights along the scan
positions.py  positions of the views: nominal, refined, true
history.py    the error curve
agreement.py  two halves of a scan: Fourier ring correlation, local resolution
picture.py    the class of figures
fits.py       measured against predicted counts, the fit of each view, two states compared
error_bars.py standard deviations of object and positions
thickness.py  the unwrapped phase; thickness of a material
beam.py       the caustic of the probe, and its focus
data.py       what was measured: mean, maximum, mask, photons where the views lie; frames, side by side
browser.py    one frame at a time, with a slider
health.py     the results of a scan check
scan.py       a raw scan: what its frames show before a reconstruction
show_operator.py  Show: pictures along a run
contact.py    many objects, small, side by side
overview.py   all of it on one page; and truth beside reconstruction for a simulated scan
"""

from opty.plot.agreement import frc, resolution
from opty.plot.beam import caustic
from opty.plot.browser import browse
from opty.plot.data import data, frames
from opty.plot.error_bars import uncertainty
from opty.plot.figure import figure_format, save_figure
from opty.plot.fits import comparison, fit, pattern
from opty.plot.health import health
from opty.plot.history import history
from opty.plot.images import magnitude, obj, phase, scale_bar
from opty.plot.modes import phase_as_hue, probe
from opty.plot.overview import demo_figure, overview
from opty.plot.positions import positions
from opty.plot.scan import scan
from opty.plot.slices import slices
from opty.plot.thickness import phase_map, thickness
from opty.plot.variation import variation

__all__ = [
    "browse",
    "caustic",
    "comparison",
    "data",
    "demo_figure",
    "figure_format",
    "fit",
    "frames",
    "frc",
    "health",
    "history",
    "magnitude",
    "obj",
    "overview",
    "pattern",
    "phase",
    "phase_as_hue",
    "phase_map",
    "positions",
    "probe",
    "resolution",
    "save_figure",
    "scale_bar",
    "scan",
    "slices",
    "thickness",
    "uncertainty",
    "variation",
]

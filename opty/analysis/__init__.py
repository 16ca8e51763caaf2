"""What a reconstruction is worth: errors against a truth, and agreement without one.

check/           is a scan fit for a reconstruction?
misfit.py        how well a state predicts the data: misfit, R-factor
align.py         object against truth: constant, phase ramp and sub-pixel shift removed; the error that remains
fine_error.py    the same once a factor that varies slowly is taken out: of a probe that varies
object_states.py    a mixture of object states: orthogonal ones, and two mixtures compared
illumination.py  which pixels of the object the data know about
errors.py        all errors of a state whose data bring their truth
position_bound.py   how well the counts can tell positions
position_report.py  what became of the positions: how far they went, and which views could not be placed
geometry_report.py  what became of the lengths of the geometry
gain.py          how many pixels a scan spans
frc.py           Fourier ring correlation, its thresholds and the resolution
resolution.py    the resolution of a scan: two halves reconstructed on their own; halves.py: by views, or by counts
settled.py       have the halves converged? by what another run changes in both alike
fit.py           each view and each pixel, in three models of the noise; measured against predicted
difference.py    two states compared
probe_report.py  powers, coherence, size of the probe; its caustic and focus
scan_probes.py   the probe of each of several scans
uncertainty.py   error bars by parametric bootstrap; smooth_part.py: of what varies slowly; gauges.py: what no data tell
phase_map.py     the unwrapped phase, its background plane taken off; thickness.py: as thickness of a material
rectangle.py     the largest rectangle within a mask
verdict.py       is a result right? beside_noise.py: its fit beside counting noise
scan_overview.py a raw scan as a picture: transmission, dark field, differential phase, stitched patterns
coverage.py      size of the probe, step, overlap
probe_search.py  a starting probe where the measurement has none; held_out.py: the score of a start
orientation.py   the eight ways to take positions
start_doubt.py   is the probe that the mean pattern implies a good start?
held_blocks.py   the score of a recipe: blocks of detector pixels that it has not seen
"""

from opty.analysis.align import Alignment, align, object_error
from opty.analysis.check.findings import Findings
from opty.analysis.check.health import Health, health
from opty.analysis.check.quick import quick_look
from opty.analysis.check.scan_rotation import ScanRotation, centres_of_mass, find_rotation
from opty.analysis.difference import Difference, difference
from opty.analysis.errors import errors
from opty.analysis.fine_error import fine_error
from opty.analysis.fit import Fit, Likelihood, Pattern, fit, pattern
from opty.analysis.frc import RingCorrelation, frc
from opty.analysis.gain import resolution_gain
from opty.analysis.held_blocks import deviances, withhold
from opty.analysis.held_out import held_out_misfit
from opty.analysis.illumination import illuminated
from opty.analysis.misfit import mean_square, r_factor
from opty.analysis.object_states import align_states, object_states
from opty.analysis.phase_map import PhaseMap, phase_map
from opty.analysis.position_bound import PositionBound, position_bound
from opty.analysis.position_report import PositionReport, position_report
from opty.analysis.probe_report import Caustic, ProbeReport, probe_report
from opty.analysis.probe_search import ProbeSearch, find_probe
from opty.analysis.resolution import Resolution, resolution
from opty.analysis.scan_overview import ScanOverview, scan_overview
from opty.analysis.scan_probes import scan_probes
from opty.analysis.thickness import Thickness, thickness
from opty.analysis.uncertainty import Uncertainty, uncertainty
from opty.analysis.verdict import Verdict, verdict
from opty.physics.modes import orthogonal
from opty.physics.scan_map import ScanMap, position_error, scan_map

__all__ = [
    "Alignment",
    "Caustic",
    "Difference",
    "Findings",
    "Fit",
    "Health",
    "Likelihood",
    "Pattern",
    "PhaseMap",
    "PositionBound",
    "PositionReport",
    "ProbeReport",
    "ProbeSearch",
    "Resolution",
    "RingCorrelation",
    "ScanMap",
    "ScanOverview",
    "ScanRotation",
    "Thickness",
    "Uncertainty",
    "Verdict",
    "align",
    "align_states",
    "centres_of_mass",
    "deviances",
    "difference",
    "errors",
    "find_probe",
    "find_rotation",
    "fine_error",
    "fit",
    "frc",
    "health",
    "held_out_misfit",
    "illuminated",
    "mean_square",
    "object_error",
    "object_states",
    "orthogonal",
    "pattern",
    "phase_map",
    "position_bound",
    "position_error",
    "position_report",
    "probe_report",
    "quick_look",
    "r_factor",
    "resolution",
    "resolution_gain",
    "scan_map",
    "scan_overview",
    "scan_probes",
    "thickness",
    "uncertainty",
    "verdict",
    "withhold",
]

"""Virtual experiments: a known object and probe in, a measurement with its truth out.

objects.py     complex objects: two pictures, Siemens star, random phase, cells; their contrast
probes/        spherical wave, Gaussian, aperture, pictures, zone plate; defocus; incoherent modes
scans.py       raster, Fermat spiral, circles, Lissajous, fly lines, from a file; overlap
stage.py       errors of the positions: Gaussian, uniform, drift, backlash, rotation, shear, scale
exposure.py    fluctuating beam, background, a stage that moves while a view is taken
detector.py    photon counting: statistics, noise, range, point spread, gaps, dead and hot pixels, beamstop
experiment.py  the measurement itself: object, probe and positions to PtychoData, or view by view
write.py       into files as the views are made: CXI, TIFF stack with positions in NPY
config.py      an experiment from a text file (TOML)
checks.py      the keys and the values of that file
demo.py        ready scans: one with the flaws of a real one, one with misplaced views
"""

from opty.simulate import objects, probes, scans, stage
from opty.simulate.config import read_config
from opty.simulate.demo import demo_scan, misplaced_scan
from opty.simulate.detector import Detector
from opty.simulate.experiment import Experiment, experiment
from opty.simulate.exposure import Exposure
from opty.simulate.write import write

__all__ = [
    "Detector",
    "Experiment",
    "Exposure",
    "demo_scan",
    "experiment",
    "misplaced_scan",
    "objects",
    "probes",
    "read_config",
    "scans",
    "stage",
    "write",
]

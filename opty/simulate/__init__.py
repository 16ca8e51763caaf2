"""Virtual experiments: a known object and probe in, a measurement with its truth out.

objects.py     complex objects from two images, Siemens star
probes.py      spherical wave, Gaussian, soft aperture; defocus and incoherent modes of any probe
scans.py       raster with jitter, Fermat spiral; overlap from step and beam size
detector.py    photon counting: Poisson statistics, read-out noise, integer range
experiment.py  the measurement itself: object, probe and positions to PtychoData
demo.py        one ready scan with the flaws of a real one
"""

from opty.simulate import detector, objects, probes, scans
from opty.simulate.demo import demo_scan
from opty.simulate.experiment import experiment

__all__ = ["demo_scan", "detector", "experiment", "objects", "probes", "scans"]

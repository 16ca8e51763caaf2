"""Engines compared
================

Branches from one state: four engines on the same scan, none touching the others.
"""

import opty
from opty import AP, DM, ePIE, rPIE
from opty.simulate import experiment, objects, probes, scans

obj = objects.two_images((160, 160))
probe = probes.defocus(probes.aperture(64, 30, edge=3), wavelength=1e-9, pixel=40e-9, distance=4e-4)
data = experiment(obj, probe, scans.raster((11, 11), step=6, jitter=2, seed=0), photons=1e6, seed=0)
start = opty.PtychoState(data, probe=probe * 1e3)

print((rPIE() ** 10).explain(start))
for engine in (AP(), DM(), ePIE(), rPIE(alpha=0.3), rPIE(alpha=0.3, batch=16)):
    p = engine**30 * start
    print(f"{engine!r:32}  misfit {opty.misfit(p):.4g}  object error {opty.analysis.errors(p)['object']:.3f}")

"""A first reconstruction
========================

Simulate a scan with wrong positions, reconstruct it, compare with the truth.
"""

import opty
from opty import PosCorrectAdam, rPIE
from opty.simulate import demo_scan

data = demo_scan(seed=1)
start = opty.PtychoState(data)
p = (PosCorrectAdam(step=0.1) * rPIE(alpha=0.5)) ** 20 * start

print(p)
print("before:", opty.analysis.errors(start))
print("after: ", opty.analysis.errors(p))
opty.save("first_reconstruction.h5", p)

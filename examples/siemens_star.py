"""Four lines on real data: python examples/siemens_star.py siemens-star-small.npz.bz2"""

import sys

import opty

data = opty.load(sys.argv[1])
p = opty.PtychoState(data, modes=3)
p = (opty.Progress() * opty.rPIE(alpha=0.05)) ** 30 * p
opty.plot.save_figure(p.plot(), "siemens_star.png")

print(p, "R-factor", opty.analysis.r_factor(p))

"""Positions refined
=================

The test of Guzzi et al. 2022 of position refinement: positions wrong by 8 px on the mean, an unknown probe::

    python examples/position_refinement.py            # far field; half a minute
    python examples/position_refinement.py --near     # near field

Writes position_refinement.png: nominal, refined and true positions, and how the errors fell.
"""

import sys

import opty
from opty import PosCorrect, Progress, ePIE

data = opty.simulate.misplaced_scan(near="--near" in sys.argv)
start = opty.PtychoState(data)
p = (Progress() * PosCorrect() * ePIE()) ** 100 * start

for name, q in (("at the start", start), ("refined", p), ("not refined", ePIE() ** 100 * start)):
    found = opty.analysis.errors(q)
    wrong, beside = found["position"], found["position_affine"]
    print(
        f"{name:12s}: positions wrong by {wrong:.4f} px, beside an affine map {beside:.4f} px, object by "
        f"{found['object']:.4f}, misfit {opty.misfit(q):.2e}"
    )
opty.plot.save_figure(opty.plot.positions(p), "position_refinement.png")

"""Fused steps: what takes the place of several steps of a sweep where no later step can tell the difference.

rules.py       which steps are replaced, in which order; importing it gives the rules to the plan
sweeps.py      projections, sums and PIE updates
fits.py        likelihood and least squares
positions.py   refinements of positions, on a GPU
"""

from opty.fusion import rules

__all__ = ["rules"]

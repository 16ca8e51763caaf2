"""Fused steps: each replaces several steps of a sweep where no result changes.

rules.py       which steps are replaced, in which order; importing it gives the rules to the plan
sweeps.py      projections, sums and PIE updates; varying.py: PIE updates of a probe that varies; thick.py: of slices
fits.py        likelihood and least squares
positions.py   refinements of positions, on a GPU
"""

from opty.fusion import rules

__all__ = ["rules"]

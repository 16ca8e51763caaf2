"""A probe that varies along the scan: the probe of each view, and the steps of what varies by one view.

meaning.py     exit waves of the probes of the views, sums over views, steps by one view, in NumPy; loops.py: compiled
products.py    products of a few long rows, where views lie at fractions of a pixel
cpu.py         the family's part of the engine; on a GPU the same is done step by step
"""

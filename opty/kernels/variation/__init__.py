"""A probe that varies along the scan: the probe of each view, and the steps of what varies by one view.

meaning.py     the mean probe and what varies of it put together; the steps by one view, in NumPy; loops.py: compiled
products.py    products of a few long rows
cpu.py         the family's part of the engine; on a GPU the same is done step by step
"""

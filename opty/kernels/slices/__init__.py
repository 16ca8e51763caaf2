"""Slices with free space between them: what the kernels of one slice do not do.

meaning.py     transfer functions, and the light that a slice lets through, in NumPy; loops.py: compiled
cpu.py         the family's part of the engine; on a GPU the same is done step by step
"""

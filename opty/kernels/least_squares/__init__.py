"""Lengths of steps fitted to each view, and their averages.

meaning.py     fits in NumPy; loops.py: compiled; least_squares.cu: on a GPU
solve2x2.py    two unknowns for each view, fitted together: with the array module ``xp``
cpu.py, gpu.py the family's part of the engines
"""

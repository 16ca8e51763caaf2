"""Probes moved by fractions of a pixel, and the adjoint: what views say of them moved back.

meaning.py     shift and its adjoint in NumPy; loops.py: compiled; shifts.cu: on a GPU
cpu.py, gpu.py the family's part of the engines
"""

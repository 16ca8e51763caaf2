"""Sums over views for object and probe, and windows of the object.

meaning.py     sums in NumPy; loops.py: compiled; accumulate.cu: on a GPU
windows.cu     windows taken and added on a GPU; touching.cuh: which views touch a tile of the object
cpu.py, gpu.py the family's part of the engines
"""

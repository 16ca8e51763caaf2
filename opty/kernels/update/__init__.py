"""Steps of object and probe along sums over views.

meaning.py     steps in NumPy; loops.py: compiled; update.cu: on a GPU; step.cuh: the factor of a step
scaling.py     when the scale between object and probe is brought back; scaling.cu: on a GPU
cpu.py, gpu.py the family's part of the engines
"""

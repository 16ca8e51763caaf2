"""The slope of a likelihood on detector waves, its changes along a step, and the search along a line.

noise.py       the noise models; noise.cuh: in CUDA
meaning.py     slopes and changes in NumPy; loops.py: compiled; likelihood.cu: on a GPU
line_search.py the best step along a line, by what trials changed; line_search.cu: on a GPU
cpu.py, gpu.py the family's part of the engines
"""

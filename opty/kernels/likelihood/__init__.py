"""The slope of a likelihood on detector waves, its changes along a step, and the search along a line.

noise.py            the noise models, each written once
noise_writers.py    their text for numba (noise_numbers.py) and for CUDA (noise.cuh)
meaning.py          slopes and changes in NumPy; loops.py: compiled (on a GPU: detector/detector.cu)
line_search.py      the best step along a line, by what trials changed; line_search.cu: on a GPU
cpu.py, gpu.py      the family's part of the engines
"""

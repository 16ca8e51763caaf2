"""What the views of a batch tell of their positions.

loops.py       sums for a fit of the residual, compiled (opty.operators.position.signals has them in NumPy); sense.cu:
               on a GPU
correlation_peaks.py    what every search for the shift between two images is made of
registration_gpu.py     the search for many pairs of images on a GPU; registration.cu
cpu.py, gpu.py the family's part of the engines
"""

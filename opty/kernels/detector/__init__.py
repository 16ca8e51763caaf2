"""What a step does to detector waves: the Fourier modulus constraint and its misfit.

meaning.py     put_modulus in NumPy; loops.py: compiled
factors.cuh    on a GPU, what each step does to the waves of a pixel, the slope and the changes of a likelihood too
detector.cu    there, between two transforms of a library; fft/columns.cu: between opty's own
"""

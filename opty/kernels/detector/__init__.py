"""The Fourier modulus constraint and its misfit, on detector waves.

meaning.py     put_modulus in NumPy; loops.py: compiled; modulus.cu: on a GPU, between two transforms of cuFFT
               (fft/columns.cu does the same between opty's own)
"""

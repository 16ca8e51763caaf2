"""Exit waves to the detector and back in three passes over the waves, with opty's own Fourier transforms, on a GPU.

pipeline.py    the passes: what is launched, for which windows
fourier.cuh    transforms within a block; rows.cu (row.cuh) and columns.cu: what is done along rows, and columns
"""

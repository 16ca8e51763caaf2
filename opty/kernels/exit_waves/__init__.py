"""From object and probe to exit waves, projections, and steps of kept waves.

meaning.py     exit_waves, reflect, advance: in NumPy; loops.py: compiled; exit_waves.cu: on a GPU
cpu.py, gpu.py the family's part of the engines: exit waves to the detector and back
"""

"""Are all values of a state finite, and all windows inside the object?

cpu.py         on the CPU; gpu.py, finite.cu: on a GPU, without waiting for it
"""

"""Files that may be damaged, hostile, too large or on a full disk: read and written with care.

container.py     a file seen from outside: HDF5, npz, TIFF, unwrapped, truncated, something else
tree.py          HDF5 behind a guard: links, sizes, what is found in place of what is missing
attributes.py    attributes and texts of HDF5, read from the bytes of the file
npy.py, tiff.py  arrays and stacks of images
reading.py       what the readers share: Format, errors that name the file
kept.py          a measurement's file that stays open, for frames that are read when they are asked for
source.py        where data came from, so that a result can point to them and know them again
atomic.py        write a file whole or not at all
sink.py          write HDF5 on a disk that may be full
"""

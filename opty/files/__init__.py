"""Files that may be damaged, hostile, too large or on a full disk. Nothing here knows ptychography.

container.py     a file seen from outside: its kind, its top level names, access to both
tree.py          HDF5 files, read with care; attributes.py: their attributes; filters.py: how they are packed
hdf5.py          opening them, also while another program writes
tiff.py, npy.py  stacks of images; tiff_series.py: in several files; mib.py: of Merlin
open_file.py     a file that stays open as long as frames are read from it
fingerprint.py   whether a file is still the one that was read
atomic.py        writing: whole or not at all; sink.py: HDF5 on a disk that may be full
"""

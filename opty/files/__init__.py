"""Files that may be damaged, hostile, too large or on a full disk. Independent of ptychography.

container.py     the kind of a file, the names at its top level, access to its contents
tree.py          safe access to HDF5 files; attributes.py: their attributes; filters.py: their compression
packed.py        checks what some filters would follow blindly
hdf5.py          opening them, also while another program writes; superblock.py: whether one does
tiff.py, npy.py  stacks of images; tiff_series.py: in several files; mib.py: of Merlin
open_file.py     a file that stays open while frames are read from it
fingerprint.py   detects that a file has changed since it was read
atomic.py        writing: completely or not at all; sink.py: HDF5 on a disk that may be full
"""

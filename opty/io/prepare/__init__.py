"""From a file's content to PtychoData: the options that all measurements have in common.

options.py       the order in which the options are applied
frames.py        stacks of images that are read piece by piece
growing.py       files that another program still writes
image_ops.py     the options applied to frames and masks, all at once or as they are read from the file
preparation.py   the options themselves; raw.py: the measurement from a reader
cutting.py       crop, transpose, flip, rebin
parts.py         frames in numbered parts, data_000001 ...
pixels.py        masks: given, dead, hot, saturated, invalid
images.py        images that options name
views.py         the options ``views`` and ``leave_out``
places.py        positions: unit, scale, rotation, signs; matched with the frames; given_positions.py: of an option
lengths.py       the lengths of the geometry, from the options or else the file
lens.py          the starting probe of an aperture; the rotation of a scan, found by curl
units.py         units as files and options name them
quantities.py    numbers with units out of HDF5 files
join_scans.py    several scans in one measurement
"""

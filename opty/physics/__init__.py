"""Pure functions of arrays, independent of states, files and recipes.

propagation.py   far field, cone beam, near field
optics.py        probes from an aperture, defocus and aberrations
modes.py         probe modes in their orthogonal basis, and those by which a probe varies
scan_map.py      positions against positions: the affine map and the drift of a whole scan
stage_travel.py  how far a stage that does not stop moves during each view
in_corners.py    light that lies round the corners, as an FFT leaves it
vortices.py      points around which a phase does not close, and the nearest phase without them
pixels.py        pixels that are no measurement of light
to_host.py       arrays of any backend, copied to the host
"""

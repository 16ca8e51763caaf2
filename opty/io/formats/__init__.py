"""One file per format: how it is recognised by its content, read, and written.

npz.py           NumPy files of tike and pty-chi, and of opty's benchmarks
ptychi.py        HDF5 of tike and pty-chi
cxi.py           CXI files of beamlines, PyNX and CDTools
nexus.py         NXcxi_ptycho NeXus files
ptyd.py          prepared data of PtyPy
ptyr.py          results of PtyPy
peer_results.py  results of PtyLab, PyNX and CDTools
ptyrad.py        results of PtyRAD; ptychi_result.py: of pty-chi, by PEAR and Ptychodus
foreign_result.py   what the readers of results of other packages have in common
ptylab.py        HDF5 of PtyLab
dectris.py       masters of DECTRIS' detectors, with frames in numbered parts, and NXmx
fold_slice.py    pairs of fold_slice and PtychoShelves, and .mat files
merlin.py        Merlin .mib; empad.py: EMPAD .raw; emd.py: data cubes of py4DSTEM and NCEM
tiff_npy.py      TIFF frames and positions beside them, of SciComPty and TwinMic; pairing.py: which go together
array4d.py       NPY of four axes, frames of a scan on a grid
mapping.py       HDF5 of any layout, through a TOML file; examples in mappings/
measurement.py   PtychoData in opty's own HDF5 files
native.py        results: PtychoState in HDF5, restored exactly
kept.py          the contents of a result but its measurement
result_data.py   the measurement of a result: in it, where it points to, given in its place, or absent
"""

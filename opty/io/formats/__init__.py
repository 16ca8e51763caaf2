"""One file per format: how it is recognised by its content, read, and written.

npz.py           NumPy files of tike and pty-chi, and of opty's benchmarks
ptychi.py        HDF5 of tike and pty-chi
cxi.py           CXI files of beamlines, PyNX and CDTools
nexus.py         NXcxi_ptycho NeXus files
ptyd.py          prepared data of PtyPy
ptyr.py          results of PtyPy
ptylab.py        HDF5 of PtyLab
tiff_npy.py      TIFF stack and NPY positions of SciComPty
mapping.py       HDF5 of any layout, through a TOML file; examples in mappings/
measurement.py   PtychoData in opty's own HDF5 files
native.py        results: PtychoState in HDF5, from which a run goes on exactly
kept.py          all that a result holds, before its measurement is looked for
result_data.py   the measurement of a result: in it, where it points to, given in its place, or absent
"""

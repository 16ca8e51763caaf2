"""Files in and out: ``load`` any measurement or result, ``save`` a result, ``info`` tells what a file holds.

registry.py      load(): the list of formats, tried one after the other on a file's content
container.py     a file seen from outside: HDF5, npz, TIFF, unwrapped, truncated, something else
tree.py          HDF5 behind a guard: links, sizes, what is found in place of what is missing
attributes.py    attributes and texts of HDF5, read from the bytes of the file
npy.py, tiff.py  arrays and stacks of images, read with care
reading.py       what the readers share: Format, errors that name the file
preparing.py     the options common to all measurements, and how a file's content becomes PtychoData
frames.py        stacks of images that are read piece by piece
cutting.py       crop, transpose, flip, rebin
pixels.py        masks: given, dead, hot, saturated, invalid
images.py        images that options name
views.py         the options ``views`` and ``leave_out``
units.py         units as files name them
together.py      several scans in one measurement
source.py        where data came from, so that a result can point to them and know them again
npz.py           NumPy files of tike and pty-chi, and of opty's benchmarks
ptychi.py        HDF5 of tike and pty-chi
cxi.py           CXI files of beamlines, PyNX and CDTools
nexus.py         NXcxi_ptycho NeXus files
ptyd.py          prepared data of PtyPy
ptyr.py          results of PtyPy
ptylab.py        HDF5 of PtyLab
tiff_npy.py      TIFF stack and NPY positions of SciComPty
mapping.py       HDF5 of any layout, through a TOML file; examples in mappings/
writing.py       save() in any format, and what the writers share
measurement.py   PtychoData in opty's own HDF5 files
native.py        results: PtychoState in HDF5, from which a run goes on exactly
export.py        export(): images and plain arrays of a result
again.py         resume() a run that stopped, rerun() one and compare
info.py          info(): what a file holds and lacks
report.py        the same as text
atomic.py        write a file whole or not at all
sink.py          write HDF5 on a disk that may be full
"""

from opty.io.again import Repetition, rerun, resume
from opty.io.atomic import atomic
from opty.io.export import export
from opty.io.info import Info, info
from opty.io.registry import load
from opty.io.writing import save

__all__ = ["Info", "Repetition", "atomic", "export", "info", "load", "rerun", "resume", "save"]

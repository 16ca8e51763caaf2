"""Files in and out: ``load`` any measurement or result, ``save`` a result, ``info`` tells what a file holds.

registry.py      load(): the list of formats, tried one after the other on a file's content
container.py     a file seen from outside: HDF5 or npz, unwrapped, truncated, something else
reading.py       what the readers share: Format, errors that name the file
views.py         the option ``views``
source.py        where data came from, so that a result can point to them and know them again
npz.py           NumPy files of tike and pty-chi, and of opty's benchmarks
cxi.py           CXI files of beamlines, PyNX and CDTools
measurement.py   PtychoData in opty's own HDF5 files
native.py        save(), and results: PtychoState in HDF5, from which a run goes on exactly
info.py          info(): what a file holds and lacks
report.py        the same as text
atomic.py        write a file whole or not at all
"""

from opty.io.atomic import atomic
from opty.io.info import Info, info
from opty.io.native import save
from opty.io.registry import load

__all__ = ["Info", "atomic", "info", "load", "save"]

"""Files in and out: ``load`` any measurement or result, ``save`` a result, ``info`` tells what a file holds.

registry.py   load(): the list of formats, tried one after the other on a file's content
writing.py    save() in any format, and what the writers share
export.py     export(): images and plain arrays of a result
again.py      resume() a run that stopped, rerun() one and compare
info.py       info(): what a file holds and lacks
report.py     the same as text
formats/      one file per format
prepare/      from a file's content to PtychoData: crop, mask, rebin, orientation, several scans
guard/        files that may be damaged, hostile, too large or on a full disk
"""

from opty.io.again import Repetition, rerun, resume
from opty.io.export import export
from opty.io.guard.atomic import atomic
from opty.io.info import Info, info
from opty.io.registry import load
from opty.io.writing import save

__all__ = ["Info", "Repetition", "atomic", "export", "info", "load", "rerun", "resume", "save"]

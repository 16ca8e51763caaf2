"""Files in and out: ``load`` any measurement or result, ``save`` a result, ``info`` says what a file holds.

registry.py       load(): the list of formats, tried one after the other on a file's content
reading.py        what a format is, and errors that name the file
writing.py        save() in any format, and what the writers share
export.py         export(): images and plain arrays of a result
rerun.py          resume() a run that stopped, rerun() one and compare
save_operator.py  Save: checkpoints along a run
info.py           info(): what a file holds and lacks; report.py: the same as text
source.py         where data came from, so that a result points to its measurement
formats/          one file per format
prepare/          from a file's content to PtychoData: crop, mask, rebin, orientation, several scans
"""

from opty.files.atomic import atomic
from opty.io.export import export
from opty.io.info import Info, info
from opty.io.registry import load
from opty.io.rerun import Repetition, rerun, resume
from opty.io.writing import save

__all__ = ["Info", "Repetition", "atomic", "export", "info", "load", "rerun", "resume", "save"]

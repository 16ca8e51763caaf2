"""Files in and out: ``load`` any measurement or result, ``save`` a result, ``info`` describes a file.

registry.py       load(): the list of formats, tried one after the other on a file's content
reading.py        the Format of a file, and errors that name the file
saving.py         save() in any format; writing.py: shared by the writers
state_as_data.py  what the file of a measurement gets of a state
export.py         export(): images and plain arrays of a result
rerun.py          resume() a run that stopped, rerun() one and compare
save_operator.py  Save: checkpoints along a run
info.py           info(): the contents of a file, and what is missing; report.py: the same as text
follow.py         a scan that is still measured; messages.py: views that come over ZeroMQ
source.py         the source of data, so that a result points to its measurement
formats/          one file per format
prepare/          from a file's content to PtychoData: crop, mask, rebin, orientation, several scans
"""

from opty.files.atomic import atomic
from opty.io.export import export
from opty.io.info import Info, info
from opty.io.registry import load
from opty.io.rerun import Repetition, rerun, resume
from opty.io.saving import save

__all__ = ["Info", "Repetition", "atomic", "export", "info", "load", "rerun", "resume", "save"]

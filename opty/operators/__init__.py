"""The steps that recipes are made of.

exitwave.py      ExitWave; Reflect, Difference, Recall on kept waves (difference map)
fourier.py       FourierProject: the measured modulus
object.py        ObjUpdate, live (PIE)
probe.py         ProbeUpdate, live (PIE)
merge.py         AccumObj, AccumProbe, MergeObj, MergeProbe: from all views at once
position.py      PosCorrectAdam
registration.py  sub-pixel shift between windows, for position.py
constrain.py     ScaleObjProbe, Orthogonalise
observe.py       Log, Misfit, Progress, Save, Show
fused.py         rules that replace steps by faster ones that nobody sees
"""

from opty.algebra.operator import Operator
from opty.operators import fused
from opty.operators.constrain import Orthogonalise, ScaleObjProbe
from opty.operators.exitwave import Difference, ExitWave, Recall, Reflect
from opty.operators.fourier import FourierProject
from opty.operators.merge import AccumObj, AccumProbe, MergeObj, MergeProbe
from opty.operators.object import ObjUpdate
from opty.operators.observe import Log, Misfit, Progress, Save, Show
from opty.operators.position import PosCorrectAdam
from opty.operators.probe import ProbeUpdate

__all__ = [
    "AccumObj",
    "AccumProbe",
    "Difference",
    "ExitWave",
    "FourierProject",
    "Log",
    "MergeObj",
    "MergeProbe",
    "Misfit",
    "ObjUpdate",
    "Operator",
    "Orthogonalise",
    "PosCorrectAdam",
    "ProbeUpdate",
    "Progress",
    "Recall",
    "Reflect",
    "Save",
    "ScaleObjProbe",
    "Show",
    "fused",
]

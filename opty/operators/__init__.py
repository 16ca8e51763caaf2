"""The steps that recipes are made of.

exitwave.py      ExitWave; Reflect, Difference, Recall on kept waves (difference map, RAAR)
fourier.py       FourierProject: the measured modulus
object.py        ObjUpdate, live (PIE)
probe.py         ProbeUpdate, live (PIE)
likelihood.py    LikelihoodGradient; the noise models
conjugate.py     ConjugateDirection, LineSearch, TakeStep: conjugate gradients
lsq.py           LSQUpdate, live: object and probe with the best steps for each view
momentum.py      ObjMomentum, ProbeMomentum
merge.py         AccumObj, AccumProbe, MergeObj, MergeProbe: from all views at once
position.py      PosCorrectAdam
registration.py  sub-pixel shift between windows, for position.py
constrain.py     ScaleObjProbe, Orthogonalise
observe.py       Log, Misfit, Progress, Save, Show
fused.py         rules that replace steps by faster ones that nobody sees
"""

from opty.algebra.operator import Operator
from opty.operators import fused
from opty.operators.conjugate import ConjugateDirection, LineSearch, TakeStep
from opty.operators.constrain import Orthogonalise, ScaleObjProbe
from opty.operators.exitwave import Difference, ExitWave, Recall, Reflect
from opty.operators.fourier import FourierProject
from opty.operators.likelihood import LikelihoodGradient
from opty.operators.lsq import LSQUpdate
from opty.operators.merge import AccumObj, AccumProbe, MergeObj, MergeProbe
from opty.operators.momentum import ObjMomentum, ProbeMomentum
from opty.operators.object import ObjUpdate
from opty.operators.observe import Log, Misfit, Progress, Save, Show
from opty.operators.position import PosCorrectAdam
from opty.operators.probe import ProbeUpdate

__all__ = [
    "AccumObj",
    "AccumProbe",
    "ConjugateDirection",
    "Difference",
    "ExitWave",
    "FourierProject",
    "LSQUpdate",
    "LikelihoodGradient",
    "LineSearch",
    "Log",
    "MergeObj",
    "MergeProbe",
    "Misfit",
    "ObjMomentum",
    "ObjUpdate",
    "Operator",
    "Orthogonalise",
    "PosCorrectAdam",
    "ProbeMomentum",
    "ProbeUpdate",
    "Progress",
    "Recall",
    "Reflect",
    "Save",
    "ScaleObjProbe",
    "Show",
    "TakeStep",
    "fused",
]

"""The steps that recipes are made of.

exitwave.py      ExitWave; Reflect, RelaxedStep, LoadKeptWaves on kept waves (difference map, RAAR)
fourier.py       FourierProject: the measured modulus
follow.py        Follow: views that have been measured meanwhile join the state
object.py        ObjUpdate, live (PIE)
probe.py         ProbeUpdate, live (PIE)
variation.py     a probe that varies: what the steps of the probe make of its OPR modes and weights
likelihood.py    LikelihoodGradient; the noise models
conjugate.py     ConjugateDirection, LineSearch, TakeStep: conjugate gradients
quasi_newton.py  QuasiNewtonStep: L-BFGS
lsq.py           LSQUpdate, live: object and probe with the best steps for each view
momentum.py      ObjMomentum, ProbeMomentum
anderson.py      Anderson: object and probe mixed from those of the last sweeps
merge.py         AccumObj, AccumProbe, MergeObj, MergeProbe: from all views at once
background.py    BackgroundUpdate: incoherent background
intensity.py     IntensityUpdate: per-view intensity factors
refine.py        Refine: numbers of a model's element, such as a spacing; lengths.py: those of the geometry
slices.py        SmoothSlices, RegisterSlices: several slices, and the tilt of the beam through them
support.py       Support: where the probe may be
object_limits.py ClampObj, TotalVariation: prior knowledge of the object
vortices.py      RemoveVortices: a phase of the object that closes
coarse.py        Coarse: a recipe at a lower resolution
restart_modes.py RestartModes: restart of incoherent modes
position/        PosCorrect and its rivals; affine map and drift of the whole scan
constrain.py     freedoms of the problem, fixed: ScaleObjProbe, ProbePower, Orthogonalise,
                 OrthogonaliseStates
centring.py      freedoms of place: CentreProbe, RemoveRamp
observers.py     Log, Misfit, Progress (Save: opty/io, Show: opty/plot)
"""

from opty.algebra.operator import Operator
from opty.operators.anderson import Anderson
from opty.operators.background import BackgroundUpdate
from opty.operators.centring import CentreProbe, RemoveRamp
from opty.operators.coarse import Coarse
from opty.operators.conjugate import ConjugateDirection, LineSearch, TakeStep
from opty.operators.constrain import Orthogonalise, OrthogonaliseStates, ProbePower, ScaleObjProbe
from opty.operators.exitwave import ExitWave, LoadKeptWaves, Reflect, RelaxedStep
from opty.operators.follow import Follow
from opty.operators.fourier import FourierProject
from opty.operators.intensity import IntensityUpdate
from opty.operators.likelihood import LikelihoodGradient
from opty.operators.lsq import LSQUpdate
from opty.operators.merge import AccumObj, AccumProbe, MergeObj, MergeProbe
from opty.operators.momentum import ObjMomentum, ProbeMomentum
from opty.operators.object import ObjUpdate
from opty.operators.object_limits import ClampObj, TotalVariation
from opty.operators.observers import Log, Misfit, Progress
from opty.operators.position import (
    BestOf,
    CheckPositions,
    CompareMisfit,
    ComparePositions,
    HoldOut,
    PlaceInOrder,
    PosCorrect,
    PosCorrectAdam,
    PosCorrectAnneal,
    PosCorrectGain,
    PosCorrectGradient,
    PosCorrectSerial,
    PosLimit,
    PosModel,
    PosSearch,
    PosStretch,
)
from opty.operators.probe import ProbeUpdate
from opty.operators.quasi_newton import QuasiNewtonStep
from opty.operators.refine import Refine
from opty.operators.restart_modes import RestartModes
from opty.operators.slices import RegisterSlices, SmoothSlices
from opty.operators.support import Support
from opty.operators.vortices import RemoveVortices

__all__ = [
    "AccumObj",
    "AccumProbe",
    "Anderson",
    "BackgroundUpdate",
    "BestOf",
    "CentreProbe",
    "CheckPositions",
    "ClampObj",
    "Coarse",
    "CompareMisfit",
    "ComparePositions",
    "ConjugateDirection",
    "ExitWave",
    "Follow",
    "FourierProject",
    "HoldOut",
    "IntensityUpdate",
    "LSQUpdate",
    "LikelihoodGradient",
    "LineSearch",
    "LoadKeptWaves",
    "Log",
    "MergeObj",
    "MergeProbe",
    "Misfit",
    "ObjMomentum",
    "ObjUpdate",
    "Operator",
    "Orthogonalise",
    "OrthogonaliseStates",
    "PlaceInOrder",
    "PosCorrect",
    "PosCorrectAdam",
    "PosCorrectAnneal",
    "PosCorrectGain",
    "PosCorrectGradient",
    "PosCorrectSerial",
    "PosLimit",
    "PosModel",
    "PosSearch",
    "PosStretch",
    "ProbeMomentum",
    "ProbePower",
    "ProbeUpdate",
    "Progress",
    "QuasiNewtonStep",
    "Refine",
    "Reflect",
    "RegisterSlices",
    "RelaxedStep",
    "RemoveRamp",
    "RemoveVortices",
    "RestartModes",
    "ScaleObjProbe",
    "SmoothSlices",
    "Support",
    "TakeStep",
    "TotalVariation",
]

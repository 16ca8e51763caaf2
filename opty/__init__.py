"""opty: operator algebra for ptychography.

The way of the data::

    io, simulate -> data -> state -> algebra -> operators -> recipes -> analysis -> plot      (backend under all)

A recipe is an immutable value; a state is read-only outside an operator; ``recipe * p`` plans once, forks once, works
in place inside, and returns a new state.

    io/           load, save, info: files in and out
    simulate/     virtual experiments
    data.py       PtychoData: what was measured
    counts.py     what cannot be a count, refused with its place
    fields.py     the other fields of a measurement, checked
    stack.py      Stack: frames that stay in their file; ahead.py: read while the last are used; memory.py: what is free
    geometry.py   Geometry: metres and pixels
    state/        PtychoState: what is being estimated
    algebra/      Operator, *, **, Sweep, Every, After, Until; plan and runner
    operators/    the steps
    recipes/      ePIE, rPIE, mPIE, AP, DM, RAAR, ML, LSQML
    console.py    whether a person looks on; blas.py: one thread for BLAS
    propagate.py  far field, cone beam, near field
    backend/      NumPy and CuPy behind the same functions
    analysis/     misfit, errors against a truth, Fourier ring correlation
    plot/         pictures
    cli/          the command line
    words.py      near names, and arguments that do not fit, in messages
    remedies.py   remedies: arguments in Python, options on the command line
"""

from importlib.metadata import version

from opty import analysis, plot, simulate
from opty.algebra.control import After, Before, Every, Until
from opty.algebra.operator import Identity, Operator, Recipe, ViewOperator
from opty.algebra.plan import unfused
from opty.algebra.serial import from_json, parse
from opty.algebra.sweep import Sweep
from opty.analysis.misfit import mean_square, misfit, r_factor
from opty.data import PtychoData
from opty.errors import (
    ConsumedError,
    DivergedError,
    EffectError,
    FormatError,
    InterruptedWarning,
    MemoryWarning,
    MisfitWarning,
    RecipeError,
    SaveError,
    SourceError,
)
from opty.geometry import Geometry
from opty.io import info, load, rerun, resume, save
from opty.operators import (
    AccumObj,
    AccumProbe,
    BackgroundUpdate,
    CentreProbe,
    ClampObj,
    ConjugateDirection,
    Difference,
    ExitWave,
    FourierProject,
    IntensityUpdate,
    LikelihoodGradient,
    LineSearch,
    Log,
    LSQUpdate,
    MergeObj,
    MergeProbe,
    Misfit,
    ObjMomentum,
    ObjUpdate,
    Orthogonalise,
    PosCorrect,
    PosCorrectAdam,
    PosCorrectAnneal,
    PosCorrectGain,
    PosCorrectGradient,
    PosCorrectSerial,
    PosLimit,
    PosModel,
    PosSearch,
    ProbeMomentum,
    ProbePower,
    ProbeUpdate,
    Progress,
    Recall,
    Reflect,
    Save,
    ScaleObjProbe,
    Show,
    Support,
    TakeStep,
    TotalVariation,
)
from opty.recipes import AP, DM, ER, LSQML, ML, RAAR, ePIE, mPIE, rPIE
from opty.state import PtychoState
from opty.words import near

__version__ = version("opty-ptycho")

__all__ = [
    "AP",
    "DM",
    "ER",
    "LSQML",
    "ML",
    "RAAR",
    "AccumObj",
    "AccumProbe",
    "After",
    "BackgroundUpdate",
    "Before",
    "CentreProbe",
    "ClampObj",
    "ConjugateDirection",
    "ConsumedError",
    "Difference",
    "DivergedError",
    "EffectError",
    "Every",
    "ExitWave",
    "FormatError",
    "FourierProject",
    "Geometry",
    "Identity",
    "IntensityUpdate",
    "InterruptedWarning",
    "LSQUpdate",
    "LikelihoodGradient",
    "LineSearch",
    "Log",
    "MemoryWarning",
    "MergeObj",
    "MergeProbe",
    "Misfit",
    "MisfitWarning",
    "ObjMomentum",
    "ObjUpdate",
    "Operator",
    "Orthogonalise",
    "PosCorrect",
    "PosCorrectAdam",
    "PosCorrectAnneal",
    "PosCorrectGain",
    "PosCorrectGradient",
    "PosCorrectSerial",
    "PosLimit",
    "PosModel",
    "PosSearch",
    "ProbeMomentum",
    "ProbePower",
    "ProbeUpdate",
    "Progress",
    "PtychoData",
    "PtychoState",
    "Recall",
    "Recipe",
    "RecipeError",
    "Reflect",
    "Save",
    "SaveError",
    "ScaleObjProbe",
    "Show",
    "SourceError",
    "Support",
    "Sweep",
    "TakeStep",
    "TotalVariation",
    "Until",
    "ViewOperator",
    "analysis",
    "ePIE",
    "from_json",
    "info",
    "load",
    "mPIE",
    "mean_square",
    "misfit",
    "parse",
    "plot",
    "rPIE",
    "r_factor",
    "rerun",
    "resume",
    "save",
    "simulate",
    "unfused",
]


def __getattr__(name: str) -> object:
    """Say what a name that is not here may mean."""
    close = [] if name.startswith("_") else near(name, __all__)
    hint = f"did you mean {close[0]}?" if close else "dir(opty) lists what it has"
    raise AttributeError(f"opty has no {name!r}; {hint}", name=name)

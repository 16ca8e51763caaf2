"""opty: operator algebra for ptychography.

A recipe is an immutable value; a state is read-only outside an operator; ``recipe * p`` plans once, forks once, works
in place inside, and returns a new state.

Layers, from the roof to the ground; each imports only those below it (setup.cfg has the contract, a test keeps it):

    cli/             the command line; testing/: checks for authors of operators and elements
    ptycho_state.py  PtychoState: what users hold; ``recipe * p``, save, plot
    simulate/        virtual experiments
    io/              load, save, info: files in and out
    plot/            pictures
    analysis/        misfit, errors against a truth, Fourier ring correlation, checks of a scan
    fusion/          steps that take the place of several
    recipes/         ePIE, rPIE, mPIE, AP, DM, RAAR, ML, LSQML
    operators/       the steps
    runtime/         plan, execution, checkpoints, divergence
    state/           what is being estimated
    model/           from object, probe and positions to waves, and back: elements
    algebra/         Operator, *, **, Sweep, Every, After, Until: values
    backend/         NumPy and CuPy behind the same functions, and their kernels
    physics/         pure functions of arrays
    data/            PtychoData: what was measured
    files/           files that may be damaged or large; knows no ptychography
    geometry.py      Geometry: metres and pixels; units.py, memory.py: lengths and bytes in words
    errors.py        exceptions and warnings; words.py: near names; remedies.py: remedies in Python or as options;
                     console.py: is a person looking; blas.py: one thread for BLAS
"""

from importlib.metadata import version

from opty import analysis, model, plot, simulate
from opty import fusion as fusion
from opty.algebra.control import After, Before, Every, Until
from opty.algebra.leaf import Leaf
from opty.algebra.operator import Identity, Operator, Recipe, ViewOperator
from opty.algebra.sweep import Sweep
from opty.algebra.text import from_json, parse
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
from opty.io.save_operator import Save
from opty.operators import (
    AccumObj,
    AccumProbe,
    BackgroundUpdate,
    CentreProbe,
    CheckPositions,
    ClampObj,
    Coarse,
    ComparePositions,
    ConjugateDirection,
    Difference,
    ExitWave,
    FourierProject,
    HoldOut,
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
    Refine,
    Reflect,
    ScaleObjProbe,
    Support,
    TakeStep,
    TotalVariation,
)
from opty.plot.show_operator import Show
from opty.ptycho_state import PtychoState
from opty.recipes import AP, DM, ER, LSQML, ML, RAAR, FindPositions, ePIE, mPIE, rPIE
from opty.runtime.plan import unfused
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
    "CheckPositions",
    "ClampObj",
    "Coarse",
    "ComparePositions",
    "ConjugateDirection",
    "ConsumedError",
    "Difference",
    "DivergedError",
    "EffectError",
    "Every",
    "ExitWave",
    "FindPositions",
    "FormatError",
    "FourierProject",
    "Geometry",
    "HoldOut",
    "Identity",
    "IntensityUpdate",
    "InterruptedWarning",
    "LSQUpdate",
    "Leaf",
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
    "Refine",
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
    "model",
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

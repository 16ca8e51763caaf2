"""opty: operator algebra for ptychography.

A recipe is an immutable value; a state is read-only outside an operator; ``recipe * p`` plans once, forks once, works
in place inside, and returns a new state.

Layers, from the roof to the ground; each imports only those below it (setup.cfg has the contract, a test keeps it):

    cli/             the command line; testing/: checks for authors of operators and elements
    search/          recipes chosen by what they predict: search, auto; report/: a result as one HTML file
    ptycho_state.py  PtychoState: the state of a reconstruction; ``recipe * p``, save, plot
    live/            a page in the browser that shows a run
    simulate/        virtual experiments
    io/              load, save, info: files in and out
    plot/            pictures
    analysis/        misfit, errors against a truth, Fourier ring correlation, checks of a scan
    fusion/          steps that take the place of several
    recipes/         ePIE, rPIE, mPIE, AP, DM, RAAR, ML, LBFGS, LSQML
    operators/       the steps
    runtime/         plan, execution, checkpoints, divergence
    state/           the estimates and their record
    model/           from object, probe and positions to waves, and back: elements
    algebra/         Operator, *, **, Sweep, Every, After, Until: values
    kernels/         NumPy and CuPy behind the same functions, and kernels by family
    physics/         pure functions of arrays
    arrays/          where arrays live: devices, threads, transfers, launches
    data/            PtychoData: what was measured
    files/           files that may be damaged or large; independent of ptychography
    geometry.py      Geometry: metres and pixels; units.py, memory.py: lengths and bytes in words
    errors.py        exceptions and warnings; words.py: near names; remedies.py: remedies in Python or as options;
                     console.py: is a person looking; blas.py: one thread for BLAS
"""

from importlib.metadata import version

from opty import analysis, model, operators, plot, simulate
from opty import fusion as fusion
from opty.algebra.control import After, Before, Every, Until
from opty.algebra.leaf import Leaf
from opty.algebra.operator import Identity, Operator, Recipe, ViewOperator
from opty.algebra.sweep import Sweep
from opty.algebra.text import from_json, parse
from opty.analysis.misfit import misfit
from opty.data import PtychoData, join
from opty.errors import (
    ConsumedError,
    DivergedError,
    EffectError,
    FormatError,
    InterruptedWarning,
    MemoryWarning,
    MisfitWarning,
    RecipeError,
    RecipeWarning,
    SaveError,
    SourceError,
    StartWarning,
)
from opty.geometry import Geometry
from opty.io import info, load, rerun, resume, save
from opty.io.save_operator import Save
from opty.live.serve_operator import Serve
from opty.operators import (
    Anderson,
    BackgroundUpdate,
    BestOf,
    CheckPositions,
    Coarse,
    ComparePositions,
    Follow,
    FourierProject,
    HoldOut,
    IntensityUpdate,
    Log,
    Misfit,
    ObjUpdate,
    Orthogonalise,
    OrthogonaliseStates,
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
    ProbeUpdate,
    Progress,
    Refine,
    RegisterSlices,
    RemoveVortices,
    RestartModes,
    ScaleObjProbe,
    SmoothSlices,
    Support,
)
from opty.plot.show_operator import Show
from opty.ptycho_state import PtychoState
from opty.recipes import AP, DM, LBFGS, LSQML, ML, RAAR, FindPositions, Fix, ePIE, mPIE, rPIE
from opty.report import report
from opty.runtime.plan import unfused
from opty.search import auto, search
from opty.words import near

__version__ = version("opty-ptycho")

__all__ = [
    "AP",
    "DM",
    "LBFGS",
    "LSQML",
    "ML",
    "RAAR",
    "After",
    "Anderson",
    "BackgroundUpdate",
    "Before",
    "BestOf",
    "CheckPositions",
    "Coarse",
    "ComparePositions",
    "ConsumedError",
    "DivergedError",
    "EffectError",
    "Every",
    "FindPositions",
    "Fix",
    "Follow",
    "FormatError",
    "FourierProject",
    "Geometry",
    "HoldOut",
    "Identity",
    "IntensityUpdate",
    "InterruptedWarning",
    "Leaf",
    "Log",
    "MemoryWarning",
    "Misfit",
    "MisfitWarning",
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
    "ProbeUpdate",
    "Progress",
    "PtychoData",
    "PtychoState",
    "Recipe",
    "RecipeError",
    "RecipeWarning",
    "Refine",
    "RegisterSlices",
    "RemoveVortices",
    "RestartModes",
    "Save",
    "SaveError",
    "ScaleObjProbe",
    "Serve",
    "Show",
    "SmoothSlices",
    "SourceError",
    "StartWarning",
    "Support",
    "Sweep",
    "Until",
    "ViewOperator",
    "analysis",
    "auto",
    "ePIE",
    "from_json",
    "info",
    "join",
    "load",
    "mPIE",
    "misfit",
    "model",
    "operators",
    "parse",
    "plot",
    "rPIE",
    "report",
    "rerun",
    "resume",
    "save",
    "search",
    "simulate",
    "unfused",
]


def __dir__() -> list[str]:
    """List the public names only, without internal subpackages."""
    return [*__all__, *(name for name in globals() if name.startswith("__"))]


def __getattr__(name: str) -> object:
    """Raise AttributeError, with the nearest public name, for an unknown name."""
    for place in (operators, analysis):
        if name in place.__all__:
            raise AttributeError(f"opty has no {name!r}; it is {place.__name__}.{name}", name=name)
    close = [] if name.startswith("_") else near(name, __all__)
    hint = f"did you mean {close[0]}?" if close else "dir(opty) lists what it has"
    raise AttributeError(f"opty has no {name!r}; {hint}", name=name)

"""opty: operator algebra for ptychography.

The way of the data::

    io, simulate -> data -> state -> algebra -> operators -> recipes -> analysis -> plot      (backend under all)

A recipe is an immutable value; a state is read-only outside an operator; ``recipe * p`` plans once, forks once, works
in place inside, and returns a new state.

    io/           load, save, info: files in and out
    simulate/     virtual experiments
    data.py       PtychoData: what was measured
    geometry.py   Geometry: metres and pixels
    state/        PtychoState: what is being estimated
    algebra/      Operator, *, **, Sweep, Every, After, Until; plan and runner
    operators/    the steps
    recipes/      ePIE, rPIE, AP, DM
    propagate.py  far field, cone beam, near field
    backend/      NumPy and CuPy behind the same functions
    analysis/     misfit, errors against a truth, Fourier ring correlation
    plot/         pictures
    cli/          the command line
"""

from importlib.metadata import version

from opty import analysis, plot, simulate
from opty.algebra.control import After, Every, Until
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
    MisfitWarning,
    RecipeError,
)
from opty.geometry import Geometry
from opty.io import info, load, save
from opty.operators import (
    AccumObj,
    AccumProbe,
    Difference,
    ExitWave,
    FourierProject,
    Log,
    MergeObj,
    MergeProbe,
    Misfit,
    ObjUpdate,
    Orthogonalise,
    PosCorrectAdam,
    ProbeUpdate,
    Progress,
    Recall,
    Reflect,
    Save,
    ScaleObjProbe,
    Show,
)
from opty.recipes import AP, DM, ePIE, rPIE
from opty.state import PtychoState

__version__ = version("opty-ptycho")

__all__ = [
    "AP",
    "DM",
    "AccumObj",
    "AccumProbe",
    "After",
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
    "InterruptedWarning",
    "Log",
    "MergeObj",
    "MergeProbe",
    "Misfit",
    "MisfitWarning",
    "ObjUpdate",
    "Operator",
    "Orthogonalise",
    "PosCorrectAdam",
    "ProbeUpdate",
    "Progress",
    "PtychoData",
    "PtychoState",
    "Recall",
    "Recipe",
    "RecipeError",
    "Reflect",
    "Save",
    "ScaleObjProbe",
    "Show",
    "Sweep",
    "Until",
    "ViewOperator",
    "analysis",
    "ePIE",
    "from_json",
    "info",
    "load",
    "mean_square",
    "misfit",
    "parse",
    "plot",
    "rPIE",
    "r_factor",
    "save",
    "simulate",
    "unfused",
]

"""Named compositions of the field's engines; no arithmetic here.

pie.py     ePIE, rPIE, mPIE
ap.py      AP
dm.py      DM, RAAR
lsqml.py   LSQML
ml.py      ML
lbfgs.py   LBFGS
find_positions.py FindPositions
fix.py     Fix: a recipe that leaves some of the estimates as they are
"""

from opty.recipes.ap import AP
from opty.recipes.dm import DM, RAAR
from opty.recipes.find_positions import FindPositions
from opty.recipes.fix import Fix
from opty.recipes.lbfgs import LBFGS
from opty.recipes.lsqml import LSQML
from opty.recipes.ml import ML
from opty.recipes.pie import ePIE, mPIE, rPIE

__all__ = ["AP", "DM", "LBFGS", "LSQML", "ML", "RAAR", "FindPositions", "Fix", "ePIE", "mPIE", "rPIE"]

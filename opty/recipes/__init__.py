"""Named compositions of the field's engines; no arithmetic here.

pie.py     ePIE, rPIE, mPIE
ap.py      AP, also called ER
dm.py      DM, RAAR
lsqml.py   LSQML
ml.py      ML
find_positions.py FindPositions
freedom.py what each of them may change
"""

from opty.recipes.ap import AP, ER
from opty.recipes.dm import DM, RAAR
from opty.recipes.find_positions import FindPositions
from opty.recipes.lsqml import LSQML
from opty.recipes.ml import ML
from opty.recipes.pie import ePIE, mPIE, rPIE

__all__ = ["AP", "DM", "ER", "LSQML", "ML", "RAAR", "FindPositions", "ePIE", "mPIE", "rPIE"]

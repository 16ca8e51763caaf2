"""Named compositions of the field's engines; no arithmetic here.

pie.py   ePIE, rPIE
ap.py    AP
dm.py    DM
"""

from opty.recipes.ap import AP
from opty.recipes.dm import DM
from opty.recipes.pie import ePIE, rPIE

__all__ = ["AP", "DM", "ePIE", "rPIE"]

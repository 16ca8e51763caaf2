"""Position refinement: where each view really was.

correct.py       PosCorrect: the one to use
wait.py          its wait while the engine explains more by itself; patient.py: what it becomes beside AP, DM and RAAR
relocate.py      PosSearch: views that went astray, brought home
search.py        how places are found for them
adam.py          PosCorrectAdam
gain.py          PosCorrectGain, PosCorrectSerial
gradient.py      PosCorrectGradient
anneal.py        PosCorrectAnneal
check.py         CheckPositions: which views could not be placed
others.py        what the other views say of each
jumps.py         where a scan falls into two parts
compare_misfit.py CompareMisfit: what is worse after some steps than before them
compare.py       ComparePositions: back to the places given where others fit no better
some_views.py    a state of some of the views, and where one more fits it
hold_out.py      HoldOut: views held out of the fit, and looked for in what the others made
place_in_order.py PlaceInOrder: view after view, where errors add up
best_of.py       BestOf: a recipe tried several times, the best kept
stretch.py       PosStretch: an affine map of the whole scan, the object with it; affine.py: the step to it
evidence.py      what the counts of a view say of its place
trust.py         that, weighed against the places given
scan_model.py    PosModel: affine map and drift of the whole scan; PosLimit: how far from the nominal positions
refinement.py    what all methods share: one signal and one step a view, limits, weights, the mean, the history
signals.py       what tells of a wrong position: shift of the object window, of the pattern, fit of the residual
registration.py  sub-pixel shift between two images
"""

from opty.operators.position.adam import PosCorrectAdam
from opty.operators.position.anneal import PosCorrectAnneal
from opty.operators.position.best_of import BestOf
from opty.operators.position.check import CheckPositions
from opty.operators.position.compare import ComparePositions
from opty.operators.position.compare_misfit import CompareMisfit
from opty.operators.position.correct import PosCorrect
from opty.operators.position.gain import PosCorrectGain, PosCorrectSerial
from opty.operators.position.gradient import PosCorrectGradient
from opty.operators.position.hold_out import HoldOut
from opty.operators.position.place_in_order import PlaceInOrder
from opty.operators.position.relocate import PosSearch
from opty.operators.position.scan_model import PosLimit, PosModel
from opty.operators.position.stretch import PosStretch

__all__ = [
    "BestOf",
    "CheckPositions",
    "CompareMisfit",
    "ComparePositions",
    "HoldOut",
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
]

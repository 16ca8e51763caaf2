"""Names that operators and parameters had in older result files, and their present names.

Recipes out of files go through ``translated``; recipes that a user writes have today's names alone.
"""

from __future__ import annotations

from typing import Any

from opty.algebra.operator import REGISTRY

_CLASSES = {"ER": "AP", "Recall": "LoadKeptWaves", "Difference": "RelaxedStep"}
_REFINEMENT = {"largest": "max_step"}
_MOMENTUM = {"friction": "momentum", "every": "interval"}
_PARAMETERS: dict[str, dict[str, str]] = {
    "LSQML": {"friction": "momentum"},
    "mPIE": _MOMENTUM,
    "ObjMomentum": _MOMENTUM,
    "ProbeMomentum": _MOMENTUM,
    "PosCorrect": {**_REFINEMENT, "search": "search_radius", "every": "search_every"},
    "PosCorrectAdam": _REFINEMENT,
    "PosCorrectAnneal": _REFINEMENT,
    "PosCorrectGain": _REFINEMENT,
    "PosCorrectGradient": _REFINEMENT,
    "PosCorrectSerial": _REFINEMENT,
    "PosSearch": {"reach": "search_radius"},
    "HoldOut": {"reach": "search_radius"},
    "PosLimit": {"reach": "max_shift"},
    "PosModel": {"pull": "strength"},
    "TotalVariation": {"turns": "iterations"},
    "Until": {"max": "max_turns"},
}
_UPDATES = frozenset({"AP", "DM", "LSQML", "ML", "RAAR", "ePIE", "mPIE", "rPIE"})  # had a parameter ``update``
_FIXED = {"obj": "probe", "probe": "obj"}  # what stayed as it was where ``update`` named the other


def translated(name: str, parameters: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return an operator of a recipe in JSON, name and parameters, under the names of today.

    ``update="obj"`` of a recipe is ``Fix("probe", recipe)`` now, and ``update="both"`` is the recipe itself.
    """
    name = name if name in REGISTRY else _CLASSES.get(name, name)  # a user may have a class of an old name
    new = _PARAMETERS.get(name, {})
    parameters = {new.get(key, key): value for key, value in parameters.items()}
    if name in _UPDATES and "update" in parameters:
        update = parameters.pop("update")
        if update in _FIXED:
            return "Fix", {"leaves": _FIXED[update], "recipe": {name: parameters}}
    return name, parameters

"""Which of object and probe a recipe may change."""

from __future__ import annotations

from typing import Literal

from opty.algebra.operator import Operator

Update = Literal["both", "obj", "probe"]


def only(update: Update, obj: Operator, probe: Operator) -> Operator:
    """Return the step of the object, that of the probe, or the probe's after the object's."""
    return obj if update == "obj" else probe if update == "probe" else probe * obj

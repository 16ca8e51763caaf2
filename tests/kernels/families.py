"""The functions of all families of kernels: their meaning in NumPy, and compiled."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import opty.kernels

FAMILIES = sorted(path.parent.name for path in Path(opty.kernels.__file__).parent.glob("*/meaning.py"))


def functions(family: str, kind: str) -> dict[str, object]:
    """Return the public functions of a family by name; ``kind`` : "meaning" or "loops"."""
    module = import_module(f"opty.kernels.{family}.{kind}")
    of_numpy = {name: f for name, f in vars(module).items() if getattr(f, "__module__", None) == module.__name__}
    return {
        name: f
        for name, f in of_numpy.items()
        if not name.startswith("_") and inspect.isfunction(getattr(f, "py_func", f))
    }


def all_functions(kind: str) -> SimpleNamespace:
    """Return the functions of all families together."""
    return SimpleNamespace(**{name: f for family in FAMILIES for name, f in functions(family, kind).items()})


meaning = all_functions("meaning")

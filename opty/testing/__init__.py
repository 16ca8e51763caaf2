"""Checks for authors of operators and elements: opty's own tests use them.

elements.py    check_element: adjoint and derivative of a model's element, its text and JSON
operators.py   check_operator: pickle, text, JSON, split law, fused as unfused, declared effects
"""

from opty.testing.elements import check_element
from opty.testing.operators import check_operator

__all__ = ["check_element", "check_operator"]

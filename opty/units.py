"""Lengths in words."""

from __future__ import annotations

PREFIXES = ((1.0, "m"), (1e-3, "mm"), (1e-6, "µm"), (1e-9, "nm"), (1e-12, "pm"))


def metres(value: float) -> str:
    """Write a length with a prefix that leaves a number from 1 to 1000: "9.795e-11" becomes "97.95 pm"."""
    for factor, unit in PREFIXES:
        if value >= factor:
            return f"{value / factor:.4g} {unit}"
    return f"{value:.4g} m"

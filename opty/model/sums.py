"""Sums over the incoherent states of waves, which elements and steps share."""

from __future__ import annotations

from typing import Any


def state_power(xp: Any, waves: Any) -> Any:
    """Return sum_s |waves_s|^2 (B or 1, n, n) of waves (B or 1, S, n, n)."""
    a = xp.abs(waves)
    a *= a
    return a[:, 0] if a.shape[1] == 1 else a.sum(axis=1)


def state_sum(incident: Any, chi: Any) -> Any:
    """Return sum_s conj(incident_s) chi_s, (B, n, n)."""
    out = incident.conj()
    out = out * chi
    return out[:, 0] if out.shape[1] == 1 else out.sum(axis=1)


def times(power: Any, more: Any) -> Any:
    """Return the product of a power, None for one, and what waves were multiplied by."""
    return more if power is None else power * more

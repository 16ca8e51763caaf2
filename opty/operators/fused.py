"""Fused steps: rules that replace steps of a sweep by faster ones where no later step can tell the difference."""

from __future__ import annotations

import dataclasses

from opty.algebra.plan import FUSION_RULES, Scheduled
from opty.operators.fourier import DeltaProject, FourierProject, IntensityOnly, WaveProject


def project_what_is_read(steps: tuple[Scheduled, ...]) -> tuple[Scheduled, ...]:
    """Make FourierProject produce only what is read after it, in place: the difference, the waves, the intensity."""
    out = list(steps)
    for k, s in enumerate(steps):
        if not isinstance(s.op, FourierProject):
            continue
        read = _read_after(steps[k + 1 :])
        if {"waves", "delta"} <= read:
            continue
        lean = DeltaProject if "delta" in read else WaveProject if "waves" in read else IntensityOnly
        out[k] = dataclasses.replace(s, op=lean(predicted="predicted" in read))
    return tuple(out)


def _read_after(steps: tuple[Scheduled, ...]) -> set[str]:
    read: set[str] = set()
    made: set[str] = set()
    for s in steps:
        reads, writes = s.op.effects()
        read |= reads - made
        if not s.when:
            made |= writes
    return read


FUSION_RULES.append(project_what_is_read)

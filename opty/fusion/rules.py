"""Fusion rules: replace steps of a sweep by faster ones where the result of no later step changes."""

from __future__ import annotations

import dataclasses

from opty.fusion.fits import BestSteps, Gradient, Search
from opty.fusion.positions import REFINEMENTS, Sense, sense_first
from opty.fusion.sweeps import Accumulate, KeptStep, Project, Update
from opty.operators.conjugate import LineSearch
from opty.operators.exitwave import ExitWave, LoadKeptWaves, Reflect, RelaxedStep
from opty.operators.fourier import DeltaProject, FourierProject, IntensityOnly, WaveProject
from opty.operators.likelihood import LikelihoodGradient
from opty.operators.lsq import LSQUpdate
from opty.operators.merge import AccumObj, AccumProbe
from opty.operators.object import ObjUpdate
from opty.operators.probe import ProbeUpdate
from opty.runtime.fused_step import FusedStep
from opty.runtime.nodes import PlannedStep
from opty.runtime.plan import FUSION_RULES


def project_what_is_read(steps: tuple[PlannedStep, ...]) -> tuple[PlannedStep, ...]:
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


def _read_after(steps: tuple[PlannedStep, ...]) -> set[str]:
    read: set[str] = set()
    made: set[str] = set()
    for s in steps:
        reads, writes = s.op.effects()
        read |= reads - made
        if not s.when:
            made |= writes
    return read


# Runs of steps, in this order in the recipe, that are fused; the first match is taken.
_RUNS: tuple[tuple[type[FusedStep], tuple[type, ...]], ...] = (
    (KeptStep, (Reflect, WaveProject, RelaxedStep)),
    (Project, (ExitWave, DeltaProject)),
    (Project, (ExitWave, WaveProject)),
    (Accumulate, (LoadKeptWaves, AccumProbe)),
    (Accumulate, (AccumObj, AccumProbe)),
    (Accumulate, (AccumObj,)),
    (Accumulate, (AccumProbe,)),
    (Update, (ObjUpdate, ProbeUpdate)),
    (Update, (ObjUpdate,)),
    (Update, (ProbeUpdate,)),
    (Gradient, (ExitWave, LikelihoodGradient)),
    (Search, (ExitWave, LineSearch)),
    (BestSteps, (LSQUpdate,)),
    *((Sense, (refinement,)) for refinement in REFINEMENTS),
)


def fuse_runs(steps: tuple[PlannedStep, ...]) -> tuple[PlannedStep, ...]:
    """Replace runs of steps by fused steps."""
    out: list[PlannedStep] = []
    k = 0
    while k < len(steps):
        fused, count = _run_at(steps[k:], out)
        out.append(steps[k] if fused is None else fused)
        k += count
    return tuple(out)


def _run_at(steps: tuple[PlannedStep, ...], before: list[PlannedStep]) -> tuple[PlannedStep | None, int]:
    """Return the fused step for the first steps, or None, and how many it takes."""
    if any("patches" in s.op.effects()[1] for s in before):
        return None, 1  # fused steps take the windows out of the object themselves
    for fused, kinds in _RUNS:
        run = steps[: len(kinds)]
        plain = all(not s.when for s in run) and tuple(type(s.op) for s in run) == kinds
        plain = plain and not fused.omits & _read_after(steps[len(kinds) :])
        if plain and fused.matches(tuple(s.op for s in run), tuple(s.op for s in before)):
            return PlannedStep(fused(tuple(s.op for s in run)), opened=all(s.opened for s in run)), len(kinds)
    return None, 1


FUSION_RULES += [project_what_is_read, sense_first, fuse_runs]

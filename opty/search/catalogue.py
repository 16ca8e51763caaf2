"""What may stand in a recipe, a line each, and recipes to start from."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from opty.algebra.operator import REGISTRY, Operator, Recipe


@dataclass(frozen=True)
class StartingPoint:
    """A recipe to start from: what for, its text, and what else to give."""

    name: str
    recipe: str
    options: str
    why: str


STARTING_POINTS = (
    StartingPoint(
        "first look",
        "ML() ** 20 * DM() ** 30",
        "",
        "finds its way from a poor start; a minute or less",
    ),
    StartingPoint(
        "publish",
        "ML() ** 60 * (PosCorrect() * LSQML(batch=8)) ** 60",
        "--modes 3",
        "modes and positions estimated, the likelihood of counted photons at the end",
    ),
    StartingPoint(
        "few photons",
        "ML(smooth=0.3) ** 60",
        "",
        "weighs counts by their noise, with a prior on the object's gradient",
    ),
    StartingPoint(
        "bad positions",
        "ML() ** 30 * (PosCorrect() * LSQML(batch=8)) ** 60 * FindPositions()",
        "",
        "positions wrong by up to a seventh of a view, coarse to fine",
    ),
    StartingPoint(
        "thick sample",
        "rPIE(alpha=0.1, batch=4) ** 100",
        '--model "Slices(2, spacing=1.5e-6) * Probe(modes=3)"',
        "several slices; put the distance of yours",
    ),
)


def listed() -> dict[str, dict[str, str]]:
    """Return what may stand in a recipe by group ("engines", "steps"): the names, with their parameters, and a line."""
    groups: dict[str, dict[str, str]] = {"engines": {}, "steps": {}}
    for name, kind in sorted(REGISTRY.items(), key=lambda item: item[0].lower()):
        if name.startswith("_") or not kind.__module__.startswith("opty."):
            continue
        group = groups["engines" if issubclass(kind, Recipe) else "steps"]
        group[f"{name}({_parameters(kind)})"] = _line(kind)
    return groups


def _parameters(kind: type[Operator]) -> str:
    given = inspect.signature(kind).parameters.values()
    return ", ".join(p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in given)


def _line(kind: type[Operator]) -> str:
    """Return the first sentence of what a class says of itself."""
    paragraph = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
    return paragraph.split(". ")[0].rstrip(".")

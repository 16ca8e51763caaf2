"""Sixty recipes that ``opty.auto`` is judged against: the best of them, known from the truth alone, is the mark."""

from __future__ import annotations

from opty import parse
from opty.algebra.operator import Operator

ENGINES = (
    "ePIE() ** 60",
    "rPIE(alpha=0.05) ** 60",
    "rPIE(alpha=0.1) ** 60",
    "rPIE(alpha=0.3) ** 60",
    "mPIE() ** 60",
    "mPIE(momentum=0.9, batch=6) ** 60",
    "LSQML() ** 60",
    "LSQML(batch=8) ** 60",
    "AP() ** 100",
    "DM() ** 100",
    "RAAR(beta=0.75) ** 100",
    "ML() ** 60",
    "ML(smooth=0.3) ** 60",
    "ML() ** 40 * DM() ** 60",
    "ML() ** 30 * rPIE(alpha=0.1) ** 30",
)
POSITIONS = (
    "(PosCorrect() * ePIE()) ** 60",
    "(PosCorrect() * rPIE(alpha=0.1)) ** 60",
    "(PosCorrect() * LSQML()) ** 60",
    "(PosCorrect() * LSQML(batch=8)) ** 60",
    "ML() ** 30 * FindPositions()",
    "rPIE(alpha=0.1) ** 30 * FindPositions()",
)
CALIBRATION = (
    "(BackgroundUpdate() * rPIE(alpha=0.1)) ** 60",
    "(BackgroundUpdate() * LSQML()) ** 60",
    "(BackgroundUpdate() * ML()) ** 60",
    "(IntensityUpdate() * rPIE(alpha=0.1)) ** 60",
    "(IntensityUpdate() * LSQML()) ** 60",
    "(IntensityUpdate() * ML()) ** 60",
)
POLISHED = "ML() ** 30 * (PosCorrect() * LSQML(batch=8)) ** 40"
FIVE_MODES = ("ML() ** 60", "ML() ** 40 * DM() ** 60", "LSQML(batch=8) ** 60", POLISHED)


def recipes() -> list[tuple[Operator, int]]:
    """Return the sixty: each a recipe and the number of probe modes it runs with."""
    both = (*ENGINES, *POSITIONS, *CALIBRATION, POLISHED)
    texts = [(text, modes) for modes in (1, 3) for text in both] + [(text, 5) for text in FIVE_MODES]
    return [(parse(text), modes) for text, modes in texts]


TWENTY = (
    "ePIE() ** 100",
    "rPIE(alpha=0.05) ** 100",
    "rPIE(alpha=0.2) ** 100",
    "rPIE(alpha=0.5) ** 100",
    "mPIE() ** 100",
    "LSQML() ** 100",
    "LSQML(batch=8) ** 100",
    "AP() ** 150",
    "DM() ** 150",
    "RAAR(beta=0.75) ** 150",
    "ML() ** 60",
    "ML() ** 100",
    "ML(smooth=0.3) ** 100",
    "ML() ** 40 * DM() ** 60",
    "ML() ** 40 * RAAR(beta=0.75) ** 60",
    "ML() ** 40 * rPIE(alpha=0.2) ** 60",
    "ML() ** 40 * LSQML(batch=8) ** 60",
    "(PosCorrect() * rPIE(alpha=0.2)) ** 100",
    "(PosCorrect() * LSQML(batch=8)) ** 100",
    "ML() ** 40 * (PosCorrect() * LSQML(batch=8)) ** 60",
)  # what the first line of the README is judged against, on scans of one mode whose positions are right


def twenty() -> list[Operator]:
    """Return the twenty that the first line of the README is judged against; each runs with one mode."""
    return [parse(text) for text in TWENTY]

"""The eight ways in which the axes of positions and patterns may differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opty.data import PtychoData
from opty.data.parts import chosen
from opty.remedies import option

WAYS = tuple((swap, row, column) for swap in (False, True) for row in (1, -1) for column in (1, -1))


@dataclass(frozen=True)
class Orientation:
    """One way to take the positions, and the misfit of views that a short run has not seen (no unit).

    ``swap``: rows and columns exchanged; then ``row`` and ``column`` (1 or -1) times the two coordinates.
    """

    swap: bool
    row: int
    column: int
    misfit: float

    @property
    def as_given(self) -> bool:
        """Whether positions are taken as they are."""
        return (self.swap, self.row, self.column) == (False, 1, 1)

    @property
    def name(self) -> str:
        """The new (row, column) in terms of the old, such as "(row, -column)" or "(column, row)"."""
        names = ("column", "row") if self.swap else ("row", "column")
        signed = [f"{'-' * (sign < 0)}{name}" for sign, name in zip((self.row, self.column), names, strict=True)]
        return f"({', '.join(signed)})"

    @property
    def turn(self) -> tuple[bool, str | None]:
        """Transpose and flip ("rows", "columns", "both", None) of the detector image after which positions may stay."""
        rows, columns = (self.column, self.row) if self.swap else (self.row, self.column)
        return self.swap, {(1, 1): None, (-1, 1): "rows", (1, -1): "columns", (-1, -1): "both"}[rows, columns]

    @property
    def remedy(self) -> str:
        """What to do with the detector image, in words."""
        swap, flip = self.turn
        what = {None: "", "both": "flip both its axes"}.get(flip, f"flip its {flip}")
        return "in the detector image as loaded, " + " and then ".join(
            part for part in ("transpose" * swap, what) if part
        )

    @property
    def options(self) -> str:
        """The same as options of the load."""
        swap, flip = self.turn
        return " and ".join(([option("transpose", True)] if swap else []) + ([option("flip", flip)] if flip else []))

    @property
    def matrix(self) -> np.ndarray:
        """The same as a map (2, 2) of positions."""
        return self.apply(np.eye(2)).T

    def apply(self, positions: np.ndarray) -> np.ndarray:
        """Return positions (N, 2) taken this way."""
        return (positions[:, ::-1] if self.swap else positions) * np.array([self.row, self.column])


AS_GIVEN = Orientation(False, 1, 1, np.nan)


def middle(data: PtychoData, views: int) -> PtychoData:
    """Return the measurement of the views nearest to the middle of the scan, in their order; dark ones are left out."""
    distance = np.linalg.norm(data.positions - data.positions.mean(axis=0), axis=1)
    lit = data.photons() > 0
    distance[~lit], views = np.inf, min(views, int(lit.sum()))
    return chosen(data, np.sort(np.argsort(distance, kind="stable")[:views]))

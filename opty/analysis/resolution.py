"""The resolution of a scan: two halves of it are reconstructed on their own, and compared ring by ring."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from opty.algebra.operator import Operator
from opty.analysis.frc import RingCorrelation, frc
from opty.analysis.halves import in_halves
from opty.analysis.illumination import lit_area
from opty.analysis.misfit import misfit
from opty.analysis.object_states import aligned_objects
from opty.analysis.rectangle import largest_rectangle
from opty.analysis.settled import settled
from opty.data import PtychoData
from opty.errors import MisfitWarning
from opty.remedies import here
from opty.runtime.execute import run
from opty.state import BareState, handle
from opty.units import metres

LEAST_EDGE = 32  # px of the area that is compared
TILE = 64  # px, least edge of the tiles of the local resolution, where the area has room for two
_SMALLEST_TILE = 24  # px
_SETTLED = 0.8  # share of the finest detail that another run leaves as it is, below which the run has not converged
MOST_TILES = 24  # along an edge


@dataclass(frozen=True, eq=False)
class Resolution:
    """What ``resolution`` found.

    ``half_bit``, ``one_bit`` : half periods at which the halves stop agreeing [m]; [px] without a geometry; infinity
    where they agree nowhere. ``curve`` : their Fourier ring correlation. ``halves`` (2, h, w) complex: both objects
    over the area that is compared, the first one aligned with the second. ``area`` : its rows and columns in the frame
    of the start. ``local`` (r, c) : half-bit resolution of overlapping tiles, NaN where a tile tells none; ``tile`` :
    their edge [px]; ``places`` (r, c, 2) : their middles [px] in that frame. ``settled`` : share of the finest
    detail that stays when the recipe runs on both halves once more (settled.py), over the last fifth of
    the frequencies up to the half-bit crossing; NaN where that was not tried, or nothing agrees. ``misfits`` : of the
    two halves. ``views`` : of each. ``split`` : "views" or "counts". ``pixel`` [m] or None.
    """

    half_bit: float
    one_bit: float
    curve: RingCorrelation
    halves: np.ndarray
    area: tuple[slice, slice]
    local: np.ndarray
    tile: int
    places: np.ndarray
    settled: float
    misfits: tuple[float, float]
    views: tuple[int, int]
    split: str
    pixel: float | None
    recipe: Operator

    def length(self, value: float) -> str:
        """Write a resolution of this result in words, with its unit."""
        if not math.isfinite(value):
            return "none"
        return f"{value:.3g} px" if self.pixel is None else metres(value)

    def lines(self) -> dict[str, str]:
        """Return the result in words, one subject a line."""
        rows, columns = self.area
        size = f"{rows.stop - rows.start} x {columns.stop - columns.start} px"
        what = {
            "views": f"every other view: {self.views[0]} and {self.views[1]}",
            "counts": f"half of the counts of each of {self.views[0]} views",
        }[self.split]
        told = self.local[np.isfinite(self.local)]
        said = {} if math.isnan(self.settled) else {"settled": f"{self.settled:.3f} {self._converged()}"}
        share = np.percentile(told, (10, 50, 90)) if len(told) else ()
        return {
            "resolution": f"{self.length(self.half_bit)} (half period at the half-bit curve), "
            f"{self.length(self.one_bit)} (at the one-bit curve)",
            **said,
            "halves": what,
            "area": f"{size} that both halves light well",
            "local": f"{', '.join(self.length(v) for v in share)} in the best 10, 50, 90 percent of the tiles"
            if len(share)
            else "no tile tells one",
            "misfit": f"{self.misfits[0]:.4g} and {self.misfits[1]:.4g}",
        }

    def _converged(self) -> str:
        what = "of the finest detail stays as it is when the recipe runs on both halves once more"
        if self.settled >= _SETTLED:
            return what
        return f"{what}: it has not converged, and what both still lack does not show; take more iterations"

    def figures(self) -> dict[str, Any]:
        """Return the numbers as what JSON takes; None for a resolution that there is not."""
        told = [value if math.isfinite(value) else None for value in (self.half_bit, self.one_bit)]
        return {
            "half_bit": told[0],
            "one_bit": told[1],
            "unit": "px" if self.pixel is None else "m",
            "settled": None if math.isnan(self.settled) else self.settled,
            "split": self.split,
            "views": list(self.views),
            "misfits": list(self.misfits),
            "area": [[part.start, part.stop] for part in self.area],
            "frequency": self.curve.frequency.tolist(),
            "correlation": self.curve.correlation.tolist(),
            "recipe": repr(self.recipe),
        }

    def __str__(self) -> str:
        return "\n".join(f"{name:<14} {line}" for name, line in self.lines().items())


def resolution(
    data: PtychoData | BareState,
    recipe: Operator,
    split: str = "views",
    seed: int = 0,
    again: bool = True,
    **machine: Any,
) -> Resolution:
    """Reconstruct two halves of a scan, and tell up to which detail they agree.

    The halves are aligned (constant, phase ramp, sub-pixel shift; of mixtures the mix of states, of which the strongest
    is compared), cut to the largest rectangle that both light, and compared by ``frc``; the resolution is the half
    period at which their correlation falls below the half-bit curve, which is that of the whole scan with both halves
    together. This measures noise, not truth. What is wrong in both halves alike does not show: a wrong geometry or
    model, a common error of the positions, detail that a run from the same start has not reached. Of the last one there
    is a test: the recipe runs on both halves once more, and where that changes their finest detail alike, the result
    has not converged.

    Parameters
    ----------
    data : measurement; or the state to start from, as ``PtychoState(data, probe=..., modes=3)``. Of a state that has
        run, probe, positions and other estimates are the start of both halves, which so are not wholly independent; the
        object of each starts at one.
    recipe : that makes each half.
    split : "views", every other view, so spread that each half covers the scan; or "counts", half of the photons of
        each view, dealt out at random, where half of the views would not overlap. Counts must be whole numbers.
    seed : of the dealing out. again : run the recipe on both halves once more, which takes as long again.
    machine : device, threads of a measurement's start.

    Returns
    -------
    ``Resolution``; print it, or draw it with ``opty.plot.frc`` and ``opty.plot.resolution``.

    Raises
    ------
    ValueError : another ``split``, intensities that are no counts, less than eight views, an area of less than 32 x 32
        px that both halves light. What a run raises.

    Source: van Heel and Schatz, J. Struct. Biol. 151, 250 (2005); halves of a scan in ptychography: Vila-Comamala et
    al., Opt. Express 19, 21333 (2011).
    """
    start = data if isinstance(data, BareState) else handle()(data, **machine)
    one, two = (run(recipe, half) for half in in_halves(start, split, seed))
    lit = lit_area(one) & lit_area(two)
    area = largest_rectangle(lit)
    if min(part.stop - part.start for part in area) < LEAST_EDGE:
        raise ValueError(
            f"the halves have {area[0].stop - area[0].start} x {area[1].stop - area[1].start} px of well "
            f"lit object in common, and {LEAST_EDGE} x {LEAST_EDGE} are the least"
            + (f'; halve the counts instead: {here("split=", "--split ")}"counts"' if split == "views" else "")
        )
    aligned, second, _ = aligned_objects(one, two, lit, (0, 0))
    halves = np.stack([aligned[area], second[area]])
    curve, pixel = frc(*halves), start.data.pixel
    tile, places, local = _local(halves, area, pixel)
    stays = math.nan
    if again and curve.crossing():
        later = (_run_again(recipe, half) for half in (one, two))
        then = np.stack([aligned_objects(half, two, lit, (0, 0))[0][area] for half in later])
        stays = settled(halves, then, curve.crossing())
    return Resolution(
        half_bit=curve.resolution(pixel),
        one_bit=curve.resolution(pixel, bits=1),
        curve=curve,
        halves=halves,
        area=area,
        local=local,
        tile=tile,
        places=places,
        settled=stays,
        misfits=(misfit(one), misfit(two)),
        views=(one.data.views, two.data.views),
        split=split,
        pixel=pixel,
        recipe=recipe,
    )


def _run_again(recipe: Operator, half: BareState) -> BareState:
    """Return a half that the recipe ran on once more; a misfit that rises meanwhile is nobody's result."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MisfitWarning)
        return run(recipe, half)


def _local(halves: np.ndarray, area: tuple[slice, slice], pixel: float | None) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the edge of the tiles, their middles (r, c, 2), and the resolution of each (r, c)."""
    shape = halves.shape[1:]
    tile = max(TILE, 2 * max(shape) // MOST_TILES)
    if min(map(len, (_steps(size, tile) for size in shape))) < 2:  # the area is one tile small
        tile = max(min(shape) // 2, _SMALLEST_TILE)
    corners = [_steps(size, tile) for size in shape]
    local = np.full([len(steps) for steps in corners], np.nan)
    for i, row in enumerate(corners[0]):
        for j, column in enumerate(corners[1]):
            part = halves[:, row : row + tile, column : column + tile]
            if all(np.ptp(np.abs(one)) or np.ptp(np.angle(one)) for one in part):
                found = frc(*part).resolution(pixel)
                local[i, j] = found if math.isfinite(found) else np.nan
    middles = [steps + (tile - 1) / 2 + cut.start for steps, cut in zip(corners, area, strict=True)]
    return tile, np.stack(np.meshgrid(*middles, indexing="ij"), axis=-1), local


def _steps(size: int, tile: int) -> np.ndarray:
    """Return the first pixels of tiles that overlap by half, or a little more, end to end; one for a small edge."""
    return np.rint(np.linspace(0, size - tile, 1 + max(round(2 * (size - tile) / tile), 0))).astype(int)

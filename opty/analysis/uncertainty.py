"""Error bars: how far object and positions would come out elsewhere if the photons were counted again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from opty.algebra.operator import Identity, Operator
from opty.analysis.align import align
from opty.analysis.fit import fit
from opty.analysis.gauges import without_gauges
from opty.analysis.halves import without_some
from opty.analysis.held_blocks import on
from opty.analysis.illumination import lit_area
from opty.data import PtychoData
from opty.model.sample import transmission
from opty.runtime.execute import run
from opty.runtime.recipe_edit import without_outputs
from opty.state import handle
from opty.state.misfit import predictions

if TYPE_CHECKING:
    from opty.state import BareState

FEWEST = 4  # refits
# Share of the photons that each refit misses. Of sqrt(n), n a Poisson count of 0.01 to 30 photons, it gives 0.84 to
# 1.12 of the standard deviation. A share of 0.1 gives 0.95 to 1.09, but whole reconstructions with few photons answer
# to small changes by more than in proportion: 1.13 of the spread in a simulation, where 0.3 gives 1.00, and 0.5 0.92.
_DELETED = 0.3
Draw = Literal["counts", "prediction"]
DRAWS = {"counts": "counts without three tenths of their photons", "prediction": "counts drawn from the prediction"}
_STILL = 1e-9  # px: positions that no refit moves
_NOISY = 1.5  # times the variance of Poisson counts
NOT_COVERED = (
    "covers the noise of the counts alone; not what is wrong in every repetition alike: bias of the recipe, a wrong "
    "model or geometry, drifts"
)


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """What ``uncertainty`` found.

    ``phase`` [rad], ``magnitude`` (H, W) : standard deviations of the object (of several slices, of their product).
    ``positions`` (N, 2) [px] : of the refined ones, without what they have in common; None where the refits hold them.
    ``lit`` (H, W) bool : pixels that the scan lights well; beyond them the numbers mean nothing. ``n`` : refits.
    ``repeats`` : whole repetitions; ``scale`` : the factors, for "phase", "magnitude" and "positions", by which these
    spread more than the refits, and with which the deviations have been multiplied; empty without repetitions.
    ``draw`` : "counts" or "prediction". ``excess`` : scatter of the counts over that of Poisson counts, median over the
    views.
    """

    phase: np.ndarray
    magnitude: np.ndarray
    positions: np.ndarray | None
    lit: np.ndarray
    n: int
    repeats: int
    scale: dict[str, float]
    draw: str
    excess: float
    pixel: float | None

    def lines(self) -> dict[str, str]:
        """Return the result in words, one subject a line."""
        told = {
            "phase": f"{np.median(self.phase[self.lit]):.3g} rad (standard deviation, median of the lit pixels)",
            "magnitude": f"{np.median(self.magnitude[self.lit]):.3g}",
            "refits": f"{self.n} to {DRAWS[self.draw]}" + self._scaled(),
        }
        if self.positions is not None:
            told["positions"] = f"{np.median(self.positions):.2g} px (each axis, median of the views)"
        if self.excess > _NOISY:
            told["noise"] = (
                f"the counts scatter {self.excess:.3g} times as much as Poisson counts of the prediction (variance): a "
                "run that has not converged, a wrong model, or no counts of photons; the deviations are too small"
            )
        told["note"] = NOT_COVERED
        return told

    def _scaled(self) -> str:
        if not self.scale:
            return ", not compared with whole repetitions of the run: the deviations may be too small"
        factors = ", ".join(f"{name} x {factor:.3g}" for name, factor in self.scale.items())
        return f", scaled to the spread of {self.repeats} whole repetitions of the run ({factors})"

    def __str__(self) -> str:
        return "\n".join(f"{name:<14} {line}" for name, line in self.lines().items())


def uncertainty(
    p: BareState,
    recipe: Operator,
    n: int = 20,
    repeats: int | None = None,
    draw: Draw = "counts",
    seed: int = 0,
    tell: Callable[[int, int], None] | None = None,
) -> Uncertainty:
    """Return standard deviations of phase, magnitude and positions by resampling the counts.

    ``recipe`` goes on from the state on n draws of the counts; the deviation of its results from their mean is taken
    pixel by pixel, after the constant, the phase ramp and the common shift are taken out. Short refits follow new
    counts only in part: they tell where the object is more uncertain than elsewhere, but less well by how much. Whole
    repetitions of the run that made the state, from its start, on the first of these draws, give one factor each for
    phase, magnitude and positions. All of it covers the noise of the counts, with whatever probe and positions the
    recipes refine; not bias, nor a wrong model.

    A draw of "counts" deletes each photon with the probability e = 0.3, n* ~ Binomial(n, 1 - e) / (1 - e), and the
    deviations are multiplied by sqrt((1 - e) / e): a jackknife, which supposes no model. One of the "prediction" is
    n* ~ Poisson(Ihat), a parametric bootstrap. The prediction of a state has the noise of its fit: where there is less
    than a photon a pixel its deviations are up to a third too small.

    Parameters
    ----------
    p : state that has converged. recipe : of a refit, of the engine that made the state, some tens of iterations. n :
        refits, from 4 on; a standard deviation of 20 is known to 16 percent. repeats : whole repetitions, 2 to n; 0
        for none; default: 2, or none where the state holds no recipe. draw : "counts", which have to be whole numbers,
        or "prediction". seed : of the draws. tell : called with (fits done, all).

    Returns
    -------
    ``Uncertainty``; print it, or draw it with ``opty.plot.uncertainty``.

    Raises
    ------
    ValueError : n below 4, one repeat or more than n, repeats of a state without a recipe, another ``draw``,
        intensities that are no counts. SourceError : no frames. What a run raises.

    Source: Efron, Tibshirani, An Introduction to the Bootstrap (1993), ch. 6.5 (parametric bootstrap), 11.7 (delete-d
    jackknife).
    """
    repeats = _checked(p, n, repeats, draw)
    p.data.need_frames()
    rng = np.random.default_rng(seed)
    reference, lit = transmission(p.numpy("obj")).astype(np.complex128), lit_area(p)
    # Refits and whole repetitions are compared on the same draws, whose own scatter so drops out of the factors.
    sums, first, whole = (_Sums(reference, lit, p.numpy("positions")) for _ in range(3))
    done = 0
    for k in range(n):
        data = without_some(p.data, _DELETED, rng) if draw == "counts" else redrawn(p, rng)
        refit = run(recipe, on(p, data))
        sums.add(refit)
        if k < repeats:
            first.add(refit)
            whole.add(run(without_outputs(p.recipe), _begun(p, data)))
        done += 1 + (k < repeats)
        if tell is not None:
            tell(done, n + repeats)
    scale = first.scale_to(whole) if repeats else {}
    amplified = ((1 - _DELETED) / _DELETED) ** 0.5 if draw == "counts" else 1.0
    found: dict[str, Any] = sums.found()
    found = {name: None if a is None else a * amplified * scale.get(name, 1.0) for name, a in found.items()}
    scatter = float(2 * np.median(fit(p).euclidean.views))
    return Uncertainty(**found, lit=lit, n=n, repeats=repeats, scale=scale, draw=draw, excess=scatter, pixel=p.pixel)


def _checked(p: BareState, n: int, repeats: int | None, draw: str) -> int:
    """Return the number of whole repetitions."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < FEWEST:
        raise ValueError(f"n is {n!r}; give a number of refits from {FEWEST} on, 20 say")
    if draw not in DRAWS:
        raise ValueError(f'draw is {draw!r}; give "counts", or "prediction"')
    made = p.recipe != Identity()
    repeats = (2 if made else 0) if repeats is None else repeats
    if not (repeats == 0 or (made and 2 <= repeats <= n)):
        why = f"a spread takes 2 to n = {n}" if made else "the state was made by no recipe that could be repeated"
        raise ValueError(f"repeats is {repeats!r}: {why}; give 0, or 2 or more of a state that a recipe made")
    return repeats


def _begun(p: BareState, data: PtychoData) -> BareState:
    """Return the state that the run of ``p`` began with, on other counts."""
    machine: dict[str, Any] = {"device": p.device, "threads": p.threads, "deterministic": p.deterministic}
    kept = p._began()
    if kept is None:
        return handle()(data, model=p.model, seed=p.seed, dtype=p.dtype, **machine)
    machine["origin"] = p._live.frame_origin
    return handle().restore(data, **kept, seed=p.seed, recipe=Identity(), model=p.model, **machine)


def redrawn(p: BareState, rng: np.random.Generator) -> PtychoData:
    """Return the measurement of a state with counts drawn from what it predicts, background included; in memory."""
    store = p._live
    counts = np.empty(p.data.intensities.shape, np.float32)
    order = store.measured.propagator.from_kernel_order
    for b, _, predicted, _ in predictions(store):
        counts[b.number] = rng.poisson(order(store.backend.to_host(predicted)))
    return p.data.replace(intensities=counts, truth=None, source=None)


class _Sums:
    """Sums of deviations and of their squares, for the standard deviations of many fits."""

    def __init__(self, reference: np.ndarray, lit: np.ndarray, positions: np.ndarray):
        self.reference, self.lit, self.places = reference, lit, positions
        self.count = 0
        self.objects = np.zeros((4, *reference.shape))
        self.positions = np.zeros((2, *positions.shape))

    def add(self, refit: BareState) -> None:
        """Add a fit; the gauges of its object and the common offset of its positions are taken out."""
        aligned, _ = align(transmission(refit.numpy("obj")), self.reference, self.lit, offset=(0, 0))
        obj = without_gauges(aligned, self.reference, self.lit)
        phase = np.angle(obj * self.reference.conj())
        magnitude = np.abs(obj) - np.abs(self.reference)
        moved = refit.numpy("positions") - self.places
        moved = moved - moved.mean(axis=0)
        self.objects += np.stack([phase, phase**2, magnitude, magnitude**2])
        self.positions += np.stack([moved, moved**2])
        self.count += 1

    def variances(self) -> dict[str, np.ndarray]:
        """Return the variances about the mean."""
        sums = {"phase": self.objects[:2], "magnitude": self.objects[2:], "positions": self.positions}
        return {
            name: np.maximum(squares - total**2 / self.count, 0) / (self.count - 1)
            for name, (total, squares) in sums.items()
        }

    def found(self) -> dict[str, Any]:
        """Return the standard deviations; None for positions that are held."""
        out = {name: np.sqrt(variance) for name, variance in self.variances().items()}
        return {
            name: None if name == "positions" and values.max() <= _STILL else values for name, values in out.items()
        }

    def scale_to(self, other: _Sums) -> dict[str, float]:
        """Return by which factor those of as many other fits are larger: geometric mean of the lit pixels, or views."""
        ratios = {}
        theirs = other.variances()
        for name, own in self.variances().items():
            lit = self.lit if name != "positions" else np.ones(own.shape, bool)
            use = lit & (own > 0) & (theirs[name] > 0)
            if use.any():
                ratios[name] = float(np.exp(np.log(theirs[name][use] / own[use]).mean() / 2))
        return ratios

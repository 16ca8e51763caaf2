"""Error bars: how far object and positions would come out elsewhere if the photons were counted again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import digamma

from opty.algebra.operator import Identity, Operator
from opty.analysis.fit import fit
from opty.analysis.gauges import without_gauges
from opty.analysis.halves import without_some
from opty.analysis.held_blocks import on
from opty.analysis.illumination import lit_area
from opty.analysis.object_states import aligned_objects, one_image
from opty.analysis.smooth_part import SmoothPart
from opty.data import PtychoData
from opty.runtime.execute import run
from opty.runtime.recipe_edit import without_outputs
from opty.state import handle
from opty.state.misfit import predictions

if TYPE_CHECKING:
    from opty.state import BareState

FEWEST = 4  # refits
REPEATS = 10
# Share of the photons that each refit misses. Of sqrt(n), n a Poisson count of 0.01 to 30 photons, a share of 0.1 gives
# 0.95 to 1.09 of the standard deviation, 0.3 gives 0.84 to 1.12. But reconstructions answer to small changes by more
# than in proportion, which the factor sqrt((1 - e) / e) magnifies. Refits ``ML() ** 60`` of simulations spread by 1.05
# to 1.09 of the true deviation with 0.1, 0.98 to 1.08 with 0.2, 0.92 to 1.01 with 0.3.
_DELETED = 0.25
# Of whole repetitions: runs with engines that do not settle answer to any change of the counts with changes of the
# smooth part that do not grow with it. With a share of a half nothing is magnified.
_DELETED_WHOLE = 0.5
_OBJECT = ("phase", "magnitude")
_NEIGHBOURS = 1.0  # px: width of the Gaussian that averages the logarithms of variances
Draw = Literal["counts", "prediction"]
DRAWS = {"counts": "counts without a quarter of their photons", "prediction": "counts drawn from the prediction"}
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
    ``repeats`` : whole repetitions; ``scale`` : the factors by which these spread more than the refits, in the smooth
    part of "phase" and "magnitude" and in "positions"; the deviations contain them. ``known`` : relative standard
    errors of these factors, and so of the deviations where they are most of it. Both empty without repetitions.
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
    known: dict[str, float]
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
            return ", not compared with whole repetitions of the run: what varies slowly over the object may vary more"
        told = ((name, factor, factor * self.known[name]) for name, factor in self.scale.items())
        factors = ", ".join(f"{name} x {factor:.2g} +- {error:.1g}" for name, factor, error in told)
        return f", their smooth part scaled to {self.repeats} whole repetitions of the run ({factors})"

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

    ``recipe`` continues from the state on n draws of the counts. The constant, the phase ramp and the common shift are
    taken out of each result, and its deviation is divided into a smooth part, polynomials up to the fourth order over
    the lit area, and the rest. The rest gives a variance for each pixel, whose logarithm is averaged over a Gaussian of
    1 px. The smooth part of the phase is badly determined by the data, and a short refit hardly changes it: whole
    repetitions of the run that made the state, from its start, tell by which factor it varies more. Few modes make up
    the smooth part, so that its factor is known to 1 / sqrt(2 (R - 1) m), R repetitions, m the number of modes. The
    positions are multiplied by such a factor too. All of it covers the noise of the counts, with whatever probe and
    positions the recipes refine; not bias, nor a wrong model.

    A draw of "counts" deletes each photon with the probability e = 0.25, n* ~ Binomial(n, 1 - e) / (1 - e), and the
    deviations are multiplied by sqrt((1 - e) / e): a jackknife, which supposes no model. For whole repetitions e is a
    half, and the factor 1: an engine such as ``rPIE`` changes smooth parts at any change of the counts, however small,
    and a factor above 1 would magnify that. A draw of the "prediction" is n* ~ Poisson(Ihat), a parametric bootstrap.
    The prediction of a state has the noise of its fit: where there is less than a photon a pixel its deviations are up
    to a third too small.

    Parameters
    ----------
    p : state that has converged. recipe : of a refit, with the engine that made the state, ``ML() ** 60`` say. An
        engine that does not settle, such as ``rPIE``, magnifies small changes: its deviations come out too large. n :
        refits, from 4 on. repeats : whole repetitions, from 2 on; 0 for none; default: 10, or n where that is less, or
        none where the state holds no recipe. draw : "counts", which have to be whole numbers, or "prediction". seed :
        of the draws. tell : called with (fits done, all).

    Returns
    -------
    ``Uncertainty``; print it, or draw it with ``opty.plot.uncertainty``.

    Raises
    ------
    ValueError : n below 4, one repeat, repeats of a state without a recipe, another ``draw``, intensities that are no
        counts. SourceError : no frames. What a run raises.

    Source: Efron, Tibshirani, An Introduction to the Bootstrap (1993), ch. 6.5 (parametric bootstrap), 11.7 (delete-d
    jackknife).
    """
    repeats = _checked(p, n, repeats, draw)
    p.data.need_frames()
    rng = np.random.default_rng(seed)
    lit = lit_area(p)
    refits, whole = (_Spread(p, lit) for _ in range(2))
    for k in range(n + repeats):
        if k < n:
            refits.add(run(recipe, on(p, _drawn(p, draw, _DELETED, rng))), _magnified(draw, _DELETED))
        else:
            data = _drawn(p, draw, _DELETED_WHOLE, rng)
            whole.add(run(without_outputs(p.recipe), _begun(p, data)), _magnified(draw, _DELETED_WHOLE))
        if tell is not None:
            tell(k + 1, n + repeats)
    factors = refits.factors(whole) if repeats else {}
    scale, known = ({name: pair[k] for name, pair in factors.items()} for k in (0, 1))
    return Uncertainty(
        **refits.deviations(scale),
        lit=lit,
        n=n,
        repeats=repeats,
        scale=scale,
        known=known,
        draw=draw,
        excess=float(2 * np.median(fit(p).euclidean.views)),
        pixel=p.pixel,
    )


def _drawn(p: BareState, draw: str, deleted: float, rng: np.random.Generator) -> PtychoData:
    return without_some(p.data, deleted, rng) if draw == "counts" else redrawn(p, rng)


def _magnified(draw: str, deleted: float) -> float:
    """Return by what deviations are multiplied: counts without some differ less from each other than new ones do."""
    return float(((1 - deleted) / deleted) ** 0.5) if draw == "counts" else 1.0


def _checked(p: BareState, n: int, repeats: int | None, draw: str) -> int:
    """Return the number of whole repetitions."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < FEWEST:
        raise ValueError(f"n is {n!r}; give a number of refits from {FEWEST} on, 20 say")
    if draw not in DRAWS:
        raise ValueError(f'draw is {draw!r}; give "counts", or "prediction"')
    made = p.recipe != Identity()
    repeats = (min(REPEATS, n) if made else 0) if repeats is None else repeats
    if not (repeats == 0 or (made and repeats >= 2)):
        why = "a spread takes 2 or more" if made else "the state was made by no recipe that could be repeated"
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


class _Spread:
    """Deviations of many fits: the smooth part of each, sums of the rest and of its squares, and the positions."""

    def __init__(self, p: BareState, lit: np.ndarray):
        self.p, self.reference, self.lit = p, one_image(p).astype(np.complex128), lit
        self.places = p.numpy("positions")
        self.smooth = SmoothPart(lit)
        self.coefficients: dict[str, list[np.ndarray]] = {name: [] for name in _OBJECT}
        self.fine = {name: np.zeros((2, *self.reference.shape)) for name in _OBJECT}
        self.moved: list[np.ndarray] = []

    def add(self, refit: BareState, magnified: float) -> None:
        """Add a fit, its deviations multiplied by a number.

        The gauges of its object and the common offset of its positions are taken out.
        """
        aligned, _, _ = aligned_objects(refit, self.p, self.lit, (0, 0))
        obj = without_gauges(aligned, self.reference, self.lit)
        deviations = np.angle(obj * self.reference.conj()), np.abs(obj) - np.abs(self.reference)
        for name, plain in zip(_OBJECT, deviations, strict=True):
            deviation = magnified * plain
            found = self.smooth.coefficients(deviation)
            rest = deviation - self.smooth.image(found)
            self.coefficients[name].append(found)
            self.fine[name] += np.stack([rest, rest**2])
        moved = refit.numpy("positions") - self.places
        self.moved.append(magnified * (moved - moved.mean(axis=0)))

    def covariance(self, name: str) -> np.ndarray:
        """Return the covariance (15, 15) of the smooth part."""
        return np.cov(np.array(self.coefficients[name]).T)

    def deviations(self, scale: dict[str, float]) -> dict[str, Any]:
        """Return standard deviations, their smooth parts and the positions multiplied by factors.

        Positions that are held are None.
        """
        found: dict[str, Any] = {}
        for name in _OBJECT:
            smooth = self.smooth.variance(self.covariance(name)) * scale.get(name, 1.0) ** 2
            found[name] = np.sqrt(smooth + self._fine(name))
        moved = np.std(self.moved, axis=0, ddof=1)
        found["positions"] = None if moved.max() <= _STILL else moved * scale.get("positions", 1.0)
        return found

    def _fine(self, name: str) -> np.ndarray:
        """Return the variance of the rest, its logarithm averaged over neighbouring lit pixels."""
        count = len(self.moved)
        total, squares = self.fine[name]
        variance = np.maximum(squares - total**2 / count, 0) / (count - 1)
        use = self.lit & (variance > 0)
        logarithm = np.log(variance, out=np.zeros_like(variance), where=use)
        around = gaussian_filter(use.astype(float), _NEIGHBOURS)
        mean = np.divide(gaussian_filter(logarithm, _NEIGHBOURS), around, out=np.zeros_like(around), where=use)
        half = (count - 1) / 2  # the mean logarithm of a variance from few fits is too small
        return np.where(use, np.exp(mean - digamma(half) + np.log(half)), variance)

    def factors(self, whole: _Spread) -> dict[str, tuple[float, float]]:
        """Return by which factors whole repetitions spread more, and the relative standard error of each."""
        mine, theirs = self._moves(), whole._moves()
        return {name: _factor(mine[name], theirs[name]) for name in mine if mine[name].var(axis=0).sum() > 0}

    def _moves(self) -> dict[str, np.ndarray]:
        """Return the smooth coefficients of all fits, (K, M), and their positions (K, 2 N) where they move."""
        moved = np.array(self.moved).reshape(len(self.moved), -1)
        still = np.std(moved, axis=0, ddof=1).max() <= _STILL
        return {name: np.array(self.coefficients[name]) for name in _OBJECT} | ({} if still else {"positions": moved})


def _factor(few: np.ndarray, many: np.ndarray) -> tuple[float, float]:
    """Return the root of the ratio of the total variances of ``many`` and ``few`` (K, M), and its relative error.

    A total variance of m modes from K vectors has the relative standard error sqrt(2 / ((K - 1) m)).
    """
    (one, first), (other, second) = (_total_variance(a) for a in (few, many))
    return float(np.sqrt(other / one)), float(np.hypot(first, second) / 2)


def _total_variance(values: np.ndarray) -> tuple[float, float]:
    """Return the total variance of vectors (K, M) about their mean, and its relative standard error."""
    off = values - values.mean(axis=0)
    gram = off @ off.T  # of which the eigenvalues other than zero are those of the covariance, times K - 1
    free = len(values) - 1
    total, squares = float(np.trace(gram)), float((gram**2).sum())
    modes = _modes(total**2 / squares, free) if squares > 0 else 1.0
    return total / free, float(np.sqrt(2 / (free * modes)))


def _modes(seen: float, free: int) -> float:
    """Return how many modes of equal strength spread vectors of which ``free`` + 1 show ``seen``.

    Of m modes, ``free`` vectors show (tr S)^2 / tr S^2 = m free / (m + free + 1), S their covariance (Wishart).
    """
    return max(seen * (free + 1) / max(free - seen, 1.0), 1.0)

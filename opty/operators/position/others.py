"""What the other views say of each: how much of a pattern does the object that they make explain?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import gammaln

from opty.operators.fourier import intensity_of, put_modulus
from opty.operators.position.jumps import Jump
from opty.operators.position.signals import norms
from opty.state.views import Batch, memory_batch

_DIM = 0.02  # of the most light on a pixel: where the others shed less, their object is drawn to its mean
_BLAND = 0.5  # of what the usual view varies by: a view that varies less tells little of its place
_LOST = 0.3  # left unexplained, over the usual share, of a view that is not where the others see it
_SPREADS = 6.0  # standard deviations of that share
_EXCESS = 2.5  # times the usual misfit beside noise
_SURE = 5.0  # standard deviations of the noise
_DOUBTFUL = 0.3  # left unexplained of each of the worst tenth of the views where positions that moved are not found
_UNSURE = 0.12  # the same in the end: 0.02 to 0.08 where positions were found, 0.13 and more where some were not
FOUND = 0.25  # left unexplained in the worst tenth of the views where a scan is found, at a low resolution too
MOVED = 1.0  # px rms from the places given, above which that is said
_NAMED = 12  # views that a text names
_ARRAYS = 4  # of the size of the waves that are worked on at once


class OthersSay(NamedTuple):
    """Misfits sum (sqrt I - sqrt Ihat)^2 of K views against the object that the others make, (K,) float64 on the host.

    ``here`` : with that object where the view is; ``plain`` : with its mean in the place of it; ``noise`` : what
    counting alone makes of the first, 0 for data that are no whole numbers. ``shared`` (K,): the share of a view's
    light that falls where the others shed light.
    """

    here: np.ndarray
    plain: np.ndarray
    noise: np.ndarray
    shared: np.ndarray

    @property
    def unexplained(self) -> np.ndarray:
        """The share (K,) of what each view varies by that the object of the others leaves unexplained, beside noise.

        Near 0 for a view in its place, near 1 for one that the others know nothing of. A view that varies less than
        half as much as the usual one is compared with that: it could lie anywhere.
        """
        varies = np.maximum(self.plain, max(_BLAND * float(np.median(self.plain)), np.finfo(float).tiny))
        return np.maximum(self.here - self.noise, 0.0) / varies

    @property
    def lost(self) -> np.ndarray:
        """Whether each view (K,) is not where the others see it, bool.

        It leaves more unexplained than the usual one by 0.3, by six standard deviations, and by what the others do not
        light; and its misfit beside noise is 2.5 times the usual one and five standard deviations of the noise.
        """
        share, excess = self.unexplained, self.here - self.noise
        usual = float(np.median(share))
        spread = 1.4826 * float(np.median(np.abs(share - usual)))
        counting = np.sqrt(np.maximum(self.noise, 0) / 2)  # a square has the variance 1/8 where its mean is 1/4
        stands_out = share > usual + max(_LOST, _SPREADS * spread) + 1 - self.shared
        return stands_out & (excess > _EXCESS * np.median(excess)) & (excess > _SURE * counting)


def worst_tenth(unexplained: np.ndarray) -> float:
    """Return what is left unexplained in the worst tenth of the views, at least, from its shares (N,)."""
    return float(np.quantile(unexplained, 0.9))


def not_found(unexplained: np.ndarray, moved: float) -> bool:
    """Say whether positions that moved by so many px rms are not found, by ``OthersSay.unexplained`` (N,)."""
    return moved > MOVED and worst_tenth(unexplained) > _DOUBTFUL


def explained(unexplained: np.ndarray) -> str:
    """Put into words how much the others explain."""
    usual, worst = (max(1 - float(np.quantile(unexplained, q)), 0.0) for q in (0.5, 0.9))
    return f"{usual:.0%} of what the usual view varies by, and {worst:.0%} or less in the worst tenth of the views"


def doubts(
    unexplained: np.ndarray, lost: np.ndarray, moved: float, over: bool = False, jump: Jump | None = None
) -> str:
    """Say what is wrong with refined positions, moved by ``moved`` px rms from those given; "" for nothing.

    ``unexplained`` (N,), ``lost`` (N,), not 0 for a view that could not be placed: as ``OthersSay`` has them. ``over``:
    the refinement is over, and should have placed every part of the scan; then ``jump``: of the displacements.
    """
    if not_found(unexplained, moved):
        return (
            f"the positions, moved by {moved:.3g} px rms, are not found: the object that the other views make explains "
            f"{explained(unexplained)}; go on, or begin with FindPositions()"
        )
    unsure = over and moved > MOVED and (jump is not None or worst_tenth(unexplained) > _UNSURE)
    part = (
        f"a part of the scan may lie in the wrong place (positions moved by {moved:.3g} px rms): "
        + (f"{jump}, and " if jump else "")
        + f"the object that the other views make explains {explained(unexplained)}; look for a seam in the object "
        "before you trust it"
    )
    lost = np.flatnonzero(lost)
    if not len(lost):
        return part if unsure else ""
    named = ", ".join(map(str, lost[:_NAMED])) + (", ..." if len(lost) > _NAMED else "")
    return (
        f"{len(lost)} of {len(unexplained)} views could not be placed (number {named}): "
        f"the object that the other views make does not explain them" + (f"; {part}" if unsure else "")
    )


def others_say(s: Any, numbers: np.ndarray | None = None) -> OthersSay:
    """Compare views ``numbers`` (K,), all by default, with the object that the other views make. Changes nothing.

    Every exit wave psi_j takes the measured modulus. O = sum conj(P) psi / sum |P|^2 over all views but one is what
    those say of the object: a view that has printed its own picture where it does not belong loses it there. The model
    must be that of a thin object.
    """
    total, light = s.store.summed(_all_say)
    numbers = np.arange(s.data.views) if numbers is None else numbers
    found = s.store.of_each(lambda store, some: _compared(store, some, total, light), numbers)
    return OthersSay(*s.backend.to_host(found).T)


def _all_say(store: Any) -> tuple[Any, Any]:
    """Return sum conj(P) psi', in the shape of the object, and sum |P|^2 (H, W) over the views of a store."""
    total, light = (
        store.xp.zeros(store.leaves["obj"].shape, store.dtype),
        store.xp.zeros(store.object_shape, store.real_dtype),
    )
    for some in _in_parts(store, np.arange(store.data.views)):
        b = Batch.at(store, some)
        pull, power = _says(store, b)
        b.place(total, pull)
        b.place(light, power)
    return total, light


def _compared(s: Any, numbers: np.ndarray, total: Any, light: Any) -> Any:
    """Return what ``OthersSay`` holds of some views, (K, 4) float64; ``total``, ``light`` : what all of them say."""
    xp, out, first = s.xp, s.xp.empty((len(numbers), 4), np.float64), 0
    dim = _DIM * light.max()
    mean = (total.sum(axis=(-2, -1)) / light.sum())[..., None, None]
    for some in _in_parts(s, numbers):
        b = Batch.at(s, some)
        pull, power = _says(s, b)
        others, around = b.windows(total) - pull, xp.maximum(b.windows(light) - power, 0)
        shared = (power * (around > dim)).sum(axis=(1, 2)) / power.sum(axis=(1, 2))
        more = xp.maximum(dim - around, 0)
        if others.ndim == 4:  # of a mixture each state by itself
            around, more = around[:, None], more[:, None]
        others += more * mean
        others /= around + more
        here, noise = _misfits(s, b, others, True)
        others[...] = mean
        plain, _ = _misfits(s, b, others, False)
        out[first : first + len(some)] = xp.stack([here, plain, noise, shared], axis=1)
        first += len(some)
    return out


def _in_parts(s: Any, numbers: np.ndarray) -> list[np.ndarray]:
    size = max(1, memory_batch(s) // _ARRAYS)
    return [numbers[first : first + size] for first in range(0, len(numbers), size)]


def _says(s: Any, b: Batch) -> tuple[Any, Any]:
    """Return conj(P) psi' (B, n, n) and |P|^2 (B, n, n) of views, psi' the exit waves with the measured modulus.

    Of a mixture the first is (B, L, n, n).
    """
    there = b.at_detector(b.exit_waves(), True)
    put_modulus(s, b, there, False)
    pull, power = b.gather("obj", b.from_detector(there))
    power = power[:, 0] if power.ndim == 4 else power  # all states see the same light
    return pull, s.xp.ascontiguousarray(s.xp.broadcast_to(power, (b.size, *power.shape[1:])))


def _misfits(s: Any, b: Batch, windows: Any, counted: bool) -> tuple[Any, Any]:
    """Return the misfits (B,) of views with other object windows (B, n, n), and what counting makes of them or zero."""
    xp, other = s.xp, b.with_estimates()
    other.fields["patches"], other.fields["illum"] = windows, b.illum
    predicted = intensity_of(s, other, other.at_detector(other.exit_waves(), True))
    intensity = b.measured(predicted)
    gap = xp.sqrt(intensity)
    gap -= xp.sqrt(predicted)
    mask = s.measured.mask_of(b.selection)
    misfit = norms(gap if mask is None else gap * mask)
    if not counted or not bool((intensity == xp.rint(intensity)).all()):
        return misfit, xp.zeros(b.size)
    noise = counting_noise(xp, predicted)
    if mask is not None:
        noise = noise * mask
    return misfit, noise.sum(axis=(1, 2), dtype=np.float64)


def _mean_square(expected: np.ndarray) -> np.ndarray:
    """Return E (sqrt k - sqrt m)^2 of counts k that are m on average, by their sum."""
    k = np.arange(400)
    weight = np.exp(k * np.log(expected[:, None]) - expected[:, None] - gammaln(k + 1))
    return (weight * (np.sqrt(k) - np.sqrt(expected[:, None])) ** 2).sum(axis=1)


_MEANS = np.logspace(-4, 2, 121)
_SQUARES = _mean_square(_MEANS)


def counting_noise(xp: Any, expected: Any) -> Any:
    """Return E (sqrt k - sqrt m)^2 of Poisson counts k for each expected m: 2 m for a few, 1/4 for many."""
    found = xp.interp(xp.log(xp.maximum(expected, _MEANS[0])), xp.asarray(np.log(_MEANS)), xp.asarray(_SQUARES))
    return xp.where(expected < _MEANS[0], 2 * expected, found)

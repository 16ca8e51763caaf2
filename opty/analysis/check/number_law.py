"""Are the numbers of the frames counts? Roots, squares and logarithms of whole counts are told by the numbers alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from opty.analysis.check.findings import Findings
from opty.data import PtychoData
from opty.data.lazy_frames import LazyFrames
from opty.remedies import here

FRAMES = 16  # that are looked at
FEWEST = 200  # numbers that must speak
BELIEVED = 0.999  # share of them that must be of one kind
NEAR = 0.01  # how near a count must be to a whole number
MOST = 3e4  # counts up to which numbers of single precision tell whole ones
MANY = 4  # different counts that there must be
REPEATED = 20  # times that the smallest number must occur: that of one count
PAIRS = 400  # pixels beside each other in which the scatter is looked at, of about the same brightness
BRIGHT = 10.0  # sum of two pixels from which on it is looked at
CALM = 0.7  # times the scatter of counts: below that they are none
LAWS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "amplitudes, the roots of counts": (np.square, "data.intensities[:] ** 2"),
    "logarithms of counts, log(1 + I)": (np.expm1, "np.expm1(data.intensities[:])"),
    "logarithms of counts, log10(1 + I)": (
        lambda v: np.asarray(10.0**v - 1),
        "10 ** data.intensities[:] - 1",
    ),
}


def of_numbers(data: PtychoData, scatter: bool = True) -> Findings:
    """Say that the frames hold roots, logarithms or squares of whole counts, where all their numbers say so.

    Roots and logarithms are no whole numbers, and become such by the inverse function; squares are whole, and all of
    them are squares of whole numbers. That counts, or arbitrary numbers, do so by chance is out of the question. Roots
    in another unit have that of the smallest number, one count. Whole numbers that scatter less than counts are named,
    a warning, if ``scatter``, which takes half of the time.
    """
    some = np.unique(np.linspace(0, data.views - 1, FRAMES).astype(int))
    frames = np.asarray(data.intensities[some], np.float64)
    values = frames
    if data.mask is not None and data.mask.ndim == 2:
        values = values[:, np.asarray(data.mask)]
    values = values[np.isfinite(values) & (values > 0)].ravel()
    fractions = np.abs(values - np.rint(values)) > NEAR
    if fractions.any():
        for name, (inverse, remedy) in LAWS.items():
            with np.errstate(over="ignore"):
                counts = inverse(values)
            if _whole(counts[fractions]):
                return _said(name, remedy)
        unit = float(values.min())
        often = np.isclose(values, unit, rtol=1e-5).sum() >= REPEATED
        if often and not _whole(values / unit) and _whole((values / unit) ** 2):
            return _said(
                f"amplitudes, {unit:.6g} times the roots of counts", f"(data.intensities[:] / {unit:.8g}) ** 2"
            )
        return Findings()
    roots = np.sqrt(values[values > 1])
    if _whole(roots, exact=True):
        return _said("squares of counts", "np.sqrt(data.intensities[:])")
    return _of_scatter(frames, data.mask) if scatter else Findings()


def _of_scatter(frames: np.ndarray, mask: np.ndarray | LazyFrames | None) -> Findings:
    """Say that whole numbers scatter less than counts do.

    Of two counts a and b of sum s, (a - b)^2 is s on the mean where both pixels have the same light, and more where
    they have not. Roots of counts have about 1 in place of s.
    """
    if mask is not None and mask.ndim != 2:
        return Findings()
    counting = np.isfinite(frames).all(axis=0) & (np.ptp(frames, axis=0) > 0)  # the others hold a mark, or nothing
    if mask is not None:
        counting &= np.asarray(mask)
    both = counting[:, 1:] & counting[:, :-1]
    first, second = frames[:, :, 1:][:, both], frames[:, :, :-1][:, both]
    below = np.maximum(first, second) < frames[:, counting].max(initial=0)  # the end of the scale is no count
    first, second = first[below], second[below]
    together = first + second
    order = np.argsort(together, kind="stable")[::-1]
    order = order[: int((together >= BRIGHT).sum())]
    least = min(
        (
            float(((first[part] - second[part]) ** 2).sum() / together[part].sum())
            for part in np.array_split(order, max(1, len(order) // PAIRS))
            if len(part) >= PAIRS
        ),
        default=1.0,
    )
    if least >= CALM:
        return Findings()
    remedy = here("data.replace(intensities=data.intensities[:] ** 2)", "'amplitude = true' of a mapping (--mapping)")
    return Findings(
        warnings=(
            f"the numbers scatter {least:.2g} times as much as counts of photons do: they are roots of counts (then "
            f"{remedy}), or were averaged or smoothed",
        )
    )


def _whole(counts: np.ndarray, exact: bool = False) -> bool:
    """Whether numbers that need not be whole all are."""
    tell = counts[(counts < MOST) & (counts > (1.5 if exact else 0.5))]
    if len(tell) < FEWEST or len(np.unique(np.rint(tell))) < MANY:
        return False
    return bool((np.abs(tell - np.rint(tell)) < (1e-6 if exact else NEAR)).mean() > BELIEVED)


def _said(name: str, remedy: str) -> Findings:
    shell = "reconstruct the counts themselves; a mapping (--mapping) with 'amplitude = true' squares roots"
    return Findings(
        (f"the frames hold {name}, and no counts: {here(f'take data.replace(intensities={remedy})', shell)}",)
    )

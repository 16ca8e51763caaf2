"""Are the numbers of the frames counts? Roots, squares and logarithms of whole counts are told by the numbers alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from opty.analysis.findings import Findings
from opty.data import PtychoData
from opty.remedies import here

FRAMES = 16  # that are looked at
FEWEST = 200  # numbers that must speak
BELIEVED = 0.999  # share of them that must be of one kind
NEAR = 0.01  # how near a count must be to a whole number
MOST = 3e4  # counts up to which numbers of single precision tell whole ones
MANY = 4  # different counts that there must be
LAWS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "amplitudes, the roots of counts": (np.square, "data.intensities[:] ** 2"),
    "logarithms of counts, log(1 + I)": (np.expm1, "np.expm1(data.intensities[:])"),
    "logarithms of counts, log10(1 + I)": (
        lambda v: np.asarray(10.0**v - 1),
        "10 ** data.intensities[:] - 1",
    ),
}


def of_numbers(data: PtychoData) -> Findings:
    """Say that the frames hold roots, logarithms or squares of whole counts, where all their numbers say so.

    Roots and logarithms are no whole numbers, and become such by the inverse function; squares are whole, and all of
    them are squares of whole numbers. That counts, or arbitrary numbers, do so by chance is out of the question.
    """
    some = np.unique(np.linspace(0, data.views - 1, FRAMES).astype(int))
    values = np.asarray(data.intensities[some], np.float64)
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
        return Findings()
    roots = np.sqrt(values[values > 1])
    if _whole(roots, exact=True):
        return _said("squares of counts", "np.sqrt(data.intensities[:])")
    return Findings()


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

"""What an operator may use: the state ``s`` and, inside a sweep, the views ``b`` of one batch.

Both hand out only what the class line of the operator declares (opty/state/access.py); what is listed here is there
for every operator.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Protocol

import numpy as np


class State(Protocol):
    """The state as an operator sees it: each declared leaf or slot is an attribute, such as ``s.obj``.

    obj (H, W) complex transmission; probe (M, n, n) complex [sqrt(photons)], centred; positions (N, 2) float64 px,
    corners of the windows; background (n, n) [photons] in the order of the transform; intensity_factors (N,).
    """

    xp: Any  # numpy or cupy
    backend: ModuleType  # functions that NumPy and CuPy lack, such as fft2, add_windows, take_windows
    data: Any  # PtychoData, as measured
    measured: Any  # the measurement on the device: intensity_of(b.selection), mask_of(b.selection), propagator
    n: int  # pixels along an edge of a pattern
    iteration: int
    seed: int
    threads: int
    deterministic: bool
    dtype: np.dtype  # complex type of object and probe; real_dtype goes with it
    real_dtype: np.dtype
    object_shape: tuple[int, int]
    probe_shape: tuple[int, int, int]
    history: Any  # read-only
    memo: dict[str, Any]  # of this operator, until the sweep ends

    def __getattr__(self, name: str) -> Any: ...

    def has(self, name: str) -> bool:
        """Return whether a leaf or slot of that name exists."""

    def create(self, name: str, **sizes: int) -> bool:
        """Make a slot of zeros, as it is declared, where there is none; return True where it is new.

        ``sizes`` : of axes whose size the declaration leaves open.
        """

    def drop(self, *names: str) -> None:
        """Free slots that are no longer needed."""

    def record(self, name: str, value: Any) -> None:
        """Append a number to a series of the history."""

    def rng(self, *salt: int) -> np.random.Generator:
        """Return the random generator of this iteration, a function of seed and iteration."""


class Views(Protocol):
    """The views of one batch, B of them: each declared field is an attribute.

    index (B,) int; patches (B, n, n) windows of the object; illum (B or 1, M, n, n) the probe as each view sees it;
    waves (B, M, n, n) exit waves; delta (B, M, n, n) new minus old waves; predicted (B, n, n) intensities [photons].
    Any other word that a step declares as written and sets is a field for the steps to its left.
    """

    size: int
    number: np.ndarray  # of each view, on the host
    selection: Any  # the views as an index into arrays of all views, on the device
    corners: Any  # (B, 2) int, the whole-pixel windows nearest to the positions
    fraction: Any  # (B, 2), what is left of the positions, in [-1/2, 1/2]; None where all are whole
    brightness: Any  # (B, 1, 1), the root of the views' intensity factors, or None
    illum_power: Any  # (B or 1, n, n), sum over modes of |illum|^2
    patch_power: Any  # (B, n, n), |patches|^2, times the intensity factor

    def __getattr__(self, name: str) -> Any: ...

    def as_seen(self, probe: Any) -> Any:
        """Return a probe, or a change of it, (M, n, n) as each view sees it: (B or 1, M, n, n)."""

    def on_probe(self, waves: Any) -> Any:
        """Return sum_j conj(O_j) waves_j (M, n, n), the adjoint of ``as_seen`` times the patches."""

    def add_misfit(self, squares: Any) -> None:
        """Add to the misfit of the batch, a scalar on the device; for a class with ``measures = True``."""

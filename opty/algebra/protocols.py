"""What an operator may use: the state ``s`` and, inside a sweep, the views ``b`` of one batch; see docs/operators.md.

Both give access to the arrays that the class line of the operator declares (opty/state/access.py), and, for every
operator, to what is listed here. All other attributes are internal and may change.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Protocol

import numpy as np

from opty.algebra.leaf import Leaf


class Measured(Protocol):
    """What was measured, on the device, in the order of the transform: zero frequency at [0, 0] in the far field.

    view_photons (N,) float64 [photons], on the host, and photons, their sum, are over unmasked pixels; pixels: how many
    of all views are not masked; view_count: the number of views, of all ranks; seen (n, n): in how many views each
    pixel counts, None where all count in all.
    """

    view_photons: np.ndarray
    photons: float
    pixels: int
    view_count: int
    seen: Any

    def intensity_of(self, index: Any) -> Any:
        """Return the counts (B, n, n) of the views ``index``, such as ``b.selection``, in their own type."""

    def mask_of(self, index: Any) -> Any:
        """Return the mask (n, n) or (B, n, n) of some views, True where a pixel counts; None where all do."""


class State(Protocol):
    """The state as an operator sees it: each declared leaf or slot is an attribute, such as ``s.obj``.

    obj (H, W) complex transmission, (L, H, W) of several slices or states; probe (M, n, n) complex [sqrt(photons)],
    centred in its array; positions (N, 2) float64 px (row, column), corners of the windows; background (n, n) [photons]
    in the order of the transform; intensity_factors (N,), of mean one; and the leaves of the elements of the model. Who
    declares probe may use its parts too, where it varies: opr_modes (K, n, n) and opr_weights (N, K). An array that the
    operator writes may be changed in place, or assigned; one that it only reads is read-only.
    """

    # -- where to compute
    xp: Any  # numpy or cupy
    backend: ModuleType  # functions beside those of xp: asarray, to_host, fft2, ifft2, take_windows, add_windows, ...
    threads: int  # of the CPU, for fft2(waves, overwrite, threads) and ifft2
    dtype: np.dtype  # complex type of object and probe
    real_dtype: np.dtype  # real type that goes with it
    deterministic: bool  # whether sums have to come out the same bits every time, on a GPU too

    # -- the problem
    data: Any  # opty.PtychoData, as measured
    measured: Measured  # the same on the device
    model: Any  # opty.model.Model: leaves, obj_step, probe_step, closed, owner(name)
    n: int  # pixels along an edge of a pattern and of a window
    object_shape: tuple[int, int]  # (H, W) of the frame
    probe_shape: tuple[int, int, int]  # (M, n, n)
    wave_shape: tuple[int, int, int]  # (S, n, n) of the exit waves of a view: S incoherent states, M in a thin object
    origin: np.ndarray  # (2,) px from positions in the data to corners of windows
    incoherent: Any  # the current background (n, n) [photons], or None; needs no declaration

    # -- the run
    iteration: int  # done so far
    seed: int
    history: Any  # read-only, by name
    memo: dict[str, Any]  # of this operator, until the sweep ends; "number": the iteration under way

    def __getattr__(self, name: str) -> Any: ...

    def __setattr__(self, name: str, value: Any) -> None: ...

    def has(self, name: str) -> bool:
        """Return whether a leaf or slot of that name exists."""

    def create(self, name: str, **sizes: int) -> bool:
        """Make a slot of zeros, as it is declared, where there is none; return True where it is new.

        ``sizes`` : of axes whose size the declaration leaves open.
        """

    def total(self, value: Any) -> Any:
        """Return the sum over all views of an array, or a number on the device, that was summed over the views at hand.

        Itself, unless several ranks share the views (docs/clusters.md).
        """

    def drop(self, *names: str) -> None:
        """Free slots that are no longer needed."""

    def record(self, name: str, value: Any) -> None:
        """Append a number to a series of the history; waits for one that is on a GPU."""

    def expect(self, name: str, value: Any) -> None:
        """Append a number that a GPU may still be computing, without waiting; it must not change any more."""

    def rng(self, *salt: int) -> np.random.Generator:
        """Return the random generator of this iteration, a function of seed and iteration, so that runs resume."""


class Views(Protocol):
    """The views of one batch, B of them: each declared field is an attribute.

    index (B,) int; patches (B, n, n) windows of the object, (B, L, n, n) of several slices or states; illum (B or 1, M,
    n, n) the probe as each view sees it; waves (B, S, n, n) exit waves; delta (B, S, n, n) new minus old waves;
    predicted (B, n, n) intensities [photons]. Any other name that a step declares as written and sets is a field for
    the steps to its left.
    """

    size: int  # B
    n: int  # pixels along an edge of a pattern
    number: np.ndarray  # (B,) of each view, on the host
    selection: Any  # the views as an index into arrays of all views, on the device: s.trust[b.selection]
    corners: Any  # (B, 2) int, the whole-pixel windows nearest to the positions
    fraction: Any  # (B, 2), positions minus corners, in [-1/2, 1/2]; None where all are whole
    brightness: Any  # (B, 1, 1), the root of the views' intensity factors, or None
    illum_power: Any  # (B or 1, n, n), sum over modes of |illum|^2
    patch_power: Any  # (B, n, n), |patches|^2 of a thin object, times the intensity factor
    incident: Any  # (B or 1, S, n, n), the waves that met the object, once a model has made the exit waves
    geometry: Any  # Geometry with the lengths as they are refined, or None

    def __getattr__(self, name: str) -> Any: ...

    def __setattr__(self, name: str, value: Any) -> None: ...

    # -- through the model

    def exit_waves(self) -> Any:
        """Return the exit waves (B, S, n, n) of the current leaves; for a step that reads patches and illum."""

    def tangent(self, changes: dict[str, Any]) -> Any:
        """Return the change (B, S, n, n) of the exit waves for small changes of leaves, by name.

        Each has the shape of its leaf; of a leaf over views, positions too, it is the views' rows (B, ...).
        """

    def gather(self, name: str, chi: Any) -> tuple[Any, Any]:
        """Return direction and weight of a leaf for changes chi (B, S, n, n) of the exit waves, such as ``b.delta``.

        The direction is the adjoint of ``tangent`` applied to chi, the weight the diagonal of its square. Of a thin
        object they are sum_s conj(P_s) chi_s and sum_s |P_s|^2: for a leaf on the frame windows (B, ..., n, n) to be
        added up with ``place``; for the probe summed over the views, with the weight (B, n, n) of each; for a leaf over
        views (positions too) rows (B, ...) and None; for other numbers summed, and None. Say so in ``gathers``: one
        pass back through the model then makes the sums of all steps of the sweep.
        """

    def changed(self, waves: Any) -> Any:
        """Return waves (B, S, n, n) minus the exit waves with which the batch opened."""

    def place(self, image: Any, windows: Any) -> None:
        """Add windows (B or 1, n, n) to an image (H, W) where the views lie; (B or 1, L, n, n) to (L, H, W)."""

    def windows(self, image: Any) -> Any:
        """Return the views' windows of an image on the frame: (H, W) -> (B, n, n), (L, H, W) -> (B, L, n, n)."""

    def with_estimates(self, **changed: Any) -> Any:
        """Return the same views with other leaves, to compute the waves of these; positions stay."""

    def number_leaf(self, name: str) -> Leaf | None:
        """Return the declaration of a leaf that the model brings and that has no pixels, or None."""

    def as_seen(self, probe: Any) -> Any:
        """Return a probe, or a change of it, (M, n, n) as each view sees it: (B or 1, M, n, n)."""

    def on_probe(self, waves: Any) -> Any:
        """Return sum_j conj(O_j) waves_j (M, n, n) of a thin object, the adjoint of ``as_seen`` times the patches."""

    # -- to the detector, and the misfit

    def at_detector(self, waves: Any, overwrite: bool = False) -> Any:
        """Return the waves (B, S, n, n) at the detector of exit waves, unitary, in the order of ``s.measured``.

        ``overwrite`` : the memory of ``waves`` may be used.
        """

    def from_detector(self, there: Any, overwrite: bool = True) -> Any:
        """Return the adjoint of ``at_detector``, which is its inverse."""

    def intensity(self, there: Any) -> Any:
        """Return what the detector sees (B, n, n) of waves (B, S, n, n) that reach it, without the background."""

    def seen(self, intensity: Any) -> Any:
        """Return what the detector makes of intensities (B, n, n), or of a change of them; linear."""

    def measured(self, predicted: Any) -> Any:
        """Return the measured intensities (B, n, n) with which predicted ones, background included, are compared."""

    def pulled(self, values: Any) -> Any:
        """Return the transpose of ``seen`` applied to values (B, n, n) of the pixels."""

    def put_modulus(self, there: Any, background: Any, difference: bool) -> Any:
        """Return sum w (sqrt I - sqrt Ihat)^2 of detector waves (B, S, n, n), on the device; put I's modulus on them.

        In place; with ``difference`` they become the change that this makes. ``background`` : ``s.incoherent``.
        """

    def add_misfit(self, squares: Any) -> None:
        """Add to the misfit of the batch, a scalar on the device; for a class with ``measures = True``."""

    def drop(self, *names: str) -> None:
        """Free fields that no step to the left reads."""

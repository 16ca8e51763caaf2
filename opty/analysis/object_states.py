"""A mixture of object states: those that are orthogonal, one image of it, and two mixtures compared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from opty.analysis.align import Alignment, align, moved_along
from opty.analysis.illumination import photons_on
from opty.errors import RecipeError
from opty.model.sample import transmission
from opty.physics.modes import orthogonal
from opty.physics.to_host import on_host

if TYPE_CHECKING:
    from opty.state import BareState

_ROUNDS = 3  # of ramp and shift, and the mix for them


def object_states(p: BareState) -> np.ndarray:
    """Return the states (L, H, W) of a mixture that are orthogonal under the light, the strongest first.

    No pattern tells them from any other unitary mix of theirs (``opty.OrthogonaliseStates``).
    Raises RecipeError for a state whose model has no ``Object(states=L)``.
    """
    if not p.model.mixture:
        raise RecipeError(f"the object of {p.model!r} is no mixture of states: take p.obj")
    obj = p.numpy("obj")
    return orthogonal(obj, photons_on(p.numpy("positions"), p.numpy("probe"), obj.shape))


def one_image(p: BareState) -> np.ndarray:
    """Return the object (H, W) as one image: of slices their product, of a mixture its strongest orthogonal state."""
    return object_states(p)[0] if p.model.mixture else transmission(p.numpy("obj"), False)


def aligned_objects(p: BareState, q: BareState, mask: Any, offset: Any) -> tuple[np.ndarray, np.ndarray, Alignment]:
    """Return one image (H, W) of the object of p, aligned with that of q, the one of q, and their ``Alignment``.

    Of two mixtures it is the strongest orthogonal state of q, and the mix of p that is the nearest to all states of q;
    the error is that of all states. ``mask``, ``offset`` : as for ``align``, in the frame of q.
    """
    if p.model.mixture and q.model.mixture:
        states = object_states(q)
        aligned, found = align_states(p.numpy("obj"), states, mask, offset)
        return aligned[0], states[0], found
    second = one_image(q)
    image, found = align(one_image(p), second, mask, offset)
    return image, second, found


def align_states(obj: Any, truth: Any, mask: Any = None, offset: Any = None) -> tuple[np.ndarray, Alignment]:
    """Bring the states of a mixture into the frame of the truth, and mix them to be the nearest to it.

    min over unitary U, c > 0, k, s of ||c U O exp(i k . r) - truth(r - s)|| / ||truth||: what no pattern tells.

    Parameters
    ----------
    obj : (L, H', W') complex. truth : (K, H, W) complex. mask, offset : as for ``object_error``.

    Returns
    -------
    aligned : (K, H, W) complex128. alignment : ``Alignment`` with c, ramp and shift of all states, and the error.

    Raises
    ------
    ValueError : as for ``object_error``, and for arrays that are no stacks of states.
    """
    obj, truth = on_host(obj, np.complex128), on_host(truth, np.complex128)
    if obj.ndim != 3 or truth.ndim != 3:
        raise ValueError(f"obj has shape {obj.shape}, truth {truth.shape}; both must be (L, H, W), states of a mixture")
    mask = np.ones(truth.shape[-2:], bool) if mask is None else on_host(mask, bool)
    light = mask.astype(float)
    strongest = int((np.abs(truth[:, mask]) ** 2).sum(axis=1).argmax())
    one, other = orthogonal(obj)[0], orthogonal(truth, light)[0]
    best: tuple[np.ndarray, Alignment] | None = None
    for _ in range(_ROUNDS):
        _, found = align(one, other, mask, offset)
        placed = np.array([moved_along(state, found, truth.shape[-2:], offset) for state in obj])
        seen = mask & (placed != 0).any(axis=0)
        turn, scale = _nearest(placed[:, seen], truth[:, seen])
        aligned = scale * np.tensordot(turn, placed, 1)
        error = float(np.linalg.norm((aligned - truth)[:, seen]) / np.linalg.norm(truth[:, seen]))
        if best is None or error < best[1].error:
            best = aligned, replace(found, constant=complex(scale), error=error)
        one, other = np.tensordot(turn, obj, 1)[strongest], truth[strongest]
    assert best is not None
    return best


def _nearest(states: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, float]:
    """Return U (K, L) with orthonormal rows or columns, and c, that minimise ||c U states - truth||.

    Source: Schönemann, Psychometrika 31, 1 (1966) (orthogonal Procrustes problem).
    """
    left, sizes, right = np.linalg.svd(truth @ states.conj().T, full_matrices=False)
    turn = left @ right
    power = float(np.linalg.norm(turn @ states) ** 2)
    return turn, float(sizes.sum()) / power if power else 0.0

"""How far a reconstruction of simulated data is from the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from opty.analysis.align import object_error
from opty.analysis.fine_error import fine_error
from opty.analysis.illumination import illuminated
from opty.analysis.object_states import align_states
from opty.model.sample import transmission
from opty.physics.scan_map import position_error

if TYPE_CHECKING:
    from opty.state import BareState


def errors(p: BareState) -> dict[str, float]:
    """Compare a state with the truth of its data.

    Parameters
    ----------
    p : state whose ``data.truth`` holds obj, probe and positions, as ``simulate.experiment`` leaves them.

    Returns
    -------
    {"object": relative error of the object where at least three views light it (see ``object_error``); of several
    slices, that of their product, and beside it "slice 1", "slice 2", ... where truth and state have as many; of a
    mixture, that of all states in the unitary mix nearest to the truth (see ``align_states``), and beside it "state 1",
    "state 2", ... of the truth; of a probe that varies also "object_fine", that after a slow factor is taken out (see
    ``fine_error``),
    "position": mean distance of the positions from the true ones [px] (see ``position_error``),
    "position_affine": the same after the best affine map is taken off [px]}.

    Raises
    ------
    ValueError : data without a (whole) truth.
    """
    truth = p.data.truth
    if truth is None or {"obj", "probe", "positions"} - set(truth):
        known = "no truth" if truth is None else f"a truth of {sorted(truth)} only"
        raise ValueError(f"the data have {known}: errors need simulated data, with true obj, probe and positions")
    positions = p.numpy("positions")
    offset = np.rint(positions.mean(axis=0) - truth["positions"].mean(axis=0))
    mask = illuminated(truth["positions"], truth["probe"], truth["obj"].shape)
    found, true = p.numpy("obj"), truth["obj"]
    return {
        **(_of_states if p.model.mixture else _of_object)(p, found, true, mask, offset),
        "position": position_error(positions, truth["positions"]),
        "position_affine": position_error(positions, truth["positions"], affine=True),
    }


def _of_object(
    p: BareState, found: np.ndarray, true: np.ndarray, mask: np.ndarray, offset: np.ndarray
) -> dict[str, float]:
    pairs = {"object": (transmission(found, False), transmission(true, False))}
    if true.ndim == 3 and found.shape[:-2] == true.shape[:-2]:
        pairs |= {f"slice {k + 1}": pair for k, pair in enumerate(zip(found, true, strict=True))}
    fine = {}
    if "opr_modes" in p._live.leaves:
        fine["object_fine"] = fine_error(*pairs["object"], mask, offset)
    return {**{name: object_error(one, other, mask, offset) for name, (one, other) in pairs.items()}, **fine}


def _of_states(
    p: BareState, found: np.ndarray, true: np.ndarray, mask: np.ndarray, offset: np.ndarray
) -> dict[str, float]:
    states = true if true.ndim == 3 else true[None]
    aligned, agreement = align_states(found, states, mask, offset)
    each = {
        f"state {k + 1}": float(np.linalg.norm((one - other)[mask]) / np.linalg.norm(other[mask]))
        for k, (one, other) in enumerate(zip(aligned, states, strict=True))
    }
    return {"object": agreement.error, **each}

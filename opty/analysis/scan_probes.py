"""The probe of each of several scans that were joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from opty.remedies import option

if TYPE_CHECKING:
    from opty.state import BareState


def scan_probes(p: BareState) -> np.ndarray:
    """Return the probe of each scan, (S, M, n, n) complex [sqrt(photons)], of a state with the model ``Probe(scans=)``.

    P_s = P + sum_k c_sk U_k in the first mode, the others being those of all scans.

    Raises ValueError for a probe that all views share, and for one that varies from view to view.
    """
    if getattr(p.model.owner("opr_weights"), "scans", None) is None:
        each_own = option("model", "Object() * Probe(scans=(196, 150))")
        raise ValueError(f"all scans have one probe: give the views of each scan, {each_own}")
    probe, modes, weights = (p.numpy(name) for name in ("probe", "opr_modes", "opr_weights"))
    _, first = np.unique(weights, axis=0, return_index=True)  # of a part of the views, too
    each = np.repeat(probe[None], len(first), axis=0)
    each[:, 0] += np.tensordot(weights[np.sort(first)], modes, 1).astype(probe.dtype)
    return each

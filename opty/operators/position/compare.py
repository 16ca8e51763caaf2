"""Refined positions against those that were given: which of them explain the patterns better?"""

from __future__ import annotations

import numpy as np

from opty.algebra.operator import Identity, Operator
from opty.errors import MisfitWarning, warn_user
from opty.operators.position.correct import GIVEN
from opty.runtime.nested import Nested, run_inside
from opty.state import handle
from opty.state.misfit import compare

_BETTER = 0.85  # of the misfit at the places given: what a wrong probe may gain by positions moved to suit it is less
_WORSE = 1.03  # of it: more than the order of the views makes


class ComparePositions(Nested, slots=GIVEN):
    """Go back to the places given where refined positions explain the patterns no better.

    The recipe runs twice from the probe as it stands and a flat object: with the positions as they are, and with those
    where their refinement began. Positions, object and probe of the second run are taken where the misfit of the first
    is not lower by 15 percent; with a MisfitWarning where it is higher by 3. Errors below a pixel, which change the
    misfit by less, are left to PosCorrect.

    Parameters: recipe, an engine that moves no positions, such as ``rPIE() ** 15``; its iterations count, both times.

    Reads obj, probe, positions, position_given (N, 2) px; writes obj (H, W), probe (M, n, n), positions. Does nothing
    where no refinement has begun.
    History: "compare_iteration", "compare_refined", "compare_given": the two misfits, as ``opty.misfit``.
    """

    recipe: Operator

    def effects(self):
        return self.reading, frozenset({"obj", "probe", "positions", GIVEN.name})

    def apply(self, s):
        if not s.has(GIVEN.name):
            return
        given = s.position_given + (s.positions - s.position_given).mean(axis=0)
        misfits = []
        for positions in (s.positions, given):
            q = run_inside(self.recipe, self._flat(s, positions), s.memo["run"])
            s.store.iteration = q.iteration
            found = compare(q._live)
            misfits.append(found.squares / found.measured)
        s.record("compare_iteration", s.iteration)
        for name, value in zip(("refined", "given"), misfits, strict=True):
            s.record(f"compare_{name}", value)
        if misfits[0] < _BETTER * misfits[1]:
            return
        if misfits[0] > _WORSE * misfits[1]:
            warn_user(
                f"the refined positions explain the patterns worse (misfit {misfits[0]:.4g}) than those given "
                f"({misfits[1]:.4g}): went back to those given",
                MisfitWarning,
            )
        s.obj, s.probe = (s.backend.asarray(q.numpy(name)) for name in ("obj", "probe"))
        s.positions = given

    def _flat(self, s, positions):
        """Return a state with some positions and an object that lets as much light through as the data show."""
        store, backend = s.store, s.backend
        host = {name: np.array(backend.to_host(store.leaves[name])) for name in ("obj", "probe")}
        power = (np.abs(host["probe"]) ** 2).sum()
        host["obj"][...] = np.sqrt(store.measured.view_photons.mean() / power)
        host["positions"] = np.array(backend.to_host(positions))
        for name in ("background", "intensity_factors"):
            if name in store.leaves:
                host[name] = np.array(backend.to_host(store.leaves[name]))
        record = {"seed": store.seed, "iteration": store.iteration, "history": {}}
        machine = {"device": backend.name, "threads": store.threads, "deterministic": store.deterministic}
        made = {"origin": store.origin, "recipe": Identity(), "model": store.model}
        return handle().restore(store.data, host, **made, **record, **machine)

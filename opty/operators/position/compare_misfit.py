"""The misfit before some steps and after them: what is worse afterwards is said at the end of the run."""

from __future__ import annotations

from opty.algebra.leaf import Leaf
from opty.algebra.operator import Operator
from opty.physics.to_host import on_host
from opty.state.misfit import compare

MISFITS = Leaf("compared_misfit", "3", scale=0)
_RISE = 1.02  # more than the order of the views makes


class CompareMisfit(Operator, reads="obj probe positions background", writes="", slots=MISFITS):
    """Remember the misfit of the state; with ``after``, compare it with the one that was remembered.

    Where it is higher by 2 percent, and no iteration came after that, a MisfitWarning says so at the end of the run.
    ``FindPositions`` begins and ends with it.

    Parameters: after, whether this is the second look.

    Reads obj, probe, positions, background; writes compared_misfit (3,) = sum (sqrt I - sqrt Ihat)^2 / sum I before
    and after, and the iteration of the second look. Costs one forward pass over all views.
    """

    after: bool = False
    scale_free = True
    projects = True

    def at_end(self, leaves, iteration):
        if not self.after or MISFITS.name not in leaves:
            return ""
        before, now, at = on_host(leaves[MISFITS.name]).tolist()
        if now <= _RISE * before or iteration > at:
            return ""
        return (
            f"the misfit is {now:.4g} after positions were looked for, and was {before:.4g} before: object and probe "
            "have not caught up with them; go on with rPIE() ** 50, or (PosCorrect() * rPIE()) ** 50, on the left of "
            "FindPositions()"
        )

    def apply(self, s):
        s.create(MISFITS.name)
        sums = compare(s)
        misfit = sums.squares / sums.measured
        before = float(s.compared_misfit[0]) if self.after else misfit
        s.compared_misfit = s.xp.asarray([before, misfit, float(s.iteration)])

"""The refinement beside engines that average the views: it waits longer, in smaller steps."""

from __future__ import annotations

from opty.operators.position.correct import PosCorrect
from opty.operators.position.wait import LONG


class PatientPosCorrect(PosCorrect, register=False):
    """PosCorrect beside AP, DM and RAAR, whose object follows slowly or wanders.

    What such an object still lacks looks like wrong positions, the same in neighbouring views, and moving them makes
    room for it: from a rough start AP and PosCorrect moved right positions by 1 to 2 px, DM by 3 to 30. So it always
    waits, ten sweeps at least, gains stay at 0.3 and less, the smooth part goes by the mean of five sweeps, and views
    that went astray are not looked for.

    After a wait of 20 sweeps, not 40, it says that views seem to be off.
    """

    first_gain = largest_gain = 0.3
    averaged = True
    fewest = 10
    late = LONG

    def _search(self, s):
        """Look for no view: a slow or wandering object explains many better elsewhere."""

"""Follow: the views that have been measured meanwhile join the state."""

from __future__ import annotations

from typing import Any

from opty.algebra.operator import Operator
from opty.state.growth import grow


class Follow(Operator, reads="obj positions", writes="obj positions"):
    """Let the views of a scan join that have been measured since the last visit; for ``opty.load(path, follow=True)``.

    It stands in a loop, between sweeps: ``(Follow() * rPIE(alpha=0.3)) ** 30``. The frame of the object grows with the
    positions, by ones; new views lie where the measurement says. While the scan grows a turn of the loop does not
    count: it sweeps over what is there until the writer says that the scan is complete, or until no view has come for
    the ``timeout`` of ``opty.load``, and then makes its number of turns with all of the views. Of a scan that is
    complete it does nothing.

    Memory of operators that has a row for each view, or lies in the frame of the object, is made anew when views join.

    History: "views", and "views_iteration" after which they joined.
    Raises RecipeError for a state that cannot grow: over several ranks, with arrays of the user's or a model with
    numbers for each view.
    """

    scale_free = True
    estimates = False

    def apply(self, s: Any) -> None:
        store, run = s.store, s.memo["run"]
        feed = store.data.feed
        if feed is None:
            return
        grew = feed.update()
        if store.data.views < feed.data.views:  # of a run that begins anew from an earlier state, more than just came
            run.watch.settle()
            grow(store, feed.data)
            run.scan_grew()
            s.record("views", store.data.views)
            s.record("views_iteration", store.iteration)
            grew = True
        if (loop := run.loop()) is not None and (grew or not feed.over):
            loop.uncounted = True

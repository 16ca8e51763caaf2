"""Follow: the views that have been measured meanwhile join the state."""

from __future__ import annotations

from typing import Any, NamedTuple

from opty.algebra.operator import Operator
from opty.data import PtychoData
from opty.data.feed import Feed, NoArrivals
from opty.state.growth import grow, grow_over_ranks


class Follow(Operator, reads="obj positions", writes="obj positions"):
    """Let the views of a scan join that have been measured since the last visit; for ``opty.load(path, follow=True)``.

    It stands in a loop, between sweeps: ``(Follow() * rPIE(alpha=0.3)) ** 30``. The frame of the object grows with the
    positions, by ones; new views lie where the measurement says. While the scan grows a turn of the loop does not
    count: it sweeps over what is there until the writer says that the scan is complete, or until no view has come for
    the ``timeout`` of ``opty.load``, and then makes its number of turns with all of the views. Of a scan that is
    complete it does nothing.

    Memory of operators that has a row for each view, or lies in the frame of the object, is made anew when views join.

    History: "views", and "views_iteration" after which they joined.
    Over several ranks (MPI) the first one looks for views, and sends them to the others.
    Raises RecipeError for a state that cannot grow: with arrays of the user's or a model with numbers for each view.
    """

    over_ranks = True
    scale_free = True
    estimates = False

    def apply(self, s: Any) -> None:
        store, run = s.store, s.memo["run"]
        news = _news(store)
        if news is None:
            return
        if news.data is not None:
            run.watch.settle()
            (grow if store.ranks.size == 1 else grow_over_ranks)(store, news.data)
            run.scan_grew()
            s.record("views", news.data.views)
            s.record("views_iteration", store.iteration)
        if (loop := run.loop()) is not None and not news.complete:
            loop.uncounted = True


class _News(NamedTuple):
    """All views, where there are more than the state has; whether no more will come, and none came just now."""

    data: PtychoData | None
    complete: bool


def _news(store: Any) -> _News | None:
    """Look for views; None for a scan that does not grow."""
    feed, have = store.measured.whole.feed, store.measured.whole.views
    told = None
    if feed is not None and store.ranks.rank == 0:
        grew = feed.update()
        # Of a run that begins anew from an earlier state there are more than just came.
        more = feed.data.part(slice(have, feed.data.views), stays=False) if feed.data.views > have else None
        told = more, feed.over and not grew and more is None
    told = store.ranks.told(told)
    if told is None:
        return None
    more, complete = told
    if more is not None and store.ranks.rank > 0:
        feed = Feed(store.measured.whole, NoArrivals(), float("inf")) if feed is None else feed
        feed.take(more)
    return _News(None if more is None else feed.data, complete)

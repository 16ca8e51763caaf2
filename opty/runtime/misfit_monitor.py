"""Detection of runs whose misfit shows that they diverge, although every value is finite."""

from __future__ import annotations

from dataclasses import dataclass, field

RISES = 5  # turns in a row
NOTICEABLE = 1.001  # a smaller rise is the fluctuation of a converged run
FAR_ABOVE = 10.0  # times the least misfit of the same sweep in the same run
DARKNESS = 1.0  # misfit of a state that predicts no light at all
SETTLING = 10  # iterations in which momentum may overshoot, and a start of the wrong power be far off


@dataclass
class _Record:
    """Misfits of one sweep of a recipe: the first, the least, and how many."""

    first: float
    least: float
    count: int = 0


@dataclass
class MisfitMonitor:
    """Checks the misfits of a run, one after the other, and warns at most once.

    Only those that it has looked at are compared: a step may run a recipe of its own on coarser patterns, or on some of
    the views, whose misfits are in the history too.
    ``rounding`` is the misfit below which differences are rounding.
    """

    rounding: float
    warned: bool = False
    _last: list[float] = field(default_factory=list)
    _rises: int = 0
    _records: dict[int, _Record] = field(default_factory=dict)

    def forget(self) -> None:
        """Restart after an engine whose misfit rises by nature, such as the difference map."""
        self._records.clear()
        self._last.clear()
        self._rises = 0

    def look(self, sweep: int, iteration: int, misfit: float) -> str | None:
        """Return the warning after an iteration of a sweep (a number that identifies it), or None."""
        self._last = [*self._last[-RISES:], misfit]
        wrong = self._rose(iteration) or self._far_above(sweep, iteration, misfit)
        if wrong is None or self.warned:
            return None
        self.warned = True
        return wrong

    def _rose(self, iteration: int) -> str | None:
        misfits = self._last
        rose = len(misfits) > 1 and misfits[-1] > max(NOTICEABLE * misfits[-2], self.rounding)
        self._rises = self._rises + 1 if rose else 0
        if self._rises < RISES:
            return None
        first, last = misfits[-1 - RISES], misfits[-1]
        return f"the misfit rose in {RISES} turns in a row, from {first:.4g} to {last:.4g} at iteration {iteration}"

    def _far_above(self, sweep: int, iteration: int, value: float) -> str | None:
        record = self._records.setdefault(sweep, _Record(value, value))
        least, record.count = record.least, record.count + 1
        record.least = min(least, value)
        if value <= record.first and record.count <= SETTLING:
            return None
        if value > FAR_ABOVE * max(least, self.rounding):
            return (
                f"the misfit is {value:.4g} at iteration {iteration}, {value / least:.3g} times the least of the run, "
                f"{least:.4g}: the run probably diverges"
            )
        if value > DARKNESS and record.count > 1:
            return (
                f"the misfit is {value:.4g} at iteration {iteration}: the state predicts the patterns worse than no "
                f"light at all ({DARKNESS:.0f}), and the run does not mend it"
            )
        return None

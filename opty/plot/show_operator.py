"""Show: pictures along a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from opty.algebra.protocols import State
from opty.console import in_notebook
from opty.operators.observers import Observer, filled
from opty.plot.figure import save_figure
from opty.plot.overview import overview

if TYPE_CHECKING:
    from opty.plot.picture import Picture


class Show(Observer):
    """Show the state: in a notebook as a picture in the place of the last one, elsewhere as a picture file.

    Parameters
    ----------
    every : show when a multiple of this number of iterations is reached or passed.
    path : picture to write ("{iteration}" in it is filled in); without one, the notebook's output, or opty_show.png in
        the working folder where there is no notebook.
    """

    only_output = True
    gathers_state = True

    every: int = 10
    path: str | None = None

    def apply(self, s: State) -> None:
        if not self.due(s):
            return
        run = s.memo["run"]
        whole = run.state().gather()
        if whole is None:
            return
        figure = cast("Picture", overview(whole))
        if self.path is None and in_notebook():
            self._put_up(run, figure)
        else:
            path = Path(filled(self.path or "opty_show.png", s.iteration))
            if self not in run.announced:
                run.announced[self] = path
                print(f"Show: no notebook here; the picture is in {path}" if self.path is None else f"Show: {path}")
            save_figure(figure, path)
        figure.close()

    def _put_up(self, run: Any, figure: Picture) -> None:
        """Put the picture in the place of the run's last one; what else the cell has printed stays."""
        from IPython.display import DisplayHandle

        shown = {"image/png": figure.png(), "text/plain": repr(figure)}
        if self in run.announced:
            run.announced[self].update(shown, raw=True)
        else:
            run.announced[self] = DisplayHandle()
            run.announced[self].display(shown, raw=True)

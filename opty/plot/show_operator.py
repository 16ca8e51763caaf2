"""Show: pictures along a run."""

from __future__ import annotations

from pathlib import Path

from opty.algebra.protocols import State
from opty.console import in_notebook
from opty.operators.observers import Observer, filled
from opty.plot.figure import save_figure
from opty.plot.overview import overview


class Show(Observer):
    """Show the state: in a notebook as a picture that replaces the last one, elsewhere as a picture file.

    Parameters
    ----------
    every : show when a multiple of this number of iterations is reached or passed.
    path : picture to write ("{iteration}" in it is filled in); without one, the notebook's output, or opty_show.png in
        the working folder where there is no notebook.
    """

    only_output = True

    every: int = 10
    path: str | None = None

    def apply(self, s: State) -> None:
        if not self.due(s):
            return
        figure = overview(s.memo["run"].state())
        if self.path is None and in_notebook():
            from IPython import display

            display.clear_output(wait=True)
            display.display(figure)
            return
        path = Path(filled(self.path or "opty_show.png", s.iteration))
        run = s.memo["run"]
        if self not in run.announced:
            run.announced.add(self)
            print(f"Show: no notebook here; the picture is in {path}" if self.path is None else f"Show: {path}")
        save_figure(figure, path)

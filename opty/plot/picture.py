"""The class of figures; it is imported with matplotlib, at the first picture."""

from __future__ import annotations

import io
import sys

from matplotlib.figure import Figure

_DOTS_PER_INCH = 90  # in notebooks


class Picture(Figure):
    """A figure that shows itself: ``show()`` where there is a screen, and once in a notebook."""

    def show(self, warn: bool = True) -> None:
        """Show the figure with pyplot, of which it becomes one; ``warn`` where the backend cannot show any."""
        if self.canvas.manager is None:
            from matplotlib import _pylab_helpers, pyplot

            number = max(pyplot.get_fignums(), default=0) + 1
            manager = pyplot._get_backend_mod().new_figure_manager_given_figure(number, self)
            _pylab_helpers.Gcf._set_new_active_manager(manager)
        super().show(warn)

    def png(self, dpi: float = _DOTS_PER_INCH) -> bytes:
        """Return the figure as PNG."""
        out = io.BytesIO()
        self.savefig(out, format="png", dpi=dpi)
        return out.getvalue()

    def close(self) -> None:
        """Take the figure out of pyplot's, where it is one, so that its memory can be freed."""
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close(self)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display({"image/png": self.png(), "text/plain": repr(self)}, raw=True)
        self.close()  # else a notebook shows it again at the end of the cell

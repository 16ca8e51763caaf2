"""The class of figures; it is imported with matplotlib, at the first picture."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.widgets import Slider

_DOTS_PER_INCH = 90  # in notebooks


class Picture(Figure):
    """A figure that shows itself: ``show()`` where there is a screen, and once in a notebook.

    ``browses`` : the slider that turns its pages, which a notebook shows as a widget; None for most.
    """

    browses: Slider | None = None

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

        if self.browses is not None:
            display(self._with_widgets(self.browses))
            return
        display({"image/png": self.png(), "text/plain": repr(self)}, raw=True)
        self.close()  # else a notebook shows it again at the end of the cell

    def _with_widgets(self, slider: Slider) -> Any:
        """Return a slider of Jupyter above the picture without its own, which is drawn anew as the slider moves."""
        try:
            from ipywidgets import Image, IntSlider, VBox
        except ImportError as error:
            raise ImportError('a slider in a notebook needs ipywidgets: pip install "opty-ptycho[notebook]"') from error
        slider.ax.set_visible(False)
        shown = Image(value=self.png(), format="png")
        chosen = IntSlider(int(slider.val), int(slider.valmin), int(slider.valmax), description=slider.label.get_text())

        def go(change: Any) -> None:
            slider.set_val(change["new"])
            shown.value = self.png()

        chosen.observe(go, "value")
        self.close()
        return VBox([chosen, shown])

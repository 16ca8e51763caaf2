from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure

from opty import plot
from opty.plot.history import draw_history


def test_curve_is_the_history_on_a_log_scale(make_state):
    p = make_state(iterations=12)
    axes = plot.history(p).axes[0]
    x, y = axes.lines[0].get_data()
    assert axes.get_yscale() == "log"
    assert np.array_equal(x, p.history["iteration"])
    assert np.array_equal(y, p.history["misfit"])
    assert axes.get_title(loc="left") == f"misfit: {y[-1]:.3g} after iteration 12"


def test_start_says_that_there_is_no_curve(make_state):
    axes = plot.history(make_state(iterations=0)).axes[0]
    assert axes.texts[0].get_text() == "no iteration yet"


def test_a_short_range_still_has_labels(make_state):
    p = make_state(iterations=1)
    fig = plot.history(p)
    fig.draw_without_rendering()
    low, high = fig.axes[0].get_ylim()
    shown = [t for t in fig.axes[0].yaxis.get_majorticklocs() if low <= t <= high]
    assert len(shown) >= 1


def test_sweeps_without_a_record_are_dotted():
    iteration = np.concatenate([np.arange(1, 7), np.arange(47, 53)])
    misfit = np.geomspace(0.1, 0.001, 12)
    axes = Figure().add_subplot()
    draw_history(axes, SimpleNamespace(history={"iteration": iteration, "misfit": misfit}))
    solid, dotted = axes.lines
    assert np.array_equal(np.flatnonzero(np.isnan(solid.get_ydata())), [6])
    assert np.array_equal(np.delete(solid.get_ydata(), 6), misfit)
    assert dotted.get_linestyle() == ":"
    assert np.array_equal(dotted.get_xdata(), [6, 47])

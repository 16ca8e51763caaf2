"""The browser of frames: the slider, keys and a notebook's widget turn its pages."""

import numpy as np
import pytest
from matplotlib.backend_bases import KeyEvent

import opty
from opty import plot


@pytest.fixture
def scan():
    """Five views of 16 x 16, of which the k-th is 10 (k + 1) everywhere; one pixel is masked."""
    frames = np.arange(10, 60, 10)[:, None, None] * np.ones((5, 16, 16))
    mask = np.ones((16, 16), bool)
    mask[3, 4] = False
    return opty.PtychoData(frames, np.array([[0, 0], [0, 4], [4, 0], [4, 4], [9, 2.0]]), mask=mask)


def shown(figure):
    image = figure.axes[0].images[0].get_array()
    (mark,) = (line for line in figure.axes[1].lines if line.get_markersize() == 9)
    return float(image.max()), bool(image.mask[3, 4]), (float(mark.get_ydata()[0]), float(mark.get_xdata()[0]))


def test_a_slider_and_the_arrow_keys(scan):
    figure = plot.browse(scan, 1)
    assert shown(figure) == (20, True, (0, 4))
    assert figure.axes[0].images[0].get_clim() == (1, 50)  # one scale for all
    figure.browses.set_val(4)
    assert shown(figure) == (50, True, (9, 2))
    assert figure.axes[0].get_title(loc="left") == "view 4: 1.275e+04 photons"
    for key, at in (("left", 3), ("right", 4), ("right", 4), ("up", 4)):
        KeyEvent("key_press_event", figure.canvas, key)._process()
        assert figure.browses.val == at
    assert len(figure.axes[0].images) == 1


def test_a_widget_in_a_notebook(scan, monkeypatch):
    import IPython.display

    put_up = []
    monkeypatch.setattr(IPython.display, "display", put_up.append)
    figure = plot.browse(opty.PtychoState(scan, device="cpu"))
    figure._ipython_display_()
    (box,) = put_up
    slider, picture = box.children
    before = bytes(picture.value)
    slider.value = 3
    assert shown(figure)[0] == 40
    assert before.startswith(b"\x89PNG")
    assert bytes(picture.value) != before


def test_a_view_that_there_is_not(scan):
    with pytest.raises(IndexError, match="view is 5, and the scan has views 0 to 4"):
        plot.browse(scan, 5)

import numpy as np
import pytest

from opty import plot
from opty.analysis.illumination import crop_to, lit_area


def _titles(fig):
    return {axes.get_title(loc="left"): axes for axes in fig.axes}


def _pixels(fig):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(float)


@pytest.mark.parametrize("modes", [1, 3])
def test_overview_shows_everything(make_state, modes):
    p = make_state(modes=modes)
    fig = plot.overview(p)
    titles = _titles(fig)
    for name in ("object magnitude", "object phase (rad)", "probe modes" if modes > 1 else "probe"):
        picture = titles[name].images[0].get_array()
        assert np.isfinite(picture).all()
        assert np.ptp(picture) > 0.1
    assert any(name.startswith("positions") for name in titles)
    assert any(name.startswith("misfit") for name in titles)
    pixels = _pixels(fig)
    assert pixels.std() > 20


def test_panels_do_not_overlap(make_state):
    fig = plot.overview(make_state(modes=3))
    _pixels(fig)
    boxes = [axes.get_tightbbox() for axes in fig.axes]
    for k, one in enumerate(boxes):
        for other in boxes[k + 1 :]:
            width = min(one.x1, other.x1) - max(one.x0, other.x0)
            height = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert width <= 1 or height <= 1, (one, other)


def test_without_geometry_lengths_are_in_pixels(make_state):
    axes = _titles(plot.overview(make_state(geometry=False)))["object magnitude"]
    assert axes.texts[0].get_text().endswith(" px")


def test_the_state_draws_itself(make_state):
    assert "object magnitude" in _titles(make_state().plot())


def test_demo_shows_the_truth_beside_what_was_recovered(make_state):
    p = make_state()
    titles = _titles(plot.demo_figure(p))
    true, recovered = (titles[f"{name} magnitude"].images[0] for name in ("true", "recovered"))
    assert true.get_clim() == recovered.get_clim()
    assert np.abs(true.get_array() - recovered.get_array()).max() < 0.02
    true, recovered = (titles[f"{name} phase (rad)"].images[0] for name in ("true", "recovered"))
    assert np.abs(true.get_array() - recovered.get_array()).max() < 0.02
    assert {"true probe", "recovered probe"} <= set(titles)


def test_demo_needs_a_truth(make_state):
    with pytest.raises(ValueError, match="overview"):
        plot.demo_figure(make_state(truth=False))


def test_lit_area_covers_each_view(make_state):
    p = make_state()
    lit = lit_area(p)
    centres = np.rint(p.positions + p.data.n / 2 - 0.5).astype(int)
    assert lit[centres[:, 0], centres[:, 1]].all()
    rows, _ = crop_to(lit)
    assert rows.start > 0
    assert not lit[0].any()

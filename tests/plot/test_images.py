import numpy as np
import pytest

from opty import plot
from opty.analysis.illumination import crop_to, lit_area
from opty.plot.figure import new_figure
from opty.plot.images import centred_phase, draw_magnitude, draw_phase, robust_limits

METRES = {"pm": 1e-12, "Å": 1e-10, "nm": 1e-9, "µm": 1e-6, "mm": 1e-3}


def _bar(axes):
    return next(line for line in axes.lines if line.get_gid() == "scale bar")


@pytest.mark.parametrize("pixel", [2.3e-11, 9.9e-9, 1e-8, 4.77e-8, 3.3e-6, 1.7e-5])
@pytest.mark.parametrize("width", [13, 128, 1000])
def test_scale_bar_is_as_long_as_it_says(pixel, width):
    axes = new_figure(4, 4).subplots()
    axes.imshow(np.zeros((width // 2 + 1, width)))
    length, label = plot.scale_bar(axes, pixel)
    number, unit = label.split()
    assert np.ptp(_bar(axes).get_xdata()) * pixel == pytest.approx(float(number) * METRES[unit], rel=1e-9)
    assert length == pytest.approx(np.ptp(_bar(axes).get_xdata()))
    assert 0.09 * width < length <= 0.25 * width
    assert number.rstrip("0").rstrip(".") in {"1", "2", "5"}
    assert axes.texts[0].get_text() == label


def test_scale_bar_in_pixels_without_geometry():
    axes = new_figure(4, 4).subplots()
    axes.imshow(np.zeros((90, 90)))
    assert plot.scale_bar(axes, None) == (20, "20 px")


def test_phase_is_wrapped_and_loses_its_mean():
    lit = np.ones((40, 60), bool)
    true = np.linspace(0, 10 * np.pi, 60) + np.zeros((40, 1))
    phase = centred_phase(np.exp(1j * true), lit)
    assert np.abs(phase).max() <= np.pi
    turns = (true - phase - (true - phase)[0, 0]) / (2 * np.pi)
    assert np.allclose(turns, np.rint(turns), atol=1e-9)
    small = 0.3 * np.sin(true) + 2.5
    assert np.allclose(centred_phase(np.exp(1j * small), lit), small - small.mean(), atol=0.01)


def test_mean_phase_is_that_of_the_lit_area():
    lit = np.zeros((20, 20), bool)
    lit[5:15, 5:15] = True
    image = np.where(lit, np.exp(0.4j), np.exp(2.0j))
    assert np.allclose(centred_phase(image, lit)[lit], 0)


def _drawn_phase(amplitude):
    axes = new_figure(4, 4).subplots()
    image = np.exp(1j * amplitude * np.linspace(-1, 1, 50) + np.zeros((50, 1)))
    draw_phase(axes, image, np.ones((50, 50), bool))
    return axes.images[0]


def test_wide_phase_gets_a_map_that_closes():
    picture = _drawn_phase(3.0)
    assert picture.get_clim() == pytest.approx((-np.pi, np.pi))
    assert np.allclose(picture.to_rgba(np.array([-np.pi])), picture.to_rgba(np.array([np.pi])), atol=0.03)


def test_narrow_phase_uses_the_whole_grey_scale():
    picture = _drawn_phase(0.2)
    assert picture.get_clim() == pytest.approx((-0.2, 0.2), rel=0.03)
    assert picture.cmap.name == "gray"


def test_limits_ignore_outliers_and_what_was_not_lit(make_state):
    p = make_state()
    image, lit = p.numpy("obj"), lit_area(p)
    clean = robust_limits(np.abs(image)[lit])
    image[tuple(np.argwhere(lit)[40])] = 1e6
    image[~lit] = -1e3
    axes = new_figure(4, 4).subplots()
    draw_magnitude(axes, image, lit)
    assert axes.images[0].get_clim() == pytest.approx(clean, rel=0.02)


def test_limits_of_constant_and_of_empty_values():
    low, high = robust_limits(np.full(9, 2.0))
    assert low < 2 < high
    assert robust_limits(np.full(4, np.nan)) == (0, 1)
    assert robust_limits(np.zeros(4)) == (-0.5, 0.5)


def test_object_is_cropped_to_what_was_lit_and_stays_in_place(make_state):
    p = make_state()
    lit = lit_area(p)
    rows, cols = crop_to(lit)
    assert lit[rows, cols].sum() == lit.sum()
    assert (rows.stop - rows.start) * (cols.stop - cols.start) < lit.size
    magnitude = plot.obj(p).axes[0]
    left, right, bottom, top = magnitude.images[0].get_extent()
    assert (left, right, bottom, top) == (cols.start - 0.5, cols.stop - 0.5, rows.stop - 0.5, rows.start - 0.5)
    assert magnitude.get_ylim()[0] > magnitude.get_ylim()[1]  # rows run down
    shown = magnitude.images[0].get_array()
    assert np.allclose(shown.compressed(), np.abs(p.numpy("obj"))[lit])


def test_object_of_the_start_is_drawn_without_complaint(make_state):
    p = make_state(iterations=0)
    fig = plot.obj(p.replace(obj=np.ones(p.obj.shape)))
    fig.draw_without_rendering()
    assert [axes.get_title(loc="left") for axes in fig.axes[:2]] == ["object magnitude", "object phase (rad)"]

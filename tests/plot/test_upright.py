"""An asymmetric letter in object, probe and positions: every picture shows it upright, row 0 on top, column 0 left."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

import opty
from opty import plot
from opty.analysis import scan_overview, thickness
from opty.analysis.held_blocks import on
from opty.plot.figure import root

sys.path.insert(0, str(Path(__file__).resolve().parent))
from test_pictures import found_health, halves, letter, of_slices, varying

EDGE, MARGIN = 32, 5  # of the letter; of the object around that of the truth
ROW, COLUMN = MARGIN + 5, MARGIN + 11  # where the letter begins in the object
OTHERS = [(turns, mirror) for turns in range(4) for mirror in (False, True)][1:]


def panel(figure, title):
    """Return the axes with a title that begins so."""
    return next(axes for axes in figure.axes if axes.get_title(loc="left").startswith(title))


def seen(axes, rows, columns, blur=0.0):
    """Return the grey levels that some axes show from and to rows and columns of their scales, 64 x 64.

    ``blur`` : over how much of the width they are smeared, where the letter is made of dots.
    """
    figure = root(axes)
    for one in figure.axes:
        for beside in (*one.texts, *one.patches, one.get_legend()):  # a scale bar, the size of the probe
            if beside is not None and beside.get_visible():
                beside.set_visible(False)
    if figure.stale:
        figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].mean(axis=-1)
    (left, top), (right, bottom) = axes.transData.transform([(columns[0], rows[0]), (columns[1], rows[1])])
    assert left < right
    assert top > bottom  # matplotlib counts upwards
    part = pixels[round(len(pixels) - top) : round(len(pixels) - bottom), round(left) : round(right)]
    return square(gaussian_filter(part, blur * part.shape[1]))


def square(image):
    """Return an image stretched to 64 x 64 pixels."""
    return zoom(image, np.array((64, 64)) / image.shape, order=1, grid_mode=True, mode="nearest")


def upright(shown, expected=None):
    """Whether it looks like the letter, and less like every turn and mirror image of it."""
    expected = letter(64) if expected is None else expected

    def alike(image):
        return abs(np.corrcoef(shown.ravel(), image.ravel())[0, 1])

    turned = [np.rot90(expected[:, ::-1] if mirror else expected, turns) for turns, mirror in OTHERS]
    return alike(expected) > 0.6 and alike(expected) > 1.3 * max(map(alike, turned))


@pytest.fixture
def lettered(make_state):
    """A state whose object and true object are the letter."""
    p = make_state()
    obj = np.ones(p.obj.shape, np.complex64)
    obj[ROW : ROW + EDGE, COLUMN : COLUMN + EDGE] = (1 - 0.4 * letter(EDGE)) * np.exp(-0.8j * letter(EDGE))
    p = p.replace(obj=obj)
    return on(p, p.data.replace(truth={**p.data.truth, "obj": obj[MARGIN:-MARGIN, MARGIN:-MARGIN]}))


OBJECTS = {
    "obj": (plot.obj, ["object magnitude", "object phase"]),
    "magnitude": (plot.magnitude, ["object magnitude"]),
    "phase": (plot.phase, ["object phase"]),
    "overview": (plot.overview, ["object magnitude", "object phase"]),
    "demo": (plot.demo_figure, ["true phase", "recovered magnitude"]),
    "comparison": (lambda p: plot.comparison(p, p), ["first, magnitude", "second, phase"]),
    "phase_map": (lambda p: plot.phase_map(opty.analysis.phase_map(p)), ["unwrapped phase"]),
    "thickness": (lambda p: plot.thickness(thickness(p, delta=1e-3)), ["thickness from the phase"]),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_object(lettered, name):
    draw, titles = OBJECTS[name]
    origin = (ROW, COLUMN) if name != "demo" else (ROW - MARGIN, COLUMN - MARGIN)  # in the frame of the truth
    rows, columns = ((first - 0.5, first + EDGE - 0.5) for first in origin)
    figure = draw(lettered)
    assert all(upright(seen(panel(figure, title), rows, columns)) for title in titles)


def test_slices_and_halves(lettered):
    rows, columns = ((first - 0.5, first + EDGE - 0.5) for first in (ROW, COLUMN))
    figure = plot.slices(of_slices(lettered))
    for title in ("slice 1, magnitude", "product, phase"):
        assert upright(seen(panel(figure, title), rows, columns))
    assert upright(seen(panel(plot.resolution(halves()), "first half"), (-0.5, 63.5), (-0.5, 63.5)))


def test_probe(make_state):
    p = make_state(modes=1)
    n = p.data.n
    wave = (30 * letter(n)).astype(np.complex64)
    p = p.replace(probe=wave[None])
    whole = (-0.5, n - 0.5)
    for draw in (plot.probe, plot.overview, plot.demo_figure):
        figure = draw(p)
        title = "recovered probe" if draw is plot.demo_figure else "probe"
        assert upright(seen(panel(figure, title), whole, whole))
    both = make_state(modes=3).replace(probe=np.stack([wave, wave / 2, wave / 3]))
    figure = plot.variation(varying(both))
    for title in ("mean probe", "mode 1", "mode 2"):
        assert upright(seen(panel(figure, title), whole, whole))


def test_frames():
    frames = np.stack([100 * letter(16) + 1] * 9)
    scan = opty.PtychoData(frames, np.random.default_rng(0).uniform(0, 9, (9, 2)))
    start = opty.PtychoState(scan, device="cpu")
    for figure, title in (
        (plot.data(scan), "maximum of"),
        (plot.frames(scan, [2]), "view 2"),
        (plot.browse(scan, 3), "view 3"),
        (plot.health(found_health(start)), "mean pattern"),
        (plot.scan(scan_overview(scan)), "mean amplitude"),
        (plot.pattern(start, 2), "view 2, measured"),
    ):
        axes = panel(figure, title)
        columns, rows = axes.get_xlim(), axes.get_ylim()[::-1]
        assert columns == rows
        assert columns[1] - columns[0] == 16
        assert upright(seen(axes, rows, columns)), title


POSITIONS = {
    "positions": (plot.positions, "positions", 8),
    "overview": (plot.overview, "positions", 8),
    "data": (plot.data, "photons of each view", 0),
    "browse": (plot.browse, "where it lies", 0),
    "health": (lambda p: plot.health(found_health(p)), "positions", 0),
    "variation": (lambda p: plot.variation(varying(p)), "weight of mode 1", 0),
}
STATES = {"positions", "overview", "variation"}  # count pixels in the frame of the object


@pytest.mark.parametrize("name", POSITIONS)
def test_positions(make_state, name):
    """Views along the strokes of the letter."""
    draw, title, middle = POSITIONS[name]
    places = np.argwhere(letter(20) > 0) * 2.0
    n = 16
    data = opty.PtychoData(np.full((len(places), n, n), 9), places)
    p = opty.PtychoState(data, make_state().numpy("probe"), device="cpu")
    first = (p.numpy("positions") if name in STATES else places).min(axis=0) + middle
    strokes = np.ptp(places, axis=0)
    rows, columns = ((low - 0.4, low + far + 0.4) for low, far in zip(first, strokes, strict=True))  # within the frame
    corner, shape = (places.min(axis=0) / 2).astype(int), (strokes / 2 + 1).astype(int)
    expected = letter(20)[corner[0] : corner[0] + shape[0], corner[1] : corner[1] + shape[1]]
    assert upright(seen(panel(draw(p), title), rows, columns, blur=0.06), square(expected))

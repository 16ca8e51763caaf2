"""Every picture: as it was (with a tolerance), the right way up, in given axes, shown by pyplot and Jupyter."""

import dataclasses
import inspect
import sys
from pathlib import Path

import matplotlib
import nbformat
import numpy as np
import pytest
from matplotlib import pyplot as plt
from nbclient import NotebookClient

import opty
from opty import plot
from opty.analysis import Health, RingCorrelation, Uncertainty, scan_overview, thickness
from opty.analysis.check.frame_statistics import look_at_frames
from opty.analysis.illumination import lit_area
from opty.analysis.orientation import WAYS as EIGHT
from opty.analysis.orientation import Orientation
from opty.analysis.resolution import Resolution
from opty.plot.figure import new_figure

MADE = Path(__file__).parent / "pictures"  # written by make_pictures.py
DOTS, TOLERANCE = 30, 0.03  # mean difference of a picture without its texts, of the full scale


def letter(size=44):
    """Return an F (size, size): no turn and no mirror image of it is the same."""
    image = np.zeros((size, size))
    at = lambda share: round(share * size)  # noqa: E731
    image[at(0.2) : at(0.8), at(0.3) : at(0.4)] = 1
    image[at(0.2) : at(0.3), at(0.3) : at(0.7)] = 1
    image[at(0.45) : at(0.55), at(0.3) : at(0.6)] = 1
    return image


def halves():
    rng = np.random.default_rng(3)
    obj = np.exp(0.5j * letter(64)) + 0.02 * rng.normal(size=(2, 64, 64))
    frequency = np.arange(1, 33) / 64
    curve = RingCorrelation(frequency, 1 / (1 + (4 * frequency) ** 4), np.full(32, 0.3), np.full(32, 0.45))
    places = np.stack(np.meshgrid([20.0, 40, 60], [10.0, 30, 50, 70], indexing="ij"), axis=-1)
    local = np.arange(12.0).reshape(3, 4) * 1e-9 + 20e-9
    rest = {"tile": 32, "settled": 0.99, "misfits": (0.1, 0.1), "views": (24, 24), "split": "views", "pixel": 1e-8}
    area = (slice(5, 69), slice(5, 69))
    return Resolution(30e-9, 40e-9, curve, obj, area, local, places=places, recipe=opty.rPIE(), **rest)


def errors(p):
    lit = lit_area(p)
    row, column = np.indices(lit.shape)
    places = np.full((p.data.views, 2), 0.02) * np.arange(1, p.data.views + 1)[:, None]
    known = {"scale": {"phase": 1.0}, "known": {"phase": 0.2}, "draw": "counts", "excess": 1.0, "pixel": 1e-8}
    return Uncertainty(0.01 * (1 + row / 10), 0.02 + column / 1e3, places, lit, 20, 2, **known)


def found_health(p):
    """Return what a check may find of the data of a state."""
    ways = tuple(Orientation(*way, misfit) for way, misfit in zip(EIGHT[:3], (0.02, 0.08, 0.09), strict=True))
    some = {"dim_frames": (3,), "far_views": (5,), "repeated_views": (), "problems": (), "warnings": (), "advice": ()}
    text = {"fits": "as given", "twin": None, "order": "as given", "orientations": ways}
    rest = dict.fromkeys((field.name for field in dataclasses.fields(Health)), 0)
    empty = dict.fromkeys(("frozen_frames", "missing_frames", "bright_frames", "full_frames"), ())
    known = {"views": p.data.views, "pattern": p.data.n, "centre": (8.3, 7.6), "probe_diameter": 9.0}
    return Health(**rest | some | text | empty | known | {"data": p.data, "frames": look_at_frames(p.data)})


def of_slices(p):
    """Return a state with the object of another as the first of two slices; the second one is a lens."""
    q = opty.PtychoState(p.data, p.numpy("probe"), model="Slices(2, spacing=1e-6)", device="cpu")
    row, column = np.indices(q.obj.shape[1:]) - 25.0
    first = np.ones(q.obj.shape[1:], np.complex64)
    part = p.numpy("obj")[: len(first), : first.shape[1]]
    first[: len(part), : part.shape[1]] = part
    return q.replace(obj=np.stack([first, np.exp(-1e-3j * (row**2 + column**2))]))


def varying(p):
    """Return a state with a probe that varies: of another's modes."""
    q = opty.PtychoState(p.data, p.numpy("probe")[:1], model="Object() * Probe(variable=2)", device="cpu")
    weights = np.stack([np.sin(np.arange(p.data.views) / 5), np.cos(np.arange(p.data.views) / 3)], axis=1)
    return q.replace(leaves={"opr_modes": p.numpy("probe")[1:3], "opr_weights": 0.2 * weights})


def hills(p):
    """Return the thickness of a sample like that of the state, with a vacuum in its lower right."""
    return thickness(p, delta=1e-3, beta=1e-3, vacuum=np.s_[30:44, 35:50])


PICTURES = {
    "obj": lambda p: plot.obj(p),
    "magnitude": lambda p: plot.magnitude(p),
    "phase": lambda p: plot.phase(p),
    "probe": lambda p: plot.probe(p),
    "positions": lambda p: plot.positions(p),
    "history": lambda p: plot.history(p),
    "overview": lambda p: plot.overview(p),
    "demo_figure": lambda p: plot.demo_figure(p),
    "data": lambda p: plot.data(p),
    "frames": lambda p: plot.frames(p, [0, 5, 7]),
    "fit": lambda p: plot.fit(p),
    "pattern": lambda p: plot.pattern(p, 3),
    "comparison": lambda p: plot.comparison(p, p),
    "caustic": lambda p: plot.caustic(p),
    "frc": lambda p: plot.frc(halves()),
    "resolution": lambda p: plot.resolution(halves()),
    "uncertainty": lambda p: plot.uncertainty(errors(p)),
    "phase_map": lambda p: plot.phase_map(hills(p).map),
    "thickness": lambda p: plot.thickness(hills(p)),
    "browse": lambda p: plot.browse(p, 5),
    "health": lambda p: plot.health(found_health(p)),
    "scan": lambda p: plot.scan(scan_overview(p.data)),
    "slices": lambda p: plot.slices(of_slices(p)),
    "variation": lambda p: plot.variation(varying(p)),
}
IN_AXES = {
    "obj": lambda p, ax: plot.obj(p, ax=ax),
    "phase": lambda p, ax: plot.phase(p, ax=ax),
    "probe": lambda p, ax: plot.probe(p, ax=ax),
    "positions": lambda p, ax: plot.positions(p, ax=ax),
    "history": lambda p, ax: plot.history(p, ax=ax),
    "overview": lambda p, ax: plot.overview(p, ax=ax),
    "data": lambda p, ax: plot.data(p, ax=ax),
    "frames": lambda p, ax: plot.frames(p, [1], ax=ax),
    "fit": lambda p, ax: plot.fit(p, ax=ax),
    "frc": lambda p, ax: plot.frc(halves(), ax=ax),
    "uncertainty": lambda p, ax: plot.uncertainty(errors(p), ax=ax),
    "phase_map": lambda p, ax: plot.phase_map(hills(p).map, ax=ax),
    "thickness": lambda p, ax: plot.thickness(hills(p), ax=ax),
    "scan": lambda p, ax: plot.scan(scan_overview(p.data), ax=ax),
}


def drawn(figure):
    """Return a picture as grey levels (H, W) from 0 to 1, without its texts, which differ from machine to machine."""
    for text in figure.findobj(matplotlib.text.Text):
        text.set_visible(False)
    figure.set_layout_engine("none")
    figure.set_size_inches((np.floor(figure.get_size_inches() * DOTS + 1e-6) + 0.25) / DOTS)
    figure.set_dpi(DOTS)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].mean(axis=-1) / 255


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_as_it_was(make_state, name):
    found = drawn(PICTURES[name](make_state()))
    expected = plt.imread(MADE / f"{name}.png")[..., 0]
    assert found.shape == expected.shape
    assert np.abs(found - expected).mean() < TOLERANCE
    assert np.abs(found[::-1] - expected).mean() > 2 * np.abs(found - expected).mean()


def test_every_picture_has_a_test():
    """A function that draws has a picture to compare with, and takes axes; a browser has a window of its own."""
    tools = {"figure_format", "save_figure", "scale_bar", "phase_as_hue"}
    assert set(plot.__all__) - tools == set(PICTURES)
    assert {path.stem for path in MADE.glob("*.png")} == set(PICTURES)
    without = {name for name in PICTURES if "ax" not in inspect.signature(getattr(plot, name)).parameters}
    assert without == {"browse"}


def test_a_letter_stands_upright(make_state):
    """Row 0 is on top and column 0 on the left, of object and detector."""
    p = make_state(refined=False)
    obj = np.ones(p.obj.shape, np.complex64)
    obj[:44, 8:52] += letter(44)
    axes = plot.magnitude(p.replace(obj=obj)).axes[0]
    image = axes.images[0]
    left, right, bottom, top = image.get_extent()
    assert (left < right, top < bottom) == (True, True)
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    shown = np.asarray(image.get_array())
    first_row, first_column = round(top + 0.5), round(left + 0.5)
    part = np.abs(obj)[first_row : first_row + shown.shape[0], first_column : first_column + shown.shape[1]]
    assert np.array_equal(shown[~np.ma.getmaskarray(image.get_array())], part[~np.ma.getmaskarray(image.get_array())])
    counts = np.stack([100 * letter(16) + 1] * 9)
    scan = opty.PtychoData(counts, np.random.default_rng(0).uniform(0, 9, (9, 2)))
    for figure in (plot.data(scan), scan.plot(), plot.frames(scan, [2])):
        assert np.allclose(figure.axes[0].images[0].get_array(), counts[0])


@pytest.mark.parametrize("name", IN_AXES)
def test_draws_where_it_is_asked_to(make_state, name):
    fig, (left, right) = plt.subplots(1, 2)
    assert IN_AXES[name](make_state(), right) is fig
    assert left in fig.axes
    assert len(fig.axes) > 1
    assert fig._suptitle is None


def test_what_is_no_axes_is_refused(make_state):
    p = make_state()
    with pytest.raises(TypeError, match="ax is a int"):
        plot.obj(p, ax=3)
    free = plt.figure().add_axes((0, 0, 1, 1))
    with pytest.raises(ValueError, match="not in a grid"):
        plot.obj(p, ax=free)


def test_pyplot_shows_what_is_drawn_and_a_figure_shows_itself(make_state, monkeypatch):
    p = make_state()
    assert plot.history(p).number in plt.get_fignums()
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot")
    alone = plot.history(p)
    assert alone.canvas.manager is None
    monkeypatch.undo()
    alone.show(warn=False)
    assert alone.canvas.manager is not None


def test_headline_names_file_recipe_fit_and_date(make_state):
    from opty.plot.headline import headline

    p = make_state()
    p = opty.rPIE(alpha=0.3) * p.replace(obj=p.obj)
    said = headline(p)
    assert f"R-factor {opty.analysis.r_factor(p):.3g}" in said
    assert "rPIE(alpha=0.3)" in said
    assert " 13 iterations" in said
    assert f"{np.datetime64('today')}" in said
    shown = headline((opty.Show(every=9, path="/home/me/{iteration}.png") * opty.rPIE()) ** 2 * p)
    assert "/home" not in shown
    assert "rPIE() ** 2" in shown


@pytest.mark.slow
def test_pictures_in_a_fresh_kernel_and_show_leaves_the_lines_of_a_cell(tmp_path, monkeypatch):
    """Without %matplotlib inline: one picture a cell; Log's lines and Show's picture stay beside each other."""
    monkeypatch.delenv("MPLBACKEND", raising=False)
    make = (
        "import opty, numpy as np\n"
        "from opty import Log, Progress, Show, rPIE\n"
        "rng = np.random.default_rng(0)\n"
        "data = opty.PtychoData(rng.poisson(9, (12, 16, 16)), rng.uniform(0, 9, (12, 2)))\n"
        "p = opty.PtychoState(data, probe=np.ones((16, 16)))"
    )
    cells = [make, "opty.plot.history(p)", "q = (Show(every=2) * Log() * Progress() * rPIE()) ** 6 * p",
             "import matplotlib.pyplot as plt\nopty.plot.history(q); plt.show()", "opty.plot.history(q)",
             "opty.plot.history(q).show()", "opty.plot.obj(q);", "opty.plot.obj(q)\nopty.plot.history(q)"]  # fmt: skip
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    pictures = [sum("image/png" in out.get("data", {}) for out in cell.outputs) for cell in book.cells]
    assert pictures == [0, 1, 1, 1, 1, 1, 1, 2]
    printed = "".join(out.get("text", "") for out in book.cells[2].outputs if out.get("name") == "stdout")
    assert [line.split()[1] for line in printed.splitlines()] == ["1", "2", "3", "4", "5", "6"]


def test_hundreds_of_pictures_are_not_kept():
    assert new_figure(1, 1).canvas.manager is not None  # pyplot is here: it keeps them, as it does its own
    before = len(plt.get_fignums())
    new_figure(1, 1).close()
    assert len(plt.get_fignums()) == before

import numpy as np
import pytest
from matplotlib.quiver import Quiver

from opty import plot
from opty.plot.positions import displacements


def _arrows(axes):
    return [c for c in axes.collections if isinstance(c, Quiver)]


def test_displacements_leave_out_the_mean(make_state):
    p = make_state()
    moved, missing = displacements(p)
    assert np.allclose(moved.mean(0), 0, atol=1e-12)
    assert np.allclose(moved, missing, atol=1e-9)  # this state was refined to the truth
    shifted = p.replace(positions=p.numpy("positions") + np.array([1.5, -2.0]))
    assert np.allclose(displacements(shifted)[0], moved, atol=1e-9)


def test_arrows_of_true_positions_end_on_the_circles(make_state):
    axes = plot.positions(make_state()).axes[0]
    (arrows,) = _arrows(axes)
    circles = next(c for c in axes.collections if c.get_label() == "true")
    assert np.allclose(arrows.get_offsets() + np.c_[arrows.U, arrows.V], circles.get_offsets(), atol=1e-6)
    moved, _ = displacements(make_state())
    by = float(axes.get_title(loc="left").split("×")[1].rstrip(")")) if "×" in axes.get_title(loc="left") else 1
    assert np.allclose(np.c_[arrows.V, arrows.U], by * moved, atol=1e-6)


def test_nominal_positions_lie_at_the_middle_of_their_windows(make_state):
    p = make_state(refined=False)
    axes = plot.positions(p).axes[0]
    assert np.allclose(axes.collections[0].get_offsets()[:, ::-1], p.positions + p.data.n / 2)
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


@pytest.mark.parametrize(
    ("refined", "truth", "names"), [(False, False, ["nominal"]), (True, False, ["nominal", "refined"])]
)
def test_only_what_is_known_is_drawn(make_state, refined, truth, names):
    axes = plot.positions(make_state(refined=refined, truth=truth)).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == names
    assert len(_arrows(axes)) == refined


def test_a_refinement_shows_how_it_went(make_state):
    import opty

    p = (opty.PosCorrect(hold=0) * opty.rPIE()) ** 3 * make_state(refined=False)
    left, right = plot.positions(p).axes
    assert left.get_legend() is not None
    drawn = {line.get_label(): line.get_ydata() for line in right.lines}
    assert np.allclose(drawn["mean distance from the truth"], p.history["position_error"])
    assert np.allclose(drawn["longest step"], p.history["position_step"])
    assert len(plot.positions(make_state()).axes) == 1

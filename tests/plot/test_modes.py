import numpy as np
import pytest

from opty import plot
from opty.plot.modes import MOST_SHOWN, relative_powers


def test_hues_are_even_to_the_eye():
    """In Oklab, colours of one amplitude have one lightness, and equal steps of phase are equal steps."""
    from opty.plot import modes

    around = np.linspace(-np.pi, np.pi, 73)
    colours = plot.phase_as_hue(np.exp(1j * around))
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    oklab = np.cbrt(linear @ np.linalg.inv(modes._TO_RGB).T) @ np.linalg.inv(modes._TO_LMS).T
    assert np.ptp(oklab[:, 0]) < 0.003
    steps = np.linalg.norm(np.diff(oklab, axis=0), axis=1)
    assert steps.max() < 1.05 * steps.min()
    half = plot.phase_as_hue(np.array([1.0, 0.5]))
    assert np.allclose(half[1], half[0] / 2)


def test_a_full_turn_of_phase_gives_the_same_colour():
    around = np.exp(1j * np.linspace(-np.pi, np.pi, 721))
    colours = plot.phase_as_hue(around)
    assert np.allclose(colours[0], colours[-1], atol=1e-6)
    assert np.abs(np.diff(colours, axis=0)).max() < 0.01


def test_no_light_is_black():
    assert np.array_equal(plot.phase_as_hue(np.zeros((3, 3), np.complex64)), np.zeros((3, 3, 3)))


def test_powers_in_percent(make_state):
    fig = plot.probe(make_state(modes=3))
    labels = [text.get_text() for axes in fig.axes for text in axes.texts if "%" in text.get_text()]
    assert labels == ["75.0 %", "20.0 %", "5.0 %"]


def test_powers_add_up_to_a_hundred():
    rng = np.random.default_rng(2)
    modes = rng.standard_normal((5, 8, 8)) * (1e-3 + 1j)
    assert relative_powers(modes).sum() == pytest.approx(100)


def test_global_phase_of_a_mode_does_not_show(make_state):
    p = make_state(modes=1)
    turned = p.replace(probe=p.numpy("probe") * np.exp(2.2j))
    one, other = (plot.probe(q).axes[0].images[0].get_array() for q in (p, turned))
    assert np.allclose(one, other, atol=1e-3)


def test_many_modes_are_cut_short_and_say_so(make_state):
    p = make_state(modes=1)
    many = np.zeros((MOST_SHOWN + 4, 16, 16), np.complex64)
    many[np.arange(MOST_SHOWN + 4), np.arange(MOST_SHOWN + 4)] = 1  # a row of light each: orthogonal, of equal power
    fig = plot.probe(p.replace(probe=many))
    assert sum(bool(axes.images) and len(axes.images[0].get_array()) == 16 for axes in fig.axes) == MOST_SHOWN
    assert any(axes.get_xlabel() == "and 4 more: 25.0 %" for axes in fig.axes)


def test_powers_are_those_of_the_orthogonal_modes(make_state):
    p = make_state(modes=1)
    mode = p.numpy("probe")[0]
    fig = plot.probe(p.replace(probe=np.array([mode, mode])))  # twice the same mode is one mode
    assert [t.get_text() for axes in fig.axes for t in axes.texts if "%" in t.get_text()] == ["100.0 %", "< 0.1 %"]

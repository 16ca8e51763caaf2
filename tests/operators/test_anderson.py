"""Anderson acceleration against what it promises of a linear sweep; its memory, and what forgets it."""

import numpy as np
import pytest
from small_scans import same, scan, state

import opty
from opty import AP, After, Anderson, Sweep, ViewOperator, rPIE

LIVE = Anderson(3) * rPIE(alpha=0.3, batch=4)


class Linear(ViewOperator, reads="obj probe", writes="obj probe"):
    """A linear sweep whose fixed point is 2 in object and probe: each pixel has one of three rates."""

    def apply(self, s, b):
        for name in ("obj", "probe"):
            image = getattr(s, name)
            rates = s.xp.asarray([0.3, 0.6, 0.9])[s.xp.arange(image.size).reshape(image.shape) % 3]
            image += rates * (2 - image)


class Order(ViewOperator, reads="delta"):
    """Notes the views in the order in which they come."""

    def apply(self, s, b):
        for number in b.number:
            s.record("order", int(number))


def orders(recipe, p, sweeps):
    return np.array((recipe**sweeps * p).history["order"]).reshape(sweeps, -1)


def test_a_linear_sweep_of_three_rates_is_solved_by_four():
    p = state(scan(modes=2), dtype="complex128")
    sweep = Sweep(Anderson(4) * Linear(), batch="all")
    off = [abs((sweep**count * p).obj - 2).max() for count in (3, 4)]
    assert off[0] > 1e-2
    assert off[1] < 1e-4  # what the ridge leaves
    assert abs((Sweep(Linear(), batch="all") ** 4 * p).obj - 2).max() > 0.2


def test_its_sweeps_have_the_same_batches():
    p = state(scan())
    first, *others = orders(Order() * LIVE, p, 3)
    assert all((other == first).all() for other in others)
    free, second, *others = orders(After(2, Anderson(3)) * Order() * rPIE(batch=4), p, 4)
    assert (free != second).any()
    assert (second != others[0]).any()  # After(2): from iteration 3 on
    assert (others[0] == others[1]).all()
    assert "in random order, the same in each sweep" in str(LIVE.explain(p))


def test_it_resumes_and_other_engines_drop_its_memory():
    p = state(scan())
    q = LIVE**5 * p
    assert same(LIVE**2 * (LIVE**3 * p), q)
    assert {"kept_made_obj_2", "kept_change_probe_0", "kept_sweeps"} <= set(q.slots)
    assert not [name for name in (rPIE() * q).slots if name.startswith("kept_")]
    assert (Anderson(5) * rPIE(batch=4) * q).numpy("kept_sweeps").tolist() == [1, 3, 5]  # another memory begins anew


@pytest.mark.filterwarnings("ignore::opty.MisfitWarning")
def test_a_misfit_that_rises_makes_it_forget():
    p = state(scan())
    q = LIVE**4 * p
    assert q.numpy("kept_sweeps")[0] == 3
    worse = LIVE**2 * q.replace(positions=q.positions + np.random.default_rng(3).integers(-2, 3, q.positions.shape))
    assert worse.history["misfit"][-2] > worse.history["misfit"][-3]
    assert worse.numpy("kept_sweeps")[0] == 1
    assert same(worse.replace(), worse)


@pytest.mark.parametrize("engine", [AP(), opty.DM()], ids=repr)
def test_engines_that_move_the_images_after_their_sweep_are_refused(engine):
    with pytest.raises(opty.RecipeError, match="left of an engine that moves them in its sweep"):
        Anderson() * engine * state(scan())


def test_it_mixes_what_is_not_fixed():
    p = state(scan())
    q = LIVE.fix("probe") ** 3 * p
    assert (q.probe == p.probe).all()
    assert not [name for name in q.slots if "probe" in name]
    with pytest.raises(ValueError, match="from 2 on"):
        Anderson(1)

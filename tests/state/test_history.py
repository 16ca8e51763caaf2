"""The record of a run: whole numbers stay whole numbers, wherever the state goes."""

import copy
import pickle

import numpy as np
import pytest
from small_scans import scan, state

import opty
from opty.state.history import Series

RECIPE = (opty.Misfit() * opty.PosModel() * opty.PosCorrectAdam() * opty.rPIE()) ** 2 * opty.ML() ** 2


class Records(opty.Operator, reads="obj"):
    """Records numbers of several kinds."""

    def apply(self, s):
        s.record("count", s.iteration)
        s.record("of_numpy", np.int32(3))
        s.record("single", np.float32(0.5))
        s.record("mixed", 3 if s.iteration < 2 else 2.5)
        s.record("zero", 0.0)


def kinds(p):
    return {name: series.dtype for name, series in p.history.items()}


@pytest.fixture(scope="module")
def q():
    return RECIPE * state(scan())


def test_iterations_are_whole_numbers_and_the_rest_is_not(q):
    found = kinds(q)
    assert {"iteration", "state_iteration", "position_iteration", "model_iteration", "llk_iteration"} <= set(found)
    for name, kind in found.items():
        assert kind == (np.int64 if name.endswith("iteration") else np.float64), name
    assert (q.history["state_iteration"] == [3, 4]).all()
    assert (q.history["llk_iteration"] == [1, 2]).all()


def test_they_stay_so_in_files_pickles_copies_and_when_a_run_goes_on(q, tmp_path):
    q.save(tmp_path / "q.h5")
    back = opty.load(tmp_path / "q.h5", device="cpu")
    for again in (back, pickle.loads(pickle.dumps(q)), copy.deepcopy(q), q.to("cpu"), q.replace(seed=3)):
        assert kinds(again) == kinds(q)
        on = RECIPE * again
        assert kinds(on) == kinds(q)
        assert (on.history["state_iteration"] == [3, 4, 7, 8]).all()
    assert kinds(state(scan())) == {}


def test_a_resumed_run(tmp_path):
    class Stops(opty.Operator):
        def apply(self, s):
            raise RuntimeError

    path = tmp_path / "q.h5"
    recipe = Stops() * opty.Save(str(path), every=2) * (opty.Misfit() * opty.rPIE()) ** 2
    with pytest.raises(RuntimeError):
        recipe * state(scan())
    half = opty.load(path, device="cpu")
    assert kinds(half)["state_iteration"] == np.int64


def test_numbers_of_a_users_own_keep_their_kind(tmp_path):
    q = (Records() * opty.ePIE()) ** 3 * state(scan())
    expected = {"count": np.int64, "of_numpy": np.int64, "single": np.float64, "mixed": np.float64, "zero": np.float64}
    assert {name: kind for name, kind in kinds(q).items() if name in expected} == expected
    assert q.history["mixed"].tolist() == [3.0, 2.5, 2.5]
    assert "count: 3 values, last 3;" in repr(q.history)
    assert "single: 3 values, last 0.5" in repr(q.history)


def test_an_empty_series():
    history = opty.state.history.History({"iteration": Series(), "misfit": Series()})
    assert history["iteration"].dtype == np.int64
    assert history["misfit"].dtype == np.float64


@pytest.mark.usefixtures("gpu")
def test_on_a_gpu(q):
    assert kinds(RECIPE * state(scan()).to("gpu")) == kinds(q)


def test_a_notebook_shows_a_table_of_the_last_iterations():
    q = opty.rPIE() ** 12 * state(scan())
    rows = q.history._repr_html_().split("<tr>")[1:]
    assert rows[0] == "<th>iteration</th><th>misfit</th></tr>"
    assert len(rows) == 11
    assert rows[-1].startswith(f"<td>12</td><td>{q.history['misfit'][-1]:.4g}</td></tr>")

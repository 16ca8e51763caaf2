"""RemoveVortices: what has none stays to the bit, what has some closes, and runs that were stuck go on."""

import numpy as np
import pytest
from small_scans import scan, state

import opty
from benchmarks import thick_phase
from opty import AP, DM, LSQML, ML, RAAR, Operator, RemoveVortices, ePIE, mPIE, rPIE
from opty.model import Slices
from opty.physics.vortices import residues, single_valued, without_vortices, wrapped
from opty.testing.operators import small_state

SHAPE = (60, 52)
ROW, COLUMN = np.indices(SHAPE).astype(float)
LIT = np.ones(SHAPE)


def thick(span=20.0):
    """A phase that spans three turns, with detail of 0.3 rad."""
    rng = np.random.default_rng(3)
    broad = np.exp(-((ROW - 30) ** 2 + (COLUMN - 22) ** 2) / (2 * 13**2))
    fine = np.fft.ifft2(np.fft.fft2(rng.normal(size=SHAPE)) * low_pass()).real
    return span * broad + 0.3 * fine / fine.std()


def low_pass():
    rows, columns = (np.fft.fftfreq(size) for size in SHAPE)
    return np.exp(-30 * (rows[:, None] ** 2 + columns**2))


def vortex(row, column, sign):
    """A wave that goes round a place once, and is dark there."""
    z = (ROW - row) + 1j * sign * (COLUMN - column)
    return z / np.sqrt(abs(z) ** 2 + 1)


def around(image, known=LIT > 0):
    return int(residues(np.angle(image), known).sum())


def test_a_thick_phase_comes_out_unwrapped():
    u = thick()
    assert np.ptp(u) > 6 * np.pi
    found = single_valued((1.3 - 0.01 * u) * np.exp(1j * u), LIT)
    apart = (found - u) / (2 * np.pi)
    assert abs(apart - np.rint(apart.mean())).max() < 1e-4


def test_it_is_the_weighted_least_squares_phase():
    rng = np.random.default_rng(7)
    shape = (7, 6)
    image = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    weight = rng.uniform(0.2, 1, shape)
    power = abs(image) ** 2
    square = (weight * power / (power + 0.1 * (power * weight).sum() / weight.sum())) ** 2
    number = np.arange(42).reshape(shape)
    pairs = [*zip(number[:-1].ravel(), number[1:].ravel(), strict=True)]
    pairs += [*zip(number[:, :-1].ravel(), number[:, 1:].ravel(), strict=True)]
    steps, target = np.zeros((len(pairs), 42)), np.zeros(len(pairs))
    for k, (a, b) in enumerate(pairs):
        root = np.sqrt(min(square.flat[a], square.flat[b]) + 1e-4)
        steps[k, a], steps[k, b] = -root, root
        target[k] = root * wrapped(np.angle(image).flat[b] - np.angle(image).flat[a])
    expected = np.linalg.lstsq(steps, target, rcond=None)[0].reshape(shape)
    found = single_valued(image, weight)
    assert abs((found - found.mean()) - (expected - expected.mean())).max() < 1e-3


def test_an_image_without_vortices_is_given_back():
    image = np.exp(1j * thick())
    closed, count = without_vortices(image, LIT)
    assert count == 0
    assert closed is image


def test_a_pair_of_vortices_closes():
    u = thick()
    image = np.exp(1j * u) * vortex(20.5, 14.5, 1) * vortex(33.5, 30.5, -1)
    assert around(image) == 2
    closed, count = without_vortices(image, LIT)
    assert count == 2
    assert around(closed) == 0
    assert abs(image[20, 14]) < 0.6
    assert abs(closed[20, 14]) > 1.1 * abs(image[20, 14])  # waves cancelled there
    far = (np.hypot(ROW - 20.5, COLUMN - 14.5) > 20) & (np.hypot(ROW - 33.5, COLUMN - 30.5) > 20)
    assert np.allclose(abs(closed[far]), abs(image[far]))
    smooth = np.angle(closed * np.exp(-1j * u))
    assert abs(np.diff(np.unwrap(smooth, axis=0), axis=0)).max() < 0.5  # no cut between the two


def test_vortices_in_the_dark_do_not_count():
    image = np.exp(1j * thick()) * vortex(20.5, 6.5, 1)
    weight = np.where(COLUMN < 12, 0.1, 1.0)
    assert around(image) == 1
    assert without_vortices(image, weight) == (image, 0)


class Wind(Operator, reads="obj", writes="obj"):
    """Puts a pair of vortices into the middle of the object."""

    def apply(self, s):
        rows, columns = np.indices(s.object_shape) - np.array(s.object_shape)[:, None, None] // 2 + 0.5
        z = ((rows + 3) + 1j * (columns + 4)) * ((rows - 3) - 1j * (columns - 3))
        s.obj *= s.xp.asarray((z / np.sqrt(abs(z) ** 2 + 1)).astype(s.dtype))


@pytest.fixture
def wound():
    """A state whose object has a pair of vortices in the light."""
    return Wind() * state(scan(span=24, views=30))


def test_the_object_closes_and_history_counts(wound):
    q = RemoveVortices() * wound
    assert q.history["vortices"].tolist() == [2]
    assert (q.probe == wound.probe).all()
    assert abs(q.obj - wound.obj).max() > 0.3
    again = RemoveVortices() * q
    assert again.history["vortices"].tolist() == [2, 0]
    assert (again.obj == q.obj).all()


def test_memory_of_the_object_goes_only_where_it_changes():
    quiet = LSQML(batch=4) ** 2 * state(scan())
    kept, gone = (RemoveVortices() * quiet).slots, (RemoveVortices() * Wind() * quiet).slots
    assert (kept["kept_obj_velocity"] == quiet.slots["kept_obj_velocity"]).all()
    assert "kept_obj_velocity" not in gone
    assert "kept_probe_velocity" in gone


@pytest.mark.parametrize("engine", [rPIE(), ePIE(), mPIE(), LSQML(), ML(), AP(), DM(), RAAR()], ids=repr)
def test_every_engine_goes_on_from_there(engine):
    p = engine**2 * state(scan())
    q = engine**12 * RemoveVortices() * Wind() * p
    assert q.history["vortices"][0] >= 1
    assert opty.misfit(q) < 0.5 * opty.misfit(RemoveVortices() * Wind() * p)


def test_each_slice_closes_by_itself():
    p = small_state(Slices(2, spacing=5e-7))
    rows, columns = np.indices(p.obj.shape[-2:])
    middle = (size / 2 + 0.5 for size in p.obj.shape[-2:])
    z = (rows - next(middle)) + 1j * (columns - next(middle))
    p = p.replace(obj=np.stack([np.exp(0.1j * rows), np.ones(rows.shape) * z / np.sqrt(abs(z) ** 2 + 1)]))
    q = RemoveVortices() * p
    assert q.history["vortices"].tolist() == [1]
    assert (q.obj[0] == p.obj[0]).all()
    assert abs(q.obj[1] - p.obj[1]).max() > 0.5


def test_on_a_gpu_it_is_the_same(wound, standin_gpu):
    there = RemoveVortices() * wound.to("gpu")
    assert abs(there.to("cpu").obj - (RemoveVortices() * wound).obj).max() < 5e-3  # of the conjugate gradients


@pytest.mark.parametrize(
    ("kind", "seed", "engine"),
    [("balls", 2, "ML()"), pytest.param("hills", 3, "LSQML(batch=8)", marks=pytest.mark.slow)],
)
def test_runs_of_a_thick_sample_that_were_stuck_go_on(kind, seed, engine):
    """The probe moves in one simulation, the sample in the other; counted photons, fractions of a pixel."""
    p, truth = thick_phase.drawn(kind, seed)
    assert np.ptp(truth(np.zeros(2))) > 4 * np.pi
    plain, closed = (
        thick_phase.judged(opty.parse(f"({turn}) ** 120") * p, truth)
        for turn in (engine, f"{thick_phase.CLOSED} * {engine}")
    )
    assert closed["turns_off"] == 0 < plain["turns_off"]
    assert closed["error"] < 0.2 < 0.6 < plain["error"]  # rad
    assert closed["misfit"] < 0.7 * plain["misfit"]

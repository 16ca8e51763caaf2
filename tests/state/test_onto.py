"""p.onto(data): other data of the same sample, begun with object and probe of a state."""

import numpy as np
import pytest
from small_scans import scan

import opty
from opty import AP, Geometry, PtychoData, PtychoState
from opty.analysis import fit
from opty.data.parts import chosen
from opty.model import Slices
from opty.operators import CentreProbe


@pytest.fixture
def whole():
    return scan(24, span=30)


@pytest.fixture
def first(whole):
    return chosen(whole, np.flatnonzero(whole.positions[:, 0] < 20))


@pytest.fixture
def seen(first):
    return AP() ** 8 * PtychoState(first, dtype="complex128", device="cpu")


def views_of(first, whole):
    """Where the views of a part are among all of them."""
    return [int(np.flatnonzero((whole.positions == place).all(axis=1))[0]) for place in first.positions]


def test_shared_views_are_predicted_as_before(seen, first, whole):
    p = seen.onto(whole)
    assert p.data is whole
    assert (p.dtype, p.iteration) == (np.complex128, 0)
    np.testing.assert_allclose(fit(p).misfit[views_of(first, whole)], fit(seen).misfit, rtol=1e-9)
    unseen = fit(p).misfit
    assert unseen.max() > 3 * fit(seen).misfit.max()  # the object is one there


def test_a_frame_that_moved_by_a_fraction_stays_in_step(seen, first, whole):
    """CentreProbe moves object, probe and all windows: the offset from the data's positions is no whole number then."""
    centred = CentreProbe() * seen
    assert abs(centred.origin - np.rint(centred.origin)).max() > 1e-3
    p = centred.onto(whole)
    np.testing.assert_allclose(fit(p).misfit[views_of(first, whole)], fit(centred).misfit, rtol=1e-9)


def test_it_is_ahead_of_a_new_start(seen, whole):
    ahead, anew = (AP() ** 4 * p for p in (seen.onto(whole), PtychoState(whole, dtype="complex128", device="cpu")))
    assert opty.misfit(ahead) < 0.8 * opty.misfit(anew)


def test_fewer_views_can_follow_more(whole, first):
    p = AP() ** 4 * PtychoState(whole, dtype="complex128", device="cpu")
    np.testing.assert_allclose(fit(p.onto(first)).misfit, fit(p).misfit[views_of(first, whole)], rtol=1e-9)


def with_geometry(data, pixel=1e-8):
    """The same views, positions in metres, with a pixel of the object."""
    geometry = Geometry(wavelength=1e-9, distance=data.n * pixel * 50e-6 / 1e-9, pixel_size=50e-6)
    return PtychoData(data.intensities, data.positions_px * geometry.sample_pixel(data.n), geometry=geometry)


def test_numbers_of_the_model_go_along(whole, first):
    p = PtychoState(with_geometry(first), model=Slices(2, spacing=1e-6), device="cpu")
    p = p.replace(leaves={"spacing": [3e-6]})
    q = p.onto(with_geometry(whole))
    assert q.model == p.model
    assert q.numpy("spacing").tolist() == [3e-6]
    assert q.obj.shape[0] == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: PtychoData(d.intensities[:, 2:-2, 2:-2], d.positions), "patterns of 12 x 12 do not go onto a state"),
        (lambda d: d.replace(positions=d.positions + 500), "share no pixel with it: positions of both"),
    ],
)
def test_what_does_not_fit_is_refused(seen, whole, change, message):
    with pytest.raises(ValueError, match=message):
        seen.onto(change(whole))


def test_another_pixel_is_refused(first, whole):
    p = PtychoState(with_geometry(first), device="cpu")
    with pytest.raises(ValueError, match="a pixel of the object is 2e-08 m in these data and 1e-08 m in the state"):
        p.onto(with_geometry(whole, 2e-8))

"""ScaleObjProbe and Orthogonalise fix freedoms of the problem and change nothing else."""

import numpy as np
import pytest
from by_hand import View
from small_scans import same, scan, state

import opty
from opty import DM, Orthogonalise, ScaleObjProbe, ePIE


def predicted(p):
    return [sum(abs(np.fft.fft2(w, norm="ortho")) ** 2 for w in View(p, j).waves) for j in range(p.data.views)]


@pytest.mark.parametrize("mask", [0, 2, 3])
@pytest.mark.parametrize("background", [False, True])
def test_scale_makes_predicted_photons_the_measured_ones(mask, background):
    p = state(scan(views=4, modes=2, mask=mask, background=background), dtype="complex128")
    p = p.replace(obj=3 * p.obj, probe=0.2 * p.probe)
    q = ScaleObjProbe() * p
    seen = 0.0
    measured = 0.0
    for j, intensity in enumerate(predicted(q)):
        v = View(q, j)
        seen += (v.mask * (np.fft.fftshift(intensity) + v.dark)).sum()
        measured += (v.mask * v.intensity).sum()
    assert seen == pytest.approx(measured, rel=1e-9)


def test_scale_splits_without_changing_a_pattern(p):
    q = ScaleObjProbe() * p
    again = ScaleObjProbe() * q.replace(obj=5 * q.obj, probe=q.probe / 5)
    assert opty.misfit(again) == pytest.approx(opty.misfit(q), rel=1e-5)
    assert abs(again.obj - q.obj).max() < 1e-5
    assert abs(again.probe - q.probe).max() < 1e-5 * abs(q.probe).max()
    ratio = q.obj / p.obj
    assert abs(ratio - ratio[0, 0]).max() < 1e-5
    light = np.zeros(q.obj.shape)
    for j in range(q.data.views):
        v = View(q, j)
        light[v.where] += abs(v.illum[0]) ** 2
    assert (light * abs(q.obj)).sum() / light.sum() == pytest.approx(1, rel=1e-5)


def gram(probe):
    flat = probe.reshape(len(probe), -1).astype(complex)
    return flat.conj() @ flat.T


@pytest.mark.parametrize("fractional", [False, True])
def test_orthogonalise(fractional):
    p = state(scan(views=4, modes=3, fractional=fractional), dtype="complex128")
    mix = np.array([[1, 0.3j, 0.2], [0.5, 1, -0.4], [0.1j, 0.2, 0.7]])
    p = p.replace(probe=np.einsum("ab,bij->aij", mix, p.probe))
    q = Orthogonalise() * p
    g = gram(q.probe)
    assert abs(g - np.diag(np.diag(g))).max() < 1e-9 * abs(g).max()
    powers = np.diag(g).real
    assert (np.diff(powers) < 0).all()
    assert np.allclose(np.sort(powers), np.linalg.eigvalsh(gram(p.probe)), rtol=1e-9)
    for a, b in zip(predicted(p), predicted(q), strict=True):
        assert abs(a - b).max() < 1e-9 * a.max()
    twice = Orthogonalise() * q
    assert abs(twice.probe - q.probe).max() < 1e-9 * abs(q.probe).max()


def test_orthogonalise_one_mode_is_nothing(p):
    assert abs((Orthogonalise() * p).probe - p.probe).max() < 1e-6 * abs(p.probe).max()


def test_orthogonalise_takes_the_kept_waves_with_it():
    p = DM() * state(scan(views=4, modes=3), dtype="complex128")
    q = Orthogonalise() * p
    for j in range(4):
        # psi_a = P_a O on both sides of the turn: the same combination of modes.
        turn = np.linalg.lstsq(p.probe.reshape(3, -1).T, q.probe.reshape(3, -1).T, rcond=None)[0].T
        expected = np.einsum("ab,bij->aij", turn, p.slots["kept_waves"][j])
        assert abs(q.slots["kept_waves"][j] - expected).max() < 1e-8 * abs(expected).max()
    a, b = DM() * p, Orthogonalise() * DM() * q
    assert opty.misfit(a) == pytest.approx(opty.misfit(b), rel=1e-6)


def test_constraints_between_iterations(p):
    q = (ScaleObjProbe() * opty.Every(2, Orthogonalise()) * ePIE()) ** 4 * p
    assert q.iteration == 4
    assert q.history["misfit"][-1] < q.history["misfit"][0]
    assert same(
        q,
        (ScaleObjProbe() * opty.Every(2, Orthogonalise()) * ePIE()) ** 2
        * ((ScaleObjProbe() * opty.Every(2, Orthogonalise()) * ePIE()) ** 2 * p),
    )

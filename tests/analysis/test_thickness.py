"""Phase maps and thickness of known phantoms, to a percent; what no data tell is told, and wrong input refused."""

import sys

import numpy as np
import pytest

import opty
from opty.analysis import phase_map, thickness
from opty.analysis.illumination import lit_area
from opty.geometry import interaction_constant

LAMBDA, DELTA, BETA = 1.5e-10, 4e-5, 8e-6
GEOMETRY = opty.Geometry(wavelength=LAMBDA, distance=2.0, pixel_size=75e-6)
SHAPE = (90, 110)
VACUUM = np.s_[12:80, 10:30]
ROW, COLUMN = np.indices(SHAPE)


def wedge(high=3e-5):
    """Return the thickness [m] of a wedge that begins at column 32: several turns of the phase."""
    return high * np.clip(COLUMN - 32, 0, None) / 70 * (1 + 0.2 * np.sin(ROW / 9))


def transmitted(t, delta=DELTA, beta=BETA):
    return np.exp(-2 * np.pi / LAMBDA * t * (1j * delta + beta))


def measured(obj, noise=0.03, ramp=(0.9, -1.3), geometry=GEOMETRY, seed=0, model=None):
    """Return a state with this object, times what no data tell, and noise; it lights all but the edges."""
    n, rng = 16, np.random.default_rng(seed)
    corners = np.stack(np.meshgrid(np.arange(0, 75, 4.0), np.arange(0, 95, 4.0), indexing="ij"), -1).reshape(-1, 2)
    pixel = 1.0 if geometry is None else geometry.sample_pixel(n)
    data = opty.PtychoData(np.ones((len(corners), n, n)), corners * pixel, geometry)
    x = np.arange(n) - n / 2 + 0.5
    probe = np.exp(-((np.hypot(x[:, None], x) / 7) ** 8)).astype(complex)
    extra = {} if model is None else {"model": model}
    p = opty.PtychoState(data, probe=probe, device="cpu", threads=1, **extra)
    unknown = 1.7 * np.exp(1j * (2.5 + ramp[0] * ROW + ramp[1] * COLUMN))
    obj = obj * (unknown if obj.ndim == 2 else np.stack([unknown] + [np.ones(SHAPE)] * (len(obj) - 1)))
    obj = obj * (1 + noise * (rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE)))
    top, left = np.rint(p.origin).astype(int)
    framed = np.ones(p.numpy("obj").shape, complex)
    framed[..., top : top + SHAPE[0], left : left + SHAPE[1]] = obj[
        ..., : framed.shape[-2] - top, : framed.shape[-1] - left
    ]
    return p.replace(obj=framed), (top, left)


def at(vacuum, origin):
    return tuple(slice(part.start + o, part.stop + o) for part, o in zip(vacuum, origin, strict=True))


def seen(image, found, origin):
    """Return what of an image (H, W) the map shows, with NaN where it shows nothing."""
    framed = np.pad(image, 60, constant_values=np.nan)
    top, left = (60 + c - o for c, o in zip(found.corner, origin, strict=True))
    rows, columns = found.phase.shape
    return framed[top : top + rows, left : left + columns]


def test_a_wedge_of_several_turns_is_as_thick_as_it_is():
    t = wedge()
    assert 2 * np.pi / LAMBDA * DELTA * t.max() > 6 * np.pi
    p, origin = measured(transmitted(t))
    found = thickness(p, delta=DELTA, beta=BETA, vacuum=at(VACUUM, origin))
    true = seen(t, found.map, origin)
    both = np.isfinite(found.from_phase)
    assert both.sum() == lit_area(p).sum()
    for image, noise in ((found.from_phase, found.noise[0]), (found.from_transmission, found.noise[1])):
        assert (image[both] * true[both]).sum() / (true[both] ** 2).sum() == pytest.approx(1, abs=0.01)
        assert np.std(image[both] - true[both]) == pytest.approx(noise, rel=0.1)
    assert found.noise[0] == pytest.approx(0.03 * LAMBDA / (2 * np.pi * DELTA), rel=0.1)
    assert np.abs(np.mean((found.from_phase - true)[both])) < 0.01 * t.max()
    assert found.map.slopes == pytest.approx((0.9, -1.3), abs=2e-3)
    assert found.ratio == pytest.approx(1, abs=0.01)
    assert found.map.residues == 0
    assert np.nanmedian(found.map.magnitude[found.map.vacuum]) == pytest.approx(1)
    assert "fitted to" in str(found)
    assert "not known" not in str(found)
    assert thickness(p, delta=DELTA, beta=2 * BETA, vacuum=at(VACUUM, origin)).ratio == pytest.approx(0.5, abs=0.01)


def test_the_error_of_the_background_is_as_told():
    """The plane in the worst corner of the map, over repetitions of the noise, from a small vacuum."""
    off, told = [], []
    for seed in range(12):
        p, origin = measured(np.ones(SHAPE), 0.1, seed=seed)
        found = phase_map(p, at(np.s_[30:55, 20:45], origin))
        row, column = (np.arange(n) - (n - 1) / 2 for n in found.phase.shape)
        left = np.angle(np.exp(1j * (found.phase - seen(np.zeros(SHAPE), found, origin))))
        ok = np.isfinite(left)
        design = np.stack(
            [
                np.ones(SHAPE[0] * SHAPE[1])[: ok.sum()],
                *(np.broadcast_to(a, ok.shape)[ok] for a in (row[:, None], column[None])),
            ]
        )
        plane = np.linalg.lstsq(design.T, left[ok], rcond=None)[0]
        off.append(plane @ [1, row[-1], column[-1]])
        told.append(found.background_error)
    assert np.sqrt(np.mean(np.square(off))) == pytest.approx(np.mean(told), rel=0.5)


def test_without_a_vacuum_an_empty_majority_serves():
    """Steep islands on a flat background, one eighth of the area; a least-squares plane would be off by 0.3 rad."""
    islands = 1.5 * (np.hypot(ROW - 30, COLUMN - 40) < 14) + 2 * (np.hypot(ROW - 60, COLUMN - 75) < 12)
    p, origin = measured(np.exp(-1j * islands), 0.02)
    found = phase_map(p)
    off = found.phase - seen(-islands, found, origin)
    assert np.nanmax(np.abs(np.nanmean(off))) < 0.005
    assert found.slopes == pytest.approx((0.9, -1.3), abs=1e-3)
    assert "give vacuum=" in str(found)
    with pytest.raises(ValueError, match="beta needs a vacuum"):
        thickness(p, beta=BETA)


def test_background_constant_and_none_leave_the_ramp():
    p, origin = measured(np.ones(SHAPE), 0.0, ramp=(0.02, -0.01))
    for background in ("constant", "none"):
        found = phase_map(p, at(VACUUM, origin), background)
        assert np.nanmax(np.abs(np.diff(found.phase, axis=0) - 0.02)) < 1e-5
        assert np.nanmax(np.abs(np.diff(found.phase, axis=1) + 0.01)) < 1e-5
        assert found.slopes == (0, 0)
        assert "a ramp of the phase, which is in the map" in str(found)
    assert np.median(phase_map(p, at(VACUUM, origin), "constant").phase[found.vacuum]) == pytest.approx(0, abs=0.02)


def test_electrons_see_a_potential():
    """sigma of Kirkland's table: 0.00652614 rad/(V nm) at 300 kV."""
    assert interaction_constant(300e3) == pytest.approx(6.526e6, rel=1e-3)
    assert interaction_constant(100e3) == pytest.approx(9.244e6, rel=1e-3)
    t = wedge(3e-7)
    geometry = opty.Geometry.from_reciprocal(1e-3, voltage=300e3)
    p, origin = measured(np.exp(1j * interaction_constant(300e3) * 17 * t), geometry=geometry)
    vacuum = at(VACUUM, origin)
    found = thickness(p, potential=17.0, vacuum=vacuum)
    true = seen(t, found.map, origin)
    assert np.nansum(found.from_phase * true) / np.nansum(true**2 + 0 * found.from_phase) == pytest.approx(1, abs=0.01)
    assert found.from_transmission is None
    assert np.allclose(found.map.potential, 17 * found.from_phase, equal_nan=True)
    with pytest.raises(ValueError, match="give potential="):
        thickness(p, delta=DELTA)
    with pytest.raises(ValueError, match="give potential="):
        thickness(p)


def test_phases_of_slices_are_summed():
    model = opty.model.FarField() * opty.model.Slices(2, spacing=1e-6) * opty.model.Probe()
    t = wedge()
    p, origin = measured(np.stack([transmitted(0.5 * t)] * 2), model=model)
    found = thickness(p, delta=DELTA, vacuum=at(VACUUM, origin))
    true = seen(t, found.map, origin)
    assert np.nansum(found.from_phase * true) / np.nansum(true**2 + 0 * found.from_phase) == pytest.approx(1, abs=0.01)
    assert "phases are summed" in str(found)


def test_residues_are_told():
    vortex = np.exp(1j * np.arctan2(ROW - 44.5, COLUMN - 54.5))
    p, _ = measured(vortex, 0.0, ramp=(0, 0))
    found = phase_map(p, background="none")
    assert found.residues == 1
    assert "residues" in found.lines()


def test_parts_without_contact_are_left_out():
    """Their phases differ by an unknown part of 2 pi: the map holds the part with the vacuum, else the largest."""
    p, _ = measured(np.ones(SHAPE))
    positions = p.numpy("positions")
    large = positions[:, 1] < positions[:, 1].mean() + 4
    small = positions[:, 1] > positions[:, 1].mean() + 24
    q = opty.PtychoState(
        p.data.replace(intensities=p.data.intensities[large | small], positions=p.data.positions[large | small]),
        probe=p.numpy("probe"),
        device="cpu",
        threads=1,
    )
    found, lit = phase_map(q), lit_area(q)
    assert 0 < found.left_out < 0.5 * lit.sum()
    assert found.left_out + np.isfinite(found.phase).sum() == lit.sum()
    assert "apart from the rest" in str(found)
    last = np.flatnonzero(lit.any(axis=0))[-1]
    other = phase_map(q, np.s_[:, last - 8 : last + 1])
    assert np.isfinite(other.phase).sum() == found.left_out


def test_without_scikit_image_the_extra_is_named(monkeypatch):
    p, _ = measured(np.ones(SHAPE))
    monkeypatch.setitem(sys.modules, "skimage.restoration", None)
    with pytest.raises(ImportError, match=r"opty-ptycho\[images\]"):
        phase_map(p)


def test_refusals_name_value_and_remedy():
    p, origin = measured(np.ones(SHAPE))
    vacuum = at(VACUUM, origin)
    refused = {
        "delta is 0; give the number": dict(delta=0),
        "delta is nan": dict(delta=float("nan")),
        r"delta is 0\.99996, an index of refraction: give delta = 1 - n, such as 4e-05": dict(delta=0.99996),
        "beta is -1; give a positive number": dict(beta=-1, vacuum=vacuum),
        "potential=17.0 is for electrons": dict(potential=17.0),
        "the material is missing: give delta=": {},
        "background is 'tilt'; choose one of plane": dict(delta=DELTA, background="tilt"),
        "the vacuum has 0 lit pixels: give at least 16 within the lit area, rows": dict(
            delta=DELTA, vacuum=np.s_[0:1, 0:1]
        ),
        "a line of pixels.*background='constant'": dict(delta=DELTA, vacuum=(slice(40, 41), slice(20, 60))),
        "vacuum has the shape": dict(delta=DELTA, vacuum=np.ones((3, 3), bool)),
    }
    for message, given in refused.items():
        with pytest.raises(ValueError, match=message):
            thickness(p, **given)
    dark = p.numpy("obj").copy()
    dark[vacuum] = 0
    with pytest.raises(ValueError, match="give another vacuum"):
        phase_map(p.replace(obj=dark), vacuum)
    with pytest.raises(TypeError, match="give rows and columns"):
        phase_map(p, (10, 60, 20, 200))
    with pytest.raises(ValueError, match=r"Geometry\(voltage"):
        _ = phase_map(p).potential
    bare, _ = measured(np.ones(SHAPE), geometry=None)
    with pytest.raises(ValueError, match="no wavelength: give it a geometry"):
        thickness(bare, delta=DELTA)
    assert phase_map(bare).pixel is None

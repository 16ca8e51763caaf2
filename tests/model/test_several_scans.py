"""Several scans of one object: joined to one measurement, each with a probe of its own."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from small_scans import scan, state
from thick_scene import GEOMETRY

import opty
from opty import AP, LSQML, ML, Coarse, ScaleObjProbe, ePIE, mPIE, rPIE
from opty.analysis import scan_probes
from opty.analysis.halves import in_halves
from opty.model import Object, Probe, Slices
from opty.simulate import experiment, objects, probes, scans
from opty.testing import check_element

N, COUNTS = 32, (36, 49, 25)
PIXEL = GEOMETRY.sample_pixel(N)
BEAMS = ((5e-6, 18), (8e-6, 15), (3.5e-6, 20))  # defocus [m] and aperture [px] of each scan
MODEL = Object() * Probe(scans=COUNTS)


def beam(defocus, aperture):
    return probes.spherical_wave(N, GEOMETRY.wavelength, PIXEL, distance=defocus, aperture=aperture * PIXEL, edge=3)


@pytest.fixture(scope="module")
def parts():
    """Return the scans, and the shift of each that puts it where it was in the object's frame [m]."""
    obj = objects.random_phase((80, 80), feature=4, phase_range=(0, 1), seed=0)
    found = []
    for k, (count, how) in enumerate(zip(COUNTS, BEAMS, strict=True)):
        edge = int(count**0.5)
        places = scans.raster((edge, edge), step=30 / edge, jitter=1, seed=k) + 6
        found.append(experiment(obj, beam(*how), places, photons=1e6, geometry=GEOMETRY, seed=k))
    return found, [(data.truth["positions"] * PIXEL - data.positions)[0] for data in found]


@pytest.fixture(scope="module")
def joint(parts):
    data, moves = parts
    truth = dict(data[0].truth) | {"positions": np.concatenate([one.truth["positions"] for one in data])}
    return opty.join(data, moves).replace(truth=truth)


def start(data, model=MODEL, **given):
    return ScaleObjProbe() * opty.PtychoState(data, probe=beam(*BEAMS[0]), model=model, **given)


def likeness(a, b):
    """Return the correlation of two probes, one moved to the other."""
    there = np.fft.ifft2(np.fft.fft2(a) * np.fft.fft2(b).conj())
    return np.abs(there).max() / np.linalg.norm(a) / np.linalg.norm(b)


@pytest.mark.parametrize("recipe", [
    rPIE(alpha=0.1, batch=4) ** 20,
    rPIE(alpha=0.1) ** 20,
    ePIE(batch=4) ** 20,
    mPIE() ** 20,
    LSQML(batch=8) ** 20,
    ML() ** 20,
    AP() ** 40,
], ids=repr)  # fmt: skip
def test_engines_find_a_probe_for_each_scan(joint, recipe):
    """One probe leaves 0.05 and more, whatever the engine."""
    q = recipe * start(joint)
    assert opty.misfit(q) < 0.012
    assert opty.misfit(recipe * start(joint, Object())) > 4 * opty.misfit(q)


def test_the_probe_of_each_scan_is_the_true_one(joint):
    """The third has 25 views, which begin far from theirs."""
    q = (ML() ** 20 * rPIE(alpha=0.1, batch=4) ** 20) * start(joint)
    alike = np.array([[likeness(found[0], beam(*how)) for how in BEAMS] for found in scan_probes(q)])
    assert alike.argmax(axis=1).tolist() == [0, 1, 2]
    assert (alike.diagonal() > (0.98, 0.98, 0.7)).all()


def test_scans_help_each_other(parts, joint):
    """The third scan starts from a probe that is far off: alone it does not come to its object."""
    recipe = rPIE(alpha=0.1, batch=4) ** 30
    alone = opty.analysis.errors(recipe * start(parts[0][2], Object()))["object"]
    together = opty.analysis.errors(recipe * start(joint))["object"]
    assert together < 0.7 * alone


def test_weights_are_known_and_stay(joint):
    p = start(joint)
    weights = p.numpy("opr_weights")
    np.testing.assert_allclose(weights.T @ weights / len(weights), np.eye(2), atol=1e-6)
    np.testing.assert_allclose(weights.mean(axis=0), 0, atol=1e-6)
    for part in np.split(weights, np.cumsum(COUNTS)[:-1]):
        assert np.ptp(part, axis=0).max() == 0
    for recipe in (rPIE() ** 7, AP() ** 7, ML() ** 7, mPIE() ** 17, LSQML() ** 7, Coarse(2, rPIE()) ** 3):
        q = recipe * p
        np.testing.assert_allclose(q.numpy("opr_weights"), weights, atol=2e-6)
        assert np.abs(q.numpy("opr_modes")).max() > 0


def test_many_scans_in_unequal_parts_stay_stable():
    """Steps of one view, of some and of all: no scan of seven runs away."""
    counts = (9, 30, 12, 25, 16, 20, 9)
    obj = objects.random_phase((80, 80), feature=4, phase_range=(0, 1), seed=0)
    data = []
    for k, count in enumerate(counts):
        places = scans.raster((6, 6), step=5, jitter=1, seed=k)[:count] + 6
        data.append(experiment(obj, beam((4 + k) * 1e-6, 16 + k % 3), places, geometry=GEOMETRY))
    moves = [(one.truth["positions"] * PIXEL - one.positions)[0] for one in data]
    for recipe in (rPIE(alpha=0.1), rPIE(alpha=0.1, batch=4), LSQML(), AP()):
        p = ScaleObjProbe() * opty.PtychoState(
            opty.join(data, moves), probe=beam(6e-6, 17), model=Object() * Probe(scans=counts)
        )
        assert opty.misfit(recipe**15 * p) < 0.2 * opty.misfit(p)


def test_saved_and_loaded(joint, tmp_path):
    q = rPIE() ** 3 * start(joint)
    opty.save(tmp_path / "q.h5", q)
    r = opty.load(tmp_path / "q.h5")
    assert r.model == q.model
    np.testing.assert_array_equal(scan_probes(r), scan_probes(q))
    np.testing.assert_array_equal((rPIE() * r).obj, (rPIE() * q).obj)


def test_half_of_the_views_has_the_same_probes(joint):
    q = rPIE(alpha=0.1, batch=4) ** 3 * start(joint)
    half, _ = in_halves(q, "views")
    np.testing.assert_array_equal(scan_probes(half), scan_probes(q))
    places = next(axes for axes in opty.plot.variation(half).axes if len(axes.lines) == len(COUNTS))
    assert sum(len(line.get_xdata()) for line in places.lines) == half.data.views


def test_element_of_scans_is_exact():
    worst = check_element(Object() * Probe(modes=2, scans=(1, 2)))
    assert max(worst.values()) < 1e-13


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: Probe(scans=(5,)), "number of views of each"),
        (lambda: Probe(scans=(5, 0)), "number of views of each"),
        (lambda: Probe(variable=1, scans=(5, 5)), "give one of the two"),
    ],
)
def test_probes_that_are_refused(made, says):
    with pytest.raises(ValueError, match=says):
        made()


def test_views_have_to_add_up(joint):
    with pytest.raises(ValueError, match=r"is of 100 views, and the measurement has 110"):
        opty.PtychoState(joint, model=Object() * Probe(scans=(50, 50)))
    with pytest.raises(ValueError, match="give the views of each scan"):
        scan_probes(opty.PtychoState(joint))


def test_joined_measurements(parts):
    (one, other, _), _ = parts
    both = opty.join([one, other])
    assert both.views == one.views + other.views
    np.testing.assert_array_equal(both.positions, np.concatenate([one.positions, other.positions]))
    np.testing.assert_array_equal(both.photons(), np.concatenate([one.photons(), other.photons()]))
    assert both.mask is None
    assert both.source is None
    assert both.geometry == one.geometry
    mask = np.ones((N, N), bool)
    mask[3, 4] = False
    assert opty.join([one.replace(mask=mask), other.replace(mask=mask)]).mask.shape == (N, N)
    each = opty.join([one.replace(mask=mask), other]).mask
    assert each.shape == (both.views, N, N)
    assert not each[: one.views, 3, 4].any()
    assert each[one.views :].all()


def test_frames_stay_in_their_files(parts, tmp_path):
    (one, other, _), _ = parts
    for name, data in (("one", one), ("other", other)):
        opty.save(tmp_path / f"{name}.h5", data)
    lazy = [opty.load(tmp_path / f"{name}.h5", stream=True) for name in ("one", "other")]
    both = opty.join([lazy[0], other, lazy[1]])
    assert both.in_file
    whole = np.concatenate([one.intensities, other.intensities, other.intensities])
    np.testing.assert_array_equal(np.asarray(both.intensities), whole)
    np.testing.assert_array_equal(both.intensities[[90, 2, 50]], whole[[90, 2, 50]])
    opty.save(tmp_path / "both.h5", both)
    with h5py.File(tmp_path / "both.h5") as f:
        np.testing.assert_array_equal(f["entry_1/instrument_1/detector_1/data"][()], whole)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda one: [one], "two or more"),
        (lambda one: [one, one.replace(geometry=None)], "one has none"),
        (
            lambda one: [one, one.replace(geometry=opty.Geometry(wavelength=2e-9, distance=0.032, pixel_size=1e-4))],
            "wavelength",
        ),
        (lambda one: [one, one.replace(background=np.ones((N, N)))], "backgrounds"),
        (lambda one: [one, one.replace(intensities=one.intensities[:, 8:24, 8:24], probe=None)], "one crop"),
    ],
)
def test_scans_that_do_not_belong_together(parts, change, says):
    with pytest.raises(ValueError, match=says):
        opty.join(change(parts[0][0]))
    with pytest.raises(TypeError, match="measurements, as"):
        opty.join([parts[0][0], "scan.h5"])
    with pytest.raises(ValueError, match="of each of the 2 scans"):
        opty.join([parts[0][0]] * 2, [(0, 0)])


def test_slices_and_scans(joint):
    """The probe of each scan stands before any sample."""
    p = opty.PtychoState(joint, probe=beam(*BEAMS[0]), model=Slices(2, spacing=1e-6) * Probe(scans=COUNTS))
    q = rPIE(alpha=0.1, batch=4) ** 8 * (ScaleObjProbe() * p)
    assert opty.misfit(q) < 0.3 * opty.misfit(p)


@pytest.mark.parametrize("recipe", [rPIE(batch=5), rPIE(), ML(), AP()], ids=repr)
def test_a_gpu_gives_the_numbers_of_numpy(gpu, recipe):
    p = state(scan(modes=2, mask=3), model=Object() * Probe(modes=2, scans=(5, 7)), dtype="complex128")
    p = rPIE(batch=4) ** 3 * p
    here, there = recipe**2 * p, recipe**2 * p.to("gpu")
    for name in ("obj", "probe", "opr_modes", "opr_weights"):
        one, other = there.numpy(name), here.numpy(name)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6 * abs(other).max())


def test_picture_shows_the_probe_of_each_scan(joint):
    q = rPIE(alpha=0.1, batch=4) ** 3 * start(joint)
    figure = opty.plot.variation(q)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    for k, found in enumerate(scan_probes(q)):
        photons = float((np.abs(found) ** 2).sum())
        assert f"scan {k + 1}: {photons:.3g} photons" in titles
    (places,) = [axes for axes in figure.axes if len(axes.lines) == len(COUNTS)]
    assert [len(line.get_xdata()) for line in places.lines] == list(COUNTS)
    np.testing.assert_array_equal(places.lines[1].get_ydata(), q.numpy("positions")[COUNTS[0] : sum(COUNTS[:2]), 0])

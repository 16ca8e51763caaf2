"""A beam inclined to what stands upright in the sample: what a tilt is, what data tell of it, and how it is found."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from thick_scene import GEOMETRY, PIXEL, SPACING, WAVELENGTH, aperture, thick_state
from upright_scene import begun, lean, off, upright

import opty
from opty import LSQML, ML, After, Every, MisfitWarning, Refine, RegisterSlices, SmoothSlices, rPIE
from opty.errors import RecipeError
from opty.model import Object, Slices
from opty.simulate import experiment

ENGINE = rPIE(alpha=0.05, batch=4)
FINDS = After(5, Every(5, RegisterSlices())) * After(20, SmoothSlices(0.25)) * ENGINE
SCENES = {  # the move of the beam from the first slice to the last [px]
    "smooth": upright("smooth", 3, (1.5, 1.5)),
    "dots": upright("dots", 4, (0.0, -2.5)),
}
NEAR = opty.Geometry(wavelength=1e-9, distance=2e-6, pixel_size=1e-8, propagation="near")


def predicted(p):
    """Return what the detector would see (N, n, n)."""
    return experiment(
        p.numpy("obj"),
        p.numpy("probe"),
        p.numpy("positions"),
        geometry=p.data.geometry,
        model=p.model,
        leaves={"tilt": p.numpy("tilt"), "spacing": p.numpy("spacing")},
    ).intensities


def apart(a, b):
    """Return by how much two stacks of patterns differ, as a share of the light."""
    return ((np.sqrt(a) - np.sqrt(b)) ** 2).sum() / b.sum()


def test_the_beam_moves_by_the_distance_times_the_tangent():
    """By whole pixels: as if the second slice had moved the other way. Between pixels: abTEM's formula, by hand."""
    gap = 8 * PIXEL**2 / WAVELENGTH
    spot = np.zeros((64, 64), np.complex128)
    spot[20:28, 30:33] = 1  # a hole in the second slice
    clear = np.ones_like(spot)

    def seen(second, across):
        tilt = tuple(float(np.arctan(px * PIXEL / gap)) for px in across)
        model = Slices(2, gap, tilt=tilt)
        return experiment(np.array([clear, second]), aperture(50.0), [[8.0, 16.0]], geometry=GEOMETRY, model=model)

    tilted = seen(spot, (2, -3)).intensities
    assert apart(tilted, seen(np.roll(spot, (-2, 3), (0, 1)), (0, 0)).intensities) < 1e-9
    assert apart(tilted, seen(spot, (0, 0)).intensities) > 0.1

    data = seen(spot, (1.4, 0.3))
    q = np.fft.fftfreq(32, PIXEL)
    free = 2 * np.pi * gap / WAVELENGTH * (np.sqrt(1 - WAVELENGTH**2 * (q[:, None] ** 2 + q**2)) - 1)
    across = -2 * np.pi * PIXEL * (1.4 * q[:, None] + 0.3 * q)
    row, col = data.truth["positions"][0].astype(int)
    wave = np.fft.ifft2(np.fft.fft2(data.truth["probe"][0]) * np.exp(1j * (free + across)))
    wave = wave * data.truth["obj"][1, row : row + 32, col : col + 32]
    far = abs(np.fft.fftshift(np.fft.fft2(wave, norm="ortho"))) ** 2
    assert apart(data.intensities[0], far) < 1e-9


@pytest.mark.parametrize("kind", SCENES)
def test_no_pattern_tells_a_tilt(kind):
    """Free slices explain the patterns as well with a wrong tilt, and then lean by what it lacks."""
    scene = SCENES[kind]
    known, ignored = (ENGINE**25 * begun(scene, tilt) for tilt in (scene[3], (0.0, 0.0)))
    way = np.tan(scene[3]) * known.spacing.sum() / PIXEL
    assert opty.misfit(ignored) < 0.03 * ignored.history["misfit"][0]
    assert abs(lean(known)).max() <= 0.15
    assert lean(ignored) == pytest.approx(-way, abs=0.2)


def test_slices_moved_by_a_tilt_make_the_same_patterns():
    scene = SCENES["smooth"]
    p = ENGINE**12 * begun(scene, dtype="complex128")
    q = RegisterSlices() * p
    assert abs(off(q, (0.0, 0.0))).max() > 1  # it moved
    assert abs(q.numpy("obj") - p.numpy("obj")).max() > 0.1
    unmoved = p.replace(leaves={"tilt": q.numpy("tilt")})
    assert apart(predicted(q), predicted(p)) < 0.05 * apart(predicted(unmoved), predicted(p))
    # What is left comes from the edges of the windows.
    assert opty.misfit(q) < 3 * opty.misfit(p)


@pytest.mark.parametrize("kind", SCENES)
def test_a_tilt_is_found_with_slices_smoothed_along_the_beam(kind):
    """To a tenth of a pixel of 2 to 2.5 px."""
    q = FINDS**40 * begun(SCENES[kind])
    assert abs(off(q, SCENES[kind][3])).max() < 0.1
    assert abs(lean(q)).max() <= 0.15
    told = q.history
    assert (told["tilt_row"][-1], told["tilt_column"][-1]) == pytest.approx(tuple(q.tilt), abs=1e-12)
    assert list(told["tilt_iteration"][:2]) == [10, 15]
    error = told["tilt_error"][-1] * q.spacing.sum() / PIXEL
    assert 0.1 * error < abs(off(q, SCENES[kind][3])).max() < 5 * error
    found = np.stack([told["tilt_row"], told["tilt_column"]], axis=1)
    change = found[-1] - found[(len(found) - 1) // 2]
    expected = np.median(told["tilt_scatter"]) ** 2 + 4 * (change**2).mean()
    assert told["tilt_error"][-1] == pytest.approx(expected**0.5, rel=1e-9)
    assert told["tilt_error"][0] == pytest.approx(told["tilt_scatter"][0], rel=1e-9)
    line = opty.analysis.geometry_report.geometry_lines(q._live.leaves, told, q.data.geometry, q.data.n)
    assert line[0].startswith(f"tilt {1e3 * q.tilt[0]:.4g}, {1e3 * q.tilt[1]:.4g} mrad (row, column) of the beam")


def test_a_tilt_that_is_still_on_its_way_is_not_sure():
    """The scatter between parts of slices that are drawn together is six times too small here."""
    scene = upright("smooth", 5, (2.5, -1.0), photons=1e5)
    q = FINDS**40 * begun(scene)
    wrong = np.sqrt((off(q, scene[3]) ** 2).mean()) * PIXEL / q.spacing.sum()
    assert wrong > 4 * q.history["tilt_scatter"][-1]
    assert 0.4 < wrong / q.history["tilt_error"][-1] < 2


def test_a_right_tilt_stays_and_a_wrong_one_comes_home():
    """Columns upright under an upright beam, begun right and with a tilt of two pixels."""
    scene = upright("dots", 5, (0.0, 0.0), photons=1e6)
    wrong = np.arctan(np.array([2.0, -1.0]) * PIXEL / sum(scene[2].sample.spacing))
    for tilt in ((0.0, 0.0), wrong):
        assert abs(off(FINDS**40 * begun(scene, tilt), (0.0, 0.0))).max() < 0.12


@pytest.mark.parametrize("engine", [LSQML(batch=8), ML("amplitude"), opty.mPIE(alpha=0.05)], ids=repr)
def test_with_every_engine(engine):
    scene = SCENES["smooth"]
    q = (After(5, Every(5, RegisterSlices())) * After(20, SmoothSlices(0.1)) * engine) ** 40 * begun(scene)
    assert abs(off(q, scene[3])).max() < 0.2
    assert q.history["misfit"][-1] < 0.1 * q.history["misfit"][0]


def test_gaps_of_several_widths_beside_wrong_positions():
    scene = upright("smooth", 6, (-2.0, 0.5), turns=(6.0, 12.0))
    rng = np.random.default_rng(1)
    p = begun(scene)
    p = p.replace(positions=np.clip(p.positions + rng.uniform(-0.5, 0.5, p.positions.shape), 0, 31))
    q = (opty.PosCorrect(wait=False) * FINDS) ** 40 * p
    assert abs(off(q, scene[3])).max() < 0.15
    truth = scene[0].truth["positions"]
    was, now = (opty.analysis.position_error(r.positions, truth, affine=True) for r in (p, q))
    assert now < 0.2 * was


def test_nothing_moves_beyond_the_reach():
    """Slices that lean by two pixels, 0.5 a gap and more, stay where 0.25 is allowed, and say so."""
    scene = SCENES["smooth"]
    p = ENGINE**12 * begun(scene)
    with pytest.warns(opty.MisfitWarning, match=r"further apart than reach=0.25 px a gap"):
        q = RegisterSlices(reach=0.25) * p
    assert (q.tilt == p.tilt).all()
    assert (q.numpy("obj") == p.numpy("obj")).all()
    widest = np.max(p.spacing) / PIXEL
    for reach in (0.6, 3.0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", opty.MisfitWarning)
            r = RegisterSlices(reach=reach) * p
        assert abs(np.tan(r.tilt) - np.tan(p.tilt)).max() * widest <= reach
    assert abs(off(r, (0.0, 0.0))).max() > 1


def test_slices_that_share_nothing_are_left_alone(thick):
    p = rPIE(alpha=0.02, batch=4) ** 15 * thick_state(thick)
    with pytest.warns(MisfitWarning, match=r"too little in common, history\['tilt_likeness'\] below 12"):
        q = RegisterSlices() * p
    assert 1 < q.history["tilt_likeness"][-1] < 12
    np.testing.assert_array_equal(q.numpy("obj"), p.numpy("obj"))
    assert (q.tilt == 0).all()


def test_flat_slices_stay():
    p = begun(SCENES["smooth"], tilt=(0.01, 0.02))
    q = RegisterSlices() * p
    np.testing.assert_array_equal(q.numpy("obj"), p.numpy("obj"))
    np.testing.assert_array_equal(q.tilt, p.tilt)


def test_in_the_near_field_the_patterns_stay_where_they_are():
    gap = 8 * PIXEL**2 / WAVELENGTH
    scene = SCENES["smooth"]
    truth = scene[0].truth
    model = Slices(3, gap, tilt=tuple(scene[3].tolist()))
    data = experiment(truth["obj"], aperture(50.0), truth["positions"], geometry=NEAR, model=model)
    leaning = opty.PtychoState(
        data,
        aperture(50.0),
        obj=np.array([np.roll(o, (k, k), (0, 1)) for k, o in enumerate(truth["obj"])]),
        model=model,
    )
    leaning = leaning.replace(positions=truth["positions"])
    q = RegisterSlices() * leaning
    assert abs(off(q, leaning.tilt)).min() > 1.8  # two pixels were put in
    assert apart(predicted(q), predicted(leaning)) < 1e-3
    alone = leaning.replace(obj=q.numpy("obj"), leaves={"tilt": q.numpy("tilt")})  # without what the probe did
    assert apart(predicted(alone), predicted(leaning)) > 10 * apart(predicted(q), predicted(leaning))


def test_smoothing_keeps_the_product_and_constants(thick):
    p = rPIE(alpha=0.05, batch=8) ** 3 * thick_state(thick, dtype="complex128")
    q = SmoothSlices(0.3) * p
    np.testing.assert_allclose(q.numpy("obj").prod(0), p.numpy("obj").prod(0), rtol=1e-10)
    ratio = np.log(abs(p.obj[1] / p.obj[0])), np.log(abs(q.obj[1] / q.obj[0]))
    assert np.std(ratio[1]) == pytest.approx(0.4 * np.std(ratio[0]), rel=1e-6)  # 1 - 2 * 0.3
    constants = np.array([2.0 * np.exp(2.9j), 0.5 * np.exp(-1.2j)])[:, None, None]
    other = SmoothSlices(0.3) * p.replace(obj=constants * p.numpy("obj"))
    np.testing.assert_allclose(other.numpy("obj"), constants * q.numpy("obj"), rtol=1e-9)


@pytest.mark.parametrize("op", [RegisterSlices(), SmoothSlices(0.3)], ids=repr)
def test_another_scale_changes_no_bit(op):
    p = ENGINE**10 * begun(SCENES["smooth"])
    factors = np.array([1 / 8, 1, 1], np.float32)[:, None, None]
    a, b = op * p, op * p.replace(obj=factors * p.numpy("obj"), probe=8 * p.numpy("probe"))
    np.testing.assert_array_equal(factors * a.numpy("obj"), b.numpy("obj"))
    np.testing.assert_array_equal(a.tilt, b.tilt)


def test_a_tilt_is_no_number_for_refine(thick):
    with pytest.raises(RecipeError, match=r"Refine\('tilt'\): slices moved against each other .* RegisterSlices\(\)"):
        (Refine("tilt") * ENGINE) ** 2 * thick_state(thick)
    with pytest.raises(RecipeError, match=r"what can be refined here is 'spacing' and 'distance'"):
        (Refine("spectrum") * ENGINE) ** 2 * thick_state(thick)


def test_what_needs_slices_says_so(thick):
    p = opty.PtychoState(*thick, model=Object())
    for op in (RegisterSlices(), SmoothSlices()):
        with pytest.raises(RecipeError, match="leave the step out"):
            op * p


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Slices(2, SPACING, tilt=(2.0, 0.0)), "in radians, nearer to 0 than a right angle"),
        (lambda: Slices(2, SPACING, tilt=(0.1,)), "give a tuple"),
        (lambda: RegisterSlices(reach=0), "a distance above 0, in pixels"),
        (lambda: SmoothSlices(0.6), "a share above 0 up to 0.5"),
    ],
)
def test_wrong_values_are_refused(make, why):
    with pytest.raises((ValueError, TypeError), match=why):
        make()


def test_a_tilt_in_milliradians_is_refused(thick):
    data, probe = thick
    with pytest.raises(ValueError, match=r"the beam moves by .* px, which is more than half of its window of 32 px"):
        opty.PtychoState(data, probe, model=Slices(2, SPACING, tilt=(1.5, 0.0)))


@pytest.mark.parametrize("propagation", ["far", "near"])
def test_a_gpu_gives_the_numbers_of_numpy(gpu, propagation):
    scene = SCENES["smooth"]
    if propagation == "near":
        truth, model = scene[0].truth, Slices(3, 8 * PIXEL**2 / WAVELENGTH, tilt=(0.01, 0.0))
        data = experiment(truth["obj"], aperture(50.0), truth["positions"], geometry=NEAR, model=model)
        scene = (data, aperture(50.0), scene[2], scene[3])
    recipe = RegisterSlices() * (SmoothSlices(0.2) * rPIE(alpha=0.05, batch=8)) ** 3
    p = begun(scene, dtype="complex128")
    here, there = recipe * p, recipe * p.to("gpu")
    for name in ("obj", "probe", "tilt"):
        a, b = here.numpy(name), there.numpy(name)
        assert abs(a - b).max() < 2e-3 * abs(a).max(), name
    assert there.history["tilt_error"][-1] == pytest.approx(here.history["tilt_error"][-1], rel=1e-2)


def test_files_text_and_picture(tmp_path):
    scene = SCENES["dots"]
    p = FINDS**16 * begun(scene)
    p.save(tmp_path / "p.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = opty.load(tmp_path / "p.h5")
    np.testing.assert_array_equal(again.tilt, p.tilt)
    assert repr(Slices(3, 1e-7)) == "Slices(3, 1e-07)"
    told = opty.info(tmp_path / "p.h5")
    assert any(line.startswith("tilt ") for line in told.refined)
    fig = opty.plot.slices(p)
    cuts = [ax for ax in fig.axes if ax.get_title("left").startswith("phase (rad) along")]
    (beam,) = cuts[0].get_lines()  # along a row: the move along columns
    ends = beam.get_xdata()
    assert ends[1] - ends[0] == pytest.approx(np.tan(p.tilt[1]) * p.spacing.sum() / PIXEL)

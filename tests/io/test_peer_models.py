"""Results of other packages with several slices or a varying probe: opty must find the misfit of what they hold.

Each file is written by the conventions of the package from a known state, whose counts have noise.
"""

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import opty
from opty.cli import main
from opty.errors import FormatError
from opty.io.writing import MIDDLE
from opty.model import Blur, Object, Probe, Slices
from opty.physics.modes import variations
from opty.simulate import experiment

N, VIEWS = 16, 20
XRAYS = opty.Geometry(1e-9, 0.032, 1e-4)  # pixels of 20 nm
ELECTRONS = opty.Geometry.from_reciprocal(1.97e-12 / (N * 3e-11), voltage=300e3)  # of 0.3 angstroms
GAPS = (3e-6, 7e-6)  # of slices in X-rays
THICKNESS = 14e-10  # of slices in electrons


def scene(rng, layers=3, modes=2, shape=(44, 39)):
    """Object (L, H, W), probe (M, n, n) and corners (N, 2): no slice and no axis like another."""
    y, x = np.indices(shape) / 4
    obj = [
        (1 - 0.3 * np.sin(x + k) ** 2) * np.exp(1j * (np.sin((1 + k) * y + x) + k * np.cos(x))) for k in range(layers)
    ]
    r = np.arange(N) - N // 2
    first = 60 * np.exp(-(r[:, None] ** 2 + 1.4 * r**2) / 14 + 0.03j * (r[:, None] ** 2 + 2 * r**2 + r))
    probe = np.array([first, first * (0.1 * r[:, None] - 0.05 * r)])[:modes]
    corners = np.column_stack([rng.uniform(2, size - N - 2, VIEWS) for size in shape])
    corners[:2] = (2, 2), np.array(shape) - N - 2  # as far from either end, so that the simulation leaves them there
    return np.array(obj), probe, corners


def state_of(rng, obj, probe, corners, geometry, model, leaves=None):
    """The state that is the truth of counts with noise."""
    exact = experiment(obj, probe, corners, geometry=geometry, model=model, leaves=leaves)
    np.testing.assert_allclose(exact.positions_px, corners)
    data = exact.replace(intensities=rng.poisson(np.asarray(exact.intensities, np.float64)).astype("u4"))
    state = opty.PtychoState(data, obj=obj, probe=probe, model=model, device="cpu")
    return state if leaves is None else state.replace(leaves=leaves)


def agrees(found, truth):
    """Same elements, same shapes, same misfit to the rounding of complex64, and that of noise alone."""
    assert [type(e) for e in found.model.elements] == [type(e) for e in truth.model.elements]
    for leaf in truth.model.leaves:
        assert found.numpy(leaf.name).shape == truth.numpy(leaf.name).shape
    assert opty.misfit(found) == pytest.approx(opty.misfit(truth), rel=1e-4)
    assert opty.misfit(truth) < 0.01


def replaced(path, name, array):
    with h5py.File(path, "a") as f:
        del f[name]
        f[name] = array


# PtyRAD


def ptyrad(path, s, norm="max_at_one"):
    """PtyRAD's model file: angstroms, patterns divided by the brightest pixel of their mean."""
    obj, probe, corners = s.numpy("obj"), s.numpy("probe"), s.numpy("positions")
    mean = s.data.intensities.mean(axis=0)
    divided = {"max_at_one": mean.max(), "mean_at_one": mean.mean(), "sum_to_one": mean.sum(), "divide_const": 7.0}[
        norm
    ]
    obj = obj if obj.ndim == 3 else obj[None]
    with h5py.File(path, "w") as f:
        arrays, model = f.create_group("optimizable_tensors"), f.create_group("model_attributes")
        arrays["obja"], arrays["objp"] = abs(obj)[None].astype("f4"), np.angle(obj)[None].astype("f4")
        arrays["probe"], arrays["obj_tilts"] = (probe / divided**0.5).astype("c8"), np.zeros((1, 2), "f4")
        arrays["slice_thickness"] = np.float32(THICKNESS * 1e10)
        model["crop_pos"] = np.round(corners).astype("i4")
        arrays["probe_pos_shifts"] = (corners - np.round(corners)).astype("f4")
        model["omode_occu"], model["dx"] = np.ones(1, "f4"), np.float32(s.pixel * 1e10)
        model["detector_blur_std"] = model["simu_match_mode"] = "__NONE__"
        model["simu_Npix"] = model["meas_Npix"] = N
        given = f.create_group("params/init_params")
        given["probe_illum_type"], given["meas_normalization/mode"] = "electron", norm
        given["meas_normalization/value"] = 7.0 if norm == "divide_const" else "__NONE__"


@pytest.fixture
def electrons(rng):
    return state_of(rng, *scene(rng), ELECTRONS, Slices(3, THICKNESS) * Probe(modes=2))


@pytest.mark.parametrize("norm", ["max_at_one", "mean_at_one", "sum_to_one", "divide_const"])
def test_slices_of_ptyrad(electrons, tmp_path, norm):
    ptyrad(tmp_path / "model.hdf5", electrons, norm)
    found = opty.load(tmp_path / "model.hdf5", data=electrons.data, device="cpu")
    agrees(found, electrons)
    np.testing.assert_allclose(found.numpy("spacing"), THICKNESS, rtol=1e-6)
    backwards = found.replace(obj=found.numpy("obj")[::-1])
    assert opty.misfit(backwards) > 3 * opty.misfit(electrons)


@pytest.mark.parametrize("views", [1, VIEWS])
def test_tilted_slices_of_ptyrad(rng, tmp_path, views):
    """PtyRAD's propagator is exp(i K dz) exp(i dz (Ky tan ty + Kx tan tx)), tilts in mrad: opty's with another sign."""
    tilt = (0.02, -0.035)
    truth = state_of(rng, *scene(rng), ELECTRONS, Slices(3, THICKNESS, tilt=tilt) * Probe(modes=2))
    ptyrad(tmp_path / "model.hdf5", truth)
    mrad = -1e3 * np.array(tilt, np.float32)
    replaced(tmp_path / "model.hdf5", "optimizable_tensors/obj_tilts", np.tile(mrad, (views, 1)))
    found = opty.load(tmp_path / "model.hdf5", data=truth.data, device="cpu")
    agrees(found, truth)
    np.testing.assert_allclose(found.tilt, tilt, rtol=1e-6)
    upright = found.replace(leaves={"tilt": (0, 0)})
    assert opty.misfit(upright) > 3 * opty.misfit(found)


def test_one_slice_of_ptyrad_behind_a_detector_that_blurs(rng, tmp_path):
    obj, probe, corners = scene(rng, 1)
    truth = state_of(rng, obj[0], probe, corners, ELECTRONS, Blur(0.8) * Object() * Probe(modes=2))
    ptyrad(tmp_path / "model.hdf5", truth)
    replaced(tmp_path / "model.hdf5", "model_attributes/detector_blur_std", 0.8)
    replaced(tmp_path / "model.hdf5", "optimizable_tensors/obj_tilts", np.full((VIEWS, 2), 3.0))  # of no effect here
    found = opty.load(tmp_path / "model.hdf5", data=truth.data, device="cpu")
    agrees(found, truth)


@pytest.mark.parametrize(
    ("name", "array", "why"),
    [
        (
            "optimizable_tensors/obj_tilts",
            np.array([[0, -2.5], [0, 1]]),
            r"differently .* \(0, -2.5\) to \(0, 1\) mrad",
        ),
        ("optimizable_tensors/obj_tilts", np.zeros((20, 3)), r"obj_tilts has shape \(20, 3\); expected \(1, 2\)"),
        ("model_attributes/dx", 0.4, r"pixels at the sample are 4e-11 m in the result, and 2.998e-11 m"),
        ("model_attributes/crop_pos", np.ones((3, 2)), r"crop_pos has shape \(3, 2\) and .* \(20, 2\)"),
        ("params/init_params/meas_normalization/mode", "median", r"mode is 'median'; expected max_at_one"),
        ("model_attributes/detector_blur_std", -1.0, r"detector_blur_std is -1.0; expected a positive number"),
    ],
)
def test_what_no_state_holds_of_ptyrad(electrons, tmp_path, name, array, why):
    ptyrad(tmp_path / "model.hdf5", electrons)
    replaced(tmp_path / "model.hdf5", name, array)
    with pytest.raises(FormatError, match=why):
        opty.load(tmp_path / "model.hdf5", data=electrons.data)


def test_states_of_the_object_and_other_pixels_of_ptyrad(electrons, tmp_path):
    path = tmp_path / "model.hdf5"
    ptyrad(path, electrons)
    replaced(path, "model_attributes/simu_match_mode", "crop")
    replaced(path, "model_attributes/simu_Npix", 2 * N)
    with pytest.raises(FormatError, match="computed with 32 pixels a side and measured with 16"):
        opty.load(path, data=electrons.data)
    for name in ("obja", "objp"):
        with h5py.File(path) as f:
            twice = f[f"optimizable_tensors/{name}"][()].repeat(2, axis=0)
        replaced(path, f"optimizable_tensors/{name}", twice)
    with pytest.raises(FormatError, match="has 2 incoherent states of the object"):
        opty.load(path, data=electrons.data)


# pty-chi


def relaxed(rng, probe):
    """Probe of pty-chi (3, M, n, n), weights (N, 3), and what they are in opty's model: all of them as variations."""
    r = np.arange(N) - N // 2
    parts = [probe[0], 0.2 * r * probe[0], (0.1 * r[:, None] + 0.4j) * probe[0]]
    weights = np.column_stack([1 + 0.1 * rng.normal(size=VIEWS), *(0.3 * rng.normal(size=(2, VIEWS)) + 0.1)])
    theirs = rng.normal(size=(3, *probe.shape)).astype(complex)  # of other modes pty-chi does not look at OPR modes
    theirs[0], theirs[1:, 0] = probe, parts[1:]
    return theirs, weights, {"opr_modes": np.array(parts), "opr_weights": weights - [1, 0, 0]}


@pytest.fixture(params=[(44, 39), (41, 46)])
def unsteady(request, rng):
    """A state, and pty-chi's probe and weights of it."""
    obj, probe, corners = scene(rng, shape=request.param)
    theirs, weights, leaves = relaxed(rng, probe)
    truth = state_of(rng, obj, probe, corners, XRAYS, Slices(3, GAPS) * Probe(modes=2, variable=3), leaves)
    return truth, theirs, weights


def pear(path, truth, theirs, weights):
    obj, corners = truth.numpy("obj"), truth.numpy("positions")
    middle = [{44: 22, 39: 20, 41: 20, 46: 23}[size] + 0.5 - (N - 1) / 2 for size in obj.shape[-2:]]  # half to even
    with h5py.File(path, "w") as f:
        f["object"], f["probe"], f["opr_mode_weights"] = obj, (theirs / N).astype("c8"), weights.astype("f4")
        f["positions_px"], f["obj_pixel_size_m"] = (corners - middle).astype("f4"), truth.pixel
        f["slice_spacings_m"], f["loss"] = GAPS, np.ones(3)


def test_slices_and_a_varying_probe_of_pear(unsteady, tmp_path):
    truth, theirs, weights = unsteady
    path = tmp_path / "recon_Niter3.h5"
    pear(path, truth, theirs, weights)
    found = opty.load(path, data=truth.data, device="cpu")
    agrees(found, truth)
    np.testing.assert_allclose(found.numpy("opr_weights").mean(axis=0), 0, atol=1e-6)
    steady = found.replace(leaves={"opr_weights": np.zeros((VIEWS, 3))})
    assert opty.misfit(steady) > 3 * opty.misfit(truth)
    replaced(path, "slice_spacings_m", GAPS[::-1])
    assert opty.misfit(opty.load(path, data=truth.data, device="cpu")) > 1.2 * opty.misfit(truth)


def test_a_steady_probe_of_pear(rng, tmp_path):
    """Of one OPR mode pty-chi does not look at the weights, and one slice has no distances."""
    obj, probe, corners = scene(rng, 1)
    truth = state_of(rng, obj[0], probe, corners, XRAYS, Object() * Probe(modes=2))
    path = tmp_path / "recon_Niter3.h5"
    pear(path, truth, probe[None], 1 + rng.normal(size=(VIEWS, 1)))
    replaced(path, "object", obj)
    agrees(opty.load(path, data=truth.data, device="cpu"), truth)
    replaced(path, "probe", probe[None].repeat(2, axis=0) / N)
    replaced(path, "opr_mode_weights", np.ones(3))
    with pytest.raises(FormatError, match=r"opr_mode_weights has shape \(3,\); expected \(20, 2\)"):
        opty.load(path, data=truth.data)
    replaced(path, "object", obj.repeat(2, axis=0))
    with pytest.raises(FormatError, match="the object has 2 slices and 2 distances between them"):
        opty.load(path, data=truth.data)
    near = truth.data.replace(geometry=opty.Geometry(1e-9, 1e-3, truth.pixel, propagation="near"))
    with pytest.raises(FormatError, match="in the far field, not for 'near'"):
        opty.load(path, data=near)


def product(path, truth, theirs, weights, centres):
    """A product of Ptychodus; ``centres`` (N, 2) of the views in the object [px]."""
    obj, centre = truth.numpy("obj"), np.array([3e-7, -2e-7])
    metres = (centres - (np.array(obj.shape[-2:]) - 1) / 2) * truth.pixel + centre
    with h5py.File(path, "w") as f:
        f["object"], f["probe"], f["opr_weights"] = obj, (theirs / N).astype("c8"), weights
        f["object"].attrs.update(dict.fromkeys(("pixel_height_m", "pixel_width_m"), truth.pixel))
        f["object"].attrs.update(dict(zip(("center_y_m", "center_x_m"), centre, strict=True)))
        f["probe_position_y_m"], f["probe_position_x_m"] = metres.T
        f["probe_position_indexes"], f["object_layer_spacing_m"] = np.arange(VIEWS), GAPS
        f.attrs.update({"photon_energy_eV": 1239.84, "detector_object_distance_m": XRAYS.distance, "far_field": True})


@pytest.fixture
def made_by_ptychi(rng, tmp_path):
    """The path of a product, and the state of it: windows where pty-chi cuts them."""
    obj, probe, corners = scene(rng, shape=(44, 38))
    fraction = corners - np.rint(corners)
    even = 2 * np.rint(corners / 2)
    nearest = even + N // 2 - rng.integers(0, 2, corners.shape)  # either pixel beside the middle of such a window
    corners, centres = even + fraction, nearest + fraction
    theirs, weights, leaves = relaxed(rng, probe)
    truth = state_of(rng, obj, probe, corners, XRAYS, Slices(3, GAPS) * Probe(modes=2, variable=3), leaves)
    product(tmp_path / "product.h5", truth, theirs, weights, centres)
    return tmp_path / "product.h5", truth


def test_slices_and_a_varying_probe_of_ptychodus(made_by_ptychi):
    path, truth = made_by_ptychi
    agrees(opty.load(path, data=truth.data, device="cpu"), truth)
    with pytest.raises(FormatError, match="or, to go on from the result that it holds, its measurement, data="):
        opty.load(path)
    replaced(path, "probe_position_indexes", np.arange(VIEWS)[::-1])
    with pytest.raises(FormatError, match="views are not in the order of the measurement"):
        opty.load(path, data=truth.data)


def test_a_product_is_half_of_a_measurement_too(made_by_ptychi):
    path, truth = made_by_ptychi
    folder = path.parent
    path.rename(folder / "scan_para.h5")
    with h5py.File(folder / "scan_dp.h5", "w") as f:
        f["dp"] = truth.data.intensities
    assert isinstance(opty.load(folder / "scan_para.h5"), opty.PtychoData)
    done = CliRunner().invoke(main, ["info", str(folder / "scan_para.h5"), "--data", str(folder / "scan_dp.h5")])
    assert done.exit_code == 0, done.output
    assert "Ptychodus HDF5 (product)" in done.output
    opty.save(folder / "ours_dp.h5", truth.data, format="ptychi")  # opty's own is a measurement, and its object blank
    with h5py.File(folder / "ours_para.h5") as f:
        assert MIDDLE in f.attrs
    with pytest.raises(FormatError, match="a measurement: data goes with a result"):
        opty.load(folder / "ours_para.h5", data=truth.data)


# PtyLab


def ptylab(path, s):
    obj, probe, corners = s.numpy("obj"), s.numpy("probe"), s.numpy("positions")
    with h5py.File(path, "w") as f:
        behind = np.full_like(probe, 5.0)  # the wave on the other slices, which are no probe
        waves = np.stack([probe, *[behind] * (len(obj) - 1)], axis=1) if obj.ndim == 3 else probe[:, None]
        f["object"], f["probe"] = obj.reshape(1, 1, 1, -1, *obj.shape[-2:]), waves[None, None]
        f["encoder_corrected"] = (corners - obj.shape[-1] // 2 + N // 2) * s.pixel
        f["dxp"], f["error"] = np.array([[s.pixel]]), np.ones(3)


def test_slices_of_ptylab(rng, tmp_path):
    obj, probe, corners = scene(rng, shape=(44, 44))
    truth = state_of(rng, obj, probe, np.rint(corners), XRAYS, Slices(3, GAPS) * Probe(modes=2))
    path = tmp_path / "result.hdf5"
    ptylab(path, truth)
    agrees(opty.load(path, data=truth.data, spacing=GAPS, device="cpu"), truth)
    with pytest.raises(FormatError, match="3 slices, and PtyLab does not save their distance: give spacing="):
        opty.load(path, data=truth.data)
    replaced(path, "object", obj[None, None, None].repeat(2, axis=0))
    with pytest.raises(FormatError, match="several modes or wavelengths"):
        opty.load(path, data=truth.data, spacing=GAPS)
    replaced(path, "object", obj[None, None, None, :1])
    with pytest.raises(FormatError, match="spacing=1e-06 is the distance between slices, and /object has one"):
        opty.load(path, data=truth.data, spacing=1e-6)


def test_a_varying_probe_of_ptylab(rng, tmp_path):
    obj, probe, corners = scene(rng, 1, shape=(44, 44))
    _, _, leaves = relaxed(rng, probe)
    each = probe[0] + np.tensordot(leaves["opr_weights"], leaves["opr_modes"], 1)
    truth = state_of(rng, obj[0], probe, np.rint(corners), XRAYS, Object() * Probe(modes=2, variable=3), leaves)
    ptylab(tmp_path / "result.hdf5", truth)
    stack = tmp_path / "result_probe_stack.hdf5"
    with h5py.File(stack, "w") as f:
        f["probe_stack"] = np.moveaxis(each, 0, -1)[None, None, None, None].astype("c8")
    options = {"data": truth.data, "probe_stack": stack, "device": "cpu"}
    agrees(opty.load(tmp_path / "result.hdf5", **options), truth)
    fewer = opty.load(tmp_path / "result.hdf5", variable=1, **options)
    assert fewer.opr_modes.shape == (1, N, N)
    assert opty.misfit(fewer) > opty.misfit(truth)
    with pytest.raises(ValueError, match="variable=0: give a number from 1 on"):
        opty.load(tmp_path / "result.hdf5", variable=0, **options)
    replaced(stack, "probe_stack", np.ones((1, 1, 2, 1, N, N, VIEWS), "c8"))
    with pytest.raises(FormatError, match=r"probe_stack has shape \(1, 1, 2, 1, 16, 16, 20\)"):
        opty.load(tmp_path / "result.hdf5", **options)


def test_variations(rng):
    """The probes stay, in loops; weights of mean zero, orthogonal modes of the power of the first; dead ones go."""
    modes = rng.normal(size=(4, 5, 5)) + 1j * rng.normal(size=(4, 5, 5))
    weights = rng.normal(size=(9, 4)) + np.array([3, 0, 0, 0])
    modes[3] = modes[1] + modes[2]
    first, parts, varying = variations(modes, weights)
    assert parts.shape == (3, 5, 5)
    assert varying.shape == (9, 3)
    for w, c in zip(weights, varying, strict=True):
        expected = sum(a * m for a, m in zip(w, modes, strict=True))
        np.testing.assert_allclose(first + sum(a * m for a, m in zip(c, parts, strict=True)), expected, rtol=1e-12)
    np.testing.assert_allclose(varying.mean(axis=0), 0, atol=1e-14)
    flat = parts.reshape(3, -1).view(float)
    np.testing.assert_allclose(flat @ flat.T, np.eye(3) * np.linalg.norm(first) ** 2, atol=1e-10)
    assert (np.diff((varying**2).sum(axis=0)) < 0).all()
    assert variations(modes, np.ones((9, 4)))[1].shape == (0, 5, 5)

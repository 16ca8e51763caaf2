"""Results of other packages, made from a truth by their own conventions: opty's model must make the same counts."""

import h5py
import numpy as np
import pytest

import opty
from opty.cli import main
from opty.errors import FormatError
from opty.geometry import Geometry
from opty.io import load, save
from opty.physics.optics import fresnel_curvature

N = 16
VISIBLE = Geometry(wavelength=632.8e-9, distance=0.1, pixel_size=12e-6)  # the curvature turns by many radians


@pytest.fixture(params=["far", "X-rays"])
def run(request, rng):
    """A scan on whole pixels, with object, probe and corners, by opty's own model written out."""
    geometry = VISIBLE if request.param == "far" else Geometry(1e-10, 2.0, 55e-6)
    y, x = np.indices((40, 44)) / 6.0
    obj = ((1 - 0.3 * np.sin(x) ** 2) * np.exp(1j * np.sin(y + x))).astype("c8")
    r = np.arange(N) - N // 2
    probe = (30 * np.exp(-(r[:, None] ** 2 + r**2) / 30) * np.exp(0.02j * (r[:, None] ** 2 + 2 * r))).astype("c8")
    corners = np.array([(a, b) for a in range(2, 24, 5) for b in range(3, 27, 6)])
    exits = np.array([probe * obj[a : a + N, b : b + N] for a, b in corners])
    frames = np.abs(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(exits, axes=(1, 2)), norm="ortho"), axes=(1, 2))) ** 2
    pixel = geometry.sample_pixel(N)
    data = opty.PtychoData(frames.astype("f4"), (corners - corners.mean(axis=0)) * pixel, geometry)
    return data, obj, probe, corners


def agrees(state):
    assert opty.misfit(state) < 1e-9


def ptylab(path, data, obj, probe, corners):
    square = np.ones((44, 44), "c8")
    square[:40] = obj
    with h5py.File(path, "w") as f:
        f["object"], f["probe"] = square[None, None, None, None], probe[None, None, None, None]
        f["encoder_corrected"] = (corners - 44 // 2 + N // 2) * data.pixel
        f["dxp"], f["wavelength"], f["zo"] = np.array([[data.pixel]]), data.geometry.wavelength, data.geometry.distance
        f["error"] = np.ones(3)


def pynx(path, data, obj, probe, corners):
    """PyNX's: positions about their mean in the middle of the object; probe without curvature; upside down."""
    middle = corners.mean(axis=0)
    shape = 2 * np.ceil(np.abs(corners - middle).max(axis=0)).astype(int) + N + 4
    start = (shape - N) // 2 - middle
    whole = np.ones(shape, "c8")
    shift = np.round(start).astype(int)
    moved = start - shift  # the mean lies between pixels: put the object there
    assert np.allclose(moved, 0, atol=0.51)
    rows, columns = (slice(max(s, 0), max(s, 0) + n) for s, n in zip(shift, obj.shape, strict=True))
    part = obj[max(-shift[0], 0) :, max(-shift[1], 0) :]
    view = whole[rows, columns]
    view[:] = part[: view.shape[0], : view.shape[1]]
    theirs = probe * fresnel_curvature(N, data.pixel, data.geometry.wavelength, data.geometry.distance).conj()
    with h5py.File(path, "w") as f:
        f["cxi_version"] = 140
        for number, factor in ((1, 0.5), (2, 1.0)):  # the last entry counts
            entry = f.create_group(f"entry_{number}")
            for name, image in (("object", whole * factor), ("probe", theirs.astype("c8"))):
                entry[f"{name}/data"] = np.flip(image[None], axis=-2)
            entry["probe/x_pixel_size"] = entry["probe/y_pixel_size"] = data.pixel
            x_y = ((corners - middle - moved)[:, ::-1] * data.pixel).T
            kept = x_y - x_y.mean(axis=1)[:, None]
            entry["positions/data"] = np.concatenate([x_y, x_y - kept])
            entry["process_1/results/cycle_history"] = np.zeros(2)
        f["entry_last"] = h5py.SoftLink("/entry_2")


def cdtools(path, data, obj, probe, corners):
    basis = np.array([[0, -1.0], [-1.0, 0], [0, 0]]) * data.pixel
    with h5py.File(path, "w") as f:
        f["obj"], f["probe"], f["obj_basis"], f["probe_basis"] = obj, probe[None], basis, basis
        f["translations"] = (corners + np.array([5.0, -7.0])) @ basis.T
        f["oversampling"], f["weights"], f["background"] = 1, np.ones(data.views), np.zeros((N, N))
        f["state_dict/min_translation"] = np.array([5.0, -7.0])


@pytest.mark.parametrize("write", [ptylab, cdtools])
def test_results(run, tmp_path, write):
    path = tmp_path / "result.h5"
    write(path, *run)
    agrees(load(path, data=run[0], device="cpu"))
    with pytest.raises(TypeError, match=r"holds no intensities: give the measurement"):
        load(path)


def test_results_bring_background_and_the_light_of_each_view(run, tmp_path):
    """What else is in the intensities of a run of CDTools or PyNX: without it the state would fit other counts."""
    data, obj, probe, corners = run
    light = 1 + 0.3 * np.sin(np.arange(data.views))
    dark = np.random.default_rng(1).uniform(0, 2, (N, N)).astype("f4")
    brighter = data.replace(intensities=(data.intensities * light[:, None, None] + dark).astype("f4"))
    cdtools(tmp_path / "a.h5", brighter, obj, probe, corners)
    pynx(tmp_path / "a.cxi", brighter, obj, probe, corners)
    with h5py.File(tmp_path / "a.h5", "a") as f:
        f["weights"][...], f["background"][...] = np.sqrt(light), dark
    with h5py.File(tmp_path / "a.cxi", "a") as f:
        f["entry_2/background/data"], f["entry_2/floating_intensity/data"] = dark, light
    agrees(load(tmp_path / "a.h5", data=brighter, device="cpu"))
    found = load(tmp_path / "a.cxi", data=brighter, device="cpu")
    agrees(found.replace(positions=np.rint(found.numpy("positions"))))
    np.testing.assert_allclose(found.numpy("intensity_factors"), light / light.mean(), rtol=1e-6)
    with h5py.File(tmp_path / "a.h5", "a") as f:
        del f["weights"]
        f["weights"] = np.ones(3)
    with pytest.raises(FormatError, match=r"weights has shape \(3,\) and the mean 1; expected one for each view"):
        load(tmp_path / "a.h5", data=brighter)


def test_result_of_pynx(run, tmp_path):
    data, obj, probe, corners = run
    pynx(tmp_path / "result.cxi", data, obj, probe, corners)
    state = load(tmp_path / "result.cxi", data=data, device="cpu")
    whole = np.rint(state.numpy("positions"))
    off = state.numpy("positions") - whole
    assert np.ptp(off, axis=0).max() < 1e-6
    agrees(state.replace(positions=whole))


def test_a_ptyr_has_ptypys_probe(run, tmp_path):
    """exp(i pi r^2 / (lambda z)) times the probe in the file makes the counts, as PtyPy's propagator does."""
    data, obj, probe, corners = run
    start = opty.PtychoState(data.replace(positions=corners * data.pixel), obj=obj, probe=probe, device="cpu")
    save(tmp_path / "out.ptyr", start, format="ptyr")
    with h5py.File(tmp_path / "out.ptyr") as f:
        assert f["header/kind"][()].decode() == "minimal"
        assert {f[name].attrs["type"] for name in ("content", "content/pars", "content/runtime")} == {"param"}
        assert f["content/obj/S00G00/shape"][()].tolist() == list(f["content/obj/S00G00/data"].shape)
        assert f["content/obj/S00G00/ID"][()].decode() == "S00G00"
        theirs, pixel = f["content/probe/S00/data"][0], f["content/probe/S00/_psize"][0]
        image = f["content/obj/S00G00/data"][0]
    g = data.geometry
    curve = fresnel_curvature(N, pixel, g.wavelength, g.distance)
    a, b = corners[3]
    wave = theirs * curve * image[a : a + N, b : b + N]
    counts = np.abs(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(wave), norm="ortho"))) ** 2
    np.testing.assert_allclose(counts, data.intensities[3], rtol=1e-3, atol=1e-4 * counts.max())
    agrees(load(tmp_path / "out.ptyr", data=data, device="cpu"))


def test_a_ptyr_on_the_command_line(run, tmp_path):
    from click.testing import CliRunner

    data, obj, probe, corners = run
    start = opty.PtychoState(data.replace(positions=corners * data.pixel), obj=obj, probe=probe, device="cpu")
    save(tmp_path / "out.ptyr", start, format="ptyr")
    save(tmp_path / "scan.ptyd", data, format="ptyd")
    about = [str(tmp_path / "out.ptyr"), "--data", str(tmp_path / "scan.ptyd")]
    commands = [["info"], ["plot", "-o", str(tmp_path / "a.png")], ["export", "-o", str(tmp_path / "a.npz")]]
    commands += [["reconstruct", "--recipe", "ePIE()", "-o", str(tmp_path / "r.h5"), "--quiet"]]
    for command, *rest in commands:
        done = CliRunner().invoke(main, [command, *about, *rest])
        assert done.exit_code == 0, done.output
    assert opty.misfit(load(tmp_path / "r.h5", data=data, device="cpu")) < 1e-6


def test_what_is_no_state_of_opty(run, tmp_path):
    data, obj, probe, corners = run
    cdtools(tmp_path / "a.h5", data, obj, probe, corners)
    with h5py.File(tmp_path / "a.h5", "a") as f:
        del f["weights"]
        f["weights"] = np.ones((data.views, 2, 2))
    with pytest.raises(FormatError, match="own mixture of probes"):
        load(tmp_path / "a.h5", data=data)
    ptylab(tmp_path / "b.h5", data, obj, probe, corners)
    few = opty.PtychoData(data.intensities[:5], data.positions[:5], data.geometry)
    with pytest.raises(FormatError, match=r"data= holds 5 views"):
        load(tmp_path / "b.h5", data=few)


def test_a_cxi_as_pynx_reads_it(run, tmp_path):
    data = run[0]
    save(tmp_path / "a.cxi", data, format="cxi-pynx")
    with h5py.File(tmp_path / "a.cxi") as f:
        moved = f["entry_1/sample_1/geometry_1/translation"][()]
        assert moved.shape == (3, data.views)
        np.testing.assert_allclose(moved[:2], data.positions[:, ::-1].T)  # x is the column, y the row
        assert "name" in f["entry_1/instrument_1"]
        assert f["entry_1/data_1/data"].chunks == (1, N, N)
    np.testing.assert_allclose(load(tmp_path / "a.cxi").positions, data.positions, rtol=1e-12)


def test_a_probe_of_another_size(run, tmp_path):
    """Found by the soak: a plain ValueError, from the curvature."""
    data, obj, probe, corners = run
    pynx(tmp_path / "result.cxi", data, obj, probe, corners)
    with h5py.File(tmp_path / "result.cxi", "a") as f:
        for entry in [name for name in f if name.startswith("entry_") and "probe" in f[name]]:
            del f[f"{entry}/probe/data"]
            f[f"{entry}/probe/data"] = probe[None, 1:]
    with pytest.raises(
        FormatError, match=r"the probe has shape \(1, 15, 16\) and the patterns of the measurement are 16 x 16"
    ):
        load(tmp_path / "result.cxi", data=data)

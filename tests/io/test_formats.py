"""Every format that opty writes: what comes back, and what is refused because it would be lost."""

import h5py
import numpy as np
import pytest

from opty import Geometry, PtychoData, PtychoState, parse
from opty.errors import FormatError
from opty.io import info, load, registry, save

KEYS = ("cxi", "cxi-pynx", "nexus", "ptyd", "ptylab", "tike", "tike-hdf5", "ptychi", "tiff")
NAMES = {
    "tike": "scan.npz",
    "tiff": "scan.tif",
    "ptychi": "scan_dp.hdf5",
    "cxi": "scan.cxi",
    "cxi-pynx": "scan.cxi",
    "ptyd": "scan.ptyd",
}
IN_PIXELS = ("tike", "tike-hdf5")
WITH_MASK = ("cxi", "cxi-pynx", "nexus", "ptyd")
WITH_PROBE = ("cxi", "nexus", "ptyd", "ptylab", "ptychi", *IN_PIXELS)
FOR_PYTORCH = {"cxi": "entry_1/instrument_1/detector_1/data", "ptychi": "dp"}


@pytest.fixture(params=KEYS)
def key(request):
    return request.param


@pytest.fixture
def data(counts, rng, geometry):
    """A measurement in metres, with positions of 9 digits that no float32 holds."""
    return PtychoData(counts, rng.uniform(-2e-6, 2e-6, (4, 2)), geometry)


def written(tmp_path, data, key):
    path = tmp_path / NAMES.get(key, "scan.h5")
    save(path, data, format=key)
    return path


def metres(data, geometry):
    return data.positions if data.geometry is not None else data.positions * geometry.sample_pixel(data.n)


def test_every_writer_is_tested():
    assert {form.key for form in registry.FORMATS if form.write is not None} == {
        *KEYS,
        "ptyr",
        "emd",
    }  # see test_ptyd.py, test_emd.py


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32", "float64", "uint8"])
def test_round_trip(tmp_path, data, key, dtype, identical, geometry):
    data = data.replace(intensities=data.intensities.astype(dtype))
    back = load(written(tmp_path, data, key))
    identical(back.intensities, data.intensities)
    np.testing.assert_allclose(metres(back, geometry), data.positions, rtol=0, atol=1e-12)
    if key not in IN_PIXELS:
        for name in ("wavelength", "distance", "pixel_size"):
            assert getattr(back.geometry, name) == pytest.approx(getattr(geometry, name), rel=1e-12)
        assert back.geometry.propagation == "far"
    assert back.source["path"].startswith(str(tmp_path))


@pytest.mark.parametrize("key", FOR_PYTORCH)
@pytest.mark.parametrize(
    ("dtype", "top", "stored"),
    [
        ("uint8", 255, "uint8"),
        ("uint16", 32767, "int16"),
        ("uint16", 32768, "int32"),
        ("uint32", 2**32 - 1, "int64"),
        ("uint64", 2**31 - 1, "int32"),
        ("int32", 7, "int32"),
    ],
)
def test_counts_are_of_a_type_that_pytorch_has_and_come_back_in_their_own(
    tmp_path, data, identical, key, dtype, top, stored
):
    """PyTorch, and with it CDTools and pty-chi, has next to no arithmetic for unsigned numbers of 2 bytes and more."""
    counts = data.intensities.astype(dtype)
    counts[1, 2, 3] = top
    path = written(tmp_path, data.replace(intensities=counts), key)
    with h5py.File(path) as f:
        assert f[FOR_PYTORCH[key]].dtype == stored
        np.testing.assert_array_equal(f[FOR_PYTORCH[key]][()], counts)
    identical(load(path).intensities, counts)
    identical(load(path, views=[3, 1]).intensities, counts[[3, 1]])


def test_counts_that_no_signed_number_holds_are_refused(tmp_path, data):
    counts = data.intensities.astype("uint64")
    counts[0, 0, 0] = 2**63
    with pytest.raises(ValueError, match=r"the largest count is 9223372036854775808.*save as 'opty'"):
        written(tmp_path, data.replace(intensities=counts), "cxi")


def test_a_note_on_the_type_that_the_counts_belie_is_refused(tmp_path, data):
    path = written(tmp_path, data, "cxi")
    with h5py.File(path, "a") as f:
        f[FOR_PYTORCH["cxi"]][1, 2, 3] = -1
    with pytest.raises(FormatError, match=r"detector_1/data holds -1 to .*, but its attribute opty_counts says uint16"):
        load(path)


@pytest.mark.parametrize(("key", "name"), [("ptylab", "encoder"), ("ptychi", "probe_position_y_m")])
def test_positions_about_the_middle_for_programs_that_want_that(tmp_path, data, key, name):
    """PtyLab and pty-chi put position 0 into the middle of their object, and run out of it otherwise."""
    pixel = data.pixel
    where = np.array([[0, 0], [3, 9], [7, 4], [5, 5]]) * pixel
    away = data.replace(positions=where + np.array([3e-3, -8e-3]))
    path = written(tmp_path, away, key)
    with h5py.File(path if key == "ptylab" else tmp_path / "scan_para.hdf5") as f:
        rows = f[name][()].reshape(4, -1)[:, 0] / pixel
    np.testing.assert_allclose(rows, [-4, -1, 3, 1], atol=1e-6)  # whole pixels, for PtyLab rounds
    np.testing.assert_allclose(load(path).positions, away.positions, rtol=0, atol=1e-15)


def test_a_middle_that_is_none_is_refused(tmp_path, data):
    path = written(tmp_path, data, "ptylab")
    with h5py.File(path, "a") as f:
        f.attrs["opty_middle"] = [0.0, np.nan]
    with pytest.raises(FormatError, match=r"the attribute opty_middle of the root is \[0.0, nan\]; expected"):
        load(path)


def test_no_other_format_claims_it(tmp_path, data, key):
    path = written(tmp_path, data, key)
    file = registry.Container(path)
    assert registry.identify(file, {}).key == key.removesuffix("-pynx")


@pytest.mark.parametrize("key", [key for key in KEYS if key not in IN_PIXELS], indirect=True)
@pytest.mark.parametrize("geometry_", [dict(propagation="cone", focus_to_sample=2e-3), dict(propagation="near")])
def test_propagation_survives_where_metres_do(tmp_path, data, key, geometry_):
    geometry = Geometry(wavelength=1e-10, distance=2.0, pixel_size=55e-6, **geometry_)
    back = load(written(tmp_path, data.replace(geometry=geometry), key))
    assert back.geometry.propagation == geometry.propagation
    assert back.geometry.focus_to_sample == geometry.focus_to_sample


@pytest.mark.parametrize("axes", [2, 3])
def test_mask_survives_or_is_refused(tmp_path, data, key, rng, identical, axes):
    mask = rng.uniform(size=data.intensities.shape[3 - axes :]) > 0.2
    masked = data.replace(mask=mask)
    if key not in WITH_MASK:
        with pytest.raises(FormatError, match="has no place for a mask: save as 'cxi' or 'opty'"):
            written(tmp_path, masked, key)
        assert list(tmp_path.iterdir()) == []
        return
    back = load(written(tmp_path, masked, key))
    identical(np.broadcast_to(back.mask, data.intensities.shape).copy(), np.broadcast_to(mask, (4, 16, 16)).copy())


def test_background_survives_or_is_refused(tmp_path, data, key, rng):
    dark = data.replace(background=rng.uniform(0, 1, (16, 16)).astype("float32"))
    if key in ("cxi", "cxi-pynx"):
        np.testing.assert_array_equal(load(written(tmp_path, dark, key)).background, dark.background)
        return
    with pytest.raises(FormatError, match="has no place for a background"):
        written(tmp_path, dark, key)


def test_probe_survives_bitwise_or_is_refused(tmp_path, data, key, rng, identical):
    probe = (rng.normal(size=(3, 16, 16)) + 1j * rng.normal(size=(3, 16, 16))).astype("complex64")
    if key in WITH_PROBE:
        identical(load(written(tmp_path, data.replace(probe=probe), key)).probe, probe)
        return
    with pytest.raises(FormatError, match="has no place for a probe: save as 'cxi' or 'opty'"):
        written(tmp_path, data.replace(probe=probe), key)


def test_pixels_only(tmp_path, counts, key, rng):
    data = PtychoData(counts, rng.uniform(0, 30, (4, 2)))
    if key not in (*IN_PIXELS, "ptychi", "tiff"):
        with pytest.raises(ValueError, match=r"in pixels only: save it as 'tike' or 'opty', or give it a geometry: "):
            written(tmp_path, data, key)
        return
    back = load(written(tmp_path, data, key))
    assert back.geometry is None
    np.testing.assert_allclose(back.positions, data.positions, atol=1e-9)


def test_options_and_views_are_those_of_every_format(tmp_path, data, key, identical):
    path = written(tmp_path, data, key)
    found = load(path, views=[2, 0], crop=8, rebin=2)
    identical(found.intensities, data.intensities[[2, 0], 4:12, 4:12].reshape(2, 4, 2, 4, 2).sum((2, 4)).astype("u2"))
    assert info(path, views="1:3").views == 2


def test_one_view(tmp_path, data, key, identical):
    one = data.replace(intensities=data.intensities[:1], positions=data.positions[:1])
    identical(load(written(tmp_path, one, key)).intensities, one.intensities)


def test_a_result_links_to_any_of_them_and_comes_back(tmp_path, data, key, identical):
    loaded = load(written(tmp_path, data, key), crop=12)
    p = PtychoState(loaded, device="cpu")
    save(tmp_path / "result.h5", p)
    with h5py.File(tmp_path / "result.h5") as f:
        assert "data" not in f["entry_1/instrument_1/detector_1"]
    back = load(tmp_path / "result.h5", device="cpu")
    identical(back.data.intensities, loaded.intensities)
    identical(back.data.positions, loaded.positions)


def test_state_is_written_as_its_measurement(tmp_path, data, identical):
    save(tmp_path / "scan.cxi", PtychoState(data, device="cpu"), format="cxi")
    identical(load(tmp_path / "scan.cxi").intensities, data.intensities)


def test_what_save_refuses(tmp_path, data):
    with pytest.raises(ValueError, match=r"format is 'hdf'; choose one of opty, .*nexus"):
        save(tmp_path / "scan.h5", data, format="hdf")
    with pytest.raises(TypeError, match="p is a dict"):
        save(tmp_path / "scan.h5", {}, format="cxi")
    with pytest.raises(ValueError, match="must have 'dp' in its name"):
        save(tmp_path / "scan.h5", data, format="ptychi")
    path = written(tmp_path, data, "cxi")
    with pytest.raises(ValueError, match="is the measurement itself"):
        save(path, load(path), format="ptyd")
    assert [p.name for p in tmp_path.iterdir()] == ["scan.cxi"]


def unguarded(path):
    """Datasets outside of checksums: compact ones are in headers, chunks have fletcher32; heaps of text have none."""
    found = []
    with h5py.File(path) as f:

        def look(name, node):
            if isinstance(node, h5py.Dataset):
                compact = node.id.get_create_plist().get_layout() == h5py.h5d.COMPACT
                if not (compact or node.fletcher32) or node.id.get_type().detect_class(h5py.h5t.VLEN):
                    found.append(name)

        f.visititems(look)
    return found


def test_every_byte_is_guarded_in_hdf5(tmp_path, data):
    data = data.replace(probe=np.ones((2, 16, 16), "complex64"))
    for key in ("cxi", "nexus", "ptyd", "ptylab", "tike-hdf5", "ptychi", "opty"):
        assert unguarded(written(tmp_path, data, key)) == [], key
    large = PtychoState(data, device="cpu").replace(arrays={"a": np.ones(9000), "b": np.ones((99, 99))})
    for key in ("opty", "ptyr"):
        save(tmp_path / "result.h5", parse("rPIE() ** 2") * large, format=key)
        texts = ["header/description", "header/kind"] if key == "ptyr" else []  # PtyPy wants them of variable length
        assert unguarded(tmp_path / "result.h5") == texts, key

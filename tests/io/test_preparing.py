"""The options that all measurements share, each against the arithmetic written out."""

import numpy as np
import pytest
import tifffile

from opty import PtychoData, PtychoState
from opty.errors import FormatError
from opty.io import load, save

N = 16


def crop(a, top, left, n):
    return a[..., top : top + n, left : left + n].copy()


def binned(a, b):
    return a.reshape(*a.shape[:-2], a.shape[-2] // b, b, a.shape[-1] // b, b).sum((-3, -1))


@pytest.fixture
def scan(make_cxi):
    return make_cxi()


# -- crop, centre, rebin


def test_crop_keeps_the_zero_frequency_in_the_middle_and_enlarges_the_pixel(scan, counts, identical):
    whole, data = load(scan), load(scan, crop=10)
    identical(data.intensities, crop(counts.astype("int32"), 3, 3, 10))
    assert data.pixel == pytest.approx(whole.pixel * 16 / 10)
    identical(data.positions, whole.positions)


@pytest.mark.parametrize(("n", "centre"), [(8, (6, 9)), (7, (6, 9)), (8, (6.4, 8.6)), (12, [6, 9])])
def test_centre(scan, counts, n, centre, identical):
    found = load(scan, crop=n, centre=centre).intensities
    identical(found, crop(counts.astype("int32"), 6 - n // 2, 9 - n // 2, n))


def test_zero_frequency_in_the_corner(make_cxi, counts, rng, identical, tmp_path):
    good = rng.random((N, N)) > 0.1
    dark = rng.random((N, N)).astype("float32")
    rolled = {"data": counts, "good": good, "dark": dark}
    rolled = {name: np.fft.ifftshift(a, axes=(-2, -1)) for name, a in rolled.items()}
    path = make_cxi(instrument_1__detector_1__data=rolled["data"], instrument_1__detector_1__mask=None)
    for name in ("good", "dark"):
        np.save(tmp_path / f"{name}.npy", rolled[name])
    options = {"mask": tmp_path / "good.npy", "dark": tmp_path / "dark.npy", "crop": 8, "zero_frequency": "corner"}
    data = load(path, **options)
    identical(data.intensities, crop(counts.astype(rolled["data"].dtype), 4, 4, 8))
    identical(data.mask, crop(good, 4, 4, 8))
    identical(data.background, crop(dark, 4, 4, 8))
    identical(load(path, stream=True, **options).intensities[:], data.intensities)
    with pytest.raises(ValueError, match="zero_frequency is 'middle'; give 'centre' or 'corner'"):
        load(path, zero_frequency="middle")


def test_a_dark_level_for_all_pixels(scan):
    assert (load(scan, dark=2.5, crop=8).background == np.full((8, 8), 2.5)).all()
    with pytest.raises(TypeError, match=r"dark has shape \(\)"):
        load(scan, dark=-1.0)


def test_centre_alone_keeps_all_that_fits(scan, counts, identical):
    identical(load(scan, centre=(7, 10)).intensities, crop(counts.astype("int32"), 1, 4, 12))


def test_centre_of_mass(make_cxi, rng):
    spot = np.zeros((4, N, N), "int32")
    spot[:, 5, 9] = 1000
    spot += rng.poisson(0.1, spot.shape).astype("int32")
    data = load(make_cxi(instrument_1__detector_1__data=spot), centre="auto", crop=8)
    assert np.unravel_index(data.intensities[0].argmax(), (8, 8)) == (4, 4)


@pytest.mark.parametrize("b", [2, 4])
def test_rebin_adds_up_and_keeps_the_pixel_at_the_sample(scan, counts, b):
    whole, data = load(scan), load(scan, rebin=b)
    np.testing.assert_array_equal(data.intensities, binned(counts.astype("int64"), b))
    assert data.intensities.dtype == np.int32
    assert data.geometry.pixel_size == pytest.approx(b * whole.geometry.pixel_size)
    assert data.pixel == pytest.approx(whole.pixel)
    assert data.photons().sum() == counts.sum()


def test_rebin_widens_the_type_where_sums_need_it(make_cxi):
    data = load(make_cxi(instrument_1__detector_1__data=np.full((4, N, N), 200, "uint8")), rebin=4)
    assert data.intensities.dtype == np.uint16
    assert (data.intensities == 3200).all()


def test_rectangular_detector(make_cxi, rng, identical):
    wide = rng.poisson(9, (4, 16, 24)).astype("int32")
    scan = make_cxi(instrument_1__detector_1__data=wide, instrument_1__detector_1__mask=None)
    with pytest.raises(FormatError, match="frames are 16 x 24 pixels and patterns must be square: give crop=16"):
        load(scan)
    identical(load(scan, crop=16).intensities, crop(wide, 0, 4, 16))
    identical(load(scan, crop=16, transpose=True).intensities, crop(wide, 0, 4, 16).swapaxes(1, 2).copy())
    identical(load(scan, crop=8, centre=(8, 18)).intensities, crop(wide, 4, 14, 8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": 20}, r"crop=20 around \(8, 8\) leaves the detector of 16 x 16; at most 16 fits there"),
        ({"crop": 12, "centre": (3, 8)}, r"crop=12 around \(3, 8\) leaves .*; at most 7 fits"),
        ({"crop": 3}, "crop is 3; give the edge of a square in pixels, from 4 on"),
        ({"crop": 8.0}, "crop is 8.0"),
        ({"crop": True}, "crop is True"),
        ({"centre": "middle"}, "centre is 'middle'; give .row, column. in pixels or 'auto'"),
        ({"centre": (1, 2, 3)}, "centre is"),
        ({"centre": (np.nan, 2)}, "centre is"),
        ({"centre": (40, 2)}, r"puts the beam at \(40, 2\), outside 16 x 16"),
        ({"rebin": 3}, "rebin=3 does not go into patterns of 16 x 16: give crop=15 as well"),
        ({"rebin": 8}, "they get too small"),
        ({"rebin": 0}, "rebin is 0; give a whole number"),
        ({"rebin": True}, "rebin is True"),
        ({"flip": "up"}, "flip is 'up'; choose 'rows', 'columns', 'both' or 'none'"),
        ({"transpose": "yes"}, "transpose is 'yes'"),
        ({"views": [9]}, "views has 9"),
        ({"leave_out": [4]}, "leave_out has 4, but the file holds the views 0 to 3"),
        ({"leave_out": "0:4"}, "leave_out='0:4' leaves none of the 4 views"),
        ({"distance": "far"}, "distance='far': give a number with a unit, such as distance='75um'"),
        ({"distance": -1}, "distance is -1.0; give a positive length"),
        ({"propagation": "middle"}, "choose one of far, cone, near"),
    ],
)
def test_options_that_make_no_sense(scan, options, message):
    with pytest.raises(ValueError, match=message):
        load(scan, **options)


# -- orientation


def turned(a, transpose, flip):
    """Transposed, then frequencies of an axis negated: row k to row -k about the middle n // 2."""
    a = np.swapaxes(a, -2, -1) if transpose else a
    for axis, names in ((-2, ("rows", "both")), (-1, ("columns", "both"))):
        if flip in names:
            n = a.shape[axis]
            a = np.take(a, (2 * (n // 2) - np.arange(n)) % n, axis)
    return np.ascontiguousarray(a)


@pytest.mark.parametrize("n", [16, 15])
@pytest.mark.parametrize("flip", [None, "rows", "columns", "both"])
@pytest.mark.parametrize("transpose", [False, True])
def test_eight_orientations(make_cxi, counts, transpose, flip, n, identical):
    patterns, flags = counts[:, :n, :n].astype("int32"), np.zeros((n, n), "uint32")
    flags[2, 5] = 1
    names = {"instrument_1__detector_1__data": patterns, "instrument_1__detector_1__mask": flags}
    data = load(make_cxi(**names), transpose=transpose, flip=flip)
    identical(data.intensities, turned(patterns, transpose, flip))
    identical(data.mask, turned(flags == 0, transpose, flip))


def test_near_field_images_are_flipped_as_they_are(scan, counts, identical):
    data = load(scan, propagation="near", flip="rows")
    identical(data.intensities, counts.astype("int32")[:, ::-1].copy())


@pytest.mark.parametrize("options", [{"flip": "rows"}, {"transpose": True, "flip": "columns"}, {"crop": 8}])
def test_starting_probe_follows(tmp_path, counts, rng, options):
    """The far field of the probe is cut and turned as the patterns are."""
    probe = (rng.normal(size=(2, N, N)) + 1j * rng.normal(size=(2, N, N))).astype("complex128")

    def far(p):
        return np.abs(np.fft.fftshift(np.fft.fft2(p, norm="ortho"), axes=(-2, -1))) ** 2

    np.savez(tmp_path / "a.npz", diff=counts, pos=np.arange(8.0).reshape(4, 2), probe0=probe)
    np.savez(tmp_path / "b.npz", diff=np.repeat(far(probe), 2, 0), pos=np.arange(8.0).reshape(4, 2))
    found, expected = load(tmp_path / "a.npz", **options).probe, load(tmp_path / "b.npz", **options).intensities[::2]
    np.testing.assert_allclose(far(found), expected, rtol=1e-10)
    half = load(tmp_path / "a.npz", rebin=2).probe
    np.testing.assert_array_equal(half, probe[:, 4:12, 4:12])


def test_positions_in_pixels_follow_the_pixel(tmp_path, counts):
    np.savez(tmp_path / "a.npz", diff=counts, pos=np.arange(8.0).reshape(4, 2))
    np.testing.assert_allclose(load(tmp_path / "a.npz", crop=8).positions, np.arange(8.0).reshape(4, 2) / 2)
    np.testing.assert_allclose(load(tmp_path / "a.npz", rebin=2).positions, np.arange(8.0).reshape(4, 2))
    lengths = dict(wavelength=1e-10, distance=2.0, pixel_size=55e-6)
    data = load(tmp_path / "a.npz", **lengths, crop=8)
    np.testing.assert_allclose(data.positions_px, np.arange(8.0).reshape(4, 2) / 2)


# -- views


def test_views_that_are_left_out(scan, counts, identical):
    identical(load(scan, leave_out=[1]).intensities, counts.astype("int32")[[0, 2, 3]])
    identical(load(scan, views="1:", leave_out=[-1]).intensities, counts.astype("int32")[[1, 2]])
    identical(load(scan, views=[3, 0, 1], leave_out="1:2").intensities, counts.astype("int32")[[3, 0]])


def test_empty_views_are_named_and_left_out_by_request(make_cxi, counts, identical):
    patterns = counts.astype("float32")
    patterns[1], patterns[2] = 0, np.nan
    scan = make_cxi(instrument_1__detector_1__data=patterns)
    with pytest.raises(FormatError, match=r"first of 256 pixels that are NaN .*nothing else is in view 2: mask"):
        load(scan)
    with pytest.warns(UserWarning, match="1 of 3 views hold no photon on a pixel that counts: view 1; leave them out"):
        assert load(scan, leave_out=[2]).views == 3
    data = load(scan, leave_out="empty")
    identical(data.intensities, patterns[[0, 3]])
    identical(data.positions, load(scan, leave_out=[1, 2]).positions)


# -- masks


def images(tmp_path):
    """One mask in every kind of file."""
    import h5py

    mask = np.random.default_rng(3).uniform(size=(N, N)) > 0.2
    np.save(tmp_path / "mask.npy", mask)
    np.savez(tmp_path / "mask.npz", anything=mask)
    tifffile.imwrite(tmp_path / "mask.tif", mask.astype("uint8"))
    with h5py.File(tmp_path / "mask.h5", "w") as f:
        f["detector/good"] = mask.astype("int8")
    return mask, {"npy": "mask.npy", "npz": "mask.npz", "tif": "mask.tif", "h5": "mask.h5:/detector/good"}


@pytest.mark.parametrize("kind", ["npy", "npz", "tif", "h5", "array"])
def test_mask_from_anywhere_is_added_to_that_of_the_file(make_cxi, tmp_path, kind, identical):
    mask, names = images(tmp_path)
    flags = np.zeros((N, N), "uint32")
    flags[0, 0] = 1
    scan = make_cxi(instrument_1__detector_1__mask=flags)
    given = mask if kind == "array" else str(tmp_path / names[kind])
    identical(load(scan, mask=given).mask, mask & (flags == 0))
    identical(load(scan, mask=[given, "ignore"]).mask, mask)
    identical(load(scan, mask=given, crop=8, rebin=2).mask, binned(crop(mask & (flags == 0), 4, 4, 8), 2) == 4)


def test_result_points_to_data_with_a_mask_file_but_not_with_an_array(scan, tmp_path, identical):
    import h5py

    _, names = images(tmp_path)
    for given, linked in ((str(tmp_path / names["h5"]), True), (np.eye(N) == 0, False)):
        data = load(scan, mask=given, rebin=2)
        save(tmp_path / "r.h5", PtychoState(data, device="cpu"))
        with h5py.File(tmp_path / "r.h5") as f:
            assert ("data" not in f["entry_1/instrument_1/detector_1"]) is linked
        identical(load(tmp_path / "r.h5", device="cpu").data.intensities, data.intensities)


def test_pixels_found_from_the_frames(make_cxi, rng):
    patterns = rng.poisson(50, (4, N, N)).astype("float32")
    patterns[:, 3, 4] = 0
    patterns[:, 5, 6] = 5000
    patterns[1, 7, 7], patterns[2, 8, 8], patterns[3, 9, 9] = np.nan, -1, np.inf
    patterns[0, 10, 10] = 900
    flags = np.zeros((N, N), "uint32")
    flags[12, 12] = 1
    patterns[0, 12, 12] = np.nan
    scan = make_cxi(instrument_1__detector_1__data=patterns, instrument_1__detector_1__mask=flags)

    def bad(*words, **options):
        mask = load(scan, mask=words, **options).mask
        return {tuple(int(v) for v in at) for at in np.argwhere(~(mask if mask.ndim == 2 else mask.all(axis=0)))}

    wrong = {(7, 7), (8, 8), (9, 9), (12, 12)}
    assert bad("invalid") == wrong
    assert bad("invalid", "dead") == wrong | {(3, 4)}
    assert bad("invalid", "hot") == wrong | {(5, 6)}
    assert bad("invalid", "saturated", saturation=900) == wrong | {(5, 6), (10, 10)}
    for more in ({}, {"stream": True}):
        of_views = load(scan, mask=("invalid", "saturated"), saturation=900, **more).mask[:]
        assert of_views[:, 10, 10].tolist() == [False, True, True, True]
        assert not of_views[:, 5, 6].any()
    assert load(scan, mask=("invalid", "saturated"), saturation=5000).mask.ndim == 2  # saturated in all views
    assert bad("invalid", "saturated") == wrong
    assert len(load(scan, mask=("invalid", "dead", "hot"), rebin=2).mask) == 8


def test_saturation_by_the_type_or_by_a_plateau(make_cxi, rng):
    patterns = rng.poisson(50, (4, N, N)).astype("uint16")
    patterns[1, 2, 3] = 65535
    mask = load(make_cxi(instrument_1__detector_1__data=patterns), mask="saturated").mask
    assert np.argwhere(~mask).tolist() == [[1, 2, 3]]  # in the other views it is a count
    patterns = patterns.astype("int32")
    patterns[:, 8, 6:9] = 1_048_575
    mask = load(make_cxi(instrument_1__detector_1__data=patterns), mask="saturated").mask
    assert np.argwhere(~mask).tolist() == [[8, 6], [8, 7], [8, 8]]


@pytest.mark.parametrize("rebin", [1, 2])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -7.0])
def test_what_is_masked_does_no_harm(make_cxi, counts, wrong, rebin):
    patterns = counts.astype("float64")
    flags = np.zeros((N, N), "uint32")
    flags[4, 4] = 1
    clean = make_cxi("clean.cxi", instrument_1__detector_1__data=patterns, instrument_1__detector_1__mask=flags)
    spoiled = patterns.copy()
    spoiled[2, 4, 4] = wrong
    dark = np.full((N, N), 0.25)
    dark[4, 4] = np.nan
    names = {"data": spoiled, "mask": flags, "dark": dark}
    odd = make_cxi("odd.cxi", **{f"instrument_1__detector_1__{name}": array for name, array in names.items()})
    one, two = load(clean, rebin=rebin), load(odd, rebin=rebin)
    np.testing.assert_array_equal(np.where(one.mask, one.intensities, 0), np.where(two.mask, two.intensities, 0))
    assert np.isfinite(two.intensities).all()
    assert np.isfinite(two.background).all()
    assert np.array_equal(one.photons(), two.photons())


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (np.ones((8, 8)), ValueError, r"mask has shape \(8, 8\); expected \(16, 16\) or \(4, 16, 16\), as the frames"),
        (np.zeros((N, N)), ValueError, "mask leaves no pixel"),
        (np.full((N, N), 2), ValueError, "mask holds 2; .* give the array mask == 0"),
        ("nowhere.npy", FileNotFoundError, "no file .*nowhere.npy"),
        (["dead", "hto"], FileNotFoundError, "hto"),
        (np.ones((N, N), complex), TypeError, "mask has shape .* and dtype complex128"),
    ],
)
def test_masks_that_do_not_fit(scan, mask, error, message):
    with pytest.raises(error, match=message):
        load(scan, mask=mask)


# -- dark and flat


def test_dark_becomes_the_background_and_flat_divides(scan, counts, tmp_path, rng):
    dark, flat = rng.uniform(0, 1, (3, N, N)), rng.uniform(0.5, 1.5, (N, N))
    flat[2, 3], flat[4, 5] = 0, np.nan
    np.save(tmp_path / "dark.npy", dark)
    plain = load(scan, dark=tmp_path / "dark.npy")
    np.testing.assert_allclose(plain.background, dark.mean(0), rtol=1e-6)
    assert plain.intensities.dtype == np.int32
    data = load(scan, dark=tmp_path / "dark.npy", flat=flat)
    good = np.isfinite(flat) & (flat > 0)
    np.testing.assert_array_equal(data.mask, good)
    np.testing.assert_allclose(data.intensities[:, good], (counts / np.where(good, flat, 1))[:, good], rtol=1e-6)
    np.testing.assert_allclose(data.background[good], (dark.mean(0) / np.where(good, flat, 1))[good], rtol=1e-6)
    both = load(scan, dark=tmp_path / "dark.npy", rebin=2)
    np.testing.assert_allclose(both.background, binned(dark.mean(0), 2), rtol=1e-6)


def test_geometry_by_options_beats_the_file(scan):
    assert load(scan, distance=3.0).geometry.distance == 3.0
    assert load(scan).geometry.distance == 2.0


# -- several scans


def test_several_scans_become_one(make_cxi, counts, identical):
    one = make_cxi("one.cxi")
    two = make_cxi("two.cxi", instrument_1__detector_1__data=counts.astype("uint16") + 1)
    data = load([one, two], crop=8)
    identical(data.positions, np.concatenate([load(one).positions, load(two).positions]))
    np.testing.assert_array_equal(data.intensities[4:], crop(counts + 1, 4, 4, 8))
    assert data.geometry == load(one, crop=8).geometry


def test_scans_with_other_masks_keep_their_own(make_cxi, rng, identical):
    flags = (rng.uniform(size=(N, N)) > 0.9).astype("uint32")
    one, two = make_cxi("one.cxi"), make_cxi("two.cxi", instrument_1__detector_1__mask=flags)
    mask = load([one, two]).mask
    assert mask.shape == (8, N, N)
    identical(mask[5], flags == 0)


def test_merged_scans_are_embedded_in_a_result(make_cxi, tmp_path, identical):
    data = load([make_cxi("one.cxi"), make_cxi("two.cxi")])
    p = PtychoState(data.replace(positions=data.positions / 20), device="cpu")
    with pytest.raises(ValueError, match="is the measurement itself"):
        save(tmp_path / "two.cxi", p, format="cxi")
    save(tmp_path / "r.h5", p)
    (tmp_path / "one.cxi").unlink()
    identical(load(tmp_path / "r.h5", device="cpu").data.intensities, data.intensities)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"instrument_1__detector_1__distance": 2.1}, r"measured with another distance: 2.1 and 2.0"),
        ({"instrument_1__detector_1__data": np.ones((4, 8, 8)), "instrument_1__detector_1__mask": None}, "give crop="),
        ({"instrument_1__detector_1__dark": np.ones((N, N))}, "have different backgrounds"),
    ],
)
def test_scans_that_do_not_agree(make_cxi, change, message):
    one, two = make_cxi("one.cxi"), make_cxi("two.cxi", **change)
    with pytest.raises(ValueError, match=message):
        load([one, two])
    with pytest.raises(ValueError, match="list of paths is empty"):
        load([])


def test_a_result_is_no_scan_to_join(scan, tmp_path, counts):
    save(tmp_path / "r.h5", PtychoState(PtychoData(counts, np.zeros((4, 2))), device="cpu"))
    with pytest.raises(TypeError, match="holds a result; only measurements can be joined"):
        load([scan, tmp_path / "r.h5"])


# -- memory


def test_frames_are_read_in_pieces(tmp_path, rng, monkeypatch, identical):
    """The result does not depend on how many views are read together, whatever their order and the file's chunks."""
    import h5py

    from opty.io.prepare import frames

    patterns = rng.poisson(5, (37, N, N)).astype("uint16")
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f.create_dataset("ptychogram", data=patterns, chunks=(5, 8, 8), compression="gzip")
        f["encoder"] = rng.uniform(0, 1e-6, (37, 2))
        f["wavelength"], f["zo"], f["dxd"] = 1e-10, 2.0, 55e-6
    order = rng.permutation(37)[:30]
    expected = binned(patterns[order].astype("int64"), 2).astype("uint16")
    for block in (1, 5000, frames.BLOCK):
        monkeypatch.setattr(frames, "BLOCK", block)
        identical(load(tmp_path / "a.h5", views=order, rebin=2).intensities, expected)

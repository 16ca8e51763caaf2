"""Frames that stay in their file are those that would be in memory, bit for bit, and give the same reconstruction."""

import bz2

import h5py
import numpy as np
import pytest
from layouts import LAYOUTS, assert_alike, both, counted, write_layout, write_tiff
from small_scans import N, same, state

import opty
from opty import AP, DM, LBFGS, LSQML, ML, PosCorrectAdam, rPIE
from opty.errors import FormatError

ENGINES = [AP(), rPIE(), rPIE(batch=4), DM(), ML(), LBFGS(), LSQML(batch=5), PosCorrectAdam() * rPIE(batch=7)]


@pytest.mark.parametrize("zero", ["centre", "corner"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read_as_it_is_in_memory(tmp_path, layout, zero):
    path, options = write_layout(tmp_path, counted(), layout, zero)
    held, stays = both(path, **options)
    assert_alike(held, stays)
    p, q = (AP() * rPIE(batch=4) * state(data.replace(truth=counted().truth)) for data in (held, stays))
    assert same(p, q)


@pytest.mark.covering(2)
@pytest.mark.parametrize("mask", [0, 2, 3])
@pytest.mark.parametrize("layout", ["contiguous", "five frames a chunk", "float32"])
@pytest.mark.parametrize("recipe", ENGINES, ids=repr)
def test_every_engine_gives_the_same_bits(tmp_path, recipe, layout, mask):
    data = counted(mask=mask, modes=2)
    path, options = write_layout(tmp_path, data, layout, masked=mask > 0)
    held, stays = both(path, **options)
    assert (stays.mask is not None and stays.mask.ndim == mask) or not mask
    p, q = (state(d.replace(truth=data.truth)) for d in (held, stays))
    assert same(recipe**2 * p, recipe**2 * q)
    assert opty.misfit(p) == opty.misfit(q)
    assert opty.analysis.r_factor(p) == opty.analysis.r_factor(q)


def test_a_state_begins_alike(tmp_path):
    opty.save(tmp_path / "scan.h5", counted(mask=3, background=True))
    held, stays = both(tmp_path / "scan.h5")
    assert_alike(held, stays)
    assert same(opty.PtychoState(held, modes=2, device="cpu"), opty.PtychoState(stays, modes=2, device="cpu"))


OPTIONS = {
    "crop": {"crop": 12},
    "centre": {"centre": "auto", "crop": 10},
    "turned": {"transpose": True, "flip": "rows"},
    "rebin": {"rebin": 2},
    "divide": {"subdivide": 2},
    "views": {"views": [7, 3, 3, 20, 1]},
    "stride": {"views": "2:20:3"},
    "statistics": {"mask": ["dead", "hot", "saturated", "invalid"]},
    "leave out": {"leave_out": [0, 5]},
    "all": {"crop": 12, "rebin": 3, "flip": "both", "views": "::2", "mask": ["dead"]},
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("mask", [0, 3])
def test_options_are_applied_as_frames_are_read(tmp_path, name, mask):
    opty.save(tmp_path / "scan.h5", counted(mask=mask, background=True))
    held, stays = both(tmp_path / "scan.h5", **OPTIONS[name])
    assert_alike(held, stays)


@pytest.mark.parametrize("mask", [0, 3])
def test_dark_flat_and_masks_of_files(tmp_path, mask):
    rng = np.random.default_rng(5)
    opty.save(tmp_path / "scan.h5", counted(mask=mask))
    flat = 0.5 + rng.random((N, N))
    flat[2, 3] = 0
    np.save(tmp_path / "flat.npy", flat)
    np.save(tmp_path / "dark.npy", rng.random((N, N)))
    np.save(tmp_path / "mask.npy", rng.random((24, N, N)) > 0.1)
    files = {name: tmp_path / f"{name}.npy" for name in ("flat", "dark", "mask")}
    held, stays = both(tmp_path / "scan.h5", **files, rebin=2)
    assert_alike(held, stays)
    assert stays.intensities.dtype == np.float32


@pytest.mark.parametrize(("peak", "dtype"), [(10_000, "uint16"), (60_000, "uint32")])
def test_sums_of_pixels_get_the_least_type_that_holds_them(tmp_path, peak, dtype):
    data = counted()
    frames = data.intensities.copy()
    frames[17, 4:6, 8:10] = peak
    opty.save(tmp_path / "scan.h5", data.replace(intensities=frames))
    held, stays = both(tmp_path / "scan.h5", rebin=2)
    assert stays.intensities.dtype == dtype
    assert_alike(held, stays)


def test_frames_without_light_are_left_out(tmp_path):
    data = counted(mask=3)
    frames = data.intensities.copy()
    frames[[3, 11]] = 0
    with pytest.warns(UserWarning, match="2 of 24 views hold no photon"):
        opty.save(tmp_path / "scan.h5", data.replace(intensities=frames))
    held, stays = both(tmp_path / "scan.h5", leave_out="empty")
    assert stays.views == 22
    assert_alike(held, stays)
    assert same(rPIE() * opty.PtychoState(held, device="cpu"), rPIE() * opty.PtychoState(stays, device="cpu"))


def test_codes_under_the_mask_are_hidden_in_the_same_views(tmp_path):
    data = counted(mask=2)
    frames = data.intensities.astype("float32")
    frames[4][~data.mask] = np.nan
    frames[9][~data.mask] = -1
    path, options = write_layout(tmp_path, data, "contiguous", masked=True)
    with h5py.File(path, "r+") as f:
        del f["frames"]
        f["frames"] = frames
    held, stays = both(path, **options)
    assert_alike(held, stays)
    assert (stays.intensities[4][~data.mask] == 0).all()
    other = stays.replace(mask=data.mask & (np.arange(N) > 3))
    assert_alike(held.replace(mask=other.mask), other)


def wrong(frames, kind):
    if kind == "nan":
        frames[13, 2, 3], frames[20, 0, 0] = np.nan, np.inf
    elif kind == "negative":
        frames[5, 7, 7] = -3
    elif kind == "lost":
        frames[8] = np.nan
    else:
        frames[:] = 0


@pytest.mark.parametrize("kind", ["nan", "negative", "lost", "dark"])
def test_what_is_wrong_is_named_as_in_memory(tmp_path, kind):
    data = counted()
    frames = data.intensities.astype("float32")
    wrong(frames, kind)
    path, options = write_layout(tmp_path, data, "contiguous")
    with h5py.File(path, "r+") as f:
        del f["frames"]
        f["frames"] = frames
    said = []
    for stream in (False, True):
        with pytest.raises(FormatError) as error:
            opty.load(path, **options, stream=stream)
        said.append(str(error.value))
    assert said[0] == said[1]
    assert {"nan": "[13, 2, 3] is nan", "negative": "[5, 7, 7] is -3", "lost": "view 8", "dark": "zero"}[kind] in said[
        0
    ]


def test_tiff_stacks_stay_in_their_file(tmp_path):
    data = counted()
    beam = {"wavelength": 1e-10, "distance": 1.0, "pixel_size": 1e-4}
    held, stays = both(write_tiff(tmp_path, data), **beam)
    assert_alike(held, stays)
    held, stays = both(tmp_path, **beam, crop=12)
    assert_alike(held, stays)
    np.testing.assert_array_equal(held.intensities[3], data.intensities[3, 2:14, 2:14])


@pytest.mark.filterwarnings("ignore:.*has no place for the geometry")
@pytest.mark.parametrize("form", ["opty", "cxi", "nexus", "ptyd", "ptylab", "tike-hdf5", "ptychi"])
def test_every_hdf5_format_can_leave_its_frames(tmp_path, form):
    lengths = opty.Geometry(wavelength=1e-10, distance=1.0, pixel_size=1e-4)
    data = counted(mask=3 if form in ("opty", "cxi", "nexus", "ptyd") else 0)
    data = data.replace(geometry=lengths, positions=data.positions * lengths.sample_pixel(N))
    opty.save(tmp_path / "scan_dp.h5", data, format=form)
    held, stays = both(tmp_path / "scan_dp.h5")
    assert_alike(held, stays)
    np.testing.assert_array_equal(held.intensities, data.intensities)
    opty.save(tmp_path / "copy_dp.h5", stays, format=form)
    assert_alike(held, opty.load(tmp_path / "copy_dp.h5", stream=True))


def test_several_scans(tmp_path):
    parts = [counted(seed=1), counted(seed=2, mask=2), counted(seed=3, mask=3)]
    paths = [tmp_path / f"{k}.h5" for k in range(3)]
    for path, part in zip(paths, parts, strict=True):
        opty.save(path, part)
    held = opty.load(paths, stream=False)
    with pytest.warns(UserWarning, match="each will hold a copy of them"):
        stays = opty.load(paths, stream=True)
    assert_alike(held, stays)
    assert same(rPIE() * opty.PtychoState(held, device="cpu"), rPIE() * opty.PtychoState(stays, device="cpu"))


def test_what_cannot_be_read_in_pieces_says_so(tmp_path):
    data = counted()
    opty.save(tmp_path / "scan.npz", data, format="tike")
    with pytest.raises(ValueError, match=r"stream=True.*only be read all together.*opty convert"):
        opty.load(tmp_path / "scan.npz", stream=True)
    opty.save(tmp_path / "scan.h5", data)
    (tmp_path / "scan.h5.bz2").write_bytes(bz2.compress((tmp_path / "scan.h5").read_bytes()))
    with pytest.raises(ValueError, match="packed with bz2: unpack it first"):
        opty.load(tmp_path / "scan.h5.bz2", stream=True)
    with pytest.raises(ValueError, match="stream is 'yes'"):
        opty.load(tmp_path / "scan.h5", stream="yes")


def test_frames_of_virtual_datasets_are_watched_where_they_are(tmp_path):
    data = counted()
    path, options = write_layout(tmp_path, data, "contiguous")
    layout = h5py.VirtualLayout(shape=data.intensities.shape, dtype="uint16")
    for k in range(2):
        part = slice(12 * k, 12 * k + 12)
        with h5py.File(tmp_path / f"part{k}.h5", "w") as f:
            f["frames"] = data.intensities[part]
        layout[part] = h5py.VirtualSource(f"part{k}.h5", "frames", shape=(12, N, N))
    with h5py.File(path, "r+") as f:
        del f["frames"]
        f.create_virtual_dataset("frames", layout)
    held, stays = both(path, **options, links="part*.h5")
    assert_alike(held, stays)
    np.testing.assert_array_equal(held.intensities, data.intensities)
    (tmp_path / "part1.h5").rename(tmp_path / "away.h5")
    with pytest.raises(opty.SourceError, match=r"part1.h5 is no longer there"):
        rPIE() * opty.PtychoState(stays, probe=data.truth["probe"], device="cpu")

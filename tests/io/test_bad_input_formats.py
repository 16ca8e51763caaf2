"""What bad input gets, row by row, in a file of every format; and what is no bad input although it looks odd."""

import re

import h5py
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

import opty
from opty.cli import main

rng = np.random.default_rng(0)
GOOD, WHERE = rng.poisson(9, (12, 16, 16)).astype("float64"), rng.uniform(0, 2e-6, (12, 2))
GEOMETRY = opty.Geometry(wavelength=1e-10, distance=2.0, pixel_size=55e-6)
MAPPING = """[frames]
path = "/ptychogram"
[positions]
path = "/encoder"
[geometry]
wavelength = { path = "/wavelength" }
distance = { path = "/zo" }
pixel_size = { path = "/dxd" }
"""
DETECTOR = "entry_1/instrument_1/detector_1/data"
FRAMES = {"opty": DETECTOR, "cxi": DETECTOR, "nexus": DETECTOR, "ptyd": "chunks/0/data", "ptylab": "ptychogram"}
FRAMES |= {"mapping": "ptychogram", "tike-hdf5": "data", "ptychi": "dp"}
NAMES = {"tike": "scan.npz", "tiff": "scan.tif", "ptychi": "scan_dp.hdf5"}
FORMATS = (*FRAMES, "tike", "tiff")


def put(f, name, value):
    """Put an array in place of another; its attributes stay."""
    kept = dict(f[name].attrs)
    del f[name]
    f[name] = value
    f[name].attrs.update(kept)


def at_the_corner(frames):
    return np.fft.ifftshift(frames, axes=(-2, -1))[None]


def write_positions(f, key, where, folder):
    if key in ("cxi", "nexus"):
        put(f, "entry_1/sample_1/geometry_1/translation", np.column_stack([where[:, ::-1], np.zeros(len(where))]))
    elif key in ("opty", "ptyd"):
        put(f, {"opty": "entry_1/measurement/positions", "ptyd": "chunks/0/positions"}[key], where)
    elif key in ("ptylab", "mapping"):
        put(f, "encoder", where)
    elif key == "tike-hdf5":
        put(f, "scan", where[None] / GEOMETRY.sample_pixel(16))
    else:
        with h5py.File(folder / "scan_para.hdf5", "a") as g:
            put(g, "probe_position_y_m", where[:, 0])
            put(g, "probe_position_x_m", where[:, 1])


def written(folder, key, frames=GOOD, where=WHERE):
    """Write a good file with opty, put bad content into it with other means; return path and options of the load."""
    path = folder / NAMES.get(key, "scan.h5")
    opty.save(path, opty.PtychoData(GOOD, WHERE, GEOMETRY), format={"mapping": "ptylab"}.get(key, key))
    if key == "tike":
        np.savez(path, data=at_the_corner(frames), scan=where[None] / GEOMETRY.sample_pixel(16))
    elif key == "tiff":
        with tifffile.TiffFile(path) as tif:
            told = tif.pages[0].description.replace("[12, ", f"[{len(frames)}, ").replace("=12\n", f"={len(frames)}\n")
        tifffile.imwrite(path, frames, photometric="minisblack", description=told, metadata=None)
        np.save(path.with_suffix(".npy"), where)
    else:
        with h5py.File(path, "a") as f:
            put(f, FRAMES[key], at_the_corner(frames) if key == "tike-hdf5" else frames)
            if key == "ptyd":
                f["meta/num_frames"][()] = len(frames)
            write_positions(f, key, where, folder)
    if key != "mapping":
        return path, {}
    (folder / "lab.toml").write_text(MAPPING)
    return path, {"mapping": str(folder / "lab.toml")}


def spoiled(value, at=(2, 3, 4)):
    frames = GOOD.copy()
    frames[at] = value
    return frames


def moved(metres):
    where = WHERE.copy()
    where[7, 0] += metres
    return where


ROWS = {
    "NaN pixel": (
        {"frames": spoiled(np.nan)},
        r"intensities\[2, 3, 4\] is nan, the first of 1 pixels .*mask.*inv",
    ),
    "infinite pixel": ({"frames": spoiled(np.inf)}, r"intensities\[2, 3, 4\] is inf, the first of 1 pixels .*mask"),
    "NaN frame": ({"frames": spoiled(np.nan, 5)}, r"first of 256 pixels .*; nothing else is in view 5: .*leave.out"),
    "negative": (
        {"frames": spoiled(-3.0)},
        r"\[2, 3, 4\] is -3.0, the first of 1 negative counts \(the smallest is",
    ),
    "no light": ({"frames": 0 * GOOD}, "12 views. are zero everywhere: there is no light in the data"),
    "no counts": ({"frames": spoiled(1e300)}, r"view 2 holds 1e\+300 photons, more than complex64 computes with"),
    "NaN position": ({"where": moved(np.nan)}, r"positions\[7\] is \[nan, .*leave that view out or give its position"),
    "infinite position": ({"where": moved(np.inf)}, r"positions\[7\] is \[inf, "),
    "fewer positions": ({"where": WHERE[:9]}, r"(?=.*\b12\b)(?=.*\b9\b)"),
    "fewer frames": ({"frames": GOOD[:9]}, r"(?=.*\b12\b)(?=.*\b9\b)"),
    "micrometres": (
        {"where": WHERE * 1e6},
        r"object would need 7\.\S+ x 7\.\S+ pixels \(383 TiB\), far more than",
    ),
    "1 m away": (
        {"where": moved(1.0)},
        r"need 4.4e\+06 x 24 pixels \(806 MiB\): positions\[7\] is .*leave.out",
    ),
    "300 um away": ({"where": moved(300e-6)}, r"need 1338 x 24 pixels \(251 KiB\): positions\[7\] is .*leave.out"),
}


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
@pytest.mark.parametrize("key", FORMATS)
@pytest.mark.parametrize("row", ROWS)
def test_named_before_the_first_iteration(tmp_path, key, row):
    changes, message = ROWS[row]
    path, options = written(tmp_path, key, **changes)
    with pytest.raises(ValueError, match=message) as caught:
        opty.PtychoState(opty.load(path, **options), device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", FORMATS)
def test_a_dark_frame_is_named_and_stays_until_it_is_left_out(tmp_path, key):
    path, options = written(tmp_path, key, frames=spoiled(0, 5))
    with pytest.warns(UserWarning, match="1 of 12 views hold no photon .*: view 5; leave them out"):
        p = opty.PtychoState(opty.load(path, **options), device="cpu")
    assert p.data.views == 12
    assert opty.load(path, **options, leave_out="empty").views == 11


@pytest.mark.parametrize("key", FORMATS)
def test_what_hides_under_a_mask_does_no_harm(tmp_path, key):
    """0 times NaN is NaN: the run is, bit for bit, the one in which there was nothing under the mask."""
    ends = []
    for value in (np.nan, np.inf, 0.0):
        path, options = written(tmp_path, key, frames=spoiled(value, (slice(None), 3, 4)))
        data = opty.load(path, **options, mask=np.arange(256).reshape(16, 16) != 3 * 16 + 4)
        ends.append(opty.parse("ML() ** 2 * LSQML() * DM() * AP() * rPIE()") * opty.PtychoState(data, device="cpu"))
        assert np.isfinite(opty.misfit(ends[-1]))
    for end in ends[1:]:
        assert end.numpy("obj").tobytes() == ends[0].numpy("obj").tobytes()
        assert end.numpy("probe").tobytes() == ends[0].numpy("probe").tobytes()


@pytest.mark.parametrize("key", FORMATS)
def test_one_view_and_positions_far_from_the_origin_run(tmp_path, key):
    run = opty.ePIE()
    good = run * opty.PtychoState(opty.load(*[written(tmp_path, key)[0]], **written(tmp_path, key)[1]), device="cpu")
    path, options = written(tmp_path, key, where=WHERE + 0.01)
    away = run * opty.PtychoState(opty.load(path, **options), device="cpu")
    assert opty.misfit(away) == pytest.approx(opty.misfit(good), rel=1e-3)
    path, options = written(tmp_path, key, frames=GOOD[:1], where=WHERE[:1])
    assert np.isfinite(opty.misfit(run * opty.PtychoState(opty.load(path, **options), device="cpu")))


COMMANDS = {
    "info": ["info", "{}"],
    "check": ["check", "{}"],
    "reconstruct": ["reconstruct", "{}", "-o", "out.h5", "--recipe", "ePIE()"],
    "convert": ["convert", "{}", "out.cxi"],
}
SEEN_LATER = ("micrometres", "1 m away", "300 um away", "no counts")  # when there is to be an object


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("row", ROWS)
def test_named_on_the_command_line(tmp_path, monkeypatch, command, row):
    """In one sentence, with exit code 1, and no file is left."""
    monkeypatch.chdir(tmp_path)
    changes, message = ROWS[row]
    path, _ = written(tmp_path, "cxi", **changes)
    outcome = CliRunner().invoke(main, [word.format(path) for word in COMMANDS[command]])
    assert "Traceback" not in outcome.output
    if command in ("info", "convert") and row in SEEN_LATER:
        assert outcome.exit_code == 0
        return
    assert outcome.exit_code == 1
    assert re.search(message, outcome.stderr.replace("\n", " "))
    assert not (tmp_path / "out.h5").exists()
    assert not (tmp_path / "out.cxi").exists()


def test_views_that_all_lie_on_one_spot_are_pointless(tmp_path):
    path, _ = written(tmp_path, "cxi", where=np.full((12, 2), 1e-6))
    outcome = CliRunner().invoke(main, ["check", str(path)])
    assert outcome.exit_code == 1
    assert "all views lie within 0 px: they tell nothing that one does not" in outcome.stderr

"""What is written is what was made: counts, positions, geometry, truth; without holding it all in memory."""

import sys
import tracemalloc

import h5py
import numpy as np
import pytest
import tifffile

import opty
from opty.simulate import Detector, Experiment, Exposure, probes, scans, stage, write

N = 32
FAR = opty.Geometry(1e-9, 0.1, 50e-6)
GEOMETRIES = [FAR, opty.Geometry(1e-9, 0.1, 50e-6, 1e-3, "cone"), opty.Geometry(1e-10, 1.1, 55e-6, 3.6e-3, "near")]


def planned(geometry=FAR, views=(4, 5), **options):
    rng = np.random.default_rng(0)
    obj = rng.uniform(0.3, 1, (80, 80)) * np.exp(1j * rng.uniform(-1, 1, (80, 80)))
    return Experiment(
        obj.astype(np.complex64),
        probes.modes(probes.gaussian(N, 9), [3, 1]),
        scans.raster(views, 6, jitter=2),
        geometry=geometry,
        position_error=[stage.Gaussian(0.5)],
        exposure=Exposure(background=0.1),
        **options,
    )


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g.propagation)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int32", "float32"])
def test_every_format_gives_back_the_same_counts_and_positions(tmp_path, geometry, dtype):
    detector = Detector(dtype=dtype, dead=0.01, gaps=(("row", 5, 2),), saturation=200)
    e = planned(geometry, photons=1e5, detector=detector)
    made = e.measure()
    paths = write(e, tmp_path / "scan.cxi", tmp_path / "scan.tif")
    assert [p.name for p in paths] == ["scan.cxi", "scan.tif", "scan.npy", "scan_mask.npy", "scan_background.npy"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in paths)

    loaded = opty.load(tmp_path / "scan.cxi")
    for name in ("intensities", "positions", "mask", "background"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(made, name))
    assert loaded.intensities.dtype == dtype
    assert loaded.geometry == geometry
    for name in ("obj", "probe", "positions"):
        np.testing.assert_array_equal(loaded.truth[name], made.truth[name])

    stack = tifffile.imread(tmp_path / "scan.tif")
    np.testing.assert_array_equal(stack, made.intensities)
    assert stack.dtype == dtype
    np.testing.assert_allclose(np.load(tmp_path / "scan.npy"), made.positions, rtol=0, atol=1e-9)
    again = opty.load(tmp_path / "scan.tif", mask=tmp_path / "scan_mask.npy", dark=tmp_path / "scan_background.npy")
    for name in ("intensities", "positions", "mask", "background"):
        np.testing.assert_array_equal(getattr(again, name), getattr(made, name))
    assert again.geometry == geometry


def test_the_cxi_file_has_what_other_packages_look_for(tmp_path):
    e = planned(photons=1e5, detector=Detector(dead=0.01, dtype="uint16"))
    made, _ = e.measure(), write(e, tmp_path / "scan.cxi")
    with h5py.File(tmp_path / "scan.cxi") as f:
        assert f["cxi_version"][()] >= 140
        entry, detector = f["entry_1"], f["entry_1/instrument_1/detector_1"]
        np.testing.assert_array_equal(entry["data_1/data"], made.intensities)
        assert detector["data"].chunks == (1, N, N)
        np.testing.assert_array_equal(detector["mask"][()] == 0, made.mask)
        np.testing.assert_array_equal(detector["dark"], made.background)
        assert detector["distance"][()] == 0.1
        assert detector["x_pixel_size"][()] == detector["y_pixel_size"][()] == 50e-6
        beam = entry["instrument_1/source_1"]
        assert beam["wavelength"][()] == 1e-9
        assert beam["energy"][()] == pytest.approx(1.98644586e-16)  # J
        x_y_z = entry["sample_1/geometry_1/translation"][()]
        np.testing.assert_array_equal(x_y_z[:, 1], made.positions[:, 0])  # row = +y
        np.testing.assert_array_equal(x_y_z[:, 0], made.positions[:, 1])  # column = +x
        for place in ("data_1/translation", "instrument_1/detector_1/translation"):
            np.testing.assert_array_equal(entry[place], x_y_z)


def test_as_a_foreign_cxi_file_it_reads_the_same(tmp_path):
    """Without the marks of opty it is a CXI file like any other."""
    e = planned(GEOMETRIES[1], photons=1e5, detector=Detector(dead=0.01))
    made, _ = e.measure(), write(e, tmp_path / "scan.cxi")
    with h5py.File(tmp_path / "scan.cxi", "r+") as f:
        for name in list(f.attrs):
            del f.attrs[name]
        del f["entry_1/measurement"]
    loaded = opty.load(tmp_path / "scan.cxi", focus_to_sample=1e-3, propagation="cone")
    for name in ("intensities", "mask", "background"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(made, name))
    np.testing.assert_allclose(loaded.positions, made.positions, rtol=0, atol=1e-15)
    assert loaded.geometry == made.geometry
    assert loaded.truth is None


def test_it_can_be_reconstructed_from_its_file(tmp_path):
    write(planned(detector=Detector(counting=False, dtype="float32")), tmp_path / "scan.cxi")
    data = opty.load(tmp_path / "scan.cxi")
    start = opty.PtychoState(data, probe=data.truth["probe"], obj=data.truth["obj"], device="cpu")
    assert opty.misfit(start.replace(positions=data.truth["positions"])) < 1e-12


def test_what_was_measured_is_written_alike(tmp_path):
    e = planned(photons=1e5)
    write(e, tmp_path / "a.cxi", tmp_path / "a.tif")
    write(e.measure(), tmp_path / "b.cxi", tmp_path / "b.tif")
    for suffix in (".cxi", ".tif", ".npy"):
        assert (tmp_path / f"a{suffix}").stat().st_size == (tmp_path / f"b{suffix}").stat().st_size
    a, b = opty.load(tmp_path / "a.cxi"), opty.load(tmp_path / "b.cxi")
    np.testing.assert_array_equal(a.intensities, b.intensities)


def test_positions_for_programs_whose_first_column_is_x(tmp_path):
    """The NPY is (column, row) then; opty reads its own pair rightly, and the NPY alone as any other file."""
    e = planned(photons=1e4)
    write(e, tmp_path / "scan.tif", position_swap=True)
    np.testing.assert_array_equal(np.load(tmp_path / "scan.npy"), e.positions[:, ::-1])
    np.testing.assert_array_equal(opty.load(tmp_path / "scan.tif").positions, e.positions)
    (tmp_path / "others.npy").write_bytes((tmp_path / "scan.npy").read_bytes())
    other = opty.load(tmp_path / "scan.tif", positions=tmp_path / "others.npy")
    np.testing.assert_array_equal(other.positions, e.positions[:, ::-1])


def test_pixels_without_metres_go_into_hdf5_only(tmp_path):
    e = planned(None, photons=1e4)
    write(e, tmp_path / "scan.h5")
    np.testing.assert_array_equal(opty.load(tmp_path / "scan.h5").positions, e.positions)
    with pytest.raises(ValueError, match="give the experiment a geometry"):
        write(e, tmp_path / "scan.tif")


@pytest.mark.parametrize(
    ("names", "says"),
    [(["scan.npz"], "ends with none of .cxi"), ([], "no file"), (["a.cxi", "a.cxi"], "named twice")],
)
def test_what_cannot_be_written_is_refused_first(tmp_path, names, says):
    with pytest.raises(ValueError, match=says):
        write(planned(photons=1e4), *(tmp_path / name for name in names))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TypeError, match="source is a str"):
        write("scan", tmp_path / "a.cxi")


def test_an_interruption_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[Experiment.__module__], "_CHUNK", 2 * N * N)
    (tmp_path / "scan.tif").write_text("the old one")
    e = planned(photons=1e4)
    steps = iter(e.patterns())

    def two_views(progress):
        yield next(steps)
        yield next(steps)
        raise KeyboardInterrupt

    monkeypatch.setattr(Experiment, "patterns", lambda self, progress: two_views(progress))
    with pytest.raises(KeyboardInterrupt):
        write(e, tmp_path / "scan.cxi", tmp_path / "scan.tif")
    assert [p.name for p in tmp_path.iterdir()] == ["scan.tif"]
    assert (tmp_path / "scan.tif").read_text() == "the old one"


def test_memory_does_not_grow_with_the_scan(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[Experiment.__module__], "_CHUNK", 4 * N * N)
    peaks = {}
    for views in (50, 1200):
        e = Experiment(
            np.ones((90, 90), complex), probes.gaussian(N, 9), 40 * np.random.default_rng(0).random((views, 2))
        )
        tracemalloc.start()
        write(e, tmp_path / "scan.h5")
        peaks[views] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    output = 1200 * N * N * 4
    assert peaks[1200] < 0.3 * output
    assert peaks[1200] < 1.5 * peaks[50]

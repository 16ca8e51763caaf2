"""Results as plain images and arrays."""

import signal

import numpy as np
import pytest
import tifffile

import opty
from opty.io.export import export
from opty.physics.modes import orthogonal
from opty.plot.figure import save_figure


@pytest.fixture
def p(full_data):
    return opty.rPIE() ** 2 * opty.PtychoState(full_data, device="cpu", seed=4)


def test_tiff_holds_magnitude_and_phase_at_the_size_of_a_pixel(tmp_path, p):
    files = export(tmp_path / "out.tif", p)
    assert [file.name for file in files] == ["out_magnitude.tif", "out_phase.tif"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out_magnitude.tif", "out_phase.tif"]
    magnitude, phase = (tifffile.imread(file) for file in files)
    assert magnitude.dtype == phase.dtype == np.float32
    rebuilt = magnitude * np.exp(1j * phase)
    turn = np.vdot(rebuilt, p.obj) / np.vdot(rebuilt, rebuilt)
    assert abs(turn) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(rebuilt * turn, p.obj, atol=1e-5)
    for file in files:
        with tifffile.TiffFile(file) as tiff:
            tags = tiff.pages[0].tags
            numerator, denominator = tags["XResolution"].value
            assert 1e-2 / (numerator / denominator) == pytest.approx(p.data.pixel, rel=1e-6)
            assert tags["ResolutionUnit"].value.name == "CENTIMETER"
            assert "rPIE() ** 2" in tags["ImageDescription"].value


def test_without_a_geometry_there_is_no_resolution(tmp_path, p, counts):
    bare = opty.PtychoState(opty.PtychoData(counts, np.zeros((4, 2))), device="cpu")
    (file, _) = export(tmp_path / "out.tiff", bare)
    with tifffile.TiffFile(file) as tiff:
        assert tiff.pages[0].tags["ResolutionUnit"].value.name == "NONE"


def test_npz_needs_no_opty_and_no_pickle(tmp_path, p, identical):
    (file,) = export(tmp_path / "out.npz", p)
    with np.load(file, allow_pickle=False) as found:
        for name in ("obj", "positions"):
            identical(found[name], p.numpy(name))
        identical(found["probe"], orthogonal(p.numpy("probe")))
        identical(found["positions_m"], p.numpy("positions") * p.data.pixel)
        identical(found["history_misfit"], p.history["misfit"])
        assert str(found["recipe"]) == "rPIE() ** 2"
        assert (int(found["iteration"]), int(found["seed"])) == (2, 4)
        assert float(found["wavelength"]) == p.data.geometry.wavelength


def test_cropped_to_what_was_lit(tmp_path, p):
    whole, lit = (export(tmp_path / name, p, crop=crop)[0] for name, crop in (("a.npz", False), ("b.npz", True)))
    with np.load(whole) as one, np.load(lit) as two:
        (row, col), (h, w) = two["corner"], two["obj"].shape
        assert h < one["obj"].shape[0]
        np.testing.assert_array_equal(two["obj"], one["obj"][row : row + h, col : col + w])


def test_modes_are_orthogonal(tmp_path, full_data):
    p = opty.rPIE() ** 3 * opty.PtychoState(full_data, modes=3, device="cpu")
    mixed = np.tensordot(np.array([[0.6, 0.8, 0], [-0.8, 0.6, 0], [0, 0, 1]]), p.numpy("probe"), 1)
    p = p.replace(probe=mixed.astype(np.complex64))
    for name in ("out.npz", "out.ptyr"):
        export(tmp_path / name, p)
    with np.load(tmp_path / "out.npz") as found:
        probes = [found["probe"], opty.load(tmp_path / "out.ptyr", data=full_data, device="cpu").numpy("probe")]
    for probe in probes:
        flat = probe.reshape(3, -1)
        gram = np.abs(flat.conj() @ flat.T)
        assert np.abs(gram - np.diag(np.diag(gram))).max() < 1e-4 * gram[0, 0]
        assert (np.diff(np.diag(gram)) < 0).all()
        np.testing.assert_allclose((np.abs(probe) ** 2).sum(0), (np.abs(mixed) ** 2).sum(0), rtol=1e-3, atol=1e-2)


def test_unwrapped_phase_beside_the_wrapped_one(tmp_path, full_data):
    p = opty.PtychoState(full_data, device="cpu")
    row, column = np.indices(p.obj.shape)
    true = 0.02 * ((row - 30.0) ** 2 + (column - 30.0) ** 2)  # many turns
    p = p.replace(obj=np.exp(1j * true).astype(np.complex64))
    files = export(tmp_path / "out.tif", p, unwrap="constant")
    assert [file.name for file in files] == ["out_magnitude.tif", "out_phase.tif", "out_unwrapped.tif"]
    _, wrapped, phase = (tifffile.imread(file) for file in files)
    known = np.isfinite(phase)
    assert phase.shape == wrapped.shape
    assert np.ptp(phase[known]) > 2 * np.pi > np.ptp(wrapped[known])
    off = (phase - true)[known]
    assert np.ptp(off) < 1e-3
    (file,) = export(tmp_path / "out.npz", p, crop=True, unwrap="constant")
    with np.load(file) as found:
        corner, shape = found["corner"], found["obj"].shape
        window = tuple(slice(c, c + s) for c, s in zip(corner, shape, strict=True))
        np.testing.assert_allclose(found["unwrapped"], phase[window], atol=1e-5)
    with pytest.raises(ValueError, match="leave unwrap out"):
        export(tmp_path / "out.ptyr", p, unwrap="plane")


def test_other_suffixes_are_refused_and_failures_leave_nothing(tmp_path, p, monkeypatch):
    with pytest.raises(ValueError, match=r"out\.jpg does not end with one of \.tif"):
        export(tmp_path / "out.jpg", p)

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", fail)
    with pytest.raises(OSError, match="No space"):
        export(tmp_path / "out.tif", p)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no limit of file sizes here")
@pytest.mark.parametrize("name", ["a.tif", "a.npz", "a.ptyr", "a.h5", "a.png", "a.html", "scan.cxi"])
def test_a_disk_without_room_is_named(tmp_path, p, name):
    """By a limit on the size of files: the error says which file, and why."""
    import resource

    write = {
        "scan.cxi": lambda path: opty.save(path, p.data),
        "a.h5": lambda path: opty.save(path, p),
        "a.png": lambda path: save_figure(opty.plot.overview(p), path),
        "a.html": lambda path: opty.report(p, path),
    }
    path, (soft, hard) = tmp_path / name, resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="the disk may be full") as caught:
            write.get(name, lambda path: export(path, p))(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.filename.startswith(str(tmp_path / name.split(".")[0]))
    assert list(tmp_path.iterdir()) == []

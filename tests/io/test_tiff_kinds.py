"""TIFF as it is written: page by page, a file a frame, mixed; and the positions of TwinMic in HDF5 beside it."""

import importlib.util

import h5py
import numpy as np
import pytest
import tifffile

from opty.errors import FormatError
from opty.io import load

SEED = dict(wavelength=4.892e-10, distance=0.8907, pixel_size=13.5e-6)


@pytest.fixture
def frames():
    return np.random.default_rng(5).poisson(30.0, (12, 16, 16)).astype("uint16")


@pytest.fixture
def where(tmp_path):
    positions = np.arange(24.0).reshape(12, 2) * 1e-7
    np.save(tmp_path / "where.npy", positions)
    return positions


def _loop(path, frames, **options):
    with tifffile.TiffWriter(path) as tif:
        for frame in frames:
            tif.write(frame, **options)


def _mixed(path, frames):
    """Some pages together, one deflated, one with a text, one in bytes: tifffile sorts them into sets, out of order."""
    with tifffile.TiffWriter(path) as tif:
        tif.write(frames[:2], photometric="minisblack")
        tif.write(frames[2], compression="zlib")
        tif.write(frames[3], description="exposure 4", metadata=None)
        tif.write(np.minimum(frames[4], 255).astype("u1"))
        for frame in frames[5:]:
            tif.write(frame)


def _appended(path, frames):
    for frame in frames:
        tifffile.imwrite(path, frame, append=True)


def _pillow(path, frames):
    image = pytest.importorskip("PIL.Image")
    first, *others = [image.fromarray(frame) for frame in frames]
    first.save(path, save_all=True, append_images=others)


KINDS = {
    "loop": _loop,
    "contiguous": lambda path, frames: _loop(path, frames, contiguous=True),
    "without metadata": lambda path, frames: _loop(path, frames, metadata=None),
    "own metadata": lambda path, frames: _loop(path, frames, metadata={"exposure": 0.1}),
    "deflated": lambda path, frames: _loop(path, frames, compression="zlib"),
    "BigTIFF, big-endian": lambda path, frames: tifffile.imwrite(path, frames, bigtiff=True, byteorder=">"),
    "append": _appended,
    "pillow": _pillow,
    "mixed": _mixed,
    "ImageJ": lambda path, frames: tifffile.imwrite(path, frames, imagej=True, metadata={"axes": "TYX"}),
    "ImageJ hyperstack": lambda path, frames: tifffile.imwrite(path, frames.reshape(3, 4, 16, 16), imagej=True),
    "OME": lambda path, frames: tifffile.imwrite(path, frames, ome=True, metadata={"axes": "TYX"}),
    "OME, page by page": lambda path, frames: tifffile.imwrite(
        path, iter(frames), shape=frames.shape, dtype=frames.dtype, ome=True, metadata={"axes": "ZYX"}
    ),
    "truncated": lambda path, frames: tifffile.imwrite(path, frames, photometric="minisblack", truncate=True),
    "strips": lambda path, frames: tifffile.imwrite(path, frames, rowsperstrip=5, photometric="minisblack"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_as_tifffile_reads_its_pages(tmp_path, frames, where, kind, identical):
    path = tmp_path / "scan.tif"
    KINDS[kind](path, frames)
    identical(load(path, **SEED).intensities, frames)
    identical(load(path, **SEED, views=[9, 4, 2]).intensities, frames[[9, 4, 2]])
    data = load(path, **SEED, stream=True)
    identical(np.asarray(data.intensities), frames)
    identical(data.positions, where)


def test_a_small_copy_of_an_image_is_no_frame(tmp_path, frames, where, identical):
    with tifffile.TiffWriter(tmp_path / "scan.tif") as tif:
        tif.write(frames, photometric="minisblack")
        tif.write(frames[0, ::2, ::2], subfiletype=1)
    identical(load(tmp_path / "scan.tif", **SEED).intensities, frames)


def test_ome_leads_to_no_other_file(tmp_path, frames, where, identical):
    """OME's XML may name other files as parts of the stack; only the images in the file itself count."""
    tifffile.imwrite(tmp_path / "secret.ome.tif", frames + 700, ome=True, metadata={"axes": "TYX"})
    tifffile.imwrite(tmp_path / "scan.ome.tif", frames[:4], ome=True, metadata={"axes": "TYX"})
    with tifffile.TiffFile(tmp_path / "scan.ome.tif") as tif:
        xml = tif.pages.first.description
    own, part = (
        "TiffData",
        '<TiffData IFD="0" PlaneCount="8" FirstT="4"><UUID FileName="secret.ome.tif">urn:uuid:1</UUID>',
    )
    lies = xml.replace('SizeT="4"', 'SizeT="12"').replace(f"<{own}", f"{part}</TiffData><{own}", 1)
    tifffile.imwrite(tmp_path / "scan.ome.tif", frames[:4], description=lies, metadata=None, photometric="minisblack")
    np.save(tmp_path / "where.npy", where[:4])
    identical(load(tmp_path / "scan.ome.tif", **SEED).intensities, frames[:4])


@pytest.mark.skipif(importlib.util.find_spec("imagecodecs") is not None, reason="imagecodecs unpacks it")
def test_a_packing_that_needs_another_package_is_named(tmp_path, frames, where):
    image = pytest.importorskip("PIL.Image")
    first, *others = [image.fromarray(frame) for frame in frames]
    first.save(tmp_path / "scan.tif", save_all=True, append_images=others, compression="tiff_lzw")
    with pytest.raises(FormatError, match=r"scan\.tif is packed with LZW, .* imagecodecs: pip install imagecodecs$"):
        load(tmp_path / "scan.tif", **SEED)


@pytest.fixture
def series(tmp_path, frames, where):
    """A file a frame, numbered without leading zeros."""
    for j, frame in enumerate(frames):
        tifffile.imwrite(tmp_path / f"scan7_{j}_raw.tif", frame)
    return tmp_path


@pytest.mark.parametrize("stream", [False, True])
def test_a_file_a_frame(series, frames, where, stream, identical):
    for path in (series, series / "scan7_0_raw.tif", series / "scan7_5_raw.tif", series / "where.npy"):
        data = load(path, **SEED, stream=stream)
        identical(np.asarray(data.intensities), frames)
        identical(data.positions, where)
        assert data.source["path"] == str(series / "scan7_0_raw.tif")
        assert len(data.source["beside"]) == 12
    identical(np.asarray(load(series, **SEED, views=[11, 2], stream=stream).intensities), frames[[11, 2]])


def test_a_few_frames_a_file_with_a_dark_image_beside(series, frames, identical):
    for path in series.glob("scan7_*"):
        path.unlink()
    for k, (a, b) in enumerate(((0, 5), (5, 6), (6, 12))):
        _loop(series / f"part{k:03d}.tif", frames[a:b])
    tifffile.imwrite(series / "dark.tif", frames[0])
    identical(load(series, **SEED).intensities, frames)
    identical(load(series / "part001.tif", **SEED).intensities, frames)


def test_a_series_with_a_frame_that_is_lost(series, where):
    (series / "scan7_4_raw.tif").unlink()
    with pytest.raises(
        FormatError, match=r"holds scan7_0_raw\.tif to scan7_11_raw\.tif \(11\).*where\.npy \(12\): give"
    ):
        load(series, **SEED)
    with pytest.raises(
        FormatError, match=r"scan7_2_raw.tif holds 1 views, scan7_0_raw\.tif to scan7_11_raw\.tif 11; be"
    ):
        load(series / "scan7_2_raw.tif", **SEED)


def test_a_series_with_a_frame_of_another_size(series, frames):
    tifffile.imwrite(series / "scan7_4_raw.tif", frames[0, :8])
    with pytest.raises(FormatError, match=r"scan7_4_raw\.tif holds images of 8 x 16, and scan7_0_raw\.tif of 16 x 16"):
        load(series, **SEED)


def test_a_file_a_frame_named_by_line_and_column(series, frames, where, identical):
    for path in series.glob("scan7_*"):
        path.unlink()
    for j, frame in enumerate(frames):
        tifffile.imwrite(series / f"frame_{j // 4}_{j % 4}.tif", frame)
    for path in (series, series / "frame_1_2.tif", series / "where.npy"):
        identical(load(path, **SEED).intensities, frames)


def test_a_stack_among_others_with_positions_of_another_number(series, frames, where, identical):
    """Views that are chosen say which frames and positions belong together."""
    tifffile.imwrite(series / "scan7_0_raw.tif", frames[:7], photometric="minisblack")
    data = load(series / "scan7_0_raw.tif", **SEED, positions=series / "where.npy", views="0:7")
    identical(data.intensities, frames[:7])
    identical(data.positions, where[:7])


def test_two_series_in_a_folder(series, frames, where, identical):
    for j, frame in enumerate(frames):
        tifffile.imwrite(series / f"other_{j:02d}.tif", frame[::-1])
    with pytest.raises(
        FormatError, match=r"where\.npy goes with each of other_00\.tif to other_11\.tif, scan7_0_raw.tif"
    ):
        load(series, **SEED)
    identical(load(series / "other_03.tif", **SEED).intensities, frames[:, ::-1])


def test_a_frame_of_a_series_that_changes_while_it_is_read(series, frames):
    from opty.errors import SourceError

    data = load(series, **SEED, stream=True)
    tifffile.imwrite(series / "scan7_3_raw.tif", frames[0], description="another one")
    with pytest.raises(SourceError, match=r"scan7_3_raw\.tif has changed while it was read from"):
        np.asarray(data.intensities)


def test_a_folder_without_frames(tmp_path, where):
    with pytest.raises(IsADirectoryError):
        load(tmp_path, **SEED)


@pytest.fixture
def twinmic(tmp_path, frames):
    """The pair that the TwinMic beamline writes, by h5py and tifffile alone: motors in micrometres."""
    tifffile.imwrite(tmp_path / "scan.tif", frames, photometric="minisblack")
    with h5py.File(tmp_path / "scan.hdf5", "w") as f:
        f["sample_motors/sample_x_pos"] = np.arange(12.0) * 2
        f["sample_motors/sample_y_pos"] = np.arange(12.0)[:, None] - 3
    return tmp_path


@pytest.mark.parametrize("stream", [False, True])
def test_twinmic(twinmic, frames, stream, identical):
    expected = np.column_stack([np.arange(12.0) - 3, np.arange(12.0) * 2]) * 1e-6
    ways = [(twinmic, {}), (twinmic / "scan.tif", {}), (twinmic / "scan.hdf5", {})]
    ways.append((twinmic / "scan.tif", {"positions": twinmic / "scan.hdf5"}))
    for path, options in ways:
        data = load(path, **SEED, **options, stream=stream)
        identical(np.asarray(data.intensities), frames)
        np.testing.assert_allclose(data.positions, expected, rtol=1e-15)


def test_twinmic_with_units_and_motors_that_disagree(twinmic):
    with h5py.File(twinmic / "scan.hdf5", "a") as f:
        f["sample_motors/sample_x_pos"].attrs["units"] = "mm"
    assert load(twinmic, **SEED).positions[1, 1] == pytest.approx(2e-3)
    with h5py.File(twinmic / "scan.hdf5", "a") as f:
        del f["sample_motors/sample_x_pos"]
        f["sample_motors/sample_x_pos"] = np.arange(11.0)
    with pytest.raises(
        FormatError, match="there are 12 positions in /sample_motors/sample_y_pos and 11 in /sample_mot"
    ):
        load(twinmic / "scan.tif", **SEED, positions=twinmic / "scan.hdf5")

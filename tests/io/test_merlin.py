"""Merlin .mib files, byte by byte: every depth of the counters, raw and processed, one chip and four, and the .hdr."""

import numpy as np
import pytest

from opty.errors import FormatError
from opty.io import info, load

LENGTHS = {"voltage": "200kV", "distance": 0.5}
STEP = {"scan_step": "0.5nm"}


def header(number, columns, rows, depth, bits, chips=1, layout="   1x1", length=384):
    """A header as the manual has it, of ``length`` bytes; the bits of the counters come last."""
    start = f"MQ1,{number:06d},{length:05d},{chips:02d},{columns:04d},{rows:04d},{depth},{layout},01,"
    rest = "2020-05-18 16:51:49.971626,0.000555,0,0,0,1.200000E+2,5.110000E+2,0,0,0,3RX,175,511,000,000,MQ1A,"
    return f"{start}{rest}2020-05-18T14:51:49.971626178Z,555000ns,{bits},".encode().ljust(length, b"\0")


def raw_bytes(image, bits):
    """A raw image (rows, columns) as the detector sends it: 64 bits at a time, their pixels in reverse order."""
    columns = image.shape[1]
    out = bytearray()
    if bits == 24:
        return raw_bytes(image >> 12, 12) + raw_bytes(image & 0xFFF, 12)
    per = {1: 64, 6: 8, 12: 4}[bits]
    for row in image.tolist():
        for start in range(0, columns, per):
            word = row[start : start + per]
            if bits == 1:
                out += sum(value << k for k, value in enumerate(word)).to_bytes(8, "big")
            else:
                out += b"".join(value.to_bytes(64 // per // 8, "big") for value in reversed(word))
    return bytes(out)


@pytest.fixture
def counts():
    """Function that makes six images of so many bits."""
    return lambda bits, edge=64: np.random.default_rng(bits).integers(0, 2**bits, (6, edge, edge))


@pytest.fixture
def scan(tmp_path):
    """Function that writes frames, with a .hdr that tells of 2 x 3 views."""

    def write(frames, hdr="ScanX:\t3\nScanY:\t2\n"):
        (tmp_path / "scan.mib").write_bytes(b"".join(frames))
        if hdr:
            (tmp_path / "scan.hdr").write_text("HDR,\t\nTime and Date Stamp:\t18/05/2020\n" + hdr + "End\t")
        return tmp_path / "scan.mib"

    return write


DEPTHS = [("U08", 1, "u1"), ("U08", 6, "u1"), ("U16", 12, "u2"), ("U32", 24, "u4")]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("depth", "bits", "dtype"), DEPTHS)
def test_processed(scan, counts, depth, bits, dtype, stream, identical):
    images = counts(bits)
    stored = images.astype(f">{dtype}")
    frames = [header(k, 64, 64, depth, bits) + image.tobytes() for k, image in enumerate(stored, 1)]
    data = load(scan(frames), **LENGTHS, **STEP, stream=stream)
    identical(np.asarray(data.intensities), images.astype(dtype))
    identical(
        np.asarray(load(data.source["path"], **LENGTHS, **STEP, views=[4, 1]).intensities), images[[4, 1]].astype(dtype)
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("_", "bits", "dtype"), DEPTHS)
def test_raw(scan, counts, _, bits, dtype, stream, identical):
    images = counts(bits)
    columns = 128 if bits == 24 else 64
    frames = [header(k, columns, 64, "R64", bits) + raw_bytes(image, bits) for k, image in enumerate(images, 1)]
    data = load(scan(frames), **LENGTHS, **STEP, stream=stream)
    identical(np.asarray(data.intensities), images.astype(dtype))


@pytest.mark.parametrize(("bits", "dtype"), [(1, "u1"), (6, "u1"), (12, "u2")])
def test_raw_of_four_chips(scan, counts, bits, dtype, identical):
    """The chips below come first in each line, turned by 180 degrees; of those above, the right one."""
    images = counts(bits, edge=128)
    frames = []
    for k, image in enumerate(images, 1):
        above, below = image[:64], image[64:][::-1, ::-1]
        line = np.hstack([below[:, :64], below[:, 64:], above[:, 64:], above[:, :64]])
        frames.append(header(k, 256, 64, "R64", bits, 4, "  2x2G", 768) + raw_bytes(line, bits))
    identical(load(scan(frames), **LENGTHS, **STEP).intensities, images.astype(dtype))


def test_scan_and_geometry(scan, counts):
    frames = [header(k, 64, 64, "U16", 12) + image.astype(">u2").tobytes() for k, image in enumerate(counts(12), 1)]
    data = load(scan(frames), **LENGTHS, **STEP)
    expected = [[i * 0.5e-9, j * 0.5e-9] for i in range(2) for j in range(3)]
    np.testing.assert_allclose(data.positions, expected, rtol=1e-15)
    assert (data.geometry.pixel_size, data.geometry.voltage) == (55e-6, 200e3)
    assert [path.rpartition("/")[2] for path in data.source["beside"]] == ["scan.hdr"]
    line = load(
        scan(frames, "Frames in Acquisition (Number):\t6\nFrames per Trigger (Number):\t2\n"), **LENGTHS, **STEP
    )
    assert line.positions[2].tolist() == [0.5e-9, 0.0]
    turned = load(data.source["path"], **LENGTHS, scan_step=("1nm", "2nm"), scan_shape=(3, 2), scan_rotation="90deg")
    np.testing.assert_allclose(turned.positions[3], [-2e-9, 1e-9], atol=1e-20)
    assert "Merlin .mib" in str(info(data.source["path"], **LENGTHS, **STEP))


def test_what_the_file_does_not_tell(scan, counts, tmp_path):
    frames = [header(k, 64, 64, "U16", 12) + image.astype(">u2").tobytes() for k, image in enumerate(counts(12), 1)]
    path = scan(frames, hdr="")
    with pytest.raises(
        FormatError, match="file has no positions: give the distance between views on a grid, scan_step"
    ):
        load(path, **LENGTHS)
    with pytest.raises(FormatError, match="scan_shape needs scan_step, the distance between views"):
        load(path, **LENGTHS, scan_shape=(2, 3))
    with pytest.raises(FormatError, match="holds 6 frames in a row: give the shape of the scan, scan_shape="):
        load(path, **LENGTHS, **STEP)
    with pytest.raises(FormatError, match=r"there are 6 patterns but 4 positions \(a scan on a grid\)"):
        load(path, **LENGTHS, **STEP, scan_shape=(2, 2))
    with pytest.raises(FormatError, match=r"no distance; no pixel size: give distance=, pixel_size="):
        load(path, voltage="200kV", **STEP, scan_shape=(2, 3))
    np.save(tmp_path / "where.npy", np.arange(12.0).reshape(6, 2) * 1e-9)
    np.testing.assert_allclose(load(path, **LENGTHS, positions=tmp_path / "where.npy").positions[5], [1e-8, 1.1e-8])


def test_files_that_break_off(scan, counts):
    frames = [header(k, 64, 64, "U16", 12) + image.astype(">u2").tobytes() for k, image in enumerate(counts(12), 1)]
    path = scan(frames)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])  # the last one is not complete
    with pytest.raises(FormatError, match=r"there are 5 patterns but 6 positions .*, views='0:5'"):
        load(path, **LENGTHS, **STEP)
    assert load(path, **LENGTHS, **STEP, views="0:5").positions[4].tolist() == [0.5e-9, 0.5e-9]
    assert load(path, **LENGTHS, **STEP, scan_shape=(1, 5)).views == 5
    path.write_bytes(whole[:3000] + whole[3010:])
    with pytest.raises(FormatError, match="frame 1 does not begin with its header: the file is truncated or damaged"):
        load(path, **LENGTHS, **STEP, scan_shape=(1, 5))
    path.write_bytes(whole[:300])
    with pytest.raises(FormatError, match="promises an image of 64 x 64, and is shorter"):
        load(path, **LENGTHS, **STEP)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (header(1, 64, 64, "F32", 12), "images are of the kind 'F32'; opty reads U08, U16, U32 and R64"),
        (header(1, 64, 64, "R64", 7), "raw, and its header does not say of how many bits"),
        (
            header(1, 256, 64, "R64", 24, 4, "   2x2"),
            "24 bits from 4 chips .2x2., the order of which opty does not know",
        ),
        (
            header(1, 128, 64, "R64", 12, 2, "   Nx1"),
            "12 bits from 2 chips .Nx1., the order of which opty does not know",
        ),
        (header(1, 60, 63, "R64", 1), "63 x 60 pixels, which 1 chips do not have"),
        (b"MQ1,000001,00384,01,99999,0064,U16," + bytes(400), "its header makes no sense"),
        (b"MQ1,000001,huge" + bytes(400), "its header makes no sense"),
    ],
)
def test_kinds_that_are_not_read(tmp_path, start, said):
    (tmp_path / "scan.mib").write_bytes(start + bytes(1 << 16))
    with pytest.raises(FormatError, match=said):
        load(tmp_path / "scan.mib", **LENGTHS, **STEP)

"""HDF5 of any layout through a TOML file: units, axes, signs, what comes with opty."""

import h5py
import numpy as np
import pytest

from opty.errors import FormatError
from opty.geometry import PLANCK_TIMES_C
from opty.io import load
from opty.io.formats import mapping

WORDS = """
[frames]
path = "/entry/det/data"
[positions]
row = { path = "/entry/y", unit = "um", sign = -1 }
column = { path = "/entry/x", unit = "um" }
[geometry]
energy = { path = "/entry/energy", unit = "keV" }
distance = { value = 2.0, unit = "m" }
pixel_size = { value = 55, unit = "um" }
[mask]
path = "/entry/det/mask"
good = 0
[load]
transpose = true
flip = "rows"
"""


@pytest.fixture
def scan(tmp_path, counts):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as f:
        f["entry/det/data"], f["entry/det/mask"] = counts, np.eye(16, dtype="uint8")
        f["entry/y"], f["entry/x"] = np.arange(4.0), np.arange(4.0) * 2
        f["entry/xy"] = np.arange(8.0).reshape(2, 4)
        f["entry/energy"] = 6.2
        f["entry/moved"] = counts.transpose(1, 2, 0)
        f["entry/raster"] = counts.reshape(2, 2, 16, 16)
    return path


@pytest.fixture
def toml(tmp_path):
    def write(text=WORDS, *changes):
        path = tmp_path / "beamline.toml"
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
        return path

    return write


def flipped(a):
    """Transposed, then rows reversed about the zero frequency."""
    return np.roll(np.swapaxes(a, -2, -1)[..., ::-1, :], 1, axis=-2)


def test_everything_by_the_mapping(scan, toml, counts, identical):
    data = load(scan, mapping=toml())
    identical(data.intensities, flipped(counts).copy())
    identical(data.mask, flipped(np.eye(16) == 0).copy())
    np.testing.assert_allclose(data.positions, np.column_stack([-np.arange(4.0), np.arange(4.0) * 2]) * 1e-6)
    assert data.geometry.wavelength == pytest.approx(PLANCK_TIMES_C / (6.2 * 1.602176634e-16), rel=1e-12)
    assert (data.geometry.distance, data.geometry.pixel_size) == (2.0, pytest.approx(55e-6))
    identical(load(scan, mapping=toml(), transpose=False, flip="none").intensities, counts)


@pytest.mark.parametrize(
    ("path", "axes"), [("/entry/moved", "row column view"), ("/entry/raster", "view view row column")]
)
def test_axes(scan, toml, counts, path, axes, identical):
    plain = (("transpose = true", ""), ('flip = "rows"', ""))
    words = toml(WORDS, ('"/entry/det/data"', f'"{path}"\naxes = "{axes}"'), *plain)
    identical(load(scan, mapping=words).intensities, counts)
    identical(load(scan, mapping=words, views=[3, 0]).intensities, counts[[3, 0]])


def test_positions_in_one_array_and_pixels(scan, toml):
    table = WORDS[WORDS.index("row = ") : WORDS.index("[geometry]")]
    words = toml(WORDS, (table, 'path = "/entry/xy"\naxes = "column row"\nsigns = [1, -1]\nunit = "nm"\n'))
    xy = np.arange(8.0).reshape(2, 4)
    np.testing.assert_allclose(load(scan, mapping=words).positions, np.column_stack([-xy[1], xy[0]]) * 1e-9)
    geometry = WORDS[WORDS.index("[geometry]") : WORDS.index("[mask]")]
    words = toml(WORDS, (table, 'path = "/entry/xy"\npixels = true\n'), (geometry, ""))
    np.testing.assert_allclose(load(scan, mapping=words).positions, xy.T)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([("[frames]", "[frame]")], r"there is no table \[frame\]; there are: frames, positions"),
        ([("good = 0", "bad = 0")], r"\[mask\] has no bad; it has: "),
        ([("/entry/det/data", "/entry/dat/data")], r"no frames at /entry/dat/data.*: did you mean det\?"),
        ([('"um" }', '"mile" }')], "has the unit 'mile', no unit of length"),
        ([("sign = -1", "sgn = -1")], "expected { path = "),
        ([("[frames]", "[frames")], "is no TOML"),
        ([('"/entry/det/data"', '"/entry/det/data"\naxes = "row view"')], "expected 'view row column' in some order"),
        ([('"/entry/x"', '"/entry/energy"')], "4 row positions and 1 column positions"),
    ],
)
def test_mistakes_in_a_mapping(scan, toml, changes, message):
    with pytest.raises(FormatError, match=message):
        load(scan, mapping=toml(WORDS, *changes))


def test_mapping_that_is_not_there(scan, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no mapping 'i99': give the path .* or one of .*i13"):
        load(scan, mapping="i99")
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY" + bytes(60))
    with pytest.raises(FormatError, match="a mapping is for HDF5"):
        load(tmp_path / "a.npy", mapping="i13")


SHIPPED = sorted(mapping.SHIPPED.glob("*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_mappings_that_come_with_opty_are_read_and_explained(path):
    plan = mapping.Plan(path.stem)
    assert {"frames", "positions"} <= set(plan.tables)
    assert path.read_text().startswith("# ")
    assert sum(line.strip().startswith("#") for line in path.read_text().splitlines()) >= 4

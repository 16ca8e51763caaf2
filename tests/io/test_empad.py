"""EMPAD .raw files with their XML, byte by byte: frames without the two rows below, scan, geometry, what is missing."""

import numpy as np
import pytest

from opty.errors import FormatError
from opty.geometry import electron_wavelength
from opty.io import load

SCAN = '<scan_parameters mode="search"><scan_size>0.8</scan_size><scan_resolution_y>9</scan_resolution_y>'
SCAN += "<scan_resolution_x>9</scan_resolution_x></scan_parameters>"
SCAN += '<scan_parameters mode="acquire"><scan_size>1.0</scan_size><scan_resolution_y>2</scan_resolution_y>'
SCAN += "<scan_resolution_x>3</scan_resolution_x></scan_parameters>"
MEASURED = (
    "<iom_measurements><scan_rotation>0.0</scan_rotation><full_scan_field_of_view><scale_factor>0.72</scale_factor>"
)
MEASURED += "<x>2.16e-09</x><y>2.16e-09</y></full_scan_field_of_view><high_voltage>300000.0</high_voltage>"
MEASURED += "<calibrated_diffraction_angle>0.0005</calibrated_diffraction_angle></iom_measurements>"


@pytest.fixture
def frames():
    return np.random.default_rng(0).poisson(3.0, (6, 130, 128)).astype("<f4")


@pytest.fixture
def scan(tmp_path, frames):
    """Function that writes the pair; keywords are texts to change in the XML."""

    def write(name="scan_x3_y2.raw", xml=True, change=("", "")):
        (tmp_path / name).write_bytes(frames.tobytes())
        text = f'<root name="a"><software_version>1.2.2</software_version><raw_file filename="{name}"/>'
        text += f"<exposure_time>1</exposure_time>{SCAN}{MEASURED}</root>"
        if xml:
            (tmp_path / "scan.xml").write_text(text.replace(*change) if change[0] else text)
        return tmp_path / name

    return write


@pytest.mark.parametrize("stream", [False, True])
def test_frames_scan_and_geometry(scan, frames, stream, identical):
    path = scan()
    for one in (path, path.with_name("scan.xml")):
        data = load(one, stream=stream)
        identical(np.asarray(data.intensities), frames[:, :128])
        expected = [[i * 1e-9, j * 1e-9] for i in range(2) for j in range(3)]  # 2.16 nm / 0.72 / 3
        np.testing.assert_allclose(data.positions, expected, rtol=1e-12)
        assert (data.geometry.voltage, data.geometry.wavelength) == (300e3, electron_wavelength(300e3))
        assert data.pixel == pytest.approx(electron_wavelength(300e3) / (128 * 0.0005))
        assert data.source["path"] == str(path)
        assert [other.rpartition("/")[2] for other in data.source["beside"]] == ["scan.xml"]
    identical(load(path, views=[5, 2]).intensities, frames[[5, 2], :128])


def test_the_voltage_of_older_versions(scan):
    """Version 0.51 has source.get_voltage where 1.2.2 has high_voltage."""
    old = "<source.get_voltage>80000.0</source.get_voltage>"
    path = scan(change=("<high_voltage>300000.0</high_voltage>", old))
    assert load(path).geometry.voltage == 80e3
    field = MEASURED.partition("<high")[0].partition("</scan_rotation>")[2]
    older = "<optics.get_full_scan_field_of_view>[3e-09, 3e-09]</optics.get_full_scan_field_of_view>"
    assert load(scan(change=(field, older))).positions[1].tolist() == pytest.approx([0, 1e-9])
    for wrong in ("[3e-09, 2e-09]", "[3.e.-1, 3.e.-1]", "3e-09"):
        with pytest.raises(FormatError, match="the file has no positions"):
            load(scan(change=(field, older.replace("[3e-09, 3e-09]", wrong))))
    both = scan(change=("<high_voltage>", f"{old}<high_voltage>"))
    assert load(both).geometry.voltage == 300e3


def test_options_come_first(scan):
    path = scan()
    assert load(path, voltage="80kV").pixel == pytest.approx(electron_wavelength(80e3) / (128 * 0.0005))
    assert load(path, reciprocal_pixel="1mrad").pixel == pytest.approx(electron_wavelength(300e3) / 0.128)
    assert load(path, distance=2.0, pixel_size="150um").geometry.pixel_size == 150e-6
    with pytest.raises(FormatError, match="no distance: give distance= in metres"):
        load(path, pixel_size="150um")  # no angle goes with it
    assert load(path, scan_step="0.3nm", scan_shape=(3, 2)).positions[2].tolist() == [0.3e-9, 0.0]


def test_a_part_of_the_field_is_no_step(scan):
    """What the field of view is of differs from version to version where only a part of it was scanned."""
    path = scan(change=("<scan_size>1.0<", "<scan_size>0.6<"))
    with pytest.raises(FormatError, match="has no positions: give the distance between views on a grid, scan_step="):
        load(path)
    assert load(path, scan_step="0.3nm").views == 6


def test_without_xml_the_name_tells_the_shape(scan, frames, identical):
    path = scan(xml=False)
    with pytest.raises(FormatError, match="no wavelength; no distance; no pixel size: give wavelength=, distance="):
        load(path, scan_step="1nm")
    identical(load(path, scan_step="1nm", voltage="300kV", distance=1, pixel_size=5e-4).intensities, frames[:, :128])
    path = scan("other.raw", xml=False)
    with pytest.raises(FormatError, match="has no positions: give the distance between views"):
        load(path, voltage="300kV", distance=1, pixel_size=5e-4)


def test_the_shape_that_fits_is_taken(scan):
    """Some versions name the shape that was scanned under "search"."""
    path = scan("scan.raw")
    text = path.with_name("scan.xml").read_text()
    for old, new in (("_y>9</", "_y>3</"), ("_x>9</", "_x>2</"), ("_y>2</", "_y>5</")):
        assert old in text
        text = text.replace(old, new)
    path.with_name("scan.xml").write_text(text)
    assert load(path, scan_step="1nm").positions[2].tolist() == [1e-9, 0.0]


def test_pairs_that_are_not_whole(scan, frames, tmp_path):
    path = scan()
    path.write_bytes(frames.tobytes()[:-100])
    with pytest.raises(
        FormatError, match=r"scan_x3_y2.raw has 399260 bytes, which are no whole frames of 66560: it is t"
    ):
        load(tmp_path / "scan.xml")
    path.write_bytes(frames[:5].tobytes())
    with pytest.raises(FormatError, match=r"there are 5 patterns but 6 positions .*, views='0:5'"):
        load(path)
    path.unlink()
    with pytest.raises(FormatError, match=r"scan.xml describes scan_x3_y2.raw, and there is no such file beside it"):
        load(tmp_path / "scan.xml")
    (tmp_path / "scan.xml").write_text('<root><raw_file filename="/etc/passwd"/>')
    with pytest.raises(FormatError, match="is truncated or damaged XML"):
        load(tmp_path / "scan.xml")
    (tmp_path / "scan.xml").write_text('<root><raw_file filename="../../etc/passwd"/></root>')
    with pytest.raises(FormatError, match="describes passwd, and there is no such file beside it"):
        load(tmp_path / "scan.xml")


def test_entities_are_not_expanded(tmp_path):
    bomb = '<!DOCTYPE a [<!ENTITY b "lol"><!ENTITY c "&b;&b;&b;&b;">]><root><raw_file filename="&c;"/></root>'
    (tmp_path / "scan.xml").write_text(bomb)
    with pytest.raises(FormatError, match="is text that starts with"):
        load(tmp_path / "scan.xml")

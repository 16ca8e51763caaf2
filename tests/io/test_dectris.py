"""Masters of DECTRIS' detectors, written with h5py alone: parts, links, masks by their bits, values that nobody set."""

from itertools import pairwise

import h5py
import numpy as np
import pytest

from opty.errors import FormatError
from opty.io import info, load

DETECTOR, SPECIFIC = "entry/instrument/detector/", "entry/instrument/detector/detectorSpecific/"
CUTS = (0, 4, 8, 11)
WHERE = np.arange(22.0).reshape(11, 2) * 1e-7


@pytest.fixture
def frames():
    return np.random.default_rng(3).poisson(50.0, (11, 16, 16)).astype("uint32")


@pytest.fixture
def master(tmp_path, frames):
    """Function that writes a master with three parts; ``lost`` are numbers of parts whose files are not there."""

    def write(lost=(), numbered=True, name="scan_{}.h5", **fields):
        np.save(tmp_path / "pos.npy", WHERE)
        path = tmp_path / name.format("master")
        with h5py.File(path, "w") as f:
            for k, (a, b) in enumerate(pairwise(CUTS), 1):
                part = name.format(f"data_{k:06d}")
                f[f"entry/data/data_{k:06d}"] = h5py.ExternalLink(part, "entry/data/data")
                if k not in lost:
                    _part(tmp_path / part, frames[a:b], a + 1 if numbered else None)
            f["entry/instrument/beam/incident_wavelength"] = np.float32(1.24)
            f[f"{DETECTOR}detector_distance"], f[f"{DETECTOR}x_pixel_size"] = 2.5, np.float32(75e-6)
            f[f"{DETECTOR}y_pixel_size"] = np.float32(75e-6)
            for field, value in fields.items():
                field = field.replace("__", "/")
                if field in f:
                    del f[field]
                f[field] = value
        return path

    return write


def _part(path, frames, first):
    with h5py.File(path, "w") as f:
        data = f.create_dataset("entry/data/data", data=frames, chunks=(1, 16, 16), compression="gzip")
        if first is not None:
            data.attrs["image_nr_low"], data.attrs["image_nr_high"] = first, first + len(frames) - 1


@pytest.mark.parametrize("stream", [False, True])
def test_parts_are_one_scan(master, frames, tmp_path, stream, identical):
    data = load(master(), positions=tmp_path / "pos.npy", stream=stream)
    identical(np.asarray(data.intensities), frames)
    identical(data.positions, WHERE)
    assert (data.geometry.wavelength, data.geometry.distance, data.geometry.pixel_size) == (1.24e-10, 2.5, 75e-6)
    names = {path.rpartition("/")[2] for path in data.source["beside"]}
    assert names == {"pos.npy", "scan_data_000001.h5", "scan_data_000002.h5", "scan_data_000003.h5"}
    some = load(data.source["path"], positions=tmp_path / "pos.npy", stream=stream, views=[9, 0, 4])
    identical(np.asarray(some.intensities), frames[[9, 0, 4]])


def test_packed_parts(master, frames, tmp_path, identical):
    plugin = pytest.importorskip("hdf5plugin")
    path = master()
    with h5py.File(tmp_path / "scan_data_000002.h5", "w") as f:
        options = plugin.Bitshuffle(cname="lz4")
        f.create_dataset("entry/data/data", data=frames[4:8], chunks=(1, 16, 16), **options)
    identical(load(path, positions=tmp_path / "pos.npy").intensities, frames)


def test_a_missing_last_part(master, frames, tmp_path, identical):
    path = master(lost=[3])
    with pytest.raises(FormatError, match=r"scan_data_000003\.h5 is missing \(views 8 to 10\).* views='0:8'"):
        load(path, positions=tmp_path / "pos.npy")
    identical(load(path, positions=tmp_path / "pos.npy", views="0:8").intensities, frames[:8])
    with pytest.raises(ValueError, match=r"scan_data_000003\.h5 is missing \(views 8 to 10\)"):
        load(path, positions=tmp_path / "pos.npy", views="0:9")
    np.save(tmp_path / "fewer.npy", WHERE[:8])
    identical(load(path, positions=tmp_path / "fewer.npy").intensities, frames[:8])


def test_a_missing_part_between_others(master, frames, tmp_path, identical):
    path = master(lost=[2])
    with pytest.raises(FormatError, match=r"scan_data_000002\.h5 is missing \(views 4 to 7\)"):
        load(path, positions=tmp_path / "pos.npy")
    for stream in (False, True):
        data = load(path, positions=tmp_path / "pos.npy", views=[10, 3], stream=stream)
        identical(np.asarray(data.intensities), frames[[10, 3]])
        identical(data.positions, WHERE[[10, 3]])
    np.save(tmp_path / "seven.npy", WHERE[:7])
    for places, views in (
        ("pos.npy", "0:4"),
        ("seven.npy", None),
    ):  # without numbers nothing tells which frames are lost
        with pytest.raises(FormatError, match=r"000002\.h5 is missing, and the number of its frames is unknown"):
            load(master(lost=[2], numbered=False, name="other_{}.h5"), positions=tmp_path / places, views=views)


def test_a_missing_first_part(master, frames, tmp_path, identical):
    path = master(lost=[1])
    with pytest.raises(
        FormatError, match=r"scan_data_000001\.h5 is missing \(views 0 to 3\): choose views that are the"
    ):
        load(path, positions=tmp_path / "pos.npy")
    identical(load(path, positions=tmp_path / "pos.npy", views="4:").intensities, frames[4:])


def test_a_short_part(master, frames, tmp_path, identical):
    path = master()
    _part(tmp_path / "scan_data_000002.h5", frames[4:7], 5)
    with pytest.raises(FormatError, match=r"what comes before .* in .*scan_data_000003.h5 is missing \(views 7 to 7\)"):
        load(path, positions=tmp_path / "pos.npy")
    identical(load(path, positions=tmp_path / "pos.npy", views=[6, 8]).intensities, frames[[6, 8]])


def test_all_parts_are_missing(master, tmp_path):
    with pytest.raises(
        FormatError, match=r"all parts of entry/data are missing: scan_data_000001.h5, scan_data_000002"
    ):
        load(master(lost=[1, 2, 3]), positions=tmp_path / "pos.npy")


def test_a_part_that_is_damaged_is_named(master, tmp_path):
    path = master()
    part = tmp_path / "scan_data_000002.h5"
    part.write_bytes(part.read_bytes()[:700])
    with pytest.raises(
        FormatError, match=r"data_000002 is a link to .*scan_data_000002.h5, which is truncated or damaged"
    ):
        load(path, positions=tmp_path / "pos.npy")


def test_only_parts_of_its_own_name_in_its_own_folder_are_followed(master, frames, tmp_path):
    path = master()
    for name in ("other_data_000002.h5", "../scan_data_000002.h5", "/etc/scan_data_000002.h5"):
        with h5py.File(path, "a") as f:
            del f["entry/data/data_000002"]
            f["entry/data/data_000002"] = h5py.ExternalLink(name, "entry/data/data")
        with pytest.raises(FormatError, match=r"data_000002 is a link to another file, .* links='"):
            load(path, positions=tmp_path / "pos.npy")
    _part(tmp_path / "other_data_000002.h5", frames[4:8], 5)
    with h5py.File(path, "a") as f:
        del f["entry/data/data_000002"]
        f["entry/data/data_000002"] = h5py.ExternalLink("other_data_000002.h5", "entry/data/data")
    assert load(path, positions=tmp_path / "pos.npy", links="other_data_*").views == 11


def test_a_pixel_counts_by_the_meaning_of_its_bits(master, tmp_path):
    flags = np.zeros((16, 16), "uint32")
    for bit in range(32):
        flags[bit // 8 + 5, bit % 8] = 1 << bit
    data = load(master(**{f"{SPECIFIC}pixel_mask".replace("/", "__"): flags}), positions=tmp_path / "pos.npy")
    bits = data.mask[5:9, :8].reshape(-1)
    assert not bits[:16].any()  # gap, dead, under and over responding, noisy, cluster, user's, and what is not defined
    assert bits[16:].all()  # remarks only, such as a virtual pixel (bit 31)
    assert data.mask.sum() == 240


def test_counts_from_the_cutoff_on_are_none(master, frames, tmp_path):
    path = master()
    for field, value, least in (
        (f"{SPECIFIC}countrate_correction_count_cutoff", 70, 70),
        (f"{DETECTOR}saturation_value", 70, 71),
        (f"{SPECIFIC}countrate_correction_count_cutoff", 0, 2**32),  # nobody set it
    ):
        data = load(master(**{field.replace("/", "__"): value}), positions=tmp_path / "pos.npy")
        expected = (frames < least).all(axis=0)
        assert (data.mask == expected).all()
    with h5py.File(tmp_path / "scan_data_000001.h5", "a") as f:
        f["entry/data/data"][1, 2, 3] = 2**32 - 1
    for stream in (False, True):
        data = load(path, positions=tmp_path / "pos.npy", stream=stream)
        assert np.argwhere(~data.mask).tolist() == [[2, 3]]
    assert load(path, positions=tmp_path / "pos.npy", mask="ignore").mask is None


def test_values_that_nobody_set(master, tmp_path):
    zero = {f"{DETECTOR}detector_distance".replace("/", "__"): 0.0, f"{DETECTOR}beam_center_x".replace("/", "__"): 0.0}
    path = master(**zero)
    with pytest.raises(FormatError, match=r"detector_distance is \[0\.0\], which is not set: give distance= in metres"):
        load(path, positions=tmp_path / "pos.npy")
    assert load(path, positions=tmp_path / "pos.npy", distance=3.0).geometry.distance == 3.0


def test_units_beam_centre_and_energy(master, tmp_path):
    path = master()
    with h5py.File(path, "a") as f:
        del f["entry/instrument/beam/incident_wavelength"], f[f"{DETECTOR}detector_distance"]
        f[f"{SPECIFIC}photon_energy"] = 10_000.0
        f[f"{DETECTOR}detector_distance"] = 2500.0
        f[f"{DETECTOR}detector_distance"].attrs["units"] = "mm"
        f[f"{DETECTOR}beam_center_x"], f[f"{DETECTOR}beam_center_y"] = 6.0, 9.0
    data = load(path, positions=tmp_path / "pos.npy", crop=8)
    assert data.geometry.wavelength == pytest.approx(1.2398419843e-10, rel=1e-9)
    assert data.geometry.distance == 2.5
    expected = load(path, positions=tmp_path / "pos.npy", crop=8, centre=(9, 6))
    assert (data.intensities == expected.intensities).all()


def test_nxmx_in_one_dataset(master, frames, tmp_path, identical):
    path = tmp_path / "nxmx.h5"
    with h5py.File(path, "w") as f, h5py.File(master()) as g:
        g.copy("entry/instrument", f.create_group("entry"))
        f["entry/data/data"], f["entry/definition"] = frames, "NXmx"
        f["entry/instrument/beam/incident_wavelength"].attrs["units"] = "nm"
    data = load(path, positions=tmp_path / "pos.npy")
    identical(data.intensities, frames)
    assert data.geometry.wavelength == pytest.approx(1.24e-9)


def test_positions_are_asked_for(master):
    with pytest.raises(
        FormatError,
        match=r"has no positions: give the distance between views on a grid, scan_step='0.4nm', or a file of",
    ):
        load(master())


def test_info_and_a_mapping_of_the_group(master, frames, tmp_path, identical):
    path = master()
    assert "DECTRIS" in str(info(path, positions=tmp_path / "pos.npy"))
    with h5py.File(path, "a") as f:
        f["where"] = WHERE
    (tmp_path / "lab.toml").write_text(
        '[frames]\npath = "/entry/data"\n[positions]\npath = "/where"\n[geometry]\nwavelength = { value = 1e-10 }\n'
        "distance = { value = 2 }\npixel_size = { value = 75e-6 }\n"
    )
    identical(load(path, mapping=tmp_path / "lab.toml", links="scan_data_*").intensities, frames)


POSITIONS = {
    "npy": lambda path: np.save(path, WHERE),
    "three.npy": lambda path: np.save(path, np.column_stack([WHERE, WHERE[:, 0]])),
    "turned.npy": lambda path: np.save(path, WHERE.T),
    "csv": lambda path: np.savetxt(path, WHERE, delimiter=","),
    "dat": lambda path: np.savetxt(path, WHERE, header="where the views are"),
    "named.csv": lambda path: np.savetxt(
        path, WHERE[:, ::-1] * 1e6, delimiter=", ", header="x_um, y_um", comments="", fmt="%.17g"
    ),
    "four.txt": lambda path: np.savetxt(
        path, np.column_stack([WHERE[:, 0] * 1e6, WHERE[:, 1] * 1e9, WHERE]), header="y_um x(nm) z i0", fmt="%.17g"
    ),
}


@pytest.mark.parametrize("kind", POSITIONS)
def test_files_of_positions(master, tmp_path, kind):
    POSITIONS[kind](tmp_path / f"where.{kind}")
    data = load(master(), positions=tmp_path / f"where.{kind}")
    np.testing.assert_allclose(data.positions, WHERE, rtol=0, atol=1e-15)


def test_positions_in_hdf5(master, tmp_path):
    with h5py.File(tmp_path / "where.h5", "w") as f:
        f["scan/xy"] = WHERE * 1e6
        f["scan/xy"].attrs["units"] = "um"
    data = load(master(), positions=f"{tmp_path}/where.h5:/scan/xy")
    np.testing.assert_allclose(data.positions, WHERE, rtol=0, atol=1e-15)
    with pytest.raises(
        FormatError, match=r"where.h5: no positions at /positions. / holds scan; give '.*where.h5:/path'"
    ):
        load(master(), positions=tmp_path / "where.h5")
    with pytest.raises(FormatError, match=r"no positions at /scan/xz. /scan holds xy"):
        load(master(), positions=f"{tmp_path}/where.h5:/scan/xz")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 2\n3\n4 5\n", "row 2 has 1 numbers, and the first 2"),
        ("a b\n1 2\n", "has the columns a, b, none of them row and column, or y and x"),
        ("x y x\n1 2 3\n", "has the columns x, y, x, none of them row and column, or y and x, or more than one"),
        ("x column\n1 2\n", "none of them row and column, or y and x"),
        ("x_um,y\n1,2\n", "name both alike, as x_um, y_um"),
        ("x_parsec,y_um\n1,2\n", "has the unit 'parsec'"),
        ("x y\n# none\n", "holds no table of numbers"),
        ("x y z\n1 2 3\n3 4 5\n", "11 patterns but 2 positions"),
    ],
)
def test_texts_that_are_no_positions(master, tmp_path, text, said):
    (tmp_path / "where.txt").write_text(text)
    with pytest.raises(FormatError, match=said):
        load(master(), positions=tmp_path / "where.txt")


def test_a_scan_of_an_arina_on_a_grid(master, frames, tmp_path, identical):
    path = master()
    with h5py.File(tmp_path / "scan.h5", "w") as f:
        f.create_group("STEM Metadata").attrs["Pixel Size"] = np.array([0.04, 0.04])  # nm
    beam = {"voltage": "200kV", "views": "0:11"}
    data = load(path, scan_shape=(1, 11), **beam)
    identical(data.intensities, frames)
    np.testing.assert_allclose(data.positions[3], [0.0, 1.2e-10])
    np.testing.assert_allclose(load(path, scan_shape=(11, 1), scan_step="0.1nm", **beam).positions[3], [3e-10, 0.0])
    with pytest.raises(FormatError, match=r"there are 11 patterns but 9 positions \(a scan on a grid\)"):
        load(path, scan_shape=(3, 3), voltage="200kV")
    (tmp_path / "scan_data_000003.h5").unlink()
    with pytest.raises(FormatError, match=r"scan_data_000003\.h5 is missing \(views 8 to 11\)"):
        load(path, scan_shape=(3, 4), voltage="200kV")
    where = load(path, scan_shape=(3, 4), voltage="200kV", views="0:8").positions
    np.testing.assert_allclose(where[7], [4e-11, 1.2e-10])
    (tmp_path / "scan.h5").unlink()
    with pytest.raises(FormatError, match="scan_shape needs scan_step, the distance between views"):
        load(path, scan_shape=(1, 11), voltage="200kV")


def test_the_third_file_of_an_arina_tells_shape_and_voltage(master, frames, tmp_path, identical):
    """As a real one has them: arrays of one number; the energy in the master is that of the electrons."""
    path = master(entry__instrument__detector__detectorSpecific__photon_energy=300e3)
    with h5py.File(path, "a") as f:
        del f["entry/instrument/beam/incident_wavelength"]
    with h5py.File(tmp_path / "scan.h5", "w") as f:
        told = {"Pixel Size": np.array([0.04]), "NumPixelsX": np.int64(11), "NumPixelsY": np.int64(1)}
        f.create_group("STEM Metadata").attrs.update(told | {"High Tension": np.array([300e3])})
    for given in (path, tmp_path / "scan.h5"):
        data = load(given, distance="0.115m")
        identical(data.intensities, frames)
        np.testing.assert_allclose(data.positions[3], [0.0, 1.2e-10])
        assert (data.geometry.voltage, data.geometry.distance) == (300e3, 0.115)
        assert data.source["path"] == str(path)
        assert str(tmp_path / "scan.h5") in data.source["beside"]
    assert load(path, scan_shape=(11, 1), voltage="200kV").geometry.voltage == 200e3
    identical(load(tmp_path / "scan.h5", stream=True, views=[7, 2]).intensities[:], frames[[7, 2]])
    (tmp_path / "scan.h5").unlink()
    with pytest.raises(FormatError, match=r"photon_energy is 300 keV, which is .*: for electrons give voltage='300kV'"):
        load(path, scan_shape=(1, 11), scan_step="0.04nm")


def test_parts_of_a_single_frame_stay_in_their_files(tmp_path, frames, identical):
    """As of a detector that begins a new file with every trigger, and as a last part is."""
    with h5py.File(tmp_path / "s_master.h5", "w") as f:
        for k, frame in enumerate(frames, 1):
            _part(tmp_path / f"s_data_{k:06d}.h5", frame[None], k)
            f[f"entry/data/data_{k:06d}"] = h5py.ExternalLink(f"s_data_{k:06d}.h5", "entry/data/data")
    np.save(tmp_path / "pos.npy", WHERE)
    lengths = {"distance": 1, "pixel_size": 1e-4, "wavelength": 1e-10}
    data = load(tmp_path / "s_master.h5", positions=tmp_path / "pos.npy", stream=True, **lengths)
    assert data.in_file
    identical(data.intensities[[7, 2]], frames[[7, 2]])

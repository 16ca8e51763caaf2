"""Mappings that come with opty, each on a small file laid out as the beamline's own loader reads it."""

import shutil

import h5py
import numpy as np
import pytest

from opty.errors import FormatError
from opty.geometry import PLANCK_TIMES_C
from opty.io import load
from opty.io.formats import mapping

EV = 1.602176634e-19
N, SIDE = 8, 16
LENGTHS = {"energy": "10keV", "distance": "2m", "pixel_size": "75um"}
rng = np.random.default_rng(4)
FRAMES = rng.poisson(30, (N, SIDE, SIDE)).astype("uint16")
ROW, COLUMN = rng.uniform(-3, 3, N), rng.uniform(-3, 3, N)  # um
PLACES = np.column_stack([ROW, COLUMN]) * 1e-6
GRID = np.array([[r, c] for r in (0.0, 1.0) for c in (0.0, 0.5, 1.0, 1.5)]) * 1e-6  # 2 lines of 4


def h5(path, **contents):
    with h5py.File(path, "w") as f:
        for name, value in contents.items():
            f[name.replace("__", "/")] = value
    return path


def columns(path, *names, index=None):
    """A table as the Orchestra controller writes it: a title, names, rows."""
    table = {"DataPoint": np.arange(N), "Average_x_st_fzp": COLUMN, "Average_y_st_fzp": ROW, "x": COLUMN, "y": ROW}
    rows = "\n".join(" ".join(f"{table[name][k]:.9g}" for name in names) for k in range(N))
    path.write_text("Scan 42, started\n" + " ".join(names) + "\n" + rows + "\n")


def eiger(folder, stem):
    """A DECTRIS master file and its two data files."""
    for k in range(2):
        h5(folder / f"{stem}_data_{k + 1:06d}.h5", entry__data__data=FRAMES[4 * k : 4 * k + 4])
    with h5py.File(folder / f"{stem}_master.h5", "w") as f:
        for k in (0, 1):
            link = h5py.ExternalLink(f"{stem}_data_{k + 1:06d}.h5", "/entry/data/data")
            f[f"entry/data/data_{k + 1:06d}"] = link
        detector = f.create_group("entry/instrument/detector")
        detector["detector_distance"], detector["x_pixel_size"] = 2.0, 75e-6
        detector["detectorSpecific/photon_energy"] = 10e3
        detector["detectorSpecific/pixel_mask"] = np.zeros((SIDE, SIDE), "uint32")
    return folder / f"{stem}_master.h5"


def nanomax(d):
    h5(d / "eiger.hdf5", data=FRAMES)
    with h5py.File(d / "000042.h5", "w") as f:
        f["entry/measurement/eiger1m/frames"] = h5py.ExternalLink("eiger.hdf5", "/data")
        f["entry/measurement/pseudo/y"], f["entry/measurement/pseudo/x"] = -ROW, -COLUMN
    return d / "000042.h5", {**LENGTHS, "links": "*.hdf5"}, PLACES


def softimax(d):
    h5(d / "scan_000042_andor.h5", entry__data__data=FRAMES)
    return h5(d / "000042.h5", entry__measurement__finey=ROW, entry__measurement__finex=COLUMN), LENGTHS, PLACES


def hxn(d):
    amplitudes = np.sqrt(np.fft.fftshift(FRAMES, axes=(1, 2)).astype("f8"))
    wave = PLANCK_TIMES_C / (10e3 * EV) * 1e9
    points = np.stack([COLUMN, ROW])
    return h5(d / "a.h5", diffamp=amplitudes, points=points, z_m=2.0, lambda_nm=wave, ccd_pixel_um=75.0), {}, PLACES


def csaxs(d):
    columns(d / "scan_00042.dat", "DataPoint", "Average_x_st_fzp", "Average_y_st_fzp")
    monochromator = {
        "entry__instrument__monochromator__energy": 10.0,
        "entry__instrument__monochromator__distance": -2e3,
    }
    path = h5(d / "a.h5", entry__data__data=FRAMES, entry__instrument__eiger_4__x_pixel_size=75.0, **monochromator)
    return path, {"distance": "2m", "transpose": False, "flip": "none"}, -PLACES


def lynx(d):
    columns(d / "scan_00042.dat", "DataPoint", "Average_x_st_fzp", "Average_y_st_fzp")
    with h5py.File(d / "a.h5", "w") as f:
        f["entry/data/eiger_4"] = FRAMES
        f["entry/data/eiger_4"].attrs.update(
            {"Photon_energy_kev": 10.0, "Detector_distance_m": 2.0, "Pixel_size": 75e-6}
        )
    return d / "a.h5", {}, -PLACES


def velociprobe(d):
    lines = ["# x and y in nm"]
    for k in range(N):  # two readings for each trigger, 3 nm to either side
        lines += [f"0,{COLUMN[k] * 1e3 + off},{ROW[k] * 1e3 - off},0,0,0,0,{k}" for off in (-3, 3)]
    (d / "scan42_pos.csv").write_text("\n".join(lines))
    return eiger(d, "scan42"), {"links": "scan42_data_*"}, PLACES


def bionanoprobe(d):
    columns(d / "fly0042.csv", "x", "y")
    for k in (10, 9):  # 9 comes before 10
        h5(d / f"fly0042_{k}.h5", entry__data__data=FRAMES[4:] if k == 10 else FRAMES[:4])
    return d / "fly0042_9.h5", LENGTHS, PLACES


def i08(d):
    h5(
        d / "Sample_Image_2015-07-16_042.hdf5",
        entry1__Counter1__SampleY=[0.0, 1.0],
        entry1__Counter1__SampleX=[0, 0.5, 1, 1.5],
    )
    frames = FRAMES.reshape(2, 4, SIDE, SIDE)
    return h5(d / "a.nxs", entry1__instrument___andorrastor__data=frames), LENGTHS, GRID


def i13(d):
    motors = {"entry1__instrument__t1_sxy__t1_sy": ROW, "entry1__instrument__t1_sxy__t1_sx": COLUMN}
    return h5(d / "a.nxs", entry1__instrument__merlin_sw_hdf__data=FRAMES, **motors), LENGTHS, PLACES


def i14(d):
    y, x = (GRID[:, k].reshape(2, 4) for k in (0, 1))
    detector = "entry_1__instrument_1__detector_1__"
    lengths = {f"{detector}distance": 2.0, f"{detector}x_pixel_size": 75e-6}
    lengths |= {"entry_1__instrument_1__beam_1__energy": 10e3, f"{detector}pixel_mask": np.zeros((SIDE, SIDE), "u4")}
    frames = FRAMES.reshape(2, 4, SIDE, SIDE)
    return h5(d / "a.nxs", entry_1__data__data=frames, entry_1__data__x=x, entry_1__data__y=y, **lengths), {}, GRID


def id16a(d):
    for k in range(N):
        h5(d / f"sample_{k:04d}.h5", entry_0000__measurement__frelon__data=FRAMES[k])
    rows = "\n".join(f"{r},{c}" for r, c in zip(ROW, COLUMN, strict=True))
    (d / "sample_positions.csv").write_text("spz,spy\n" + rows)
    return d / "sample_0003.h5", {**LENGTHS, "propagation": "near", "focus_to_sample": "40mm"}, PLACES


def id13(d):
    motors = {"1.1__measurement__nnz_position": ROW * 1e-3, "1.1__measurement__nny_position": COLUMN * 1e-3}
    return h5(d / "a.h5", **{"1.1__measurement__eiger": FRAMES}, **motors), {**LENGTHS, "position_unit": "mm"}, PLACES


def p06(d):
    """Three files of the trigger generator for two of the detector, and a master that is none of either."""
    for name in ("eiger_4m_01", "pilctriggergenerator_04"):
        (d / "scan_00042" / name).mkdir(parents=True)
    eiger(d / "scan_00042/eiger_4m_01", "scan_00042")
    triggers = d / "scan_00042/pilctriggergenerator_04"
    for k, (first, last) in enumerate([(0, 3), (3, 6), (6, 8)]):
        encoders = {"entry__data__encoder_1": np.zeros(last - first), "entry__data__encoder_2": ROW[first:last] * 9}
        encoders |= {"entry__data__encoder_3": -COLUMN[first:last], "entry__data__encoder_4": -ROW[first:last]}
        h5(triggers / f"scan_00042_{k + 1:05d}.nxs", **encoders)
    h5(triggers / "scan_00042_master.nxs", entry__data__encoder_3=np.zeros(8), entry__data__encoder_4=np.zeros(8))
    h5(d / "scan_00043.nxs", scan__data__energy=[9e3])
    return h5(d / "scan_00042.nxs", scan__data__energy=[10e3]), {"distance": "2m", "pixel_size": "75um"}, PLACES


def cosmic(d):
    detector = {
        "entry_1__instrument_1__detector_1__distance": 2.0,
        "entry_1__instrument_1__detector_1__x_pixel_size": 75e-6,
    }
    translation = np.column_stack([PLACES[:, 1], PLACES[:, 0], np.zeros(N)])
    mask = np.ones((SIDE, SIDE), "u1")
    data = {"entry_1__data_1__data": FRAMES, "entry_1__data_1__translation": translation}
    return h5(d / "a.cxi", mask=mask, **data, **detector), {"energy": "10keV"}, PLACES


BEAMLINES = [nanomax, softimax, hxn, csaxs, lynx, velociprobe, bionanoprobe, i08, i13, i14, id16a, id13, p06, cosmic]


def test_every_mapping_is_tried():
    assert {f.__name__ for f in BEAMLINES} == {path.stem for path in mapping.SHIPPED.glob("*.toml")}


@pytest.mark.parametrize("beamline", BEAMLINES, ids=lambda f: f.__name__)
def test_beamline(tmp_path, beamline):
    path, options, places = beamline(tmp_path)
    found = load(path, mapping=beamline.__name__, **options)
    np.testing.assert_allclose(found.intensities, FRAMES, atol=1e-4 if beamline is hxn else 0)
    np.testing.assert_allclose(found.positions, places, atol=2e-14)
    assert found.geometry.wavelength == pytest.approx(PLANCK_TIMES_C / (10e3 * EV), rel=1e-6) or beamline is id13
    assert found.geometry.distance == pytest.approx(2.0)
    streamed = load(path, mapping=beamline.__name__, stream=True, **options)
    np.testing.assert_array_equal(streamed.intensities[:], found.intensities)


# -- what a mapping can say beyond

PLAIN = """
[frames]
path = "/d"
{frames}
[positions]
{positions}
[geometry]
wavelength = {{ value = 1, unit = "A" }}
distance = {{ value = 2 }}
pixel_size = {{ value = 75, unit = "um" }}
"""


@pytest.fixture
def mapped(tmp_path):
    def make(positions='path = "/p"\nunit = "um"', frames="", **contents):
        (tmp_path / "m.toml").write_text(PLAIN.format(frames=frames, positions=positions))
        path = h5(tmp_path / "a.h5", **{"d": FRAMES, "p": np.column_stack([ROW, COLUMN]), **contents})
        return load(path, mapping=tmp_path / "m.toml")

    return make


def test_scale_and_amplitude(mapped):
    np.testing.assert_allclose(mapped(frames="scale = 0.25").intensities, FRAMES / 4)
    found = mapped(frames="amplitude = true\nscale = 2")
    np.testing.assert_allclose(found.intensities, 2.0 * FRAMES.astype(float) ** 2)
    for wrong, message in (("amplitude = 1", "expected true or false"), ("scale = -1", "expected a positive factor")):
        with pytest.raises(FormatError, match=message):
            mapped(frames=wrong)


def test_positions_are_scaled_and_turned(mapped):
    found = mapped('path = "/p"\nunit = "um"\nscale = [2, 1]\nrotation = "90 deg"')
    np.testing.assert_allclose(found.positions, np.column_stack([-COLUMN, 2 * ROW]) * 1e-6, atol=1e-14)


@pytest.mark.parametrize("fast", ["column", "row"])
def test_grid_motors(mapped, fast):
    row, column = [0.0, 1.0], [0, 0.5, 1, 1.5]
    words = f'row = {{ path = "/y", unit = "um" }}\ncolumn = {{ path = "/x", unit = "um" }}\nfast = "{fast}"'
    found = mapped(words, y=row, x=column)
    expected = [[r, c] for r in row for c in column] if fast == "column" else [[r, c] for c in column for r in row]
    np.testing.assert_allclose(found.positions, np.array(expected) * 1e-6)


def test_spec_columns(mapped, tmp_path):
    rows = "\n".join(f"{r} {c} {k}" for k, (r, c) in enumerate(zip(ROW, COLUMN, strict=True)))
    other = "#S 41  mesh\n#L piy  piz\n1 2\n3 4\n"
    (tmp_path / "a.spec").write_text(f"#F a\n{other}\n#S 42  mesh\n#N 3\n#L Sample Y  Sample X  Seconds\n{rows}\n")
    words = 'file = "{stem}.spec"\nscan = 42\nrow = { column = "Sample Y", unit = "um" }\n'
    found = mapped(words + 'column = { column = "Sample X", unit = "um" }')
    np.testing.assert_allclose(found.positions, PLACES)
    with pytest.raises(FormatError, match="has no column 'Sample Z'; did you mean Sample"):
        mapped(words + 'column = { column = "Sample Z" }')
    with pytest.raises(FormatError, match=r"has no scan 43; it holds 41, 42"):
        mapped(words.replace("42", "43") + 'column = { column = "Sample X" }')
    with pytest.raises(FormatError, match=r"holds the scans 41, 42: say which"):
        mapped(words.replace("scan = 42\n", "") + 'column = { column = "Sample X" }')


def test_complex_numbers_of_matlab(mapped, tmp_path):
    probe = (rng.normal(size=(SIDE, SIDE)) + 1j * rng.normal(size=(SIDE, SIDE))).astype("c16")
    pair = np.zeros(probe.shape, [("real", "f8"), ("imag", "f8")])
    pair["real"], pair["imag"] = probe.real, probe.imag
    text = 'path = "/p"\nunit = "um"\n[probe]\npath = "/probe"'
    np.testing.assert_array_equal(mapped(text, probe=pair).probe[0], probe)
    wrong = np.zeros(probe.shape, [("real", "f8"), ("count", "f8")])
    with pytest.raises(FormatError, match="holds records"):
        mapped(text, probe=wrong)


def test_files_that_are_not_there(tmp_path):
    path, options, _ = bionanoprobe(tmp_path)
    (tmp_path / "fly0042.csv").unlink()
    with pytest.raises((FormatError, FileNotFoundError), match=r"fly0042\.csv.* not there"):
        load(path, mapping="bionanoprobe", **options)


def test_a_result_finds_all_files_again(tmp_path):
    path, options, _ = bionanoprobe(tmp_path)
    source = load(path, mapping="bionanoprobe", **options).source
    names = {one.rsplit("/", 1)[-1] for one in source["beside"]}
    assert {"fly0042_10.h5", "fly0042.csv", "bionanoprobe.toml"} <= names


def test_missing_parts_are_refused(tmp_path):
    path, options, _ = velociprobe(tmp_path)
    shutil.move(tmp_path / "scan42_data_000002.h5", tmp_path / "gone.h5")
    with pytest.raises(FormatError, match=r"data_000002\.h5 is missing \(views 4 to 7\): choose views"):
        load(path, mapping="velociprobe", **options)


def test_positions_in_several_files_that_do_not_go_together(tmp_path):
    path, options, _ = p06(tmp_path)
    h5(
        tmp_path / "scan_00042/pilctriggergenerator_04/scan_00042_00004.nxs",
        **{f"entry__data__encoder_{k}": np.zeros((2, 2)) for k in (3, 4)},
    )
    with pytest.raises(FormatError, match=r"encoder_4 of 4 files has the shapes \(3,\), \(3,\), \(2,\), \(2, 2\)"):
        load(path, mapping="p06", **options)


@pytest.mark.parametrize("said", ["energy = { value = 300, unit = 'keV' }", "voltage = { value = 300, unit = 'kV' }"])
def test_electrons_in_a_mapping(tmp_path, said):
    """Frames of a datacube, kV in the file, positions in another one: the wavelength is that of electrons."""
    words = PLAIN.format(frames='axes = "view view row column"', positions="")
    words = words.replace("[positions]\n", "").replace('wavelength = { value = 1, unit = "A" }', said.replace("'", '"'))
    (tmp_path / "m.toml").write_text(words)
    path = h5(tmp_path / "a.h5", d=FRAMES.reshape(2, 4, SIDE, SIDE))
    np.save(tmp_path / "pos.npy", PLACES)
    options = {"mapping": tmp_path / "m.toml", "positions": tmp_path / "pos.npy"}
    if said.startswith("energy"):
        with pytest.warns(UserWarning, match="taken as that of electrons; voltage='300kV' says so"):
            found = load(path, **options)
    else:
        found = load(path, **options)
    assert found.geometry.wavelength == pytest.approx(1.96875e-12, rel=1e-5)
    assert found.geometry.voltage == pytest.approx(300e3)
    np.testing.assert_array_equal(found.positions, PLACES)
    by_step = {"mapping": tmp_path / "m.toml", "scan_step": ("1nm", "0.5nm"), "voltage": "300kV"}
    np.testing.assert_allclose(load(path, **by_step).positions, GRID * 1e-3)

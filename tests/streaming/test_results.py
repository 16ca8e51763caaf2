"""Results of frames that stay in their file: they point to it, go on and repeat to the same bits, survive its loss."""

import os

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from layouts import VIEWS, counted, write_tiff
from small_scans import everything, same

import opty
from opty import AP, DM, PosCorrectAdam, Save, SourceError, rPIE
from opty.cli import main
from opty.io.formats import native
from opty.io.formats.kept import read_kept

HERE = {}  # what the operators of these tests act on


class Spoil(opty.Operator, writes="obj"):
    """Let the measurement's file vanish, change, or be replaced after a given iteration."""

    at: int = 2
    how: str = "vanish"

    def apply(self, s):
        if s.iteration != self.at:
            return
        path = HERE["path"]
        if self.how == "vanish":
            path.rename(path.with_suffix(".away"))
        elif self.how == "change":
            with path.open("r+b") as f:
                f.seek(-1, os.SEEK_END)
                f.write(b"\0")
        else:
            path.write_bytes(path.read_bytes() + b"more")


@pytest.fixture(params=[2, 3])
def scan_file(tmp_path, request):
    """A scan in opty's own file, with a mask for all views or one for each."""
    HERE["path"] = tmp_path / "scan.h5"
    opty.save(HERE["path"], counted(mask=request.param))
    return HERE["path"]


def start(path, **options):
    data = opty.load(path, **options, stream=True)
    return opty.PtychoState(data, probe=counted().truth["probe"], device="cpu", threads=1, seed=3)


def test_a_result_points_to_the_frames(scan_file, tmp_path):
    p = (PosCorrectAdam() * rPIE(batch=5)) ** 2 * start(scan_file)
    opty.save(tmp_path / "result.h5", p)
    with h5py.File(tmp_path / "result.h5") as f:
        detector = f["entry_1/instrument_1/detector_1"]
        assert "data" not in detector
        assert ("mask" in detector) == (p.data.mask.ndim == 2)
    stays, held = (opty.load(tmp_path / "result.h5", device="cpu", stream=stream) for stream in (True, False))
    assert (stays.data.in_file, held.data.in_file) == (True, False)
    for q in (stays, held):
        assert same(p, q)
        assert np.array_equal(q.data.mask, p.data.mask)
        assert q.data.photons().tobytes() == p.data.photons().tobytes()
        assert same(AP() * q, AP() * p)
    opty.save(tmp_path / "again.h5", stays)
    assert (tmp_path / "again.h5").stat().st_size == pytest.approx((tmp_path / "result.h5").stat().st_size, rel=0.05)
    assert opty.rerun(tmp_path / "result.h5", start=start_file(tmp_path, scan_file)).identical
    scan_file.unlink()
    bare = opty.load(tmp_path / "result.h5", device="cpu")
    assert bare.data.absent is not None
    assert np.array_equal(bare.obj, p.obj)
    opty.save(tmp_path / "more.h5", bare)
    assert opty.load(tmp_path / "more.h5", device="cpu").data.source == bare.data.source
    assert opty.info(tmp_path / "more.h5").usable == (None if p.data.mask.ndim == 3 else np.mean(p.data.mask))


def start_file(tmp_path, scan_file):
    """A file with the state that the runs of these tests begin with."""
    opty.save(tmp_path / "start.h5", start(scan_file))
    return tmp_path / "start.h5"


def test_checkpoints_go_on_to_the_same_bits(scan_file, tmp_path):
    asked = (Save(str(tmp_path / "{iteration}.h5")) * rPIE(batch=4)) ** 3 * AP()
    whole = asked * start(scan_file)
    for k in (2, 3):
        assert same(opty.resume(tmp_path / f"0000{k}.h5", threads=1), whole)
    held = opty.PtychoState(opty.load(scan_file, stream=False), probe=counted().truth["probe"], device="cpu", seed=3)
    assert same(asked * held, whole)


def test_measurements_are_copied_block_by_block(scan_file, tmp_path):
    data = opty.load(scan_file, stream=True, crop=12)
    opty.save(tmp_path / "copy.h5", data)
    again = opty.load(tmp_path / "copy.h5", stream=False)
    assert np.array_equal(again.intensities, np.asarray(data.intensities))
    assert np.array_equal(again.mask, np.asarray(data.mask))
    opty.simulate.write(data, tmp_path / "again.cxi")
    assert np.array_equal(opty.load(tmp_path / "again.cxi").intensities, again.intensities)
    lengths = opty.Geometry(wavelength=1e-10, distance=1.0, pixel_size=1e-4)
    plain = data.replace(mask=None, geometry=lengths, positions=data.positions * 1e-8)
    opty.save(tmp_path / "stack.tif", plain, format="tiff")
    assert np.array_equal(opty.load(tmp_path / "stack.tif").intensities, again.intensities)


def test_an_option_that_is_an_array_makes_copies_and_says_so(scan_file, tmp_path):
    with pytest.warns(UserWarning, match=r"an option is an array .* each will hold a copy of them, 12 KiB"):
        p = start(scan_file, mask=np.ones((16, 16), bool))
    opty.save(tmp_path / "result.h5", AP() * p)
    with h5py.File(tmp_path / "result.h5") as f:
        assert f["entry_1/instrument_1/detector_1/data"].shape == (VIEWS, 16, 16)
    assert same(opty.load(tmp_path / "result.h5", device="cpu"), AP() * p)


@pytest.mark.parametrize("how", ["vanish", "change", "replace"])
def test_a_file_that_is_lost_ends_the_run_with_the_last_whole_state(scan_file, how):
    p = start(scan_file)
    whole = rPIE(batch=4) ** 3 * AP() * p
    with pytest.raises(SourceError, match=r"scan.h5 (is no longer there|has changed while it was read from)") as error:
        (Spoil(3, how) * rPIE(batch=4)) ** 3 * AP() * p
    notes = " ".join(error.value.__notes__)
    assert "iteration 4" in notes
    assert "the last whole state, iteration 3, is the exception's .state" in notes
    assert error.value.state.iteration == 3
    if how == "vanish":
        away = scan_file.with_suffix(".away")
        away.rename(scan_file)
        assert same(error.value.unfinished.go_on(error.value.state), whole)
    else:
        with pytest.raises(SourceError):
            opty.misfit(p)


def test_the_last_whole_state_is_that_of_a_whole_turn(scan_file):
    p = start(scan_file)
    with pytest.raises(SourceError) as error:
        (DM() * Spoil(3) * DM()) ** 3 * p
    assert error.value.state.iteration == 2  # not 3, in the middle of a turn
    HERE["path"].with_suffix(".away").rename(HERE["path"])
    with pytest.raises(SourceError) as error:
        list(((Spoil(2) * rPIE()) ** 4).iter(p))
    assert error.value.state.iteration == 2


def test_a_lost_file_leaves_a_checkpoint_on_the_command_line(scan_file, tmp_path):
    asked = 'Spoil(2, "vanish") * rPIE(batch=4)'
    result = tmp_path / "result.h5"
    line = [
        "reconstruct",
        str(scan_file),
        "--stream",
        "--probe",
        "mean",
        "--recipe",
        f"({asked}) ** 4",
        "-o",
        str(result),
        "-q",
    ]
    done = CliRunner().invoke(main, [*line, "--device", "cpu", "--threads", "1"])
    assert done.exit_code == 1
    assert "is no longer there" in done.output
    assert f"to go on: opty resume {result}" in done.output
    scan_file.with_suffix(".away").rename(scan_file)
    whole = rPIE(batch=4) ** 4 * opty.PtychoState(opty.load(scan_file), device="cpu", threads=1)
    q = opty.resume(result, threads=1)
    assert all(np.array_equal(everything(q)[k], everything(whole)[k]) for k in everything(whole))
    assert read_kept(opty.io.registry.Container(result)).unfinished is not None


@pytest.mark.parametrize("scan_file", [2], indirect=True)
def test_check_and_info_read_frames_that_stay(scan_file):
    held, stays = (opty.load(scan_file, stream=stream) for stream in (False, True))
    one, two = (opty.analysis.health(data) for data in (held, stays))
    assert str(one) == str(two)
    assert one.to_json() == two.to_json()
    told = [str(opty.info(scan_file, stream=stream)) for stream in (False, True)]
    assert told[0].replace("are read into memory", "stay in the file, read batch by batch") == told[1]


def test_a_tiff_that_is_cut_short_is_no_silent_garbage(tmp_path):
    path = write_tiff(tmp_path, counted())
    data = opty.load(path, wavelength=1e-10, distance=1.0, pixel_size=1e-4, stream=True)
    with path.open("r+b") as f:
        f.truncate(path.stat().st_size - 700)
    with pytest.raises(SourceError, match="has changed"):
        data.intensities[VIEWS - 1]


def test_a_result_goes_on_with_frames_in_the_file_on_the_command_line(scan_file, tmp_path, monkeypatch):
    opty.save(tmp_path / "one.h5", rPIE() * start(scan_file))
    seen, result = [], native.restored

    def noted(*args, **options):
        seen.append(options["stream"])
        return result(*args, **options)

    monkeypatch.setattr(native, "restored", noted)
    line = [
        "reconstruct",
        str(tmp_path / "one.h5"),
        "--stream",
        "--device",
        "cpu",
        "--recipe",
        "AP()",
        "-q",
    ]
    done = CliRunner().invoke(main, [*line, "-o", str(tmp_path / "two.h5")])
    assert done.exit_code == 0, done.output
    assert set(seen) == {True}
    assert same(opty.load(tmp_path / "two.h5", device="cpu"), AP() * rPIE() * start(scan_file))

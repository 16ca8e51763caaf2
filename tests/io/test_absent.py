"""A result without its measurement: everything that was estimated is there, only what needs frames fails."""

import copy
import pickle
import shutil

import h5py
import numpy as np
import pytest

import opty
from opty.data.lazy_frames import AbsentFrames
from opty.errors import FormatError, SourceError
from opty.files.container import Container
from opty.io import export, info, load, registry, save
from opty.io.formats import measurement, native

FIELDS = ("positions", "mask", "background", "probe")


@pytest.fixture
def scan(tmp_path, full_data):
    """Path of a measurement with every field set."""
    save(tmp_path / "scan.h5", full_data)
    return tmp_path / "scan.h5"


@pytest.fixture(params=[False, True])
def made(tmp_path, scan, request, make_state):
    """A state whose frames are in a file, in memory or streamed, and the path of its result without that file."""
    p = make_state(load(scan, stream=request.param))
    save(tmp_path / "r.h5", p)
    scan.rename(tmp_path / "elsewhere.h5")
    return p, tmp_path / "r.h5"


@pytest.fixture
def bare(made):
    return load(made[1], device="cpu")


def same_estimates(p, q, identical):
    for name in p._live.leaves:
        identical(p.numpy(name), q.numpy(name))
    for name in FIELDS:
        identical(getattr(p.data, name), getattr(q.data, name))
    assert set(p.history) == set(q.history)
    for name in p.history:
        identical(p.history[name], q.history[name])
    assert (p.data.geometry, p.recipe, p.iteration, p.seed) == (q.data.geometry, q.recipe, q.iteration, q.seed)
    identical(p.data.photons(), q.data.photons())
    assert p.data.brightest == q.data.brightest
    assert p.data.intensities.shape == q.data.intensities.shape
    assert p.data.intensities.dtype == q.data.intensities.dtype


def test_all_but_the_frames_is_there(made, bare, identical):
    same_estimates(made[0], bare, identical)
    assert "scan.h5: no such file" in bare.data.absent
    assert f"frames not here: {bare.data.absent}" in repr(bare)
    assert f"(not here: {bare.data.absent})" in repr(bare.data)
    assert not bare.data.in_file


@pytest.mark.parametrize(
    "act",
    [
        lambda p: opty.rPIE() ** 3 * p,
        lambda p: (opty.operators.TotalVariation() * opty.AP()) * p,
        lambda p: opty.Misfit() * opty.operators.TotalVariation() * p,
        lambda p: opty.ScaleObjProbe() * opty.operators.TotalVariation() * p,
        lambda p: opty.Every(5, opty.DM()) * p,
        lambda p: next(opty.rPIE().iter(p)),
        opty.misfit,
        opty.analysis.r_factor,
        lambda p: p.data.intensities[0],
        lambda p: p.data.intensities[:],
        lambda p: np.asarray(p.data.intensities),
        lambda p: next(p.data.blocks()),
        lambda p: p.data.mean_amplitude(),
        lambda p: p.data.replace(mask=np.eye(16)),
        lambda p: opty.analysis.health(p.data),
        lambda p: save("out.h5", p.data),
        lambda p: save("out.cxi", p, format="cxi"),
    ],
)
def test_what_needs_frames_says_why_and_what_to_do(bare, act, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        opty.operators.TotalVariation, "apply", lambda self, s: pytest.fail("a step ran before the refusal")
    )
    with pytest.raises(SourceError, match=r"no such file.*opty\.load\('r\.h5', data='NEWPATH'\)"):
        act(bare)
    assert not list(tmp_path.glob("out.*"))


@pytest.mark.filterwarnings("ignore:.* is a file of PtyPy")
def test_what_needs_none_works(bare, tmp_path):
    assert bare.plot() is not None
    assert bare._repr_png_()[:4] == b"\x89PNG"
    assert len(export(tmp_path / "out.tif", bare)) == 2
    export(tmp_path / "out.npz", bare)
    export(tmp_path / "out.ptyr", bare)
    save(tmp_path / "out2.ptyr", bare, format="ptyr")
    smooth = opty.operators.TotalVariation() * opty.operators.ProbePower() * bare
    assert smooth.data.absent == bare.data.absent
    assert bare.to("cpu") is bare
    assert "nothing, since they are not here" in str(opty.rPIE().explain(bare))
    assert bare.replace(obj=bare.obj * 2).data.absent is not None


def test_the_next_file_is_as_complete_as_the_first(made, bare, tmp_path, identical, assert_same_state):
    """Over the same path, and through another one: with the measurement back, all is as it was."""
    save(made[1], bare)
    save(tmp_path / "again.h5", load(made[1], device="cpu"))
    same_estimates(made[0], load(tmp_path / "again.h5", device="cpu"), identical)
    (tmp_path / "elsewhere.h5").rename(tmp_path / "scan.h5")
    for path in (made[1], tmp_path / "again.h5"):
        back = load(path, device="cpu")
        assert_same_state(back, made[0])
        assert opty.rPIE() * back is not None


def test_pickles_and_copies_stay_without_frames(bare, identical):
    for again in (pickle.loads(pickle.dumps(bare)), copy.deepcopy(bare)):
        same_estimates(bare, again, identical)
        assert again.data.absent == bare.data.absent


def test_it_goes_to_a_device_and_back(gpu, bare, identical):
    there = bare.to("gpu")
    assert there.data.absent == bare.data.absent
    with pytest.raises(SourceError, match="not here"):
        opty.rPIE() * there
    same_estimates(bare, there, identical)
    same_estimates(bare, there.to("cpu"), identical)


@pytest.mark.parametrize("damage", ["gone", "changed", "torn", "too large", "no plugin"])
def test_whatever_is_wrong_with_the_measurement_the_result_opens(tmp_path, scan, make_state, monkeypatch, damage):
    p = make_state(load(scan))
    save(tmp_path / "r.h5", p)
    if damage == "gone":
        scan.unlink()
    elif damage == "changed":
        scan.write_bytes(scan.read_bytes() + b"\0")
    else:
        error = {"torn": OSError, "too large": MemoryError, "no plugin": ImportError}[damage]

        def fails(*_, **__):
            raise error("it does not work today")

        monkeypatch.setattr(registry, "load", fails)
    back = native.read(Container(tmp_path / "r.h5"), device="cpu")
    np.testing.assert_array_equal(back.obj, p.obj)
    assert back.data.absent


def test_frames_in_the_result_that_the_memory_does_not_hold(tmp_path, full_data, make_state, monkeypatch):
    p = make_state(full_data)
    save(tmp_path / "r.h5", p)
    monkeypatch.setattr(measurement, "free_memory", lambda: 100)
    back = load(tmp_path / "r.h5", device="cpu")
    assert "the result holds its frames, 2 KiB, and 100 bytes are free" in back.data.absent
    with pytest.raises(ValueError, match=r"r\.h5 holds frames, and the state to be saved does not"):
        save(tmp_path / "r.h5", back)
    assert load(tmp_path / "r.h5", data=full_data, device="cpu").data is full_data
    save(tmp_path / "bare.h5", back)
    again = load(tmp_path / "bare.h5", device="cpu")
    assert again.data.absent == back.data.absent
    save(tmp_path / "bare.h5", again)


def test_damaged_frames_in_the_result_itself_are_an_error(tmp_path, full_data, make_state):
    save(tmp_path / "r.h5", make_state(full_data))
    with h5py.File(tmp_path / "r.h5", "a") as f:
        f["entry_1/instrument_1/detector_1/data"].id.write_direct_chunk((0, 0, 0), b"no counts")
    with pytest.raises(FormatError, match=r"r\.h5"):
        load(tmp_path / "r.h5")


def test_a_measurement_in_place_of_the_lost_one(tmp_path, full_data, make_state, assert_same_state):
    """The same file elsewhere; another format; views chosen before or after it was written; other counts."""
    save(tmp_path / "scan.h5", full_data)
    p = make_state(load(tmp_path / "scan.h5", views="1:"))
    save(tmp_path / "r.h5", p)
    shutil.move(tmp_path / "scan.h5", tmp_path / "moved.h5")
    assert_same_state(load(tmp_path / "r.h5", data=tmp_path / "moved.h5", device="cpu"), p)
    whole, some = load(tmp_path / "moved.h5"), load(tmp_path / "moved.h5", views="1:")
    save(tmp_path / "whole.cxi", whole.replace(background=None), format="cxi")
    save(tmp_path / "some.h5", some)
    for name in ("whole.cxi", "some.h5"):
        back = load(tmp_path / "r.h5", data=tmp_path / name, device="cpu")
        np.testing.assert_array_equal(back.data.intensities, p.data.intensities)
    save(tmp_path / "other.h5", whole.replace(intensities=whole.intensities[::-1]))
    with pytest.warns(UserWarning, match="other photons"):
        load(tmp_path / "r.h5", data=tmp_path / "other.h5", device="cpu")
    save(tmp_path / "one.h5", load(tmp_path / "some.h5", views="0:1"))
    with pytest.raises(ValueError, match=r"data holds 1 views of 16 x 16; .* 3 views"):
        load(tmp_path / "r.h5", data=tmp_path / "one.h5", device="cpu")
    with pytest.raises(ValueError, match=r"r\.h5 is a result and has no frames either"):
        load(tmp_path / "r.h5", data=tmp_path / "r.h5", device="cpu")


def test_rerun_and_resume_are_refused_before_anything_runs(tmp_path, full_data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("scan.h5", full_data)
    p = (opty.Save("ck.h5", every=2) * opty.rPIE()) ** 3 * opty.PtychoState(load("scan.h5"), device="cpu")
    p.save("r.h5")
    shutil.move("scan.h5", "moved.h5")
    for again, path in ((opty.rerun, "r.h5"), (opty.resume, "ck.h5")):
        with pytest.raises(SourceError, match=f"no such file.*{path}.*data="):
            again(path)
        assert again(path, data="moved.h5") is not None
    assert opty.rerun("r.h5", data="moved.h5").identical


def test_info_says_what_is_not_here(made):
    found = info(made[1])
    assert "scan.h5: no such file" in found.missing[0]
    assert found.views == 4
    assert found.brightest_pixel == made[0].data.brightest
    assert found.dtype is None


def test_a_file_of_before_tells_less_and_opens(made, identical):
    """The brightest pixel and the type of the counts were not in the first files."""
    with h5py.File(made[1], "a") as f:
        for name in ("brightest", "dtype"):
            del f[measurement.OWN].attrs[name]
    back = load(made[1], device="cpu")
    identical(back.obj, made[0].obj)
    assert info(made[1]).brightest_pixel is None


def test_the_stack_of_absent_frames_reads_nothing():
    frames = AbsentFrames((1000, 4096, 4096), "uint16", "they are away", "bring them back")
    for read in (lambda: frames[0], lambda: frames[1:900], lambda: list(frames), lambda: np.asarray(frames)):
        with pytest.raises(SourceError, match=r"not here \(they are away\); bring them back"):
            read()
    assert (len(frames), frames.ndim, frames.nbytes) == (1000, 3, 1000 * 4096**2 * 2)

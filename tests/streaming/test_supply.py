"""How frames come to the device: read ahead in blocks, no more often than they must, closed when nobody needs them."""

import copy
import gc
import pickle
import re
import threading

import h5py
import numpy as np
import pytest
from layouts import VIEWS, both, counted, write_layout
from small_scans import N, close, everything, same, state

import opty
import opty.data.lazy_frames
import opty.io.prepare.image_ops
import opty.kernels.numpy_backend
from opty import AP, DM, ML, Sweep, rPIE
from opty.data.prefetch import ahead
from opty.errors import FormatError
from opty.io.prepare.frames import Frames
from opty.runtime.memory_estimate import footprint
from opty.runtime.program import program_of

FRAME = 2 * N * N


@pytest.fixture
def scan_file(tmp_path):
    """A scan in opty's own file: one frame a chunk."""
    opty.save(tmp_path / "scan.h5", counted(mask=2))
    return tmp_path / "scan.h5"


@pytest.fixture
def reads(monkeypatch):
    """The runs of views that were read from files, with the thread that read them."""
    seen, put, read = [], Frames._put, Frames.read

    def noted_put(self, out, first):
        seen.append((range(first, first + len(out)), threading.current_thread().name))
        put(self, out, first)

    def noted_read(self, choice):
        if isinstance(choice, slice) and not isinstance(self.source, np.ndarray):
            seen.append((range(*choice.indices(self.shape[0])), threading.current_thread().name))
        return read(self, choice)

    monkeypatch.setattr(Frames, "_put", noted_put)
    monkeypatch.setattr(Frames, "read", noted_read)
    return seen


def start(path, **options):
    data = opty.load(path, **options, stream=True)
    return opty.PtychoState(data, probe=counted().truth["probe"], device="cpu", threads=1, seed=3)


def test_a_sweep_reads_each_view_once_and_ahead(scan_file, reads):
    p = start(scan_file)
    for recipe in (AP(), rPIE(), rPIE(batch=4), opty.LSQML(batch=7)):
        reads.clear()
        recipe * p
        assert sorted(j for run, _ in reads for j in run) == list(range(VIEWS))
        assert {thread.rpartition("_")[0] for _, thread in reads} == {"opty-ahead"}


def test_scan_order_is_read_in_blocks_of_neighbours(scan_file, reads):
    p = start(scan_file)
    reads.clear()
    Sweep(opty.operators.AccumObj() * opty.FourierProject(), batch=2, order="scan") * p
    assert [run for run, _ in reads] == [range(first, first + 4) for first in range(0, VIEWS, 4)]


def test_random_order_reads_a_block_in_the_way_through_the_file(scan_file, reads):
    p = start(scan_file)
    reads.clear()
    rPIE() * p
    blocks = [[j for run, _ in reads for j in run][k : k + 5] for k in range(0, VIEWS, 5)]
    assert all(block == sorted(block) for block in blocks)
    assert len(reads) > len(blocks)  # they are no neighbours


def test_a_pass_without_the_measurement_reads_nothing(scan_file, reads):
    p = start(scan_file)
    reads.clear()
    DM() * p  # two passes, of which one recalls the kept waves
    assert len([j for run, _ in reads for j in run]) == VIEWS
    reads.clear()
    opty.ScaleObjProbe() * p
    assert len([j for run, _ in reads for j in run]) == VIEWS


def test_loading_looks_at_each_frame_once(scan_file, reads):
    opty.load(scan_file, stream=True)
    assert sorted(j for run, _ in reads for j in run) == sorted(
        [0, *range(VIEWS)]
    )  # and once at the first, for its type
    reads.clear()
    data = opty.load(scan_file, stream=True)
    reads.clear()
    data.photons(), data.brightest
    data.replace(positions=data.positions + 1)
    assert reads == []
    data.mean_amplitude(), data.mean_amplitude()
    assert len([j for run, _ in reads for j in run]) == VIEWS


def test_chunks_are_kept_for_the_next_block(tmp_path, monkeypatch):
    path, options = write_layout(tmp_path, counted(), "five frames a chunk")
    p = start(path, **options)
    source = p.data.intensities.frames.kept.raw.frames.source
    assert source.id.get_access_plist().get_chunk_cache()[1] == 64 << 20
    assert p.data.intensities.chunk == 5
    monkeypatch.setattr("opty.state.streaming.READ_AHEAD", 7 * 4 * N * N)
    order = [np.arange(k, k + 1) for k in range(VIEWS)]
    assert [len(block) for block in p._live.measured.intensity._blocks(order)] == [5, 5, 5, 5, 4]


def test_batches_larger_than_a_block_and_out_of_turn(scan_file):
    p = start(scan_file)
    supply, held = p._live.measured.intensity, opty.load(scan_file, stream=False)
    expected = np.fft.ifftshift(held.intensities, axes=(1, 2))
    order = [np.arange(0, 9), np.arange(9, 11), np.array([20, 12]), np.arange(13, 20)]
    with p._live.measured.along(order):
        for batch in (order[0], order[2], order[1], np.array([3, 1]), order[3], order[0], order[3]):
            np.testing.assert_array_equal(supply[batch], expected[batch])
        np.testing.assert_array_equal(supply[slice(13, 20)], expected[13:20])
        with p._live.measured.along(order[:2]):
            np.testing.assert_array_equal(supply[order[0]], expected[:9])
        np.testing.assert_array_equal(supply[order[3]], expected[order[3]])
    np.testing.assert_array_equal(supply[np.array([5, 2])], expected[[5, 2]])


def test_states_share_one_file_from_several_threads(scan_file):
    p = start(scan_file)
    want = [recipe * p for recipe in (AP() ** 3, rPIE() ** 3)]
    got = [None, None]

    def run(k, recipe):
        got[k] = recipe * p

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate((AP() ** 3, rPIE() ** 3))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same(a, b) for a, b in zip(want, got, strict=True))


def test_the_file_is_closed_when_the_data_die(scan_file):
    p = rPIE() * start(scan_file)
    q = AP() * p
    twin = copy.deepcopy(p)
    assert twin.data.intensities.frames.kept is p.data.intensities.frames.kept
    with pytest.raises(OSError, match=r"lock|open"):
        h5py.File(scan_file, "r+")
    del p, twin
    gc.collect()
    assert opty.misfit(q) > 0
    del q
    gc.collect()
    h5py.File(scan_file, "r+").close()


def test_pickles_hold_the_place_of_the_frames(scan_file, tmp_path):
    p = rPIE() * start(scan_file)
    text = pickle.dumps(p.data)
    again = pickle.loads(pickle.dumps(p))
    assert same(AP() * p, AP() * again)
    assert again.data.intensities.frames.kept is not p.data.intensities.frames.kept
    moved = scan_file.rename(tmp_path / "moved.h5")
    with pytest.raises(FormatError, match="there is no such file"):
        pickle.loads(text)
    with pytest.raises(opty.SourceError, match="no longer there"):
        pickle.dumps(p.data)
    moved.rename(scan_file)
    with h5py.File(tmp_path / "other.h5", "w") as f:
        f["a"] = np.arange(3000)
    (tmp_path / "other.h5").rename(scan_file)
    with pytest.raises(FormatError, match="has changed since"):
        pickle.loads(text)


def test_what_is_large_for_the_memory_stays_in_the_file(scan_file, monkeypatch):
    frames = VIEWS * FRAME
    for free, stays in ((4 * frames + 100, False), (4 * frames - 100, True), (None, False)):
        monkeypatch.setattr(opty.io.prepare.image_ops, "free_memory", lambda free=free: free)
        data = opty.load(scan_file)
        assert data.in_file == stays
        assert ("12 KiB, in the file" in repr(data)) == stays
        info = opty.info(scan_file)
        assert (info.in_file, info.frames_bytes) == (stays, frames)
        where = "stay in the file, read batch by batch" if stays else "are read into memory"
        assert f"memory      the frames, 12 KiB, {where}" in str(info)
        assert ("12 KiB of data stay in " in str(AP().explain(opty.PtychoState(data, device="cpu")))) == stays
    monkeypatch.setattr(opty.io.prepare.image_ops, "free_memory", lambda: 4 * frames - 100)
    assert not opty.load(scan_file, stream=False).in_file
    assert not opty.load(scan_file, crop=12).in_file  # what is cut out is what counts


def test_a_whole_array_is_refused_where_it_does_not_fit(scan_file, monkeypatch):
    frames = opty.load(scan_file, stream=True).intensities
    assert np.asarray(frames, np.float64).sum() == np.asarray(frames).sum()
    monkeypatch.setattr(opty.data.lazy_frames, "free_memory", lambda: 100)
    for whole in (lambda: np.asarray(frames), lambda: frames[:]):
        with pytest.raises(MemoryError, match=re.escape("take 12 KiB and 100 bytes are free: take fewer")):
            whole()
    assert frames[:3].shape == (3, N, N)
    with pytest.raises(IndexError, match="the first index"):
        frames[..., 0]
    with pytest.raises(IndexError):
        frames[VIEWS]


def test_waves_of_all_views_that_do_not_fit_are_refused_before_anything_runs(scan_file, monkeypatch):
    p = start(scan_file)
    waves = VIEWS * N * N * 8
    monkeypatch.setattr(opty.kernels.numpy_backend, "free_memory", lambda: waves - 1)
    text = f"kept_waves of 24 x 1 x {N} x {N}, which takes 48 KiB; 48 KiB are free on the cpu: take one that"
    with pytest.raises(MemoryError, match=re.escape(text)):
        DM() * p
    with pytest.raises(MemoryError):
        next(DM().iter(p))
    rPIE() * AP() * ML() * p
    monkeypatch.setattr(opty.kernels.numpy_backend, "free_memory", lambda: waves)
    q = DM() * p
    DM() * q.donate()


@pytest.fixture(scope="module")
def large_scans(tmp_path_factory):
    """Files of a scan of 48 views of 256 x 256, by whether its positions are whole pixels."""
    rng = np.random.default_rng(0)
    frames = rng.poisson(5.0, (48, 256, 256)).astype("uint16")
    positions = 3 + 60 * rng.random((48, 2))
    files = {whole: tmp_path_factory.mktemp("large") / "scan.h5" for whole in (False, True)}
    for whole, path in files.items():
        opty.save(path, opty.PtychoData(frames, np.rint(positions) if whole else positions))
    return files


# Each recipe comes with both kinds of positions, in the file and in memory; which go together changes in turn.
TOLD = [
    (recipe, whole, whole != bool(k % 2))
    for k, recipe in enumerate([AP(), rPIE(), rPIE(batch=5), DM(), ML(), opty.LSQML(batch=8)])
    for whole in (False, True)
]


@pytest.mark.covering
@pytest.mark.parametrize(("recipe", "whole", "stream"), TOLD, ids=str)
def test_explain_tells_the_memory_that_a_run_takes(large_scans, recipe, whole, stream, monkeypatch):
    import tracemalloc

    monkeypatch.undo()
    monkeypatch.setattr("opty.state.streaming.READ_AHEAD", 1 << 20)
    data = opty.load(large_scans[whole], stream=stream)
    p = opty.PtychoState(data, device="cpu", threads=2, modes=2)
    recipe * p  # what is made once
    tracemalloc.start()
    recipe**3 * p
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    told = footprint(p._live, program_of(recipe, p._live))
    there = told.data + sum(a.nbytes for a in p._live.leaves.values())
    assert told.total - there == pytest.approx(peak, rel=0.1)


def test_the_gpu_gets_the_numbers_of_numpy(gpu, scan_file, monkeypatch):
    held, stays = both(scan_file)
    truth = counted().truth
    p = state(held.replace(truth=truth), wrong=0.1)
    there = [state(stays.replace(truth=truth), wrong=0.1).to("gpu")]
    monkeypatch.setattr(gpu, "holds", lambda count: False)
    there.append(p.to("gpu"))
    for recipe in (AP() ** 2, rPIE(batch=3) ** 2, DM() ** 2, ML() ** 2):
        want = recipe * p
        for q in there:
            assert "of data stay" in str(recipe.explain(q))
            assert close(recipe * q, want, 1e-4)
    assert "on the host" in str(AP().explain(there[1]))
    assert opty.misfit(there[0]) == pytest.approx(opty.misfit(p), rel=1e-5)
    back = there[1].to("cpu")
    assert all((everything(p)[k] == everything(back)[k]).all() for k in everything(p))


def test_the_carrier_waits_where_it_must(gpu):
    blocks = [np.full((5 - k % 3, 4, 4), k, "uint16") for k in range(7)]
    staging, got = gpu.StagingBuffer(), []
    sent = staging.put(blocks[0])
    for k, block in enumerate(blocks):
        there = staging.take(sent)
        coming = staging.put(blocks[k + 1]) if k + 1 < len(blocks) else None  # while this one is in use
        got.append(gpu.to_host(there))
        np.testing.assert_array_equal(got[-1], block)
        staging.done(sent)
        sent = coming
    staging.close()


def test_working_ahead_is_one_item_ahead_and_hands_on_errors():
    made = []

    def items():
        for k in range(5):
            if k == 3:
                raise ValueError("the fourth")
            made.append(k)
            yield k

    walk = ahead(items())
    assert next(walk) == 0
    assert [next(walk), next(walk)] == [1, 2]
    with pytest.raises(ValueError, match="the fourth"):
        next(walk)
    walk = ahead(iter(range(100)))
    next(walk)
    walk.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("opty-ahead")]
    assert made == [0, 1, 2]


def test_explain_counts_what_merging_a_large_object_takes():
    import tracemalloc

    rng = np.random.default_rng(0)
    data = opty.PtychoData(rng.poisson(5.0, (40, 64, 64)).astype("uint16"), 1500 * rng.random((40, 2)))
    p = opty.PtychoState(data, device="cpu", threads=1)
    recipe = AP(obj_smooth=2) ** 2  # the second turn beside the state after the first one
    recipe * p  # what is made once
    tracemalloc.start()
    recipe * p
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    told = footprint(p._live, program_of(recipe, p._live))
    assert told.merging > told.blocks + told.waves
    there = told.data + sum(a.nbytes for a in p._live.leaves.values())
    assert told.total - there == pytest.approx(peak, rel=0.1)


@pytest.mark.parametrize("masked", [0, 2, 3])
@pytest.mark.parametrize(
    "recipe", ["PosCorrect(search_every=1, hold=0)", "PosCorrectAnneal()", "PosCorrectGain(signal='detector')"]
)
def test_positions_are_refined_with_the_numbers_of_frames_in_memory(tmp_path, recipe, masked):
    """Their trials ask for views out of turn, again and again, and in the middle of a sweep."""
    path, options = write_layout(tmp_path, counted(mask=masked), "one frame a chunk", masked=masked > 0)
    held, stays = both(path, **options)
    assert held.photons().tobytes() == stays.photons().tobytes()
    probe = counted().truth["probe"]
    p, q = (opty.PtychoState(d, probe=probe, device="cpu", threads=1, seed=3) for d in (held, stays))
    for engine in ("rPIE()", "rPIE(batch=3)", "AP()"):
        refined = opty.parse(f"({recipe} * {engine}) ** 3")
        assert same(refined * p, refined * q)
        assert not np.array_equal((refined * p).positions, p.positions)


def test_the_photons_of_views_are_those_of_the_one_pass(scan_file, reads):
    data = opty.load(scan_file, stream=True)
    reads.clear()
    p = opty.PtychoState(data, probe=counted().truth["probe"], device="cpu", threads=1)
    assert p._live.measured.view_photons.tobytes() == data.photons().tobytes()
    assert reads == []

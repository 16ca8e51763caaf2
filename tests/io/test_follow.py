"""Scans that grow while they are reconstructed: files that another process writes, and messages."""

import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from small_scans import scan

import opty
from opty.cli import main
from opty.errors import SourceError
from opty.io import follow as followed
from opty.io.messages import Sender

VIEWS = 90
pytestmark = pytest.mark.filterwarnings("ignore::opty.MisfitWarning")  # of toy scans
MAPPING = '[frames]\npath = "/frames"\n[positions]\npath = "/positions"\npixels = true\n'


@pytest.fixture(scope="module")
def data():
    """A scan from the top down, so that the frame of the object has to grow."""
    whole = scan(views=VIEWS, span=60, fractional=False)
    order = np.argsort(whole.positions[:, 0], kind="stable")
    return whole.replace(intensities=whole.intensities[order], positions=whole.positions[order], truth=None)


@pytest.fixture
def true_probe(data):
    return scan(views=1).truth["probe"]


def started(data, probe):
    return opty.PtychoState(data, probe=probe, device="cpu", threads=1)


@pytest.fixture
def writer(data, tmp_path):
    """Function that starts a process that writes the scan into a file view by view; ``end``: how it ends."""
    np.save(tmp_path / "frames.npy", data.intensities)
    np.save(tmp_path / "positions.npy", data.positions)
    (tmp_path / "scan.toml").write_text(MAPPING)
    running = []

    def start(end="f.close()", views=VIEWS, wait=0.01):
        program = f"""
            import h5py, numpy as np, os, time
            frames, positions = np.load("frames.npy"), np.load("positions.npy")
            f = h5py.File("scan.h5", "w", libver="latest")
            n = frames.shape[-1]
            data = f.create_dataset("frames", (0, n, n), frames.dtype, chunks=(1, n, n), maxshape=(None, n, n))
            places = f.create_dataset("positions", (0, 2), float, chunks=(8, 2), maxshape=(None, 2))
            f.swmr_mode = True
            for k in range({views}):
                places.resize(k + 1, 0); places[k] = positions[k]; places.flush()
                data.resize(k + 1, 0); data[k] = frames[k]; data.flush()
                time.sleep({wait})
            {end}
        """
        running.append(subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], cwd=tmp_path))
        return tmp_path / "scan.h5", tmp_path / "scan.toml"

    yield start
    for one in running:
        one.kill()
        one.wait()


def same_place(p, data):
    """Say whether the positions of a state are those of a measurement, but for the frame."""
    away = p.positions - data.positions
    return np.ptp(away, axis=0).max() < 1e-6


def test_a_file_that_grows(writer, data, true_probe):
    path, mapping = writer()
    first = opty.load(path, mapping=mapping, follow=True, timeout=10)
    assert 1 <= first.views < VIEWS
    start = started(first, true_probe)
    p = (opty.Follow() * opty.rPIE()) ** 15 * start
    assert p.data.views == VIEWS
    assert np.array_equal(p.data.intensities, data.intensities)
    assert same_place(p, data)
    assert p.obj.shape[0] > start.obj.shape[0]
    assert (start.data.views, len(start.positions)) == (first.views, first.views)  # the start is as it was
    assert p.data.feed.why == f"{path} is complete"
    assert p.iteration > 15
    assert p.history["views"][-1] == VIEWS
    offline = opty.rPIE() ** 15 * started(data, true_probe)
    assert opty.misfit(p) < 1.1 * opty.misfit(offline)


def test_a_writer_that_dies_leaves_a_result(writer, true_probe, tmp_path):
    path, mapping = writer(end="os._exit(1)", views=60)
    first = opty.load(path, mapping=mapping, follow=True, timeout=0.7)
    with pytest.warns(UserWarning, match=r"no view has come from .* for 0\.7 s.*The scan ends here, with 60 views"):
        p = (opty.Follow() * opty.rPIE()) ** 3 * started(first, true_probe)
    assert p.data.views == 60
    p.save(tmp_path / "r.h5")
    again = opty.load(tmp_path / "r.h5", device="cpu")
    assert np.array_equal(again.data.intensities, p.data.intensities)
    assert (opty.rPIE() * again).iteration == p.iteration + 1


def test_a_file_that_is_appended_to(data, true_probe, tmp_path):
    """Its writer opens and closes it: nothing marks it as growing, and it ends when all it has room for is there."""
    (tmp_path / "scan.toml").write_text(MAPPING)
    path = tmp_path / "scan.h5"

    def append(stop, start=0):
        with h5py.File(path, "a") as f:
            if not start:
                f.create_dataset("frames", data.intensities.shape, float, chunks=(1, 16, 16))
                f["positions"] = data.positions
            f["frames"][start:stop] = data.intensities[start:stop]

    append(40)
    first = opty.load(path, mapping=tmp_path / "scan.toml", follow=True, timeout=10)
    assert first.views == 40
    states = ((opty.Follow() * opty.rPIE()) ** 2).iter(started(first, true_probe))
    assert next(states).data.views == 40
    append(VIEWS, 40)
    first.feed._looked = 0  # looks at once
    *_, last = states
    assert last.data.views == VIEWS
    assert same_place(last, data)


def test_a_complete_file_is_all_there(data, true_probe, tmp_path):
    opty.save(tmp_path / "scan.h5", data)
    whole = opty.load(tmp_path / "scan.h5", follow=True)
    assert (whole.views, whole.feed.over) == (VIEWS, False)
    p = (opty.Follow() * opty.rPIE()) ** 4 * started(whole, true_probe)
    offline = opty.rPIE() ** 4 * started(data, true_probe)
    assert p.data.feed.over
    assert p.iteration in (4, 5)
    assert p.obj.shape == offline.obj.shape


@pytest.fixture
def sent(data, true_probe):
    """Function that sends the scan as messages from a thread; returns its address."""
    pytest.importorskip("zmq")
    threads = []

    def start(some=VIEWS, end=True):
        address = f"inproc://scan-{id(threads)}-{len(threads)}"

        def send():
            sender = Sender(address, data.replace(probe=true_probe))
            for frame, position in zip(data.intensities[:some], data.positions[:some], strict=True):
                sender.send(frame, position)
                pause.wait(0.005)
            if end:
                sender.end()
            else:
                sender._socket.close(linger=0)

        pause = threading.Event()
        threads.append(threading.Thread(target=send))
        threads[-1].start()
        return address

    yield start
    for one in threads:
        one.join()


def test_messages(sent, data):
    first = opty.load(sent(), follow=True, timeout=10)
    assert first.probe is not None
    p = opty.PtychoState(first, device="cpu", threads=1)
    p = (opty.Follow() * opty.PosCorrect() * opty.rPIE()) ** 5 * p
    assert p.data.views == VIEWS
    assert np.array_equal(p.data.intensities, data.intensities)
    assert p.data.feed.why.endswith("is complete")


def test_a_sender_that_dies_leaves_a_result(sent):
    first = opty.load(sent(some=50, end=False), follow=True, timeout=0.4)
    with pytest.warns(UserWarning, match="no view has come from inproc"):
        p = (opty.Follow() * opty.rPIE()) ** 2 * opty.PtychoState(first, device="cpu", threads=1)
    assert p.data.views == 50


def _messages(*messages):
    """What opty makes of some messages."""
    zmq = pytest.importorskip("zmq")
    address = f"inproc://wrong-{abs(hash(messages))}"
    with zmq.Context.instance().socket(zmq.PUSH) as socket:
        socket.bind(address)
        arrivals = followed.MessageArrivals(address)
        for parts in messages:
            socket.send_multipart(parts)
        try:
            return arrivals.poll()
        finally:
            arrivals.close()


START = b'{"type": "start", "opty": 1, "shape": [4, 4], "dtype": "<u2", "geometry": null, "arrays": []}'


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([(b"nonsense",)], "expected JSON with the type start, view or end"),
        ([(b'{"type": "view", "position": [0, 0]}', bytes(32))], "sent a view before it said what its views are"),
        ([(START.replace(b'"opty": 1', b'"opty": 7'),)], "of version 7; this opty reads version 1"),
        ([(START, bytes(3))], "names 0 arrays and brings 1"),
        ([(START,), (b'{"type": "view", "position": [0, 0]}', bytes(31))], "31 bytes for an array of"),
        ([(START,), (b'{"type": "view", "position": "here"}', bytes(32))], "has the position 'here'"),
        ([(START.replace(b"<u2", b"|O"),), (b'{"type": "view", "position": [0, 0]}', bytes(32))], "expected numbers"),
        ([(START,), (b'{"type": "view", "position": [0, 0]}',)], "has 0 parts after its first; expected its frame"),
    ],
)
def test_messages_that_are_wrong(messages, said):
    with pytest.raises(ValueError, match=said):
        _messages(*messages)


def test_nothing_comes(tmp_path):
    with pytest.raises(SourceError, match=r"never\.h5 has brought no view for 0\.2 s; timeout= sets how long to wait"):
        opty.load(tmp_path / "never.h5", follow=True, timeout=0.2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"views": "0:4"}, "views='0:4' cannot be had of a scan that grows"),
        ({"centre": "auto"}, "centre='auto' looks at all views"),
        ({"mask": "hot"}, "mask='hot' looks at all views"),
        ({"timeout": 0}, "timeout is 0; give seconds above 0"),
    ],
)
def test_options_that_need_all_views_are_refused(tmp_path, options, said):
    with pytest.raises(ValueError, match=said):
        opty.load(tmp_path / "scan.h5", follow=True, **options)


def test_timeout_goes_with_follow(tmp_path):
    with pytest.raises(TypeError, match="timeout goes with follow=True"):
        opty.load(tmp_path / "scan.h5", timeout=3)


def test_follow_does_nothing_on_a_complete_scan(data, true_probe):
    p = started(data, true_probe)
    with_follow, without = (opty.Follow() * opty.rPIE()) ** 3 * p, opty.rPIE() ** 3 * p
    assert np.array_equal(with_follow.obj, without.obj)
    assert with_follow.iteration == 3


@pytest.mark.parametrize(
    "recipe", ["AP()", "DM()", "ML()", "LSQML()", "PosCorrectAdam()*rPIE()", "IntensityUpdate()*rPIE()"]
)
def test_every_engine_takes_new_views(sent, recipe):
    first = opty.load(sent(), follow=True, timeout=10)
    p = (opty.Follow() * opty.parse(recipe)) ** 6 * opty.PtychoState(first, device="cpu", threads=1)
    assert p.data.views == VIEWS
    assert np.isfinite(p.obj).all()
    assert opty.misfit(p) < 0.3


def test_a_checkpoint_of_a_scan_that_grows_goes_on(sent, tmp_path):
    """With the views that had joined; its turns count, because no more will come."""
    first = opty.load(sent(), follow=True, timeout=10)
    path = str(tmp_path / "c_{iteration}.h5")
    q = (opty.Save(path, every=4) * opty.Follow() * opty.rPIE()) ** 6 * opty.PtychoState(first, device="cpu", threads=1)
    saved = sorted(tmp_path.glob("c_*.h5"))
    early = opty.load(saved[0], device="cpu")
    assert early.data.views <= q.data.views
    resumed = opty.resume(saved[0], device="cpu")
    assert resumed.data.views == early.data.views
    assert resumed.iteration == early.iteration + 5  # the turn in which it was saved is the first of the six


def test_what_cannot_grow_is_refused(sent):
    first = opty.load(sent(), follow=True, timeout=10)
    p = opty.PtychoState(first, device="cpu", threads=1)
    p = p.replace(arrays={"trust": np.ones(first.views)})
    with pytest.raises(opty.RecipeError, match="cannot grow with the scan"):
        (opty.Follow() * opty.rPIE()) ** 2 * p


def test_the_command(data, true_probe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    opty.save("scan.h5", data.replace(probe=true_probe))
    words = ["reconstruct", "scan.h5", "--follow", "-o", "out.h5", "--force", "-q", "--recipe"]
    outcome = CliRunner().invoke(main, [*words, "rPIE()**3", "--timeout", "5"])
    assert outcome.exit_code == 0, outcome.output
    p = opty.load("out.h5", device="cpu")
    assert (p.data.views, repr(p.recipe)) == (VIEWS, "(Follow() * rPIE()) ** 3")
    for wrong, said in (
        ([*words, "rPIE()"], "rPIE() has none: add ** 30"),
        (["reconstruct", "scan.h5", "-o", "b.h5", "--timeout", "5"], "--timeout is of a scan that grows: add --follow"),
    ):
        outcome = CliRunner().invoke(main, wrong)
        assert outcome.exit_code == 2
        assert said in " ".join(outcome.output.split())

"""The speed benchmarks count, compare and tell what they should; how long anything takes is not asked here."""

from __future__ import annotations

import functools
import json
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import scipy.fft

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks import cases, compare, docs, environments, passes, peer_speed, scans, speed
from benchmarks.bare import Bare, counted
from benchmarks.record import keep_in
from benchmarks.sweep import measured

ROOT = Path(__file__).resolve().parents[1]
HERE = functools.partial(measured, turn=0.0)
NEEDED = {"AP()": 2, "DM()": 2, "rPIE()": 2, "LSQML()": 2, "ML()": 5}  # transforms a view and mode


def rows_of(asked, device="cpu", threads=(1,)):
    return list(speed.run(asked, device, list(threads), repeat=1, measure=HERE))


def check(row):
    assert all(math.isfinite(v) for v in row.values() if isinstance(v, (int, float)))
    assert row["seconds"] > 0
    assert row["bare_seconds"] > 0
    assert row["transforms"] == row["per_view_and_mode"] * 16 * 2  # views, modes


def test_rows_hold_finite_numbers_and_the_transforms_of_the_formulae():
    rows = rows_of(cases.QUICK)
    assert len(rows) == len(cases.QUICK)
    for row in rows:
        check(row)
        if row["positions"] == "whole":
            assert row["per_view_and_mode"] == NEEDED[row["recipe"]]
        else:
            assert row["per_view_and_mode"] > NEEDED[row["recipe"]]  # the probe is moved
        assert speed.line(row).count("|") == speed.HEAD.count("|")


def test_models_are_measured_beside_the_thin_object():
    rows = rows_of(speed.chosen("cpu", True, "", models=True))
    assert [row["model"] for row in rows] == list(cases.BY_MODEL)
    found = {row["model"].split("(")[0] + str(k): row["per_view_and_mode"] for k, row in enumerate(rows)}
    # a gap between slices takes four; each state two; a path four a point, less the one in the middle, and the probe's
    assert found == {
        "Object0": 2,
        "Slices1": 6,
        "Probe2": 2,
        "Object3": 4,
        "FlyScan4": 13,
        "Wavelengths5": 6,
        "Blur6": 2,
    }
    lines = docs.models(rows)
    assert len(lines) == 2 + len(rows)
    assert lines[2].endswith("| 1.00 |")


def test_the_commands_for_a_gpu(gpu):
    for row in rows_of([cases.Case("engines", cases.SMALL, recipe) for recipe in ("AP()", "rPIE()")], "gpu"):
        check(row)
        assert row["per_view_and_mode"] == NEEDED[row["recipe"]]
        assert row["device"] == "gpu"


def test_threads_are_asked_for_where_they_matter():
    asked = [cases.Case(part, cases.SMALL, "AP()") for part in ("engines", "overhead")]
    rows = rows_of(asked, threads=(1, 2))
    assert [(row["part"], row["threads"]) for row in rows] == [("engines", 1), ("engines", 2), ("overhead", 1)]


def test_scans_have_the_sizes_of_their_names():
    assert (cases.A.views, cases.B.views, cases.K256.views) == (256, 196, 1000)
    arrays = scans.simulated(cases.SMALL)
    assert arrays["diff"].shape == (16, 32, 32)
    assert arrays["probe0"].shape == (2, 32, 32)
    assert (arrays["pos"] == np.rint(arrays["pos"])).all()
    p = scans.start(arrays, subpixel=True, device="cpu", threads=1)
    assert (p.positions != np.rint(p.positions)).all()


def test_each_series_grows_sixteenfold():
    for part, work in docs.WORK.items():
        series = [case.scan for case in cases.CPU if case.part == part]
        sizes = [work({"views": s.views, "modes": s.modes, "n": s.n}) for s in series]
        assert sizes[-1] / sizes[0] == pytest.approx(16, rel=0.02)


def test_transforms_of_worker_threads_are_counted():
    a = np.ones((3, 2, 8, 8), "complex64")
    with counted("cpu") as found, ThreadPoolExecutor(2) as pool:
        list(pool.map(scipy.fft.fft2, [a] * 4))
        scipy.fft.ifft2(a[0])
    scipy.fft.fft2(a)  # no longer
    assert {(t.inverse, t.pooled, t.images): count for t, count in found.items()} == {
        (False, True, 6): 4,
        (True, False, 2): 1,
    }
    bare = Bare(found, "cpu", threads=2)
    assert bare.seconds(2) > 0
    assert bare.way in ("one thread", "SciPy's workers", "a chunk a thread", "calls side by side")


def test_nothing_counted_is_an_error():
    with counted("cpu") as found:
        np.fft.fft2(np.ones((8, 8)))
    with pytest.raises(ValueError, match="no Fourier transform went through scipy"):
        Bare(found, "cpu", threads=1)


def a_row(seconds, **other):
    row = dict.fromkeys(speed.KEY, "x") | dict(part="engines", threads=1, seconds=seconds, bare_seconds=1.0)
    return row | dict(ratio=seconds, views=4, n=8, modes=1, batch=1, per_view_and_mode=2.0) | other


def test_compare_prints_ratios(tmp_path):
    first, second, other = (tmp_path / name for name in ("a.json", "b.json", "c.json"))
    keep_in(first, [a_row(4.0), a_row(1.0, scan="y")], speed.KEY)
    keep_in(second, [a_row(1.0)], speed.KEY)
    keep_in(other, [a_row(1.0, scan="z")], speed.KEY)
    lines = list(compare.compared(first, second))
    assert len(lines) == 3
    assert "| 4 | 1 | 0.250 | 4.00, 1.00 |" in lines[-1]
    with pytest.raises(ValueError, match="no work in common"):
        list(compare.compared(first, other))
    keep_in(other, [{"recipe": "AP()"}], ["recipe"])
    with pytest.raises(ValueError, match="no times of"):
        list(compare.compared(first, other))


def test_a_row_takes_the_place_of_the_same_work(tmp_path):
    path = tmp_path / "a.json"
    for seconds in (4.0, 2.0):
        keep_in(path, [a_row(seconds)], speed.KEY)
    found = json.loads(path.read_text())
    assert [row["seconds"] for row in found["rows"]] == [2.0]
    assert {"processor", "cores", "numpy", "scipy", "opty"} <= set(found["machine"])
    path.write_text(json.dumps(found | {"machine": {"processor": "another"}}))
    keep_in(path, [a_row(1.0, scan="y")], speed.KEY)
    moved = json.loads(path.read_text())
    assert moved["machine"] == found["machine"]
    assert [row.get("machine") for row in moved["rows"]] == [{"processor": "another"}, None]
    path.write_text(json.dumps(dict(machine={"processor": "another"}, rows=[a_row(1.0, machine=found["machine"])])))
    keep_in(path, [], speed.KEY)
    assert ["machine" in row for row in json.loads(path.read_text())["rows"]] == [False]


def test_the_pages_have_the_newest_results():
    texts = [page.read_text() for page in docs.PAGES]
    assert {name for name in docs.TABLES if any(f"<!-- table: {name} -->" in text for text in texts)} == set(
        docs.TABLES
    )
    for text in texts:
        assert docs.filled(text, ROOT / "benchmarks" / "results") == text, "python -m benchmarks docs"


def test_tables_say_how_far_growth_is_from_linear(tmp_path):
    rows = [a_row(v * 1e-3, part="views", scan=f"{v} views", views=v) for v in (64, 128, 256)]
    (line,) = docs.scaling(rows)[2:]
    assert line == "| views | 64 views, 256 views | 4 | 4 | 1.00 | -0 % |"
    assert docs.filled("<!-- table: peers -->\nold\n<!-- end -->", tmp_path).splitlines()[1] == "*Not measured yet.*"


FAKE = f"""
import sys
sys.path.insert(0, {str(environments.PEERS)!r})
from turns import diff, engine, serve
assert diff.shape == (16, 32, 32), diff.shape
print("what a package prints is no answer")
def iterate(count):
    if engine == "bad":
        raise ValueError("a step too long")
    return 1 / count
serve(iterate)
"""


def test_a_package_takes_turns_with_opty(tmp_path, monkeypatch):
    (tmp_path / "speed_fake.py").write_text(FAKE)
    monkeypatch.setattr(environments, "PEERS", tmp_path)
    monkeypatch.setattr(peer_speed, "TURN", 0.0)
    scans.write(tmp_path / "scan", cases.SMALL)
    for engine in ("good", "bad"):
        work = peer_speed.Work("A", engine, 1, "AP()")
        other = peer_speed.Other(Path(sys.executable), "fake", tmp_path / "scan", work, "cpu", 1)
        if engine == "bad":
            with pytest.raises(environments.PeerError, match="a step too long"):
                peer_speed.by_turns(other, tmp_path / "scan", work, "cpu", 1, 1)
            break
        row = peer_speed.by_turns(other, tmp_path / "scan", work, "cpu", 1, 2)
        assert row["ratio"] == pytest.approx(row["seconds"] / row["opty_seconds"])
        assert row["errors"] == [1, 1]
        line = peer_speed.line(dict(package="fake", version="1") | row)
        assert line.count("|") == peer_speed.HEAD.count("|")


def test_every_package_has_an_environment_and_a_script():
    for package, works in peer_speed.WORK.items():
        assert environments.INSTALLS[package]
        assert (environments.PEERS / f"speed_{package}.py").exists()
        assert {work.scan for work in works} <= set(peer_speed.SCANS)


@pytest.mark.slow
def test_the_command_writes_its_file(tmp_path):
    path = tmp_path / "rows.json"
    asked = ["run", "--quick", "--only", "AP()", "--threads", "1", "--output", path]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *map(str, asked)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "| small | `AP()` | 1 |" in done.stdout
    (row,) = json.loads(path.read_text())["rows"]
    assert row["per_view_and_mode"] == 2


def test_images_that_kernels_read_and_write(tmp_path):
    """By hand, of one view at a time with a thin object.

    Read: probe and object, waves and half an image of frames, then object, probe and waves; written: waves twice,
    object and probe. A way to vary is read on the way out, and read and written on the way back; a gap between slices
    makes all gaps alike.
    """
    pytest.importorskip("numba", reason="kernels of numba are counted")
    scans.write(tmp_path, passes.SCAN)
    arrays = scans.load(tmp_path)
    found = [passes.counts(arrays, "rPIE()", model) for model in passes.MODELS]
    thin, *slices, one, two, four = ((row["transforms"], row["read"], row["written"]) for row in found)
    assert thin == (2, 2 + 1.5 + 3, 4)
    assert np.diff([thin, *slices], axis=0).tolist() == [[4, 12, 5]] * 3
    assert np.subtract(two, one).tolist() == [0, 2, 1]
    assert np.subtract(four, one).tolist() == [0, 6, 3]
    assert one[1] + one[2] <= thin[1] + thin[2] + 3 + 4, "beside the ways to vary: the probe of the view, waves, object"

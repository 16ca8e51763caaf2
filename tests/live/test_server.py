"""The server: who sees what, and parts of pictures."""

from pathlib import Path

import numpy as np
import pytest
from small_scans import scan, state
from viewer import TOKEN, Viewer

import opty
from opty.live.board import Board
from opty.live.budget import SHARE, Budget
from opty.live.result import put_result, show_result
from opty.live.server import LiveServer, loopback
from opty.live.snapshot import Snapshot

GETS = ("/", "/status", "/object", "/probe", "/positions")


@pytest.fixture(scope="module")
def page():
    """A viewer of a result, and the result."""
    p = opty.rPIE() ** 2 * state(scan())
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OPTY_LIVE_TOKEN", TOKEN)
        server = LiveServer("127.0.0.1", 0, Board("result"))
        put_result(server, Path("a.h5"), p)
        yield Viewer(server.url), p
        server.close()


@pytest.mark.parametrize("wrong", ["", "a-token-of-test", "a-token-of-testsx", "%C3%A4"])
@pytest.mark.parametrize(("path", "method"), [*((path, "GET") for path in GETS), ("/stop", "POST")])
def test_a_wrong_token_sees_nothing(page, wrong, path, method):
    viewer, _ = page
    stranger = Viewer(viewer.base, wrong)
    code, text = stranger.refused(path, method)
    assert (code, text) == (403, "The token is missing or wrong: use the printed address.")


def test_the_page_brings_all_that_it_needs(page):
    viewer, _ = page
    headers, content = viewer.get("/")
    text = content.decode()
    assert "http://" not in text
    assert "https://" not in text
    assert "src=" not in text
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; connect-src 'self'")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert (headers["Cache-Control"], headers["X-Frame-Options"]) == ("no-store", "DENY")


def test_a_result_is_shown_and_takes_no_orders(page):
    viewer, p = page
    found = viewer.status()
    assert (found["kind"], found["state"], found["iteration"]) == ("result", "result", 2)
    assert found["picture"]["views"] == p.data.views
    assert viewer.refused("/stop", "POST") == (409, "No run is under way.")


@pytest.mark.parametrize(
    ("path", "method", "asked", "code", "said"),
    [
        ("/etc/passwd", "GET", {}, 404, "There is no /etc/passwd here."),
        ("/../page/main.js", "GET", {}, 404, "There is no"),
        ("/explode", "POST", {}, 404, "There is no order 'explode'"),
        ("/object", "GET", {"top": "1e3"}, 400, "top is '1e3'; give a whole number."),
        ("/object", "GET", {"slice": 1}, 404, "There is no slice 1; the object has 1."),
    ],
)
def test_other_requests_are_refused(page, path, method, asked, code, said):
    found, text = page[0].refused(path, method, **asked)
    assert found == code
    assert said in text


def test_a_part_of_the_object_is_that_part(page):
    viewer, p = page
    part, place = viewer.part("/object", top=20, bottom=30, left=12, right=28)
    assert (part.shape, place["rows"], place["cols"]) == ((10, 16), [20, 30], [12, 28])
    lit = np.isfinite(part)
    assert lit.any()
    assert np.abs(part - p.obj[20:30, 12:28])[lit].max() < 1e-3 * np.abs(p.obj).max()
    small, place = viewer.part("/object", most=16)
    step = place["step"]
    assert max(small.shape) <= 16
    inside = small[small.shape[0] // 2, small.shape[1] // 2]
    r, c = (step * (size // 2) for size in small.shape)
    assert inside == pytest.approx(p.obj[r : r + step, c : c + step].mean(), rel=1e-3)
    for beyond in ({"top": 10**6}, {"bottom": -5}, {"left": 50, "right": 40}):
        assert viewer.part("/object", **beyond)[0].size > 0


def test_slices_and_their_product():
    rng = np.random.default_rng(0)
    obj = np.exp(1j * rng.normal(0, 0.1, (3, 40, 40)))
    snapshot = Snapshot(1, obj, np.ones((1, 16, 16)), np.full((1, 2), 12.0), np.full((1, 2), 12.0), None)
    assert snapshot.facts()["slices"] == 3
    for one, expected in ((None, obj.prod(0)), (2, obj[2])):
        part = snapshot.object_part(one, (16, 20), (16, 20), 64)
        pairs = np.frombuffer(part.numbers, "<i2").reshape(4, 4, 2)
        assert part.scale * (pairs[..., 0] + 1j * pairs[..., 1]) == pytest.approx(expected[16:20, 16:20], abs=1e-3)


def test_values_that_are_not_finite_are_sent_as_zero():
    obj = np.ones((40, 40), complex)
    obj[18, 18] = np.nan
    snapshot = Snapshot(1, obj, np.ones((1, 16, 16)), np.full((1, 2), 12.0), np.full((1, 2), 12.0), None)
    pairs = np.frombuffer(snapshot.object_part(None, (16, 20), (16, 20), 64).numbers, "<i2").reshape(4, 4, 2)
    assert pairs[2, 2].tolist() == [0, 0]
    assert pairs[0, 0, 0] >= 31999


def test_pictures_come_as_seldom_as_their_cost_demands(monkeypatch):
    """By the clock, and by the seconds that the process computes where other programs take the cores."""
    clock, cpu = [100.0], [50.0]
    monkeypatch.setattr("opty.live.budget.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("opty.live.budget.time.process_time", lambda: cpu[0])
    budget = Budget()
    assert budget.due()
    budget.taken(0.02)
    budget.spend(0.03, on_picture=0.03)
    budget.spend(9.0, on_picture=0.0)  # without a picture: puts nothing off
    clock[0] += 0.05 / SHARE - 0.01
    cpu[0] += 2 * 0.05 / SHARE
    assert not budget.due()
    clock[0] += 0.02
    assert budget.due()
    budget.taken(0.05)
    clock[0] += 2 * 0.05 / SHARE
    cpu[0] += 0.05 / SHARE - 0.01
    assert not budget.due()
    assert budget.due(at_rest=True)
    cpu[0] += 0.02
    assert budget.due()


def test_a_token_is_drawn_for_each_server(monkeypatch):
    monkeypatch.delenv("OPTY_LIVE_TOKEN", raising=False)
    servers = [LiveServer("127.0.0.1", 0, Board()) for _ in range(2)]
    tokens = {server.token for server in servers}
    for server in servers:
        server.close()
    assert len(tokens) == 2
    assert min(map(len, tokens)) >= 20


def test_which_addresses_are_of_this_machine_alone():
    assert all(map(loopback, ("127.0.0.1", "localhost", "127.1.2.3", "::1")))
    assert not any(map(loopback, ("0.0.0.0", "192.168.1.4", "example.org", "")))


def test_others_are_warned_of_where_the_page_can_be_reached(token, start, capsys, tmp_path):
    show_result(tmp_path / "a.h5", lambda: start, host="0.0.0.0", port=0)
    assert "other machines can reach it, unencrypted" in capsys.readouterr().err

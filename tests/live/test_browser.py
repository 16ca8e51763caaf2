"""The page in a real browser: pictures appear and change, buttons work, several viewers, wrong tokens.

Needs playwright (pip install playwright) and Chromium (apt install chromium); OPTY_BROWSER names another browser of its
kind.
"""

import io
import os
import shutil

import numpy as np
import pytest
from PIL import Image

import opty
from opty.errors import InterruptedWarning

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::opty.MisfitWarning")]
MANY = 10**6
PATIENCE = 20_000  # ms


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    found = os.environ.get("OPTY_BROWSER") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("no Chromium: apt install chromium")
    with api.sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield one
        one.close()


class Looker:
    """A person with a browser."""

    def __init__(self, browser, url):
        self.page = browser.new_page(viewport={"width": 1280, "height": 1000})
        self.said = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(url)

    def text(self, name):
        return self.page.inner_text(f"#{name}")

    def until(self, script, *values):
        self.page.wait_for_function(script, arg=list(values), timeout=PATIENCE)

    def pixels(self, selector):
        """Return what a part of the page shows, (h, w, 3) uint8."""
        return np.asarray(Image.open(io.BytesIO(self.page.locator(selector).first.screenshot())).convert("RGB"))

    def until_changed(self, selector, before):
        """Wait until a part of the page looks otherwise: pictures come as seldom as they cost little."""
        for _ in range(PATIENCE // 500):
            self.page.wait_for_timeout(500)
            if (self.pixels(selector) != before).any():
                return
        raise AssertionError(f"{selector} looks as it did")

    def shown(self):
        """Wait for the first picture."""
        self.until(
            "() => document.querySelector('#magnitude small').textContent && document.querySelector('.modes canvas')"
        )
        self.until("() => !document.getElementById('lag-more').textContent.endsWith('undefined')")
        self.page.wait_for_timeout(300)


@pytest.fixture
def look(browser):
    lookers = []

    def open_page(viewer, token=None):
        lookers.append(Looker(browser, f"{viewer.base}/?token={viewer.token if token is None else token}"))
        return lookers[-1]

    yield open_page
    for one in lookers:
        one.page.close()


def grey(pixels):
    return pixels.astype(int).mean(-1)


def test_pictures_appear_and_change(shown, look):
    viewer, _ = shown((opty.Serve(port=0) * opty.rPIE()) ** MANY)
    one = look(viewer)
    one.shown()
    first, number = one.pixels("#phase canvas"), int(one.text("iteration"))
    assert grey(first)[:, : first.shape[1] - 70].std() > 5
    one.until("([n]) => +document.getElementById('iteration').textContent > n + 20", number)
    one.until_changed("#phase canvas", first)
    for canvas in ("#scan canvas", "#curve canvas", ".modes canvas"):
        assert grey(one.pixels(canvas)).std() > 1
    assert one.said == []


def test_buttons(shown, look, tmp_path):
    viewer, future = shown((opty.Serve(str(tmp_path / "a.h5"), port=0) * opty.rPIE()) ** MANY)
    one = look(viewer)
    one.shown()
    one.page.click("#pause")
    one.until("() => document.getElementById('state').textContent === 'paused'")
    held = one.text("iteration")
    one.page.wait_for_timeout(700)
    assert one.text("iteration") == held
    one.page.click("#save")
    one.until("() => document.getElementById('note').textContent.startsWith('saved to')")
    assert (tmp_path / "a.h5").exists()
    one.page.click("#pause")
    one.until("([n]) => +document.getElementById('iteration').textContent > n", int(held))
    one.page.on("dialog", lambda dialog: dialog.accept())
    one.page.click("#stop")
    one.until("() => document.getElementById('state').textContent === 'stopped'")
    with pytest.raises(InterruptedWarning):
        future.result()
    assert not one.page.is_visible("#stop")
    assert one.said == []


def test_zoom_colours_and_saving_a_picture(shown, look):
    viewer, future = shown((opty.Serve(port=0) * opty.rPIE()) ** 20)
    future.result()
    one = look(viewer)
    one.shown()
    before, phase = one.pixels("#magnitude canvas"), one.pixels("#phase canvas")
    one.page.select_option("#magnitude select", "viridis")
    coloured = one.pixels("#magnitude canvas")
    assert np.ptp(coloured, axis=-1).max() > 100 > np.ptp(before, axis=-1).max()
    one.page.select_option("#magnitude select", "grey")
    one.page.hover("#magnitude canvas", position={"x": 150, "y": 150})
    assert "," in one.page.inner_text("#magnitude output")
    one.page.mouse.wheel(0, -500)
    one.page.wait_for_timeout(600)
    assert (one.pixels("#magnitude canvas") != before).any()
    assert (one.pixels("#phase canvas") != phase).any()  # both show the same part
    one.page.click("#phase .fit")
    one.page.wait_for_timeout(600)
    one.page.mouse.move(5, 5)
    assert (one.pixels("#phase canvas") == phase).all()
    with one.page.expect_download() as download:
        one.page.click("#phase .keep")
    assert download.value.suggested_filename == "phase_00020.png"
    with open(download.value.path(), "rb") as kept:
        assert kept.read(8) == b"\x89PNG\r\n\x1a\n"
    assert one.said == []


def test_two_viewers_see_the_same(shown, look):
    viewer, future = shown((opty.Serve(port=0) * opty.rPIE()) ** 3000)
    both = [look(viewer), look(viewer)]
    for one in both:
        one.shown()
    both[0].page.click("#pause")
    for one in both:
        one.until("() => document.getElementById('state').textContent === 'paused'")
    both[1].page.click("#pause")
    future.result()
    for one in both:
        one.until("() => document.getElementById('state').textContent === 'finished'")
        one.page.wait_for_timeout(500)
    assert (both[0].pixels("#phase canvas") == both[1].pixels("#phase canvas")).all()
    assert [one.text("iteration") for one in both] == ["3000", "3000"]


def test_a_wrong_token_sees_nothing(shown, look):
    viewer, future = shown((opty.Serve(port=0) * opty.rPIE()) ** 3)
    future.result()
    one = look(viewer, token="guess")
    assert one.page.inner_text("body").strip() == "The token is missing or wrong: use the printed address."
    assert one.page.query_selector("canvas") is None


def test_the_page_says_that_the_run_is_gone(shown, look):
    from opty.live import server as servers

    viewer, future = shown((opty.Serve(port=0) * opty.rPIE()) ** 3)
    future.result()
    one = look(viewer)
    one.shown()
    picture = one.pixels("#phase canvas")
    one.page.route("**/status*", lambda route: route.abort())
    servers._servers[-1].board.put(note=None)
    one.until("() => document.getElementById('state').textContent === 'connection lost'")
    assert (one.pixels("#phase canvas") == picture).all()

"""A result as one HTML file: what it says, that it needs nothing else, and the command line."""

import base64
import hashlib
import html.parser
import re
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import opty
from opty.cli import main
from opty.report import pictures
from opty.simulate import experiment, objects, probes, scans

N = 32


class Reader(html.parser.HTMLParser):
    """Collect open tags and addresses of a page."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sources = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with scan.cxi, 49 views of 32 x 32 with a geometry and a probe."""
    monkeypatch.chdir(tmp_path)
    positions = scans.raster((7, 7), step=4, jitter=1, seed=0)
    data = experiment(objects.two_images((68, 68)), probes.aperture(N, 16, edge=2), positions, photons=1e5, seed=0)
    geometry = opty.Geometry(wavelength=1e-10, distance=2.0, pixel_size=55e-6)
    metres = data.positions * geometry.sample_pixel(N)
    opty.save("scan.cxi", opty.PtychoData(data.intensities, metres, geometry, probe=data.truth["probe"]))
    return tmp_path


@pytest.fixture
def no_pictures(monkeypatch):
    """Leave out of a report all pictures but a dot: they take seconds."""
    monkeypatch.setattr(sys.modules["opty.report.write"], "pictures", lambda *_: [("a dot", b"\x89PNG")])


def run(*words, code=0):
    outcome = CliRunner().invoke(main, [*map(str, words)])
    assert outcome.exit_code == code, (outcome.output, outcome.exception)
    return outcome


def test_report_of_a_reconstruction(work, monkeypatch):
    monkeypatch.setattr(pictures, "FINEST", 40)
    run("reconstruct", "scan.cxi", "--recipe", "rPIE(alpha=0.3) ** 6", "-o", "out.h5", "--device", "cpu", "--seed", 3)
    run("report", "out.h5", "-o", "out.html", "--resolution", "views")
    text = (work / "out.html").read_text()
    assert len(text) < 5e6
    page = Reader(text)
    assert page.open == []
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    images = [base64.b64decode(source.partition(",")[2]) for source in page.sources]
    assert len(images) == 8
    assert all(image.startswith(b"\x89PNG") for image in images)
    assert "http" not in re.sub(r"base64,[^\"]+|Content-Security-Policy|http-equiv", "", text)
    p = opty.load("out.h5")
    for said in (
        f"{opty.misfit(p):.4g} of the state as it is",
        f"{p.history['misfit'][-1]:.4g}, summed during the sweep",
    ):
        assert said in text
    assert f"{opty.analysis.r_factor(p):.4g}" in text
    for file in ("out.h5", "scan.cxi"):
        assert hashlib.sha256((work / file).read_bytes()).hexdigest() in text
    assert "opty rerun out.h5" in text
    assert "half-bit curve" in text
    assert "cannot tell" in text


def test_the_recipe_as_code_runs(work, no_pictures):
    p = opty.rPIE(alpha=0.2) ** 3 * opty.PtychoState(opty.load("scan.cxi"), seed=5, device="cpu")
    p.save("out.h5")
    opty.report("out.h5", "out.html")
    code = re.findall(r"<pre>(import opty.*?)</pre>", (work / "out.html").read_text(), re.DOTALL)[0]
    names = {}
    exec(compile(code.replace("&#x27;", "'"), "report", "exec"), names)
    assert np.array_equal(names["p"].obj, p.obj)


def test_words_that_look_like_html_are_words(work, no_pictures):
    p = opty.rPIE() * opty.PtychoState(opty.load("scan.cxi"), device="cpu")
    from opty.io.formats.native import checkpoint

    checkpoint("out.h5", p, None, ("<script>alert(1)</script> & more",), "doubtful: <b>why</b>")
    opty.report("out.h5", "out.html")
    text = (work / "out.html").read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in text
    assert 'class="verdict doubtful"' in text
    assert Reader(text).open == []


def test_every_file_that_was_read_has_a_checksum(work, no_pictures):
    """A mask in a file of its own, as the parts beside a detector's master."""
    np.save("mask.npy", np.ones((N, N), np.uint8))
    p = opty.rPIE() * opty.PtychoState(opty.load("scan.cxi", mask="mask.npy"), device="cpu")
    p.save("out.h5")
    opty.report("out.h5", "out.html")
    text = (work / "out.html").read_text()
    for name, line in (("out.h5", "result"), ("scan.cxi", "measurement"), ("mask.npy", "read with it")):
        assert f"{line} {name}" in text
        assert hashlib.sha256((work / name).read_bytes()).hexdigest() in text


def test_a_result_far_from_its_measurement(work, no_pictures):
    run("reconstruct", "scan.cxi", "--recipe", "rPIE()**2", "-o", "out.h5", "--device", "cpu", "--report", "1.html")
    assert "rPIE() ** 2 * p" in (work / "1.html").read_text()
    (work / "scan.cxi").rename(work / "moved.cxi")
    run("report", "out.h5", "-o", "out.html")
    text = (work / "out.html").read_text()
    assert "not here" in text
    assert "R-factor" not in text
    run("report", "out.h5", "-o", "whole.html", "--data", "moved.cxi", "-q")
    assert "R-factor" in (work / "whole.html").read_text()


def test_pictures_keep_to_the_budget(work, monkeypatch):
    p = opty.rPIE() * opty.PtychoState(opty.load("scan.cxi"), device="cpu")
    few = [("positions", lambda: opty.plot.positions(p)), ("misfit", lambda: opty.plot.history(p))]
    monkeypatch.setattr(pictures, "_all", lambda *_: few)
    whole = sum(len(png) for _, png in pictures.pictures(p))
    monkeypatch.setattr(pictures, "BUDGET", whole // 2)
    assert sum(len(png) for _, png in pictures.pictures(p)) <= whole // 2


def test_refusals(work, no_pictures):
    p = opty.PtychoState(opty.load("scan.cxi"), device="cpu")
    with pytest.raises(ValueError, match=r"out\.pdf does not end with \.html"):
        opty.report(p, "out.pdf")
    with pytest.raises(ValueError, match="holds a measurement"):
        opty.report("scan.cxi", "out.html")
    opty.report(p, "out.html")
    assert "is there already" in run("report", "scan.cxi", "-o", "out.html", code=1).stderr
    refused = run("reconstruct", "scan.cxi", "-o", "new.h5", "--report", "out.txt", code=1)
    assert "does not end with .html" in refused.stderr
    assert not (work / "new.h5").exists()

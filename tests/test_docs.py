"""What the README and the examples show is executed."""

import importlib.util
import re
import subprocess
import sys
import tomllib
import types
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

import opty
from opty.model.element import ELEMENTS, LEAVES
from opty.simulate import experiment, objects, probes, scans

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"<!-- example: (?P<name>[\w ]+) -->\n```python\n(?P<code>.*?)```", re.DOTALL)


def with_less(text, *swap):
    """Return text with some of its numbers, which have to be there, replaced by smaller ones."""
    for old, new in swap:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture
def small_scan(tmp_path, monkeypatch):
    """A working folder with a scan.cxi of 16 views of 32 x 32 pixels."""
    monkeypatch.chdir(tmp_path)
    probe = probes.aperture(32, 16, edge=2)
    positions = scans.raster((4, 4), step=4, jitter=1, seed=0)
    opty.save("scan.cxi", experiment(objects.two_images((60, 60)), probe, positions, photons=1e5, seed=0))
    return tmp_path


SHORTER = (
    ("ML() ** 30 * (Show", "ML() ** 5 * (Show"),
    ("** 100 * Scale", "** 15 * Scale"),
    ("batch=16)) ** 20 * DM() ** 50", "batch=16)) ** 20 * DM() ** 5"),
    ("max_turns=500", "max_turns=60"),
    ("(After(20, PosCorrectAdam(step=0.3))", "(After(2, PosCorrectAdam(step=0.3))"),
    ("batch=8) ** 80", "batch=8) ** 8"),
    ("ePIE()) ** 100", "ePIE()) ** 10"),
    ("rPIE(alpha=a) ** 30", "rPIE(alpha=a) ** 3"),
    ("rPIE()) ** 50", "rPIE()) ** 5"),
)


@pytest.mark.filterwarnings("ignore::opty.MisfitWarning")  # many turns on a converged toy scan only jitter
def test_readme(small_scan, capsys):
    blocks = dict(BLOCK.findall(with_less((ROOT / "README.md").read_text(), *SHORTER)))
    assert list(blocks) == ["one line", "six lines", "own operator"]
    names = {}
    for name, code in blocks.items():
        exec(compile(code, f"README.md, {name}", "exec"), names)
        assert np.isfinite(names["p"].obj).all()
    assert (small_scan / "opty_show.png").exists()
    said = capsys.readouterr().out
    assert "iteration    30   misfit" in said  # 20 + 5 iterations before, then Log at multiples of 10
    assert "iteration    31" not in said
    assert names["best"].iteration == names["p"].iteration - 5 + 3  # both branch from the state of the line before


@pytest.mark.filterwarnings("ignore::opty.MisfitWarning")
def test_algebra_page(small_scan):
    names = {"data": opty.load("scan.cxi")}
    blocks = BLOCK.findall((ROOT / "docs" / "algebra.md").read_text())
    assert [name for name, _ in blocks] == [
        "composing",
        "states",
        "other data",
        "sweeps",
        "clear",
        "scale",
        "iterations",
    ]
    for name, code in blocks:
        exec(compile(code, f"docs/algebra.md, {name}", "exec"), names)
    assert 0 < names["q"].iteration <= 50


def test_index_and_coming_from_pages(small_scan):
    names = {}
    for page, expected in (("index", ["first"]), ("coming_from", ["pynx"])):
        blocks = BLOCK.findall((ROOT / "docs" / f"{page}.md").read_text())
        assert [name for name, _ in blocks] == expected
        for name, code in blocks:
            exec(compile(code, f"docs/{page}.md, {name}", "exec"), names)
    assert names["q"].iteration == names["p"].iteration + 25
    assert opty.misfit(names["q"]) < 1.5 * opty.misfit(names["p"])


def test_live_page(small_scan, capsys):
    from opty.live.server import _servers

    while _servers:  # of other tests in this process: a page that is there is used again, and its address said once
        _servers.pop().close()
    ((name, code),) = BLOCK.findall((ROOT / "docs" / "live.md").read_text())
    names = {}
    exec(compile(code, f"docs/live.md, {name}", "exec"), names)
    assert names["p"].iteration == 20
    assert "http://127.0.0.1:" in capsys.readouterr().err
    _servers.pop().close()


def test_symptoms_page(small_scan, capsys):
    names = {"data": opty.load("scan.cxi")}
    blocks = BLOCK.findall((ROOT / "docs" / "symptoms.md").read_text())
    assert [name for name, _ in blocks] == ["two starts"]
    for name, code in blocks:
        exec(compile(code, f"docs/symptoms.md, {name}", "exec"), names)
    ours, found = map(float, capsys.readouterr().out.split())
    assert 0 < min(ours, found) < 1
    assert names["a"].iteration == names["b"].iteration == 20


def test_probes_page(small_scan, capsys):
    names = {"data": opty.load("scan.cxi").replace(probe=None)}
    blocks = BLOCK.findall((ROOT / "docs" / "probes.md").read_text())
    assert [name for name, _ in blocks] == ["found", "made"]
    for name, code in blocks:
        exec(compile(code, f"docs/probes.md, {name}", "exec"), names)
    assert names["found"].probe.shape[-2:] == (32, 32)
    assert float(capsys.readouterr().out.split()[-1]) < 0.1


DOCS = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "models").glob("*.md"))]


def test_every_page_is_on_the_site_and_on_the_first_page():
    pages = {str(path.relative_to(ROOT / "docs").with_suffix("")) for path in DOCS} - {"index"}
    site = (ROOT / "docs" / "conf.py").read_text()
    contents = site[site.index("CONTENTS = {") :]
    named = {page for page in pages if f'"{page}"' in contents or f'"docs/{page}"' in contents}
    listed = {page for page in pages if page.startswith("models/") and f'"{page.removeprefix("models/")}"' in contents}
    assert pages - named - listed == set()
    first = (ROOT / "docs" / "index.md").read_text()
    assert {page for page in pages if f"]({page}.md" not in first} == set()


def test_every_public_name_is_in_the_reference():
    """docs/api.md is what ``python docs/api.py`` writes."""
    assert (ROOT / "docs" / "api.md").read_text() == script("api.py").page(), "run python docs/api.py"


def test_links_of_the_docs_lead_somewhere():
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS):
        text = re.sub(r"```.*?```|`[^`]*`\(", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if not target.startswith(("http", "mailto")):
                file, _, anchor = target.partition("#")
                there = (page.parent / file) if file else page
                assert there.exists(), f"{page.name} links to {target}"
                if anchor:
                    heads = re.findall(r"^#+ (.*)$", there.read_text(), flags=re.MULTILINE)
                    assert anchor in {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}, target


def test_engines_page(small_scan):
    names = {"p": opty.PtychoState(opty.load("scan.cxi"))}
    blocks = BLOCK.findall((ROOT / "docs" / "engines.md").read_text())
    assert [name for name, _ in blocks] == ["chains", "calibration", "mixed", "knowledge", "closing", "when"]
    for name, code in blocks:
        exec(compile(code, f"docs/engines.md, {name}", "exec"), names)
        assert opty.misfit(names["q"]) < opty.misfit(names["p"])


def test_auto_page(small_scan, capsys):
    names = {"data": opty.load("scan.cxi").replace(truth=None)}
    blocks = BLOCK.findall((ROOT / "docs" / "auto.md").read_text())
    assert [name for name, _ in blocks] == ["search", "auto"]
    for name, code in blocks:
        exec(compile(code, f"docs/auto.md, {name}", "exec"), names)
    said = capsys.readouterr().out
    assert "ML() ** 20" in said
    assert names["found"].expression in said


def test_positions_page(small_scan):
    names = {"p": opty.PtychoState(opty.load("scan.cxi"))}
    blocks = BLOCK.findall((ROOT / "docs" / "positions.md").read_text())
    assert [name for name, _ in blocks] == [
        "refine",
        "bars",
        "check",
        "far",
        "order",
        "tries",
        "modes",
        "stretch",
        "model",
        "guard",
    ]
    for name, code in blocks:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", opty.MisfitWarning)  # the positions of this scan are right
            exec(compile(code, f"docs/positions.md, {name}", "exec"), names)
        assert opty.misfit(names["q"]) < opty.misfit(names["p"])
    assert np.isfinite(list(names["found"].parameters().values())).all()


def test_electrons_page():
    names = {"frames": np.random.default_rng(0).poisson(9, (4, 5, 64, 64))}
    blocks = BLOCK.findall((ROOT / "docs" / "electrons.md").read_text())
    assert [name for name, _ in blocks] == ["grid"]
    for name, code in blocks:
        exec(compile(code, f"docs/electrons.md, {name}", "exec"), names)
    assert names["data"].views == 20


def test_worth_page(capsys):
    names = {}
    blocks = BLOCK.findall((ROOT / "docs" / "worth.md").read_text())
    assert [name for name, _ in blocks] == ["thickness"]
    for name, code in blocks:
        exec(compile(code, f"docs/worth.md, {name}", "exec"), names)
    found, p = names["found"], names["p"]
    first = np.array(found.map.corner) - np.rint(p.origin).astype(int)
    rows, columns = found.map.phase.shape
    true = names["gold"][first[0] : first[0] + rows, first[1] : first[1] + columns]
    for image in (found.from_phase, found.from_transmission):  # the page says 1.004 and 1.008
        known = np.isfinite(image)
        assert (image[known] * true[known]).sum() / (true[known] ** 2).sum() == pytest.approx(1, abs=0.012)
    assert "noise" in capsys.readouterr().out


@pytest.fixture
def page(monkeypatch):
    """The names of a page whose classes can be pickled, as those of a module can."""
    module = types.ModuleType("page_of_the_docs")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return vars(module)


def script(name):
    """Return a script of the docs as a module."""
    spec = importlib.util.spec_from_file_location(Path(name).stem, ROOT / "docs" / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MODELS = {
    "bin": ["binned"],
    "blur": ["blurred"],
    "fly_scan": ["flying"],
    "object_states": ["states"],
    "own_element": ["element", "check", "tilted"],
    "refine": ["distance", "refine"],
    "saturation": ["saturated"],
    "several_scans": ["joined"],
    "slices": ["slices"],
    "tilted_sample": ["tilt"],
    "varying_probe": ["varying"],
    "wavelengths": ["coloured"],
}


@pytest.mark.parametrize("page_name", MODELS)
def test_page_of_a_model(page_name, monkeypatch):
    pages = script("models/examples.py")
    assert list(pages.examples(page_name)) == MODELS[page_name]
    monkeypatch.setitem(sys.modules, f"page_{page_name}", None)  # taken out again after the test
    try:
        names = pages.run(page_name)  # the examples assert what the page says
    finally:
        plt.close("all")
        ELEMENTS.pop("TiltedBeam", None)
        LEAVES.pop("slope", None)
    assert names["fig"].axes
    if page_name == "slices":
        errors = opty.analysis.errors(names["q"])
        assert max(errors["slice 1"], errors["slice 2"]) < 0.05


def test_every_model_has_a_page_that_says_the_same_things():
    pages = {path.stem: path.read_text() for path in (ROOT / "docs" / "models").glob("*.md")}
    assert set(pages) == set(MODELS)
    overview = (ROOT / "docs" / "models.md").read_text()
    for name, text in pages.items():
        for part in ("What it is for", "How it is written", "When to use it", "Figures", "What it cannot tell"):
            assert f"**{part}.**" in text, (name, part)
        assert f"]({name}.png)" in text
        assert f"](models/{name}.md)" in overview


def test_models_page():
    ((name, code),) = BLOCK.findall((ROOT / "docs" / "models.md").read_text())
    assert name == "values"
    exec(compile(code, f"docs/models.md, {name}", "exec"), {})


def test_operators_page(small_scan, page, capsys):
    blocks = BLOCK.findall((ROOT / "docs" / "operators.md").read_text())
    assert [name for name, _ in blocks] == ["the operator", "the need", "projection", "formula", "laws"]
    for name, code in blocks:
        exec(compile(code, f"docs/operators.md, {name}", "exec"), page)
    lines = [line.split("(")[0].strip() for line in capsys.readouterr().out.splitlines()]
    steps = [line for line in lines if line in ("DeltaProject", "TrustViews", "ObjUpdate", "ProbeUpdate")]
    assert steps == ["DeltaProject", "TrustViews", "ObjUpdate", "ProbeUpdate"]  # as the page says


def test_large_data_page(small_scan, capsys):
    names = {}
    blocks = BLOCK.findall((ROOT / "docs" / "large_data.md").read_text())
    assert [name for name, _ in blocks] == ["in the file"]
    for name, code in blocks:
        exec(compile(code, f"docs/large_data.md, {name}", "exec"), names)
    assert names["total"] == names["data"].photons().sum()
    assert names["middle"].shape == (4, 16, 16)
    said = capsys.readouterr().out
    assert "in the file" in said
    assert "of data stay in" in said
    assert opty.load("out.h5", stream=True).data.in_file


def test_the_way_to_a_line_is_there():
    """Names that CONTRIBUTING.md places in files stand in these files, and its links lead somewhere."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    placed = re.findall(r"`(\w+)`(?: of `\w+`)? in\s+\[[^\]]+\]\(([^)#]+)\)", text)
    assert len(placed) >= 12
    for name, path in placed:
        assert re.search(rf"\b{name}\b", (ROOT / path).read_text()), (name, path)
    for line, path in (
        ("return wave * v.patches[:, None]", "opty/model/sample.py"),
        ("v[i] = o[i] * v[i]", "opty/kernels/fft/rows.cu"),
        ("return keep + step / ", "opty/kernels/detector/factors.cuh"),
    ):
        assert line in (ROOT / path).read_text()
        assert line.rstrip() in text


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]


@pytest.mark.parametrize("page_file", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page_file):
    for link in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page_file.read_text()):
        assert (page_file.parent / link).exists(), link


def test_contributing_operator(small_scan):
    text = (ROOT / "CONTRIBUTING.md").read_text()
    names = {}
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(code, names)
    p = names["ClipAmplitude"](hi=0.5) * opty.PtychoState(opty.load("scan.cxi"))
    assert np.abs(p.obj).max() == pytest.approx(0.5)
    q = (names["Trust"]() * opty.rPIE()) ** 2 * p
    assert q.slots["trust"].shape == (p.data.views,)
    assert (q.slots["trust"] > 0).all()
    assert not (opty.rPIE() * q).slots


SCRIPTS = {
    "first_reconstruction.py": [("** 20", "** 1")],
    "compare_engines.py": [("engine**30", "engine**2"), ("raster((11, 11)", "raster((7, 7)")],
}


@pytest.mark.parametrize(("script", "swaps"), SCRIPTS.items(), ids=SCRIPTS)
def test_examples_run(script, swaps, tmp_path):
    (tmp_path / script).write_text(with_less((ROOT / "examples" / script).read_text(), *swaps))
    done = subprocess.run([sys.executable, "-W", "error", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "object" in done.stdout


def test_siemens_star_example(star_file, tmp_path):
    code = with_less((ROOT / "examples" / "siemens_star.py").read_text(), ("** 30", "** 1"))
    (tmp_path / "star.py").write_text(code)
    done = subprocess.run([sys.executable, "star.py", star_file], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "siemens_star.png").stat().st_size > 10_000


def test_install_lines_are_valid():
    lines = re.findall(r'pip install "\.\[(.*?)\]"', (ROOT / "README.md").read_text())
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert len(lines) == 3
    assert {extra for line in lines for extra in line.split(",")} <= set(extras)

"""docs/tutorial.md: every command and every block of code runs, and prints what the page shows."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import opty
from opty.cli import main

ROOT = Path(__file__).resolve().parents[1]
FILE = re.compile(r"<!-- file: (?P<name>\S+) -->\n```toml\n(?P<text>.*?)```", re.DOTALL)
BLOCK = re.compile(
    r"<!-- example: (?P<name>[\w ]+) -->\n```(?P<language>sh|python)\n(?P<code>.*?)```\n"
    r"(\n```text\n(?P<shown>.*?)```)?",
    re.DOTALL,
)
STEPS = ["simulate", "info", "check", "first", "refined", "picture", "resolution", "export", "report", "python"]


def follow(text, leave_out=()):
    """Do what the page says in the working folder; return (what it shows, what was printed) of each block."""
    for name, content in FILE.findall(text):
        Path(name).write_text(content)
    names, told = {}, {}
    blocks = list(BLOCK.finditer(text))
    assert [block["name"] for block in blocks] == [*STEPS, "own file", "mapped"]
    for block in blocks:
        if block["name"] in leave_out:
            continue
        if block["language"] == "python":
            exec(compile(block["code"], f"docs/tutorial.md, {block['name']}", "exec"), names)
            continue
        for line in block["code"].splitlines():
            program, *arguments = shlex.split(line)
            assert program == "opty"
            outcome = CliRunner().invoke(main, arguments)
            assert outcome.exit_code == 0, (line, outcome.output, outcome.exception)
            told[block["name"]] = block["shown"], outcome.stdout
    return told


def labels(text):
    """First words of the lines with a label."""
    return [line.split()[0] for line in text.splitlines() if re.match(r"( {2})?[a-zR][\w-]+ {2,}", line)]


@pytest.mark.filterwarnings("ignore::opty.MisfitWarning")
def test_at_a_reduced_size(tmp_path, monkeypatch):
    """Without the search for a probe and the short runs of check, which other tests look at."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "tutorial.md").read_text()
    for old, new in (
        ("[170, 170]", "[112, 112]"),
        ("** 80", "** 2"),
        ("** 20", "** 2"),
        (" --check -o", " -o"),
        ("--mask saturated -o", "--mask saturated --probe mean -o"),
        ("saturated --recipe", "saturated --probe mean --recipe"),
        ("probe = opty.analysis.find_probe(data).probe", "probe = None"),
    ):
        assert old in text
        text = text.replace(old, new)
    told = follow(text, leave_out=("check",))
    for name in ("info", "first", "refined", "resolution"):
        shown, printed = (labels(part) for part in told[name])
        assert len(shown) >= 5
        missing = set(shown) - set(printed)
        # too few pixels, too few sweeps, and no probe from which to look at positions
        assert missing <= {"area", "local", "positions", "attention"}, (name, missing)
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("refined.png", "refined.html", "tutorial.png"))
    assert opty.load("own.h5", mapping="own.toml").pixel == pytest.approx(opty.load("raw.cxi").pixel, rel=1e-3)


@pytest.mark.slow
def test_says_what_is_shown(tmp_path, monkeypatch):
    """As it stands: the same lines, the same verdict, numbers within a few percent."""
    monkeypatch.chdir(tmp_path)
    told = follow((ROOT / "docs" / "tutorial.md").read_text())
    for name in ("info", "check", "first", "refined", "resolution"):
        shown, printed = told[name]
        assert labels(shown) == labels(printed), name
    assert "--mask saturated" in told["check"][1]
    assert "verdict        right" in told["refined"][1]
    for label, rel in (("misfit", 0.05), ("R-factor", 0.05)):
        values = [float(re.search(rf"{label} +([\d.]+)", part)[1]) for part in told["refined"]]
        assert values[1] == pytest.approx(values[0], rel=rel)
    first, refined, by_hand = (opty.load(name) for name in ("first.h5", "refined.h5", "in_python.h5"))
    assert opty.misfit(refined) < opty.misfit(first) / 2.5
    assert opty.misfit(by_hand) == pytest.approx(opty.misfit(refined), rel=0.05)
    finest = [float(re.search(r"resolution +([\d.]+) nm", part)[1]) for part in told["resolution"]]
    np.testing.assert_allclose(finest[1], finest[0], rtol=0.05)

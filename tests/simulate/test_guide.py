"""The guide is executed."""

import re
from pathlib import Path

import pytest

pytest.importorskip("skimage")

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"<!-- example: (?P<name>[\w ]+) -->\n```python\n(?P<code>.*?)```", re.DOTALL)


def test_the_guide(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = BLOCK.findall((ROOT / "docs" / "simulate.md").read_text())
    assert [name for name, _ in blocks] == ["one call", "consistent", "all of it", "files"]
    for name, code in blocks:
        exec(compile(code, f"docs/simulate.md, {name}", "exec"), names)
    assert "'object'" in capsys.readouterr().out

"""The guide and the example scripts are executed; Listing 1 of the seed obeys its Eq. 1."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

import opty

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


def run_small(script, tmp_path, *swap, options=()):
    """Run an example script, with some of its numbers replaced by smaller ones."""
    code = (ROOT / "examples" / script).read_text()
    for old, new in swap:
        assert old in code
        code = code.replace(old, new)
    (tmp_path / "small.py").write_text(code)
    command = [sys.executable, "-W", "error", "small.py", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_listing_1_of_the_seed(tmp_path):
    said = run_small(
        "guzzi_listing1.py",
        tmp_path,
        ("DIMSAMPLE = 1024", "DIMSAMPLE = 64"),
        ("(2500, 2500)", "(128, 128)"),
        ("ps = 13.5e-6", "ps = 216e-6"),
    )
    data = opty.load(tmp_path / "diatom_synth_new.cxi")
    # Eq. 1 of the supplement, delta_s = wavelength z_do / (W delta_d), with the numbers of Listing 1.
    eq1 = 4.892e-10 * (0.8932 - 2.5e-3) / (64 * 216e-6)
    assert data.pixel == pytest.approx(eq1, rel=1e-15)
    assert f"{eq1:.4g}" in said
    assert data.geometry.sample_pixel(1024) == pytest.approx(4.892e-10 * 0.8907 / (1024 * 216e-6), rel=1e-14)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "diatom_synth_new.tif"), data.intensities)
    positions = np.load(tmp_path / "diatom_synth_new.npy")
    np.testing.assert_allclose(positions, data.positions, rtol=0, atol=1e-9)
    powers = (np.abs(data.truth["probe"]) ** 2).sum(axis=(1, 2))
    np.testing.assert_allclose(powers / powers.sum(), np.array([4, 2, 1]) / 7, rtol=1e-4)
    # The overlap factor says what the grid of the stage is, before the jitter.
    steps = np.diff(data.positions_px.reshape(*[round(data.views**0.5)] * 2, 2)[:, :, 1], axis=1)
    assert steps.mean() == pytest.approx(64 - np.floor(0.85 * 64), abs=1.5)


def test_seven_modes_against_three(tmp_path):
    """Modes of shapes that the start lacks: seven find them, three do not, and the best three of seven are best."""
    said = run_small("guzzi_modes.py", tmp_path, options=["--small"])
    rows = [re.split(r"  +", row.strip()) for row in said.split("simulated:")[2].splitlines()]
    alike = {tuple(row[:2]): float(row[4]) for row in rows if re.match(r"\d", row[0]) and len(row) > 5}
    assert alike["3 modes", "12"] < 0.9
    assert alike["7 modes", "12"] > 0.97
    assert alike["7, then best 3", "12"] > alike["7 modes", "12"]
    assert "seven modes found the truth better than three" in said
    for name in ("guzzi_s1.png", "guzzi_s3.png"):
        assert (tmp_path / name).stat().st_size > 20_000

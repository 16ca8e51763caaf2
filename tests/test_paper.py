"""Scripts of examples/paper at their smallest size: what they print and write, and what the runner makes of them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

import opty

pytest.importorskip("skimage")

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "examples" / "paper"


sys.path.insert(0, str(ROOT))
from benchmarks import paper_docs  # noqa: E402
from benchmarks.record import machine  # noqa: E402


def run(name, tmp_path, *options):
    """Run a script at its smallest size, warnings as errors."""
    command = [sys.executable, "-W", "error", str(FOLDER / f"{name}.py"), "--tiny", "--out", str(tmp_path), *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_listing_1(tmp_path):
    said = run("listing_1", tmp_path)
    data = opty.load(tmp_path / "diatom_synth_new.cxi")
    # Eq. 1 of the supplement, delta_s = wavelength z_do / (W delta_d), with the numbers of Listing 1.
    eq1 = 4.892e-10 * (0.8932 - 2.5e-3) / (1024 * 13.5e-6)
    assert data.pixel == pytest.approx(eq1, rel=1e-14)
    assert f"{eq1:.4g}" in said
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "diatom_synth_new.tif"), data.intensities)
    positions = np.load(tmp_path / "diatom_synth_new.npy")
    np.testing.assert_allclose(positions, data.positions, rtol=0, atol=1e-9)
    powers = (np.abs(data.truth["probe"]) ** 2).sum(axis=(1, 2))
    np.testing.assert_allclose(powers / powers.sum(), np.array([4, 2, 1]) / 7, rtol=1e-4)
    # The overlap factor says what the grid of the stage is, before the jitter.
    steps = np.diff(data.positions_px.reshape(*[round(data.views**0.5)] * 2, 2)[:, :, 1], axis=1)
    assert steps.mean() == pytest.approx(64 - np.floor(0.85 * 64), abs=1.5)


@pytest.mark.slow
def test_seven_modes_against_three(tmp_path):
    """Modes of shapes that the start lacks: seven find them, three do not, and the best three of seven are best."""
    said = run("figures_s1_to_s3", tmp_path)
    rows = [re.split(r"  +", row.strip()) for row in said.split("simulated:")[2].splitlines()]
    alike = {tuple(row[:2]): float(row[4]) for row in rows if re.match(r"\d", row[0]) and len(row) > 5}
    assert alike["3 modes", "12"] < 0.9
    assert alike["7 modes", "12"] > 0.97
    assert alike["7, then best 3", "12"] > alike["7 modes", "12"]
    assert "seven modes found the truth better than three" in said
    for name in ("figure_s1", "figure_s3"):
        assert (tmp_path / f"{name}.png").stat().st_size > 20_000
        assert '"processor"' in (tmp_path / f"{name}.json").read_text()


def runner(tmp_path, *names):
    command = [sys.executable, str(FOLDER / "run.py"), *names, "--tiny", "--out", str(tmp_path)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_the_runner_prints_a_table_and_says_what_failed(tmp_path):
    done = runner(tmp_path, "listing_1")
    assert done.returncode == 0
    assert re.fullmatch(r"listing_1: sample pixel .*; \d+ s of CPU, \d+ s", done.stdout.strip())
    written = "\n".join(paper_docs.scripts(json.loads((tmp_path / "record.json").read_text())["rows"]))
    assert "| `listing_1` | sample pixel against Eq. 1, relative | 0 (below 1e-12) |" in written
    assert re.search(r"\| `listing_1` \| run \| passed; \d+ s of CPU, \d+ s, load", written)
    blocked = tmp_path / "diatom_synth_new.npy"
    blocked.unlink()
    blocked.mkdir()  # where the script would write a file
    done = runner(tmp_path, "listing_1")
    assert done.returncode == 1
    assert done.stderr.strip() == "1 failed: listing_1"
    rows = json.loads((tmp_path / "record.json").read_text())["rows"]
    assert "| `listing_1` | run | FAILED;" in "\n".join(paper_docs.scripts(rows))
    done = runner(tmp_path, "figure_s99")
    assert done.returncode == 2
    assert "no script called figure_s99; there are" in done.stderr


def test_the_gallery_shows_every_script():
    page = (ROOT / "docs" / "paper.md").read_text()
    for file in FOLDER.glob("*.py"):
        assert file.name in page


@pytest.mark.slow
def test_the_sweep_of_seeds_keeps_what_each_method_leaves():
    """Each recipe is read; a row has the errors at start and end, and a finding is judged by numbers of one seed."""
    from benchmarks import paper_positions as sweep

    asked = sweep.runs(["near", "far", "engines"], [0, 1], 128)
    assert len(asked) == 2 * (2 * 2 * 8 + 8)
    for run in asked:
        recipe, sweeps = sweep.recipe_of(run)
        assert isinstance(opty.parse(recipe) ** sweeps, opty.Operator)
    data = sweep.scene(32, 6, 1.0, seed=0, near=True)
    g = data.geometry
    assert g.wavelength * g.distance / (32 * g.pixel_size**2) == pytest.approx(0.82)
    row = sweep.measured(dict(part="near", n=32, sigma=1.0, seed=0, method="S9: gain 1, A"))
    assert row["start"] == pytest.approx(sweep.median_error(opty.PtychoState(data)), rel=1e-3)
    assert 0 < row["left"] < 2 * row["start"]
    left = dict.fromkeys(sweep.METHODS, 0.1) | {"S9: gain 1, A": 0.8, "S12: Adam, B": 2.0}
    rows = [row | dict(method=name, left=v, start=1.0, left_affine=v, start_affine=1.0) for name, v in left.items()]
    said = "\n".join(paper_docs.findings(rows, 32))
    assert "| gain 1 with A leaves most of the error (S9) | 1 of 1 (0.8); 1 of 1 (0.8) |" in said
    assert "| gain 1 with B leaves most of the error (S10) | 0 of 1 (0.1); 0 of 1 (0.1) |" in said
    assert "| Adam with B leaves more than Adam with A (S12) | 1 of 1 (20); 1 of 1 (20) |" in said
    assert "| serial and gradient leave more than Adam (S13, S14) | 0 of 1 (1); 0 of 1 (1) |" in said
    assert "| Adam, step 0.3, signal B (S12) | 2 (2 to 2; 2) |" in "\n".join(paper_docs.positions(rows, 32))


def test_a_picture_of_rows_made_elsewhere_names_their_machine(tmp_path, monkeypatch):
    from benchmarks import paper_pynx

    monkeypatch.setattr(paper_pynx, "PICTURES", tmp_path)
    row = dict(part="positions", case="AP, 2.5 px", seed=0, llk=[2.0, 1.0], errors=[3.0, 1.5])
    other = row | dict(case="DM, 2.5 px", machine={"processor": "another"})
    paper_pynx.picture_of_positions(dict(machine=machine(), rows=[row, other, other | dict(seed=1)]))
    about = json.loads((tmp_path / "figures_s13_s14_pynx.json").read_text())
    assert about["machine"] == machine()
    assert about["rows made elsewhere"] == {"DM, 2.5 px": {"processor": "another"}}

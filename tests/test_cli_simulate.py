"""`opty simulate`: files from a config, and one line about what is wrong with it."""

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

import opty
from opty.cli import main

CONFIG = """
[geometry]
pixels = 32
wavelength = 1e-9
distance = 0.1
pixel_size = 50e-6
[object]
kind = "siemens_star"
shape = [90, 100]
[probe]
kind = "gaussian"
fwhm = 12.0
[scan]
kind = "raster"
jitter = 0.1
overlap = 0.8
[[stage]]
kind = "uniform"
reach = 0.4
[exposure]
photons = 1e5
[detector]
dead = 0.01
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "scan.toml"
    path.write_text(CONFIG)
    return path


def run(*arguments, code=0):
    outcome = CliRunner().invoke(main, ["simulate", *map(str, arguments)])
    assert outcome.exit_code == code, (outcome.output, outcome.exception)
    assert "Traceback" not in outcome.output
    return outcome


def test_it_writes_what_it_says(config, tmp_path):
    outcome = run(config, "-o", tmp_path / "scan.cxi", "-o", tmp_path / "scan.tif")
    data = opty.load(tmp_path / "scan.cxi")
    said = dict(line.split(maxsplit=1) for line in outcome.stdout.splitlines() if not line.startswith("sample"))
    assert said["views"].startswith(f"{data.views} of 32 x 32 uint32")
    assert float(said["step"].split()[0]) == pytest.approx(6.4, abs=0.6)
    assert "99.0" in said["mask"]
    assert "view" in outcome.stderr  # the progress bar
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "scan.tif"), data.intensities)
    assert data.photons().mean() == pytest.approx(1e5, rel=0.05)
    p = opty.rPIE() ** 2 * opty.PtychoState(data, device="cpu")
    assert np.isfinite(opty.misfit(p))


def test_quiet_and_the_seed(config, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run(config, "-o", tmp_path / f"{name}.cxi", "--seed", seed, "-q").output == ""
    a, b, c = (opty.load(tmp_path / f"{name}.cxi") for name in "abc")
    np.testing.assert_array_equal(a.intensities, b.intensities)
    assert not np.array_equal(a.truth["positions"] - a.positions_px, c.truth["positions"] - c.positions_px)


@pytest.mark.parametrize(
    ("old", "new", "output", "says"),
    [
        ("fwhm", "fwmh", "x.cxi", "did you mean 'fwhm'?"),
        ("reach = 0.4", "reach = -1", "x.cxi", "[[stage]] 1"),
        ("seed", "seed", "x.npz", "ends with none of .cxi"),
        ("seed", "seed", "no/x.cxi", "mkdir -p"),
        ("seed", "seed", "scan.toml.cxi/../scan.tif", "no folder"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(config, tmp_path, monkeypatch, old, new, output, says):
    monkeypatch.chdir(tmp_path)
    config.write_text(CONFIG.replace(old, new))
    outcome = run("scan.toml", "-o", output, code=1)
    assert outcome.stdout == ""
    assert outcome.stderr.count("\n") == 1
    assert says in outcome.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["scan.toml"]


@pytest.mark.parametrize("output", ["scan.tif", "path_of_b.tif", "b.tif"])
def test_inputs_are_never_overwritten(config, tmp_path, output):
    """The positions beside scan.tif are scan.npy, its mask scan_mask.npy: the config reads these."""
    files = {"scan.tif": "scan.npy", "path_of_b.tif": "path_of_b_mask.npy", "b.tif": "b_background.npy"}
    np.save(tmp_path / files[output], np.array([[0, 0], [1e-8, 3e-7], [4e-7, 4e-8]]))
    old = 'kind = "raster"\njitter = 0.1\noverlap = 0.8'
    assert old in CONFIG
    config.write_text(CONFIG.replace(old, f'kind = "from_file"\npath = "{files[output]}"'))
    before = (tmp_path / files[output]).read_bytes()
    assert f"{files[output]} is what" in run(config, "-o", tmp_path / output, code=1).stderr
    assert (tmp_path / files[output]).read_bytes() == before
    run(config, "-o", tmp_path / "other.tif")


def test_a_missing_config_is_said(tmp_path):
    assert "absent.toml" in run(tmp_path / "absent.toml", "-o", tmp_path / "x.cxi", code=1).stderr


def test_help_shows_an_example():
    assert "Example: opty simulate" in run("--help").output

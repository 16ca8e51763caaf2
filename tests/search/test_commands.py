"""opty auto and opty recipes."""

import json
import shlex

import numpy as np
import pytest
from click.testing import CliRunner

import opty
from opty.cli import main
from opty.cli.auto import command
from opty.physics.optics import aperture_probe
from opty.search.catalogue import STARTING_POINTS, listed
from opty.simulate import experiment, objects, scans

N = 16
pytestmark = pytest.mark.filterwarnings("ignore:1 of 20 views")


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A scan of 20 views with its probe, one frame of which is missing."""
    monkeypatch.chdir(tmp_path)
    probe = aperture_probe(N, 1e-10, 1e-8, 2.6e-3, defocus=1.2e-5)
    positions = np.rint(scans.fermat(20, 2.2))
    data = experiment(objects.two_images((40, 40)), probe, positions - positions.min(axis=0), 1e5)
    counts = np.array(data.intensities)
    counts[7] = 0
    with pytest.warns(UserWarning, match="view 7"):
        data = opty.PtychoData(counts, data.positions, probe=data.truth["probe"])
    opty.save("scan.h5", data)
    return tmp_path / "scan.h5"


def test_auto_writes_a_result_that_says_how_it_was_chosen(file):
    done = CliRunner().invoke(
        main, ["auto", "scan.h5", "-o", "out.h5", "--minutes", "0.01", "--json", "--threads", "1"]
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert "1 frames left out (1 missing)" in found["said"]
    words = shlex.split(found["command"])
    assert words[:5] == ["opty", "reconstruct", "scan.h5", "-o", "out.h5"]
    assert words[words.index("--leave-out") + 1] == "7"
    p = opty.load("out.h5")
    assert p.data.views == 19
    assert repr(p.recipe) in found["expression"]
    said = opty.info("out.h5")
    assert said.search.startswith(f"verdict     {found['verdict']}")
    assert f"opty auto; verdict {found['verdict']}" in str(said)
    again = CliRunner().invoke(main, [*words[1:4], "again.h5", *words[5:], "-q", "--threads", "1"])
    assert again.exit_code == 0, again.output
    assert np.array_equal(opty.load("again.h5").obj, p.obj)


def test_auto_refuses_before_it_reads(file):
    done = CliRunner().invoke(main, ["auto", "scan.h5", "-o", "scan.h5"])
    assert done.exit_code == 1
    assert "choose another name" in done.stderr
    done = CliRunner().invoke(main, ["auto", "scan.h5", "-o", "out.h5", "--minutes", "0"])
    assert done.exit_code == 1
    assert "give a number above 0" in done.stderr


def test_repairs_that_count_from_what_was_loaded_are_no_options():
    class Found:
        recipe, options = opty.rPIE() ** 3, {"leave_out": [2], "mask": ["hot"]}

        class state:
            probe = np.ones((2, 4, 4))

    text = command("a.h5", "b.h5", Found, {"views": "0:9", "mask": "dead"})
    assert "--leave-out" not in text
    assert "{'leave_out': [2]}" in text
    assert "--mask dead --mask hot" in text
    assert "--modes 2" in text


def test_recipes_lists_all_that_may_stand_in_one():
    done = CliRunner().invoke(main, ["recipes"])
    assert done.exit_code == 0
    for name in ("rPIE(alpha=0.2", "PosCorrect(", "Coarse(", "bad positions", "thick sample"):
        assert name in done.output
    groups = listed()
    assert all(line for members in groups.values() for line in members.values())
    assert any(name.startswith("LSQML(") for name in groups["engines"])


@pytest.mark.parametrize("point", STARTING_POINTS, ids=lambda point: point.name)
def test_starting_points_are_recipes(point):
    recipe = opty.parse(point.recipe)
    assert repr(recipe) == point.recipe
    options = shlex.split(point.options)
    if "--model" in options:
        assert len(opty.model.parse(options[1]).elements) >= 2

"""``python -m benchmarks same REV``: equal trees are equal, a difference is found, nothing is left behind."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.same import compare, recipes
from benchmarks.same.command import Asked, fine, head, line
from benchmarks.same.worker import parsed
from opty.algebra.old_names import translated

ROOT = Path(__file__).resolve().parents[1]
GIT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
HIDE_NUMBA = "import sys\nsys.modules['numba'] = None\n"  # compiling in each new folder would take a minute


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository with one commit: the package and its benchmarks as they are here."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("opty", "benchmarks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "results", "peers"))
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "as it is")
    return folder


@pytest.fixture
def clone(repository, tmp_path):
    """A clone of it to change things in, and a folder for temporary files."""
    git(tmp_path, "clone", "-q", str(repository), "clone")
    for name in ("temporary", "site"):
        (tmp_path / name).mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(HIDE_NUMBA)
    return tmp_path / "clone"


def git(folder, *arguments):
    done = subprocess.run(["git", *arguments], cwd=folder, env=os.environ | GIT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def begun(clone, *arguments):
    there = {"PYTHONPATH": str(clone.parent / "site"), "TMPDIR": str(clone.parent / "temporary")}
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "same", *map(str, arguments)],
        cwd=clone,
        env=os.environ | GIT | there,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(clone, *arguments, code):
    """Run the command; return its rows, from the file that it writes."""
    path = clone.parent / "rows.json"
    process = begun(clone, "HEAD", "--quick", "--pairs", 0, "--json", path, *arguments)
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, out + err
    nothing_left(clone)
    return json.loads(path.read_text())["rows"], out


def nothing_left(clone):
    assert not list((clone.parent / "temporary").iterdir())
    assert len(git(clone, "worktree", "list").splitlines()) == 1


def change(clone, file, old, new):
    path = clone / file
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_a_tree_is_equal_to_itself(clone):
    rows, out = run(clone, "--scans", "B", "P25", "--data", "nowhere", code=0)
    assert [row["verdict"] for row in rows] == ["same"] * 14 + ["skipped"]
    assert {row["recipe"] for row in rows[:-1]} == set(recipes.RECIPES)
    assert out.count("\n") == 2 + 15
    assert f"skipped; {Path('nowhere')}/PETRAIII" in out


@pytest.mark.slow
def test_a_planted_difference_is_found(clone):
    change(clone, "opty/model/starting_probe.py", "return with_modes(checked, modes).astype(dtype)",
           "return (with_modes(checked, modes) * 1.00001).astype(dtype)")  # fmt: skip
    (row,), out = run(clone, "--scans", "A", "--only", ": rPIE:", "--iterations", 2, code=1)
    assert row["verdict"] == "DIFFERENT"
    assert not row["obj"]
    assert row["positions"]
    assert 1e-7 < row["arrays"] < 1e-2
    assert "DIFFERENT: complex128" in out


@pytest.mark.slow
def test_powers_of_two_are_no_difference(clone):
    change(clone, "opty/model/starting_probe.py", "return with_modes(checked, modes).astype(dtype)",
           "return (with_modes(checked, modes) * 4).astype(dtype)")  # fmt: skip
    change(clone, "benchmarks/same/worker.py", 'obj=arrays["obj0"])',
           'obj=arrays["obj0"] / (4 if "clone" in opty.__file__ else 1))')  # fmt: skip
    (row,), out = run(clone, "--scans", "A", "--only", ": ePIE:", "--iterations", 2, code=0)
    assert (row["verdict"], row["power"], row["obj"], row["history"]) == ("power of two", 2, False, True)
    assert "P 2^2, O 2^-2" in out


@pytest.mark.slow
def test_a_recipe_that_one_revision_does_not_know(clone):
    change(clone, "benchmarks/same/recipes.py", '    "rPIE": RPIE.format(batch=1),\n', '    "new": "Newcomer()",\n')
    (row,), _ = run(clone, "--scans", "A", "--only", "Newcomer", code=1)
    assert row["verdict"] == "FAILS here"
    with (clone / "opty" / "__init__.py").open("a") as file:
        file.write("\nfrom opty.algebra.operator import REGISTRY\nREGISTRY['Newcomer'] = REGISTRY['rPIE']\n")
    (row,), out = run(clone, "--scans", "A", "--only", "Newcomer", code=0)
    assert row["verdict"] == "unknown there"
    assert "unknown there; RecipeError: unknown operator 'Newcomer'" in out


@pytest.mark.slow
def test_a_run_that_fails_is_a_difference_that_may_be_meant(clone):
    change(clone, "opty/state/start.py", "def given_seed(seed: Any) -> int:\n",
           "def given_seed(seed: Any) -> int:\n    raise ValueError('broken')\n")  # fmt: skip
    (row,), out = run(clone, "--scans", "A", "--only", ": AP:", code=1)
    assert row["verdict"] == "FAILS here"
    assert "ValueError: broken" in out
    change(clone, "benchmarks/same/recipes.py", "MEANT: tuple[Meant, ...] = (\n",
           "MEANT = (\n    Meant('HEAD', 'seeds are gone', ('AP',)),\n")  # fmt: skip
    (row,), out = run(clone, "--scans", "A", "--only", ": AP:", code=0)
    assert (row["verdict"], row["note"]) == ("meant", "seeds are gone")
    assert not recipes.Meant("HEAD", "", ("AP",)).covers("DM", "A")
    assert recipes.Meant("HEAD", "", scans=("A",)).covers("DM", "A")


@pytest.mark.slow
def test_times_are_taken_in_turn(clone):
    path = clone.parent / "rows.json"
    process = begun(clone, "HEAD", "--quick", "--pairs", 2, "--scans", "A", "--only", ": DM:", "--json", path)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    (row,) = json.loads(path.read_text())["rows"]
    (times,) = row["times"].values()
    assert 0 < times["here"] < 10
    assert times["ratio"] == pytest.approx(times["here"] / times["there"], rel=1)
    assert len({text.count("|") for text in out.splitlines()}) == 1


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="no /proc to find the workers in")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_is_stopped_leaves_nothing(clone, number, code):
    process = begun(clone, "HEAD", "--quick", "--pairs", 0, "--scans", "A")
    for _ in range(3):  # the head, and a first row
        assert process.stdout.readline()
    workers = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    assert len(workers) == 2
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == code
    nothing_left(clone)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_a_revision_that_is_not_there(clone):
    process = begun(clone, "absent", "--quick")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Error: " in err
    assert "Traceback" not in err


def test_recipes_write_all_parameters_out():
    """The text of a recipe names every parameter of its operators, whatever their defaults are."""
    assert len(recipes.RECIPES) == 14
    for text in recipes.RECIPES.values():
        for part in text.split(" * "):
            op, (name, rest) = parsed(part), part.split("(", 1)
            named = {pair.split("=")[0].strip(): "both" for pair in rest.rstrip(")").split(",")}
            assert set(translated(name, named)[1]) == {field.name for field in dataclasses.fields(op)}, part


# -- comparison


@pytest.fixture
def result():
    rng = np.random.default_rng(0)
    waves = {name: rng.normal(size=(2, 8, 8)) + 1j * rng.normal(size=(2, 8, 8)) for name in ("obj", "probe")}
    arrays = {name: wave.astype("complex64") for name, wave in waves.items()}
    return arrays | {"positions": rng.random((5, 2)), "history misfit": np.array([0.5, np.nan, 0.1])}


def test_bits(result):
    copy = {name: array.copy() for name, array in result.items()}
    assert compare.bits(result, copy) == compare.Bits(True, True, True, True, 0)
    assert compare.bits(result, copy | {"history new": np.ones(3)}).same
    copy["positions"][3, 1] += 1e-15
    assert not compare.bits(result, copy).same
    assert not compare.bits(result, result | {"history misfit": np.array([0.5, np.nan, 0.1 + 1e-16])}).same
    assert not compare.bits(result, result | {"probe": result["probe"][:1]}).same


@pytest.mark.parametrize("power", [-7, -1, 1, 30])
def test_powers_of_two(result, power):
    other = result | {"probe": result["probe"] * np.float32(2.0**power), "obj": result["obj"] / np.float32(2.0**power)}
    assert compare.bits(other, result) == compare.Bits(False, False, True, True, power)
    assert compare.difference(other, result) == 0
    wrong = other | {"obj": result["obj"]}
    assert compare.bits(wrong, result).power is None
    assert compare.difference(wrong, result) > 0.4
    near = other | {"probe": other["probe"] * np.float32(1.0000003)}
    assert not compare.bits(near, result).same
    assert 1e-7 < compare.difference(near, result) < 1e-6


def test_a_result_that_is_not_finite_is_infinitely_different(result):
    bad = result | {"obj": np.full_like(result["obj"], np.nan)}
    assert compare.difference(bad, result) == np.inf
    assert compare.difference(result | {"positions": np.zeros((4, 2))}, result) == np.inf
    row = dict(scan="A", recipe="AP", verdict="DIFFERENT", arrays=np.inf, misfit=0.0, obj=False)
    asked = Asked("HEAD", threads=(1, 2))
    assert line(row, asked).count("|") == head(asked).splitlines()[0].count("|")
    assert not fine(row)

"""Results that earlier versions wrote: every one opens, without its measurement and the classes of its operators.

``golden/make.py`` writes the files of this version; a folder each, and what has to be found in them.
"""

import importlib.util
import json
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import opty
from opty.algebra.kept_recipes import kept_recipe
from opty.algebra.operator import REGISTRY
from opty.cli import main
from opty.errors import RecipeError, SourceError

GOLDEN = Path(__file__).resolve().parent / "golden"
FOLDERS = sorted(path.parent.name for path in GOLDEN.glob("*/texts.json"))
KINDS = ("own", "streamed", "linked", "background", "kept_waves", "interrupted", "refined", "arrays")
ELSEWHERE = {"streamed": "streamed_scan.h5", "linked": "linked_scan.npz", "interrupted": "interrupted_scan.h5"}
OWN = ("own", "interrupted")  # of operators that make.py defines


@pytest.fixture(params=FOLDERS)
def folder(request):
    """A folder of golden files."""
    return GOLDEN / request.param


@pytest.fixture(params=KINDS)
def golden(request, folder, tmp_path, monkeypatch):
    """A golden file, alone in the working folder, and what has to be found in it."""
    monkeypatch.chdir(tmp_path)
    kind = request.param
    shutil.copy(folder / f"{kind}.h5", tmp_path)
    with np.load(folder / f"{kind}_numbers.npz") as kept:
        numbers = dict(kept)
    return kind, json.loads((folder / "texts.json").read_text())[kind], numbers


def check(p, texts, numbers):
    for name, array in numbers.items():
        what, _, which = name.partition(" ")
        if what == "leaf":
            found = p.numpy(which)
        elif what == "history":
            found = np.asarray(p.history[which], np.float64)
        else:
            found = {
                "background": lambda: p.background,
                "intensity_factors": lambda: np.asarray(p.intensity_factors),
                "origin": lambda: p.origin,
                "photons": p.data.photons,
                "data positions": lambda: p.data.positions,
            }[name]()
        assert (found.dtype, found.shape) == (array.dtype, array.shape), name
        assert found.tobytes() == array.tobytes(), name
    assert {f"history {name}" for name in p.history} <= set(numbers)
    assert repr(p.recipe) == written_today(texts["recipe"])
    assert p.recipe == kept_recipe(
        texts["recipe_json"], texts["recipe"]
    )  # parameters that are newer have their defaults
    assert (p.iteration, p.seed, p.data.views) == (texts["iteration"], texts["seed"], texts["views"])
    assert p.data.geometry == (None if texts["geometry"] is None else opty.Geometry(**texts["geometry"]))


def written_today(recipe):
    """Return a recipe's text as it is written since the default of alpha is another one."""
    return recipe.replace("rPIE()", "rPIE(alpha=0.05)")


def run(*arguments):
    done = CliRunner().invoke(main, [*map(str, arguments)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_there_are_files_of_every_kind():
    assert {"119c7c7", opty.__version__} <= set(FOLDERS)
    for name in FOLDERS:
        assert tuple(json.loads((GOLDEN / name / "texts.json").read_text())) == KINDS


def test_every_result_opens_alone(golden):
    """In this file nothing imports make.py before, and the measurements are in no place that the results name."""
    kind, texts, numbers = golden
    assert not {"GoldenDim", "GoldenRecipe"} & set(REGISTRY)
    p = opty.load(f"{kind}.h5", device="cpu")
    check(p, texts, numbers)
    assert (p.data.absent is not None) == (kind in ELSEWHERE)
    opty.save("again.h5", p)
    check(opty.load("again.h5", device="cpu"), texts, numbers)
    check(pickle.loads(pickle.dumps(p)), texts, numbers)
    assert "iteration" in repr(p)


@pytest.mark.covering
@pytest.mark.filterwarnings("ignore:r.ptyr is a file of PtyPy")
def test_every_result_is_looked_at_from_the_command_line(golden):
    kind, texts, _ = golden
    text = run("info", f"{kind}.h5")
    assert f"recipe      {written_today(texts['recipe'])}" in text
    assert f"iteration   {texts['iteration']}" in text
    assert ("unfinished" in text) == (kind == "interrupted")
    assert ("no operator 'GoldenDim' here" in text) == (kind in OWN)
    assert ("frames of the measurement are not here" in text) == (kind in ELSEWHERE)
    run("plot", f"{kind}.h5", "-o", "r.png")
    run("export", f"{kind}.h5", "-o", "r.tif")
    run("export", f"{kind}.h5", "-o", "r.npz")
    with np.load("r.npz") as found:
        assert str(found["recipe"]) == written_today(texts["recipe"])
    if texts["geometry"] is not None:
        run("export", f"{kind}.h5", "-o", "r.ptyr")


@pytest.mark.filterwarnings("ignore::opty.MisfitWarning")
def test_running_on_needs_the_frames_and_nothing_else(golden, folder):
    kind, *_ = golden
    p = opty.load(f"{kind}.h5", device="cpu")
    if kind in ELSEWHERE:
        with pytest.raises(SourceError, match=f"{ELSEWHERE[kind]}: no such file"):
            opty.AP() * p
        shutil.copy(folder / ELSEWHERE[kind], ".")  # beside the result
        p = opty.load(f"{kind}.h5", device="cpu")
        if kind != "linked":
            assert p.data.mask.shape == p.data.intensities.shape[p.data.intensities.ndim - p.data.mask.ndim :]
    q = opty.AP() * p
    assert q.iteration == p.iteration + 1
    assert repr(q.recipe).endswith(repr(p.recipe))
    assert np.isfinite(q.obj).all()


def import_make(monkeypatch):
    """Define the operators of make.py, as a user does who imports the module that defines them."""
    where = importlib.util.spec_from_file_location("golden_make", GOLDEN / "make.py")
    module = importlib.util.module_from_spec(where)
    monkeypatch.setitem(sys.modules, "golden_make", module)
    where.loader.exec_module(module)


@pytest.mark.filterwarnings("ignore::opty.MisfitWarning")
def test_with_the_classes_the_recipes_are_real_again(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("own.h5", "interrupted.h5", "interrupted_scan.h5"):
        shutil.copy(folder / name, tmp_path)
    before = opty.load("own.h5", device="cpu").recipe
    for again in (opty.resume, opty.rerun):
        with pytest.raises(RecipeError, match="no operator 'Golden"):
            again("interrupted.h5" if again is opty.resume else "own.h5")
    import_make(monkeypatch)
    recipe = opty.load("own.h5", device="cpu").recipe
    assert recipe == opty.from_json(before.to_json())
    assert repr(recipe) == repr(before)
    assert opty.rerun("own.h5", device="cpu").state.iteration == 4
    assert opty.resume("interrupted.h5").iteration == 3

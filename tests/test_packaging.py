"""The wheel holds all that the package needs, and runs where it was unpacked; ``make dist`` installs it for real."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RUN = """
import opty, opty.cli
from opty.simulate import experiment, objects, probes, scans
data = experiment(objects.two_images((60, 60)), probes.aperture(32, 16, edge=2), scans.raster((4, 4), step=4), seed=0)
p = opty.PtychoState(data, probe=probes.aperture(32, 16, edge=2))
q = opty.rPIE(alpha=0.1) ** 5 * p
assert opty.misfit(q) < 0.1 * opty.misfit(p), (opty.misfit(p), opty.misfit(q))
print(opty.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of what it is made of."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "opty", source / "opty", ignore=shutil.ignore_patterns("__pycache__"))
    code = "import setuptools.build_meta as b; print(b.build_wheel('dist'))"
    built = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=source, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return next((source / "dist").glob("*.whl"))


def test_wheel_holds_every_file_of_the_package(wheel):
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("opty/")}
    there = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "opty").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".nbi", ".nbc")
    }
    assert packed == there
    assert sum(name.endswith((".cu", ".cuh")) for name in packed) > 10


def test_unpacked_wheel_reconstructs(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "CUDA_VISIBLE_DEVICES": "", "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUN], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(tmp_path)
    assert "opty-ptycho" in "".join(path.name for path in tmp_path.iterdir()).replace("_", "-")


def test_conda_recipe_asks_for_what_the_package_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = project["dependencies"] + extras["fast"] + extras["plot"] + extras["images"] + extras["detectors"]
    recipe = (ROOT / "packaging" / "conda-forge" / "meta.yaml").read_text()
    run = recipe.split("  run:\n")[1].split("\n\n")[0]
    listed = {line.strip("- ").replace(" ", "").replace("matplotlib-base", "matplotlib") for line in run.splitlines()}
    assert listed == {*asked, f"python{project['requires-python']}"}
    assert f'version = "{project["version"]}"' in recipe
    assert "- setuptools >=77\n" in recipe


def test_citation_names_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()

"""The notebooks of examples/: they run, and are stored with what they show."""

import importlib.util
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
SPEC = importlib.util.spec_from_file_location("notebooks_of_the_docs", ROOT / "docs" / "notebooks.py")
notebooks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(notebooks)

# What make test runs with less: every number has to be there.
LESS = {
    "first_reconstruction": (("** 20", "** 2"), ("** 40", "** 2")),
    "compare_engines": (("engine**40", "engine**2"), ("** 20", "** 2"), ("** 40", "** 2"), ("((11, 11)", "((7, 7)")),
    "positions": (("** 100", "** 2"),),
    "electrons": (("** 20", "** 2"), ("20, 0.5e-10", "10, 0.5e-10")),
    "own_operator": (("** 30", "** 3"), ("raster((9, 9)", "raster((5, 5)")),
    "own_physics": (("** 20", "** 8"),),
    "live": (("** 20", "** 10"), ("** 40", "** 4"), ("0.02", "0.002"), ("raster((11, 11)", "raster((7, 7)")),
}


def said(cells):
    """What the cells print and return, in one text."""
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    texts = [output.get("text") or output["data"] for output in outputs]
    return "\n".join(text if isinstance(text, str) else text["text/plain"] for text in texts if "image/png" not in text)


def pictures(cells):
    """For each cell how many pictures it shows."""
    return [sum("image/png" in output.get("data", {}) for output in cell.get("outputs", [])) for cell in cells]


def test_the_list_is_complete():
    assert set(LESS) == set(notebooks.PAGES) == {path.stem for path in (ROOT / "examples").glob("*.ipynb")}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the notebook machinery
def test_all_run_at_a_reduced_size(tmp_path):
    """One after the other in one kernel, which is emptied between them: Python starts once."""
    cells, parts = [], {}
    for name, swaps in LESS.items():
        notebook = notebooks.read(name)
        for old, new in swaps:
            assert any(old in cell.source for cell in notebook.cells), (name, old)
            for cell in notebook.cells:
                cell.source = cell.source.replace(old, new)
        parts[name] = slice(len(cells), len(cells) + len(notebook.cells))
        cells += [*notebook.cells, nbformat.v4.new_code_cell("%reset -f")]
    notebooks.run(nbformat.v4.new_notebook(cells=cells), tmp_path)

    texts = {name: said(cells[part]) for name, part in parts.items()}
    for name, part in parts.items():
        assert pictures(cells[part]) == pictures(notebooks.read(name).cells), name
    assert "(True, (ClipAmplitude(hi=0.95) * rPIE(alpha=0.3)) ** 3)" in texts["own_operator"]
    degrees = float(re.search(r"([\d.]+) degrees", texts["electrons"])[1])
    assert degrees == pytest.approx(12, abs=3)
    ignored, refined = re.findall(r"misfit ([\d.]+), object error", texts["own_physics"])
    assert float(refined) < 0.3 * float(ignored)
    assert float(re.search(r"correlation ([\d.]+)", texts["own_physics"])[1]) > 0.98
    assert (tmp_path / "first.h5").exists()
    assert re.search(r"http://127\.0\.0\.1:\d+/\?token=", texts["live"])
    assert "49 views; misfit" in texts["live"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", LESS)
def test_shows_what_is_stored(name, tmp_path):
    """At full size: the same pictures, and numbers within a tenth or a hundredth of a unit."""
    stored, notebook = notebooks.read(name), notebooks.read(name)
    notebooks.run(notebook, tmp_path)
    assert pictures(notebook.cells) == pictures(stored.cells)
    for now, then in zip(notebook.cells, stored.cells, strict=True):
        if "CPU s" in said([then]) or "1e-" in said([then]) or "e-1" in said([then]):
            continue  # times, and rounding errors
        numbers = [re.findall(r"\d+\.\d+", said([cell])) for cell in (now, then)]
        assert len(numbers[0]) == len(numbers[1])
        if numbers[0]:
            np.testing.assert_allclose(*(np.array(found, float) for found in numbers), rtol=0.1, atol=0.01)


@pytest.mark.parametrize("name", LESS)
def test_is_stored_as_it_ran(name):
    path = ROOT / "examples" / f"{name}.ipynb"
    assert path.stat().st_size < 600_000
    cells = notebooks.read(name).cells
    assert 10 <= len(cells) <= 20
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert "Warning" not in said(cells)
    assert "Traceback" not in said(cells)
    assert sum(pictures(cells)) >= 1
    for cell in cells:
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", cell.source if cell.cell_type == "markdown" else ""):
            assert (path.parent / target).exists(), target


def test_a_page_of_the_site(tmp_path):
    notebooks.write_page("own_physics", tmp_path)
    text = (tmp_path / "own_physics.md").read_text()
    assert text.startswith("# A physics of your own")
    assert "](../models.md)" in text
    shown = re.findall(r"\]\((own_physics_\d+_\d+\.png)\)", text)
    assert len(shown) == sum(pictures(notebooks.read("own_physics").cells))
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in shown)

"""The documentation as a site: ``make docs`` writes it to build/docs.

The source folder is the root of the repository: links between README, docs and code lead to the same places as they do
there. Three folders are made on the way, and git ignores them: docs/reference (a page for each package, from
docstrings), docs/gallery (the examples, run) and docs/notebooks (the notebooks, as they are stored).
"""

from __future__ import annotations

import importlib
import inspect
import re
import shutil
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from api import PACKAGES, names  # noqa: E402
from docstrings import to_rst  # noqa: E402
from notebooks import PAGES, write_page  # noqa: E402
from sphinx_gallery.scrapers import figure_rst  # noqa: E402

from opty import Operator  # noqa: E402
from opty.model import Element  # noqa: E402

project = "opty"
author = "The opty developers"
copyright = "2026, the opty developers"
version = release = version_of("opty-ptycho")

root_doc = "docs/index"
include_patterns = [
    "*.md",
    "docs/*.md",
    "docs/models/*.md",
    "docs/reference/*.rst",
    "docs/gallery/*.rst",
    "docs/notebooks/*.md",
]
exclude_patterns = ["build", ".venv", "docs/gallery/sg_execution_times.rst"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_gallery.gen_gallery"]
suppress_warnings = ["config.cache"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"opty {version}"
html_show_sourcelink = False
autodoc_typehints = "none"


def pictures_written(block: Any, block_vars: Any, gallery_conf: Any) -> str:
    """Take the PNG files that an example wrote, and left in its folder, into its page."""
    found = sorted(Path(block_vars["src_file"]).parent.glob("*.png"))
    targets = []
    for path in found:
        targets.append(next(block_vars["image_path_iterator"]))
        Path(targets[-1]).parent.mkdir(parents=True, exist_ok=True)
        path.replace(targets[-1])
    return figure_rst(targets, gallery_conf["src_dir"])


# Examples run in a copy of their folder, where they may leave files.
STAGED = HERE.parent / "build" / "examples"
shutil.rmtree(STAGED, ignore_errors=True)
shutil.copytree(
    HERE.parent / "examples", STAGED, ignore=shutil.ignore_patterns("__pycache__", "paper", "*.png", "*.h5")
)
sphinx_gallery_conf = {
    "examples_dirs": str(STAGED),
    "gallery_dirs": "docs/gallery",
    "filename_pattern": r"(first_reconstruction|compare_engines|position_refinement)\.py",
    "ignore_pattern": r"(guzzi|siemens|__init__|paper)",
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "image_scrapers": (pictures_written,),
}

CONTENTS = {
    "First steps": [
        "README",
        *(
            f"docs/{page}"
            for page in ("tutorial", "coming_from", "probes", "auto", "engines", "positions", "worth", "symptoms")
        ),
        "docs/gallery/index",
    ],
    "Notebooks": [f"docs/notebooks/{name}" for name in PAGES],
    "Data": [
        *(
            f"docs/{page}"
            for page in ("formats", "electrons", "simulate", "large_data", "gpu", "clusters", "live", "command_line")
        )
    ],
    "Models": [
        "docs/models",
        *(f"docs/models/{page}" for page in ("slices", "tilted_sample", "object_states", "varying_probe")),
        *(f"docs/models/{page}" for page in ("several_scans", "fly_scan", "wavelengths", "blur", "bin", "saturation")),
        "docs/models/refine",
    ],
    "Your own": ["docs/algebra", "docs/operators", "docs/models/own_element"],
    "Reference": [
        *(f"docs/{page}" for page in ("conventions", "glossary", "api")),
        *(f"docs/reference/{name}" for name in PACKAGES),
        *(f"docs/{page}" for page in ("accuracy", "speed", "paper", "positions_figures", "auto_figures", "references")),
        *("CHANGELOG", "CONTRIBUTING", "SECURITY"),
    ],
}


def write_reference(app: Any) -> None:
    """Write a page for each package, of which autodoc makes the docstrings of its public names."""
    folder = HERE / "reference"
    folder.mkdir(exist_ok=True)
    shown: set[int] = set()
    for package, title in PACKAGES.items():
        module = importlib.import_module(package)
        text = [f"{package}", "=" * len(package), "", f"{title}.", ""]
        for name in names(module):
            value = getattr(module, name)
            if id(value) in shown or inspect.ismodule(value):
                continue
            shown.add(id(value))
            kind = "class" if inspect.isclass(value) else "function" if callable(value) else "data"
            text += [f".. auto{kind}:: {package}.{name}"]
            if inspect.isclass(value) and not issubclass(value, (Operator, Element, BaseException)):
                text += ["   :members:"]
            text += [""]
        page = folder / f"{package}.rst"
        if not page.exists() or page.read_text() != "\n".join(text):
            page.write_text("\n".join(text))


def write_notebooks(app: Any) -> None:
    """Write a page for each notebook, with what it showed when it was stored."""
    for name in PAGES:
        write_page(name, HERE / "notebooks")


def add_contents(app: Any, page: str, source: list[str]) -> None:
    """Give the first page the table of contents of the site, which the repository has no use for."""
    if page != root_doc:
        return
    for title, pages in CONTENTS.items():
        listed = "\n".join(f"/{name}" for name in pages)
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{listed}\n```\n"


def link_notebooks(app: Any, page: str, source: list[str]) -> None:
    """Let links to notebooks lead to their pages, where they would download a file."""
    if page.startswith("docs/"):
        source[0] = re.sub(r"\]\(\.\./examples/(\w+)\.ipynb\)", r"](notebooks/\1.md)", source[0])


def convert_docstring(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Make reStructuredText of a docstring, in place."""
    lines[:] = to_rst(lines)


def setup(app: Any) -> None:
    app.connect("builder-inited", write_reference, priority=100)
    app.connect("builder-inited", write_notebooks, priority=100)
    app.connect("source-read", add_contents)
    app.connect("source-read", link_notebooks)
    app.connect("autodoc-process-docstring", convert_docstring)

"""Imports go one way: those inside functions and under TYPE_CHECKING are counted as well."""

import ast
from pathlib import Path

import opty

ROOT = Path(opty.__file__).parent


def modules():
    """Return the files of the package by the names of their modules."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = ("opty", *path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path, known):
    """Return the modules of the package that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            while name and name not in known:
                name = name.rpartition(".")[0]
            if name:
                yield name


def package(module):
    """Return the layer of a module: the package or file right below opty."""
    return module.split(".")[1] if "." in module else "opty"


def test_no_circle_of_files_leads_across_packages():
    known = modules()
    below = {name: set(imported(path, known)) - {name} for name, path in known.items()}
    reached = {name: set(direct) for name, direct in below.items()}
    grew = True
    while grew:
        grew = False
        for seen in reached.values():
            more = set().union(*(reached[other] for other in seen)) - seen
            seen |= more
            grew |= bool(more)
    circles = [(a, b) for a in known for b in reached[a] if a < b and a in reached[b] and package(a) != package(b)]
    assert len(known) > 200
    assert not circles


def test_every_layer_is_named_in_the_first_screen():
    """The listing in the docstring of the package is the tree as it is."""
    for path in ROOT.iterdir():
        if path.name.startswith("__") or path.suffix not in ("", ".py"):
            continue
        assert path.name in opty.__doc__, path.name

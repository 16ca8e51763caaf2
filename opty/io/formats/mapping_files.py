"""The files that a mapping names beside the one that is loaded: "{stem}_pos.csv", "frames_*.h5"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import h5py

from opty.errors import FormatError
from opty.files.container import Container
from opty.files.tree import Tree

ENTRY = {"path", "value", "unit", "sign", "file", "column"}


def entry_of(name: str, entry: Any) -> Mapping[str, Any]:
    """Return what a mapping says of a quantity; ValueError where it is no table of the words that there are."""
    if not isinstance(entry, dict) or set(entry) - ENTRY:
        raise ValueError(f"the mapping has {name} = {entry!r}; expected {{ path = '/...', unit = '...', sign = 1 }}")
    return entry


def text(table: Mapping[str, Any], key: str) -> str:
    """Return a text of a table; ValueError where it is none."""
    if not isinstance(table.get(key), str):
        raise ValueError(f"the mapping has {key} = {table.get(key)!r}; expected the path of a dataset")
    return table[key]


def in_order(name: str) -> list[Any]:
    """Sort key by which data_2 comes before data_10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


class Files:
    """The file that is loaded, and others beside it, opened when they are named, until ``stack`` closes them."""

    def __init__(self, file: Container, tree: Tree, stack: ExitStack):
        self.file, self.tree, self.stack = file, tree, stack
        self.trees: dict[Path, Tree] = {}
        self.others: list[Path] = []

    def paths(self, given: Any) -> list[Path]:
        """Return the files that a name, a pattern, or a list of them mean, in the folder of the one that is loaded.

        "{stem}" is the name of that one without its suffix. Raises FormatError where there is none.
        """
        found: list[Path] = []
        for name in given if isinstance(given, list) else [given]:
            if not isinstance(name, str):
                raise ValueError(f"the mapping has file = {given!r}; expected a name, a pattern, or a list of them")
            name = name.replace("{stem}", self.file.path.stem)
            folder = self.file.path.parent / Path(name).parent
            last = Path(name).name
            fits = [folder / last]
            if any(letter in last for letter in "*?["):
                names = sorted((p.name for p in folder.iterdir() if fnmatchcase(p.name, last)), key=in_order)
                fits = [folder / one for one in names]
            if not fits or not all(one.is_file() for one in fits):
                remedy = "copy the mapping and write the name of yours into it"
                raise FormatError(f"{self.file.path}: the mapping names {name}, which is not there: {remedy}")
            found += fits
        return found

    def one(self, given: Any) -> Path:
        """Return the one file that is meant; ValueError for several."""
        paths = self.paths(given)
        if len(paths) != 1:
            raise ValueError(f"the mapping has file = {given!r}, which is {len(paths)} files; expected one")
        self.note(paths[0])
        return paths[0]

    def note(self, path: Path) -> None:
        """Remember a file that was read."""
        if path != self.file.path and path not in self.others:
            self.others.append(path)

    def tree_of(self, table: Mapping[str, Any]) -> Tree:
        """Return the tree of the file that a table names, or of the one that is loaded."""
        return self.tree if "file" not in table else self.opened(self.one(table["file"]))

    def opened(self, path: Path) -> Tree:
        """Return the tree of another HDF5 file."""
        self.note(path)
        if path == self.file.path:
            return self.tree
        if path not in self.trees:
            other = Container(path)
            if other.kind != "hdf5":
                raise ValueError(f"{path} is {other.looks()}; expected HDF5")
            other.links = self.file.links
            self.trees[path] = self.stack.enter_context(other.tree())
        return self.trees[path]

    def need(self, what: str, table: Mapping[str, Any]) -> h5py.Dataset:
        """Return the dataset that a table names."""
        return self.tree_of(table).need(what, text(table, "path"))

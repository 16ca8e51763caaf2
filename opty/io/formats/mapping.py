"""HDF5 files of any layout, read through a small TOML file with the paths of its contents.

docs/formats.md describes the mapping; opty/io/formats/mappings holds commented ones for beamlines. mapping_frames.py
and mapping_positions.py read two of its tables.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from opty.errors import FormatError
from opty.files.container import Container
from opty.files.tree import Tree, complexes, number, numbers
from opty.io.formats.mapping_files import Files, entry_of
from opty.io.formats.mapping_frames import frames_of
from opty.io.formats.mapping_positions import positions_of
from opty.io.prepare.frames import Frames
from opty.io.prepare.quantities import checked_wave, in_joule, unit_of
from opty.io.prepare.raw import Raw
from opty.io.prepare.units import beam, factor, metres, unit_name
from opty.io.reading import Format, blaming, measurement, real

SHIPPED = Path(__file__).with_name("mappings")
FROM = {"path", "file"}
TABLES = {
    "frames": {*FROM, "axes", "zero_frequency", "amplitude", "scale"},
    "positions": {
        *FROM,
        "unit",
        "axes",
        "signs",
        "row",
        "column",
        "pixels",
        "scan",
        "index",
        "fast",
        "scale",
        "rotation",
    },
    "geometry": {"energy", "wavelength", "voltage", "distance", "pixel_size", "focus_to_sample", "propagation"},
    "mask": {*FROM, "good"},
    "dark": FROM,
    "flat": FROM,
    "probe": FROM,
    "load": {"transpose", "flip", "centre"},
}


class Plan:
    """A mapping read and checked, from the path of a TOML file or the name of one that comes with opty."""

    def __init__(self, source: str | Path):
        self.path = _found(source)
        try:
            self.tables = tomllib.loads(self.path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise FormatError(f"{self.path} is no TOML: {error}") from error
        for table, keys in self.tables.items():
            if table not in TABLES or not isinstance(keys, dict):
                raise FormatError(f"{self.path}: there is no table [{table}]; there are: {', '.join(TABLES)}")
            if unknown := sorted(set(keys) - TABLES[table]):
                known = ", ".join(sorted(TABLES[table]))
                raise FormatError(f"{self.path}: [{table}] has no {unknown[0]}; it has: {known}")
        if "frames" not in self.tables:
            raise FormatError(f"{self.path}: the table [frames] is missing")

    def table(self, name: str) -> Mapping[str, Any]:
        """Return a table, empty where it is not there."""
        return self.tables.get(name, {})


@contextmanager
def opened(file: Container, *, mapping: str | Path) -> Iterator[Raw]:
    """Read an HDF5 file through ``mapping``: the path of a TOML file, or the name of one that comes with opty.

    Raises FormatError for a mapping with unknown words, and for paths at which the file has nothing.
    """
    plan = Plan(mapping)
    if file.kind != "hdf5":
        raise FormatError(f"{file.path} is {file.looks()}; a mapping is for HDF5")
    with file.tree() as tree, ExitStack() as stack:
        with blaming(file):
            files = Files(file, tree, stack)
            raw = _raw(files, plan)
        yield raw
    file.beside += [plan.path, *files.others]


def _found(source: str | Path) -> Path:
    path = Path(os.fspath(source))
    if path.suffix.lower() == ".toml" or path.is_file():
        return path.absolute()
    shipped = SHIPPED / f"{path.name}.toml"
    if not shipped.is_file():
        names = ", ".join(sorted(p.stem for p in SHIPPED.glob("*.toml")))
        raise FileNotFoundError(f"there is no mapping {source!r}: give the path of a .toml file, or one of {names}")
    return shipped


def _raw(files: Files, plan: Plan) -> Raw:
    table, where, mask, load = (plan.table(name) for name in ("frames", "positions", "mask", "load"))
    frames, lacks = frames_of(files, table)
    places = None
    if where:
        places = positions_of(files, where, frames)
    return Raw(
        frames,
        None if places is None else places.numbers,
        unit="px" if where.get("pixels") else "m" if places is None else places.unit,
        positions_at="positions" if places is None else places.where,
        lengths={
            name: entry if name == "propagation" else partial(_length, files, name, entry)
            for name, entry in plan.table("geometry").items()
        },
        mask=(lambda: _mask(files, mask)) if mask else None,
        good=lambda found: found == mask.get("good", 0),
        dark=lambda: _image(files, plan.table("dark")),
        flat=lambda: _image(files, plan.table("flat")),
        probe=_probe(files, plan.table("probe")),
        centre=load.get("centre"),
        transpose=load.get("transpose", False),
        flip=load.get("flip"),
        corner=table.get("zero_frequency", "centre") == "corner",
        lacks=lacks,
    )


def _mask(files: Files, table: Mapping[str, Any]) -> Frames | np.ndarray:
    flags = files.need("mask", table)
    return Frames(flags) if flags.ndim == 3 else numbers(flags)


def _image(files: Files, table: Mapping[str, Any]) -> np.ndarray | None:
    """An image (rows, columns), the mean of a stack, or None where the table is not there."""
    if not table:
        return None
    found = files.need("image", table)
    image = real(found.name, numbers(found))
    return image if image.ndim == 2 else image.reshape(-1, *image.shape[-2:]).mean(axis=0)


def _probe(files: Files, table: Mapping[str, Any]) -> np.ndarray | None:
    return complexes(files.need("probe", table)) if table else None


def _length(files: Files, name: str, entry: Any, known: Any) -> Any:
    """Look one up: a length [m], a voltage [V], or what an energy says."""
    entry = entry_of(name, entry)
    unit = unit_name(entry.get("unit"))
    if "value" in entry:
        value, where = float(entry["value"]), f"the mapping's {name}"
    elif "@" in str(entry.get("path")):
        value, where = _attribute(files.tree, str(entry["path"])), str(entry["path"])
    else:
        found = files.need(name.replace("_", " "), entry)
        value, unit, where = number(found), unit or unit_of(files.tree, found), found.name
    if name == "energy":
        return beam(in_joule(value, unit, where), where)
    if name == "voltage":
        return value * factor("voltage", unit or "V", where)
    length = value * metres(unit or "m", where)
    return checked_wave(length, where) if name == "wavelength" else length


def _attribute(tree: Tree, path: str) -> float:
    """Read a number in the attribute of a node, "path@attribute"."""
    place, _, name = path.partition("@")
    node = tree.node(place)
    value = None if node is None else tree.attribute(node, name)
    if value is None or np.size(value) != 1 or np.asarray(value).dtype.kind not in "iuf":
        raise ValueError(f"there is no number at {path}")
    return float(np.asarray(value).reshape(-1)[0])


read: Any = measurement(opened)
FORMAT = Format("HDF5 through a mapping", lambda file: False, read)

"""HDF5 files of any layout, read through a small TOML file that says where things are.

docs/formats.md describes the mapping; opty/io/formats/mappings holds commented examples for the usual beamline layouts.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from opty.errors import FormatError
from opty.files.container import Container
from opty.files.tree import Tree, number, numbers
from opty.io.prepare.frames import Frames, Pages, in_runs
from opty.io.prepare.options import Raw
from opty.io.prepare.parts import part_names, read_parts
from opty.io.prepare.quantities import checked_wave, in_joule, unit_of
from opty.io.prepare.units import beam, factor, metres, unit_name
from opty.io.reading import Format, blaming, measurement, real

SHIPPED = Path(__file__).with_name("mappings")
TABLES = {
    "frames": {"path", "axes", "zero_frequency"},
    "positions": {"path", "unit", "axes", "signs", "row", "column", "pixels"},
    "geometry": {"energy", "wavelength", "voltage", "distance", "pixel_size", "focus_to_sample", "propagation"},
    "mask": {"path", "good"},
    "dark": {"path"},
    "flat": {"path"},
    "probe": {"path"},
    "load": {"transpose", "flip", "centre"},
}
ENTRY = {"path", "value", "unit", "sign"}
AXES = ("view", "row", "column")


class Plan:
    """A mapping read and checked, from the path of a TOML file or the name of one that comes with opty."""

    def __init__(self, source):
        self.path = _found(source)
        try:
            self.tables = tomllib.loads(self.path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise FormatError(f"{self.path} is no TOML: {error}") from error
        for table, keys in self.tables.items():
            if table not in TABLES or not isinstance(keys, dict):
                raise FormatError(f"{self.path}: there is no table [{table}]; there are: {', '.join(TABLES)}")
            if unknown := sorted(set(keys) - TABLES[table]):
                raise FormatError(f"{self.path}: [{table}] has no {unknown[0]}; it has: {', '.join(TABLES[table])}")
        for table in ("frames", "positions"):
            if table not in self.tables:
                raise FormatError(f"{self.path}: the table [{table}] is missing")

    def table(self, name: str) -> Mapping[str, Any]:
        """Return a table, empty where it is not there."""
        return self.tables.get(name, {})


@contextmanager
def opened(file: Container, *, mapping) -> Iterator[Raw]:
    """Read an HDF5 file through ``mapping``: the path of a TOML file, or the name of one that comes with opty.

    Raises FormatError for a mapping with unknown words, and for paths at which the file has nothing.
    """
    plan = Plan(mapping)
    if file.kind != "hdf5":
        raise FormatError(f"{file.path} is {file.looks()}; a mapping is for HDF5")
    with file.tree() as tree:
        with blaming(file):
            raw = _raw(tree, plan)
        yield raw
    file.beside.append(plan.path)


def _found(source) -> Path:
    path = Path(os.fspath(source))
    if path.suffix.lower() == ".toml" or path.is_file():
        return path.absolute()
    shipped = SHIPPED / f"{path.name}.toml"
    if not shipped.is_file():
        names = ", ".join(sorted(p.stem for p in SHIPPED.glob("*.toml")))
        raise FileNotFoundError(f"there is no mapping {source!r}: give the path of a .toml file, or one of {names}")
    return shipped


def _raw(tree: Tree, plan: Plan) -> Raw:
    table = plan.table("frames")
    where, axes, path = plan.table("positions"), table.get("axes", "view row column"), _text(table, "path")
    positions, more = _positions(tree, where), {}
    if axes == "view row column" and part_names(tree, path):
        frames, more["lacks"] = read_parts(tree, path)
    else:
        frames = _frames(tree.need("frames", path), axes)
    mask, image = plan.table("mask"), {}
    for name in ("dark", "flat"):
        found = tree.find(_text(plan.table(name), "path")) if plan.table(name) else None
        image[name] = None if found is None else real(found.name, numbers(found))
        if image[name] is not None and image[name].ndim == 3:
            image[name] = image[name].mean(axis=0)
    flags = tree.need("mask", _text(mask, "path")) if mask else None
    probe = tree.need("probe", _text(plan.table("probe"), "path")) if plan.table("probe") else None
    good = mask.get("good", 0)
    load = plan.table("load")
    return Raw(
        frames,
        positions,
        unit="px" if where.get("pixels") else "m",
        lengths=_lengths(tree, plan.table("geometry")),
        mask=None if flags is None else Frames(flags) if flags.ndim == 3 else numbers(flags),
        good=lambda found: found == good,
        probe=None if probe is None else probe[()],
        centre=load.get("centre"),
        transpose=load.get("transpose", False),
        flip=load.get("flip"),
        corner=table.get("zero_frequency", "centre") == "corner",
        **image,
        **more,
    )


def _text(table: Mapping[str, Any], key: str) -> str:
    if not isinstance(table.get(key), str):
        raise ValueError(f"the mapping has {key} = {table.get(key)!r}; expected the path of a dataset")
    return table[key]


def _frames(data: h5py.Dataset, axes: Any) -> Frames:
    """The frames as (views, rows, columns), whatever the order of axes in the file; several view axes count as one."""
    names = str(axes).split()
    views = [k for k, name in enumerate(names) if name == "view"]
    if sorted(set(names)) != sorted(AXES) or names.count("row") != 1 or names.count("column") != 1:
        raise ValueError(f"the mapping has axes = {axes!r}; expected 'view row column' in some order ('view view ...')")
    if data.ndim != len(names):
        raise ValueError(f"{data.name} has shape {data.shape}, and the mapping's axes are {axes!r}")
    order = [*views, names.index("row"), names.index("column")]
    if order == list(range(data.ndim)):
        return Frames(data)
    if len(views) > 1:
        raise ValueError(f"axes = {axes!r}: with several view axes they must come first, rows and columns last")
    shape = tuple(data.shape[k] for k in order)

    def put(out: np.ndarray, first: int) -> None:
        some = slice(first, first + len(out))
        out[...] = data[tuple(some if k == views[0] else slice(None) for k in range(data.ndim))].transpose(order)

    chunk = 1 if data.chunks is None else data.chunks[views[0]]
    scattered = data.chunks is None and views[0] > 0  # a view's pixels lie all over the file
    return Pages(shape, data.dtype, lambda index: in_runs(shape, data.dtype, index, put), chunk, not scattered)


def _positions(tree: Tree, table: Mapping[str, Any]) -> np.ndarray:
    """Positions (N, 2) (row, column), in metres or, with ``pixels = true``, in pixels."""
    pixels = bool(table.get("pixels"))
    if "path" in table:
        found = tree.need("positions", _text(table, "path"))
        values = real(found.name, numbers(found))
        names = str(table.get("axes", "row column")).split()
        if values.ndim == 2 and values.shape[0] == len(names) and values.shape[1] != len(names):
            values = values.T
        if values.ndim != 2 or values.shape[1] != len(names) or not {"row", "column"} <= set(names):
            said = f"{found.name} has shape {found.shape}, and the mapping's axes are {' '.join(names)!r}"
            raise ValueError(f"{said}: name each column, as in axes = 'column row z'")
        signs = table.get("signs", [1] * len(names))
        unit = 1.0 if pixels else metres(unit_name(table.get("unit")) or unit_of(tree, found) or "m", found.name)
        return np.column_stack([values[:, names.index(n)] * signs[names.index(n)] for n in ("row", "column")]) * unit
    out = []
    for name in ("row", "column"):
        entry = _entry(table, name)
        found = tree.need(f"{name} positions", _text(entry, "path"))
        unit = 1.0 if pixels else metres(unit_name(entry.get("unit")) or unit_of(tree, found) or "m", found.name)
        out.append(real(found.name, numbers(found)).reshape(-1) * unit * entry.get("sign", 1))
    if len(out[0]) != len(out[1]):
        raise ValueError(f"there are {len(out[0])} row positions and {len(out[1])} column positions")
    return np.column_stack(out)


def _entry(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    entry = table.get(name)
    if not isinstance(entry, dict) or set(entry) - ENTRY:
        raise ValueError(f"the mapping has {name} = {entry!r}; expected {{ path = '/...', unit = '...', sign = 1 }}")
    return entry


def _lengths(tree: Tree, table: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name in table:
        if name == "propagation":
            out[name] = table[name]
            continue
        out[name] = partial(_length, tree, name, _entry(table, name))
    return out


def _length(tree: Tree, name: str, entry: Mapping[str, Any], known: Any) -> Any:
    """Look one up: a length [m], a voltage [V], or an energy [J] and where it is."""
    if "value" in entry:
        value, unit, where = float(entry["value"]), unit_name(entry.get("unit")), f"the mapping's {name}"
    else:
        found = tree.need(name.replace("_", " "), _text(entry, "path"))
        value, unit, where = number(found), unit_name(entry.get("unit")) or unit_of(tree, found), found.name
    if name == "energy":
        return beam(in_joule(value, unit, where), where)
    if name == "voltage":
        return value * factor("voltage", unit or "V", where)
    length = value * metres(unit or "m", where)
    return checked_wave(length, where) if name == "wavelength" else length


read: Any = measurement(opened)
FORMAT = Format("HDF5 through a mapping", lambda file: False, read)

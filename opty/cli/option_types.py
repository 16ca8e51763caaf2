"""The types of options on the command line: how their texts are parsed."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from opty.io.prepare.units import EXAMPLES, quantity

WORDS = ("invalid", "dead", "hot", "saturated", "ignore")


class Whole(click.IntRange):
    """A whole number from ``least`` on."""

    def __init__(self, least: int):
        super().__init__(least)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is no whole number from {self.min} on", param, ctx)


class Number(click.ParamType):
    """A number, from ``least`` on where that is given."""

    name = "number"

    def __init__(self, least: float = -math.inf):
        self.least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        if math.isnan(found) or found < self.least:
            least = "" if self.least == -math.inf else f" from {self.least:g} on"
            self.fail(f"{value!r} is no number{least}", param, ctx)
        return found


class Image(click.ParamType):
    """An image of the detector: a file, or one number for all pixels."""

    name = "image"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a number or a path."""
        try:
            return float(value)
        except (TypeError, ValueError):
            return Path(value)


class Centre(click.ParamType):
    """A place on the detector: "ROW,COLUMN" in pixels, or "auto"."""

    name = "centre"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return "auto" or (row, column)."""
        if value == "auto" or isinstance(value, tuple):
            return value
        try:
            row, column = (float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is neither 'auto' nor ROW,COLUMN in pixels, such as 255.5,260", param, ctx)
        return row, column


class Views(click.ParamType):
    """Some views: a slice such as "0:100" or "::4", or numbers such as "3,17,200"; ``words`` are passed on."""

    name = "views"

    def __init__(self, *words: str):
        self.words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a text or a list of numbers."""
        if not isinstance(value, str) or ":" in value or value in self.words:
            return value
        try:
            return [int(part) for part in value.split(",")]
        except ValueError:
            ways = " or ".join(["a slice such as 0:100 or ::4", "numbers such as 3,17,200", *map(repr, self.words)])
            self.fail(f"{value!r} is no choice of views; give {ways}", param, ctx)


class Masks(click.ParamType):
    """Masks of ``opty.load``: files, or words for pixels to find, separated by commas."""

    name = "mask"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the paths and words in a text; the name of an existing file may hold commas."""
        parts = tuple(value.split(",")) if isinstance(value, str) else value
        return (value,) if isinstance(value, str) and (Path(value).exists() or not set(parts) <= set(WORDS)) else parts


class Quantity(click.ParamType):
    """A number with its unit, such as "6.2keV", or in SI units without one."""

    name = "quantity"

    def __init__(self, kind: str, *words: str):
        self.kind, self.words = kind, words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number in SI units, or one of the ``words``."""
        if value in self.words:
            return value
        try:
            return quantity(self.kind, getattr(param, "name", None) or self.name, value)
        except ValueError:
            self.fail(f"{value!r} is no {self.kind}: give a number with its unit, as {EXAMPLES[self.kind]}", param, ctx)


class Pair(click.ParamType):
    """One number or text, or two with a comma between them: of rows and of columns."""

    name = "pair"

    def __init__(self, of: Callable[[str], Any] = str):
        self.of = of

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return one or a tuple of two."""
        if not isinstance(value, str):
            return value
        try:
            parts = tuple(self.of(part) for part in value.split(","))
        except ValueError:
            parts = ()
        if len(parts) not in (1, 2):
            self.fail(f"{value!r} is neither one value nor ROW,COLUMN", param, ctx)
        return parts[0] if len(parts) == 1 else parts

"""What the readers share: the Format they register, errors that name the file, and checks made on every measurement."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opty.errors import FormatError
from opty.io import views as view_option
from opty.io.container import Container
from opty.io.source import record


@dataclass(frozen=True)
class Format:
    """A file format: how to know it by its content, and how to read it.

    ``recognise(container)`` returns a bool; ``read(container, **options)`` returns a PtychoData or a PtychoState, and
    its keyword-only parameters are the options of the format.
    """

    name: str
    recognise: Callable[[Container], bool]
    read: Callable[..., Any]

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options that ``read`` takes."""
        return tuple(p.name for p in inspect.signature(self.read).parameters.values() if p.kind == p.KEYWORD_ONLY)

    def check(self, options) -> None:
        """Refuse options that this format does not have, naming those that it has."""
        if unknown := sorted(set(options) - set(self.options)):
            raise TypeError(f"{self.name} has no option {', '.join(unknown)}; it has: {', '.join(self.options)}")


@contextmanager
def blaming(file: Container) -> Iterator[None]:
    """Turn the ValueError or TypeError of unfit contents into a FormatError that names the file."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{file.path}: {error}") from error


def check_shapes(file: Container, data: str, data_shape, positions: str, positions_shape) -> None:
    """Refuse patterns and positions that do not go together; before views are chosen, which could hide it."""
    if len(data_shape) != 3:
        raise FormatError(f"{file.path}: {data} has shape {tuple(data_shape)}; expected (views, n, n)")
    if len(positions_shape) != 2 or positions_shape[1] not in (2, 3):
        raise FormatError(
            f"{file.path}: {positions} has shape {tuple(positions_shape)}; expected one row for each view"
        )
    if positions_shape[0] != data_shape[0]:
        raise FormatError(
            f"{file.path}: {data} holds {data_shape[0]} patterns but {positions} {positions_shape[0]} positions"
        )


def record_with(file: Container, *, views=None, **options) -> dict[str, Any]:
    """Describe the source of a measurement, with the options in a form that JSON can hold."""
    return record(file.path, {"views": view_option.as_json(views), **options})

"""Tables of numbers in text files: CSV, columns with blanks between them, and the scans of a SPEC file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from opty.errors import FormatError
from opty.words import meant

LARGEST = 256 << 20  # bytes; positions of ten million views
_BETWEEN = re.compile(r"\s*[,;\t]\s*|\s+")


@dataclass(frozen=True)
class Table:
    """Columns of numbers; ``names`` where a line above them has them, else None."""

    path: Path
    names: tuple[str, ...] | None
    values: np.ndarray

    def column(self, which: str | int) -> np.ndarray:
        """Return a column by its name, or by its number from 0 on; ValueError where there is none."""
        if isinstance(which, str):
            if self.names is None:
                raise ValueError(f"{self.path.name} has no names above its columns: give the number of one, from 0 on")
            if which not in self.names:
                raise ValueError(f"{self.path.name} has no column {which!r}{meant(which, self.names)}")
            which = self.names.index(which)
        if isinstance(which, bool) or not 0 <= which < self.values.shape[1]:
            raise ValueError(f"{self.path.name} has no column {which!r}: it has {self.values.shape[1]}, from 0 on")
        return self.values[:, which]


def read_table(path: Path, scan: int | None = None) -> Table:
    """Read a table; ``scan`` is the number of the one of a SPEC file (its last one, where it was repeated).

    Lines that begin with # are comments. The last line before the rows of numbers names the columns if it has one word
    for each of them. In a SPEC file #S begins a scan and #L names its columns, with two
    blanks between them. Raises FormatError for a text without a table, rows of different length, no such scan.
    """
    if path.stat().st_size > LARGEST:
        raise FormatError(f"{path} is larger than {LARGEST >> 20} MiB: no table of positions is")
    lines = path.read_text("utf-8", errors="replace").splitlines()
    if any(line.startswith("#S ") for line in lines):
        lines = _spec_scan(path, lines, scan)
    elif scan is not None:
        raise FormatError(f"{path} is no SPEC file: it has no scan {scan}")
    rows: list[list[float]] = []
    names: tuple[str, ...] | None = None
    for number, line in enumerate(lines, 1):
        row = None if line.startswith("#") else _row(line)
        if row is not None:
            if rows and len(row) != len(rows[0]):
                raise FormatError(f"{path}: row {len(rows) + 1} has {len(row)} numbers, and the first {len(rows[0])}")
            rows.append(row)
        elif rows and line.strip() and not line.startswith("#"):
            raise FormatError(f"{path}: line {number} is no row of numbers: {line[:40]!r}")
        elif not rows and line.strip():
            names = _names(line)
    if not rows:
        raise FormatError(f"{path} holds no table of numbers")
    values = np.array(rows)
    return Table(path, names if names is not None and len(names) == values.shape[1] else None, values)


def _row(line: str) -> list[float] | None:
    words = [word for word in _BETWEEN.split(line.strip()) if word]
    try:
        return [float(word) for word in words] or None
    except ValueError:
        return None


def _names(line: str) -> tuple[str, ...]:
    if line.startswith("#L"):
        return tuple(filter(None, re.split(r"\s{2,}|\t", line[2:].strip())))
    line = line.lstrip("#%/ ").strip()
    words = re.split(r"[,;\t]", line) if re.search(r"[,;\t]", line) else line.split()  # x [um], y [um] are two
    return tuple(word.strip("\"' ") for word in words if word.strip())


def _spec_scan(path: Path, lines: list[str], scan: int | None) -> list[str]:
    starts = [k for k, line in enumerate(lines) if line.startswith("#S ")]
    numbers = [line.split()[1] if len(line.split()) > 1 else "" for line in (lines[k] for k in starts)]
    if scan is None and len(starts) > 1:
        raise FormatError(f"{path} holds the scans {', '.join(numbers[:12])}: say which")
    if scan is not None and str(scan) not in numbers:
        raise FormatError(f"{path} has no scan {scan}; it holds {', '.join(numbers[:12])}")
    which = 0 if scan is None else len(numbers) - 1 - numbers[::-1].index(str(scan))
    end = starts[which + 1] if which + 1 < len(starts) else len(lines)
    return lines[starts[which] : end]

"""Two result files side by side: what has become faster, and what slower."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks import peer_speed, speed

KEYS = (speed.KEY_OF_MODELS, speed.KEY, peer_speed.KEY)


def compared(first: Path, second: Path) -> Iterator[str]:
    """Yield the lines of a Markdown table: each piece of work that both files have, seconds, and second over first.

    Raises ValueError where the files have no work in common.
    """
    a, b = (_rows(path) for path in (first, second))
    shared = [key for key in a if key in b]
    if not shared:
        raise ValueError(f"{first} and {second} have no work in common")
    yield f"| work | {first.name}: s | {second.name}: s | second / first | ratio in each |"
    yield "|---" * 5 + "|"
    for key in shared:
        one, other = a[key], b[key]
        change = other["seconds"] / one["seconds"]
        words = ", ".join(str(value) for value in key)
        yield (
            f"| {words} | {one['seconds']:.4g} | {other['seconds']:.4g} | {change:.3f} "
            f"| {one['ratio']:.2f}, {other['ratio']:.2f} |"
        )


def _rows(path: Path) -> dict[tuple, dict]:
    """Return the rows of a file by the work that they are about."""
    rows = json.loads(path.read_text())["rows"]
    found = {}
    for row in rows:
        names = next((names for names in KEYS if all(name in row for name in names)), None)
        if names is None:
            raise ValueError(f"{path} has rows that are no times of `run` or `peers`: {sorted(row)}")
        found[tuple(row[name] for name in names)] = row
    return found

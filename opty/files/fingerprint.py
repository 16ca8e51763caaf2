"""A fingerprint of a file, to detect that it has changed since it was read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MEGABYTE = 1 << 20


def fingerprint(path: Path) -> dict[str, Any]:
    """Size [bytes] and SHA-256 of the first and last megabyte of a file: detects a changed file cheaply."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        first = file.read(MEGABYTE)
        file.seek(max(0, size - MEGABYTE))
        last = file.read(MEGABYTE)
    return {"size": size, "first": hashlib.sha256(first).hexdigest(), "last": hashlib.sha256(last).hexdigest()}


def changed(path: Path, known: Mapping[str, Any]) -> str | None:
    """Return how a file differs from a known fingerprint, or None."""
    now = fingerprint(path)
    if now["size"] != known["size"]:
        return f"it now has {now['size']} bytes, then {known['size']}"
    parts = [part for part in ("first", "last") if now[part] != known[part]]
    return f"its {parts[0]} megabyte has changed" if parts else None

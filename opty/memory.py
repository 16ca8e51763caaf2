"""The memory of the host: how much is free, and sizes in words."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def free_memory() -> int | None:
    """Return the bytes that new arrays may take on the host, or None where the system does not tell.

    Linux: what is available without swapping, and no more than the limit of the container or batch job leaves. Other
    POSIX systems: the pages that are free. What is only kept for rereading files counts as free.
    """
    limits = [found for found in (_available(), _limit_left()) if found is not None]
    return max(0, min(limits)) if limits else None


def size(count: float) -> str:
    """Write a number of bytes with a unit: "3.2 GiB"."""
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} PiB"


def _available() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # no such function, no such name, no such value
        return None


def _limit_left() -> int | None:
    """What the control groups (version 2) of this process leave; None where there is no limit, or none is told."""
    try:
        (own,) = [line for line in _OWN.read_text().splitlines() if line.startswith("0::")]
    except (OSError, ValueError):
        return None
    folder, left = _CGROUP / own.removeprefix("0::").lstrip("/"), []
    for place in (folder, *folder.parents):
        if not place.is_relative_to(_CGROUP):
            break
        try:
            limit, used = ((place / f"memory.{name}").read_text().strip() for name in ("max", "current"))
            kept = dict(line.split() for line in (place / "memory.stat").read_text().splitlines())
        except OSError:
            continue
        if limit != "max":
            left.append(int(limit) - int(used) + int(kept.get("inactive_file", 0)))
    return min(left, default=None)

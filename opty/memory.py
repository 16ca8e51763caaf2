"""The memory of the host: how much is free, and sizes in words."""

from __future__ import annotations

import os

_CGROUP, _OWN = "/sys/fs/cgroup", "/proc/self/cgroup"


def free_memory() -> int | None:
    """Return the bytes that new arrays may take on the host, or None where the system does not report it.

    Linux: the memory available without swapping, at most what the limit of the container or batch job leaves. Other
    POSIX systems: the free pages. The cache of files counts as free.
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
        with open("/proc/meminfo") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # no such function, no such name, no such value
        return None


def _limit_left() -> int | None:
    """Return the bytes that the control groups (version 2) of this process leave; None without a limit."""
    try:
        (own,) = [line for line in _read(_OWN).splitlines() if line.startswith("0::")]
    except (OSError, ValueError):
        return None
    names, left = [name for name in own.removeprefix("0::").split("/") if name], []
    for depth in range(len(names), -1, -1):
        place = "/".join([_CGROUP, *names[:depth]])
        try:
            if (limit := _read(f"{place}/memory.max").strip()) == "max":
                continue
            used = int(_read(f"{place}/memory.current"))
            kept = dict(line.split() for line in _read(f"{place}/memory.stat").splitlines())
        except OSError:
            continue
        left.append(int(limit) - used + int(kept.get("inactive_file", 0)))
    return min(left, default=None)


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()

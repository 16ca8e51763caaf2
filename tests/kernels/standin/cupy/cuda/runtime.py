"""The few calls of the CUDA runtime that a program asks for what there is."""

import os

COUNT = 1  # of devices that a test pretends
current = 0


class CUDARuntimeError(RuntimeError):
    """A call of the runtime failed."""


def getDeviceCount() -> int:
    """One device, or as many as a test pretends."""
    return COUNT


def getDevice() -> int:
    """The number of the current device."""
    return current


def runtimeGetVersion() -> int:
    """The version of CUDA that CuPy was made for: 12.9."""
    return 12090


def deviceSynchronize() -> None:
    """Wait for the device."""


def memGetInfo() -> tuple[int, int]:
    """Free and total memory of the host in bytes."""
    page = os.sysconf("SC_PAGE_SIZE")
    return os.sysconf("SC_AVPHYS_PAGES") * page, os.sysconf("SC_PHYS_PAGES") * page


def getDeviceProperties(device: int) -> dict:
    """Name and compute capability."""
    return {"name": b"stand-in", "major": 9, "minor": 0, "totalGlobalMem": memGetInfo()[1]}

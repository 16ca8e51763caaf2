"""Merlin .mib files (Quantum Detectors, Medipix3), with the .hdr beside them where there is one.

Source: Quantum Detectors, Merlin manual; see ``opty.files.mib``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opty.files.container import Container
from opty.files.mib import MAGIC, MibStack
from opty.io.prepare.frames import Pages
from opty.io.prepare.raw import Raw
from opty.io.reading import Format, blamed, blaming, measurement

PIXEL = 55e-6  # m, of every Medipix3
LARGEST = 1 << 20  # bytes of an .hdr
LINES, COLUMNS, FRAMES, TRIGGER = "ScanY", "ScanX", "Frames in Acquisition (Number)", "Frames per Trigger (Number)"


def recognise(file: Container) -> bool:
    """Whether this begins with the header of a Merlin frame."""
    return file.kind == "other" and file.head.startswith(MAGIC)


@contextmanager
def opened(file: Container) -> Iterator[Raw]:
    """Read the frames of a .mib, processed or raw, of 1, 6, 12 or 24 bits, as the detector wrote them.

    The shape of the scan is in <stem>.hdr (lines of ScanY and ScanX, or frames and frames a trigger), its step nowhere:
    give scan_step=. Pixels are of 55 um.

    Raises FormatError for raw images that cannot be put into order.
    """
    with file.stream() as stream:
        with blaming(file):
            stack = MibStack(stream)
            shape, beside = _scan(file.path)
            frames = Pages(stack.shape, stack.dtype, blamed(file, stack.read))
            frames.scan = shape or frames.scan
            raw = Raw(frames, None, lengths={"pixel_size": lambda known: PIXEL if "distance" in known else None})
        yield raw
    file.beside = beside


def _scan(path: Path) -> tuple[tuple[int, int] | None, list[Path]]:
    """The shape of the scan in the .hdr beside the frames, and that file."""
    place = path.with_suffix(".hdr")
    if not place.is_file() or place.stat().st_size > LARGEST:
        return None, []
    lines = [line.split("\t", 1) for line in place.read_text("utf-8", errors="replace").splitlines()]
    words = {line[0].strip().rstrip(":"): line[1].strip() for line in lines if len(line) == 2}
    numbers = {name: int(value) for name, value in words.items() if value.isascii() and value.isdecimal()}
    if numbers.get(LINES) and numbers.get(COLUMNS):
        return (numbers[LINES], numbers[COLUMNS]), [place]
    total, line = numbers.get(FRAMES, 0), numbers.get(TRIGGER, 0)
    known = line > 1 and total > line and total % line == 0
    return ((total // line, line) if known else None), [place]


read: Any = measurement(opened)
FORMATS = (Format("Merlin .mib", recognise, read),)

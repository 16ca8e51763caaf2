"""EMPAD .raw files (Cornell, Thermo Fisher): float32 frames of 128 x 128 with two more rows, described by an XML.

Source: Tate et al., Microsc. Microanal. 22, 237 (2016); the XML as versions 0.51 and 1.2.2 of the software write it.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from opty.errors import FormatError
from opty.files.container import Container
from opty.io.prepare.frames import Pages
from opty.io.prepare.lengths import RECIPROCAL
from opty.io.prepare.raw import Raw
from opty.io.reading import Format, blamed, blaming, measurement

EDGE, ROWS = 128, 130  # pixels; the last two rows of a frame are no image
FRAME = ROWS * EDGE * 4  # bytes
LARGEST = 4 << 20  # bytes of an XML
NAME = re.compile(r".*_x(\d{1,5})_y(\d{1,5})")
NUMBER = r"(\d{1,20}(?:\.\d{0,20})?(?:e[+-]?\d{1,3})?)"
PAIR = re.compile(rf"\[{NUMBER}, ?{NUMBER}\]")
ANGLE = "iom_measurements/calibrated_diffraction_angle"  # rad a pixel
VOLTAGES = (
    "iom_measurements/high_voltage",
    "iom_measurements/source.get_voltage",
)  # of newer versions, and of older ones


def recognise(file: Container) -> bool:
    """Whether this is the XML of an EMPAD, or a .raw that holds whole frames of it."""
    if file.kind != "other":
        return False
    if file.head.lstrip().startswith(b"<"):
        return _text(file.path) is not None
    if file.path.suffix.lower() != ".raw" or file.wrapping is not None:
        return False
    size = file.path.stat().st_size
    return size > 0 and size % FRAME == 0


@contextmanager
def opened(file: Container) -> Iterator[Raw]:
    """Read the frames (N, 128, 128) float32 of an EMPAD; ``path`` is the XML or the .raw that it names.

    The shape of the scan is in the XML, or in the name of the .raw (scan_x256_y128.raw), and its step in the XML where
    the whole field was scanned. The angle of a pixel is that of the XML, where it is calibrated.

    Raises FormatError where one of the two files is missing or truncated.
    """
    described, frames_at = _pair(file)
    root = None if described is None else _parsed(described)
    with open(frames_at, "rb") as stream:
        with blaming(file):
            views = _views(stream, frames_at)
            frames = Pages((views, EDGE, EDGE), np.float32, blamed(file, _Reader(stream)))
            shape = _shape(root, frames_at.name, views)
            frames.scan = shape or frames.scan
            step = None if root is None or shape is None else _step(root, shape)
            raw = Raw(frames, None, lengths=_lengths(root), step=step)
        yield raw
    file.path, file.beside = frames_at, [] if described is None else [described]


class _Reader:
    """Reads frames by their numbers (B, 128, 128), without the two rows below each."""

    def __init__(self, stream: Any):
        self.stream = stream

    def __call__(self, index: np.ndarray) -> np.ndarray:
        out = np.empty((len(index), EDGE, EDGE), np.float32)
        for k, j in enumerate(index):
            self.stream.seek(int(j) * FRAME)
            body = self.stream.read(FRAME)
            if len(body) != FRAME:
                raise ValueError(f"frame {j} breaks off: the file is truncated")
            out[k] = np.frombuffer(body, "<f4").reshape(ROWS, EDGE)[:EDGE]
        return out


def _text(path: Path) -> bytes | None:
    """The text of an XML that names a .raw; None for anything else."""
    if path.stat().st_size > LARGEST:
        return None
    text = path.read_bytes()
    return text if b"<raw_file" in text and b"<!" not in text else None  # no entities, which may grow without end


def _parsed(path: Path) -> ET.Element:
    text = _text(path)
    try:
        if text is None:
            raise FormatError(f"{path} is no XML of an EMPAD")
        return ET.fromstring(text)
    except ET.ParseError as error:
        raise FormatError(f"{path} is truncated or damaged XML: {error}") from error


def _pair(file: Container) -> tuple[Path | None, Path]:
    """The XML, if there is one, and the .raw."""
    if file.path.suffix.lower() == ".raw":
        beside = [path for path in sorted(file.path.parent.glob("*.xml")) if _names(path) == file.path.name]
        if len(beside) > 1:
            raise FormatError(f"{file.path} is named by each of {', '.join(p.name for p in beside)}: load one of these")
        return (beside[0] if beside else None), file.path
    name = _names(file.path)
    if not name:
        raise FormatError(f"{file.path} does not say the name of its .raw")
    place = file.path.with_name(name)
    if not place.is_file():
        raise FormatError(f"{file.path} describes {name}, and there is no such file beside it")
    return file.path, place


def _names(path: Path) -> str | None:
    """The name of the .raw in an XML, without folders."""
    if _text(path) is None:
        return None
    found = _parsed(path).find("raw_file")
    name = "" if found is None else found.get("filename") or found.text or ""
    return name.strip().replace("\\", "/").rpartition("/")[2] or None


def _views(stream: Any, path: Path) -> int:
    size = stream.seek(0, 2)
    if size == 0 or size % FRAME:
        raise ValueError(f"{path.name} has {size} bytes, which are no whole frames of {FRAME}: it is truncated")
    return size // FRAME


def _shape(root: ET.Element | None, name: str, views: int) -> tuple[int, int] | None:
    """Return the shape (rows, columns) of the scan, from the XML or the name of the .raw."""
    shapes: list[tuple[float | None, ...]] = []
    for mode in ("acquire", "search"):  # some versions wrote the shape that was scanned under the second
        nodes = _scans(root, mode)
        shapes += [tuple(_number(node, f"scan_resolution_{axis}") for axis in "yx") for node in nodes]
    if root is not None:
        shapes.append((_number(root, "pix_y"), _number(root, "pix_x")))
    if match := NAME.fullmatch(Path(name).stem):
        shapes.append((float(match[2]), float(match[1])))
    whole = [(int(rows), int(columns)) for rows, columns in shapes if rows and columns]
    return next((one for one in whole if one[0] * one[1] == views), whole[0] if whole else None)


def _scans(root: ET.Element | None, mode: str) -> list[ET.Element]:
    """What the XML says of the scan that was acquired, or searched with."""
    found = [] if root is None else root.findall("scan_parameters")
    return [node for node in found if node.get("mode") == mode]


def _step(root: ET.Element, shape: tuple[int, int]) -> tuple[float, float] | None:
    """Steps [m], where the whole field was scanned; what a part of it means differs from version to version."""
    sizes = [_number(node, "scan_size") for node in _scans(root, "acquire")]
    if any(size not in (None, 1.0) for size in sizes):
        return None
    if (across := _field(root)) is None:
        return None
    return across / max(shape), across / max(shape)


def _field(root: ET.Element) -> float | None:
    """Edge of the square field that can be scanned [m]: x and y over a factor, in older versions [x, y]."""
    field = root.find("iom_measurements/full_scan_field_of_view")
    if field is not None:
        across, factor = _number(field, "x"), _number(field, "scale_factor")
        return across / factor if across and factor and across == _number(field, "y") else None
    text = root.findtext("iom_measurements/optics.get_full_scan_field_of_view", "")
    match = PAIR.fullmatch(text.strip())
    edge = float(match[1]) if match and match[1] == match[2] else 0.0
    return edge if 0 < edge < math.inf else None


def _lengths(root: ET.Element | None) -> dict[str, Any]:
    if root is None:
        return {}
    voltages = [found for path in VOLTAGES if (found := _number(root, path)) is not None]
    out: dict[str, Any] = {"voltage": voltages[0]} if voltages else {}
    angle = _number(root, ANGLE)
    return out if angle is None else out | {RECIPROCAL: f"{angle} rad"}


def _number(node: ET.Element, path: str) -> float | None:
    """A positive number in the XML, or None."""
    found = node.find(path)
    try:
        value = float((found.text or "") if found is not None else "")
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None


read: Any = measurement(opened)
FORMATS = (Format("EMPAD .raw + .xml", recognise, read),)

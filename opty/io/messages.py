"""Views that come as messages over ZeroMQ: the layout of the messages, and both ends of it.

A message is one or several parts. The first is JSON (UTF-8) with a "type":

{"type": "start", "opty": 1, "shape": [n, n], "dtype": "<u2", "geometry": {...} or null, "arrays": [...]}
    comes first. "geometry": the arguments of opty.Geometry in SI units, as text and numbers; null: positions are in
    pixels. "arrays": what the further parts are, in their order, {"name": "mask" | "background" | "probe", "shape":
    [...], "dtype": "..."}.
{"type": "view", "position": [row, column]}
    a view: its position [m, or px without a geometry]; the second part is its frame, n x n in C order, with the zero
    frequency in the centre.
{"type": "end"}
    no more will come.

Types of numbers are those of NumPy's array interface, "<u2", "<f4", "<c8"; nothing is unpickled. The sender binds a
PUSH socket, and opty connects a PULL socket to it.
"""

from __future__ import annotations

import json
import weakref
from typing import Any

import numpy as np

from opty.data import PtychoData
from opty.geometry import Geometry

SCHEMES = ("tcp://", "ipc://", "inproc://")
VERSION = 1
_ARRAYS = ("mask", "background", "probe")
_MOST = 4096  # views that are taken at a time
_LARGEST = 1 << 34  # bytes of an array


def zmq() -> Any:
    """Return the module zmq; ImportError, with the remedy, where it is not installed."""
    try:
        import zmq as found
    except ImportError as error:
        raise ImportError('views over ZeroMQ need pyzmq: pip install "opty-ptycho[live]"') from error
    return found


class MessageArrivals:
    """Views that a program sends, in the order in which they come."""

    def __init__(self, address: str):
        self.name = address
        self._zmq = zmq()
        self._socket = self._zmq.Context.instance().socket(self._zmq.PULL)
        self._socket.set_hwm(0)  # a sweep may take longer than a thousand views
        self._socket.connect(address)
        weakref.finalize(self, self._socket.close, 0)
        self._start: dict[str, Any] | None = None
        self.over = False

    def poll(self) -> PtychoData | None:
        frames: list[np.ndarray] = []
        positions: list[list[float]] = []
        while len(frames) < _MOST and not self.over:
            try:
                head, *parts = self._socket.recv_multipart(self._zmq.NOBLOCK)
            except self._zmq.Again:
                break
            said = _head(head)
            if said["type"] == "start":
                self._start = _started(said, parts)
            elif said["type"] == "end":
                self.over = True
            elif self._start is None:
                raise ValueError(f"{self.name} sent a view before it said what its views are (a message 'start')")
            else:
                frames.append(_frame(parts, self._start["shape"], self._start["dtype"]))
                positions.append(_position(said))
        if not frames:
            return None
        assert self._start is not None
        return PtychoData(np.array(frames), np.array(positions), **self._start["fields"])

    def close(self) -> None:
        self._socket.close(linger=0)


class Sender:
    """The other end: sends a measurement view by view; it waits until somebody connects.

    ``with Sender(address, data) as sender: sender.send(intensities, position)``; leaving the block says the end.
    """

    def __init__(self, address: str, like: PtychoData):
        self._zmq = zmq()
        self._socket = self._zmq.Context.instance().socket(self._zmq.PUSH)
        self._socket.set_hwm(0)
        self._socket.bind(address)
        arrays = {name: a for name in _ARRAYS if (a := getattr(like, name)) is not None}
        geometry = None if like.geometry is None else {k: v for k, v in vars(like.geometry).items() if v is not None}
        self._dtype = like.intensities.dtype.newbyteorder("<")
        said = {
            "type": "start",
            "opty": VERSION,
            "shape": [like.n, like.n],
            "dtype": self._dtype.str,
            "geometry": geometry,
            "arrays": [{"name": k, "shape": a.shape, "dtype": a.dtype.str} for k, a in arrays.items()],
        }
        self._send(said, *(np.ascontiguousarray(a) for a in arrays.values()))

    def send(self, frame: np.ndarray, position: Any) -> None:
        """Send a view."""
        place = [float(value) for value in position]
        self._send({"type": "view", "position": place}, np.ascontiguousarray(frame, self._dtype))

    def end(self) -> None:
        """Say that no more views will come, and close once all have been taken."""
        self._send({"type": "end"})
        self._socket.close(linger=10_000)

    def _send(self, said: dict[str, Any], *parts: np.ndarray) -> None:
        self._socket.send_multipart([json.dumps(said).encode(), *(part.tobytes() for part in parts)])

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None:
            self.end()
        else:
            self._socket.close(linger=0)


def _head(part: bytes) -> dict[str, Any]:
    try:
        said = json.loads(part)
    except ValueError:
        said = None
    if not isinstance(said, dict) or said.get("type") not in ("start", "view", "end"):
        raise ValueError(f"a message begins with {part[:60]!r}; expected JSON with the type start, view or end")
    return said


def _started(said: dict[str, Any], parts: list[bytes]) -> dict[str, Any]:
    if said.get("opty") != VERSION:
        raise ValueError(f"the messages are of version {said.get('opty')!r}; this opty reads version {VERSION}")
    shape, geometry = said.get("shape"), said.get("geometry")
    if not isinstance(shape, list) or len(shape) != 2 or not all(isinstance(edge, int) for edge in shape):
        raise ValueError(f"the message start has shape {shape!r}; expected [n, n]")
    fields: dict[str, Any] = {"geometry": None if geometry is None else Geometry(**geometry)}
    arrays = said.get("arrays", [])
    if len(arrays) != len(parts):
        raise ValueError(f"the message start names {len(arrays)} arrays and brings {len(parts)}")
    for one, part in zip(arrays, parts, strict=True):
        if one.get("name") not in _ARRAYS:
            raise ValueError(f"the message start brings {one.get('name')!r}; it may bring {', '.join(_ARRAYS)}")
        fields[one["name"]] = _array(part, one["shape"], one["dtype"])
    return {"shape": shape, "dtype": said.get("dtype"), "fields": fields}


def _frame(parts: list[bytes], shape: list[int], dtype: Any) -> np.ndarray:
    if len(parts) != 1:
        raise ValueError(f"a message view has {len(parts)} parts after its first; expected its frame")
    return _array(parts[0], shape, dtype)


def _position(said: dict[str, Any]) -> list[float]:
    place = said.get("position")
    if not isinstance(place, list) or len(place) != 2 or not all(isinstance(v, (int, float)) for v in place):
        raise ValueError(f"a message view has the position {place!r}; expected [row, column]")
    return [float(value) for value in place]


def _array(part: bytes, shape: Any, dtype: Any) -> np.ndarray:
    kind = np.dtype(dtype)
    if kind.kind not in "biufc":
        raise ValueError(f"a message brings {dtype!r}; expected numbers")
    size = int(np.prod([int(edge) for edge in shape], dtype=np.int64)) * kind.itemsize
    if size != len(part) or size > _LARGEST:
        raise ValueError(f"a message brings {len(part)} bytes for an array of {tuple(shape)} {kind}, which are {size}")
    return np.frombuffer(part, kind).reshape(shape)

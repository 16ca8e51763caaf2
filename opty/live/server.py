"""The HTTP server of a page: it answers whoever has the token, in threads that the run does not wait for."""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import json
import math
import os
import secrets
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from opty.live.board import ORDERS, Board
from opty.live.document import document
from opty.live.snapshot import Part, Snapshot

TOKEN = "OPTY_LIVE_TOKEN"  # in the environment; else a token is drawn
FIRST_PORT, LAST_PORT = 8420, 8519
PICTURES = ("/object", "/probe", "/positions")  # paths of the parts of a picture
_PATIENCE = 10.0  # seconds for which a question for news is held
_STALLED = 30.0  # seconds after which a viewer that takes nothing is given up
_MOST = 64  # connections at a time


class LiveServer(ThreadingHTTPServer):
    """A page at an address, for whoever has the token. ``port`` None: the first free one from 8420 on.

    Raises OSError where the address is taken or not of this machine.
    """

    daemon_threads = True
    allow_reuse_address = os.name == "posix"

    def __init__(self, host: str, port: int | None, board: Board):
        self.board, self.asked, self.announced = board, (host, port), False
        self.token = os.environ.get(TOKEN) or secrets.token_urlsafe(16)
        self._places = threading.BoundedSemaphore(_MOST)
        for tried in range(FIRST_PORT, LAST_PORT + 1) if port is None else (port,):
            try:
                super().__init__((host, tried), _Handler)
                break
            except OSError as error:
                if port is None and tried < LAST_PORT and _taken(error):
                    continue
                error.add_note(f"(the page cannot be served at {host}:{tried})")
                raise
        threading.Thread(target=self.serve_forever, name="opty live", daemon=True).start()

    @property
    def url(self) -> str:
        """The address of the page, token included."""
        host, port = self.server_address[:2]
        shown = "127.0.0.1" if host == "0.0.0.0" else host
        return f"http://{shown!s}:{port}/?token={self.token}"

    def close(self) -> None:
        """End the server."""
        self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)  # too many: the run is worth more than another viewer
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of viewers that go away in the middle of an answer."""


_servers: list[LiveServer] = []  # of this process; later runs use them again


def serving(host: str, port: int | None, kind: str = "run") -> LiveServer:
    """Return the server at an address, with a board that no run is using: one that is there already, or a new one."""
    for server in _servers:
        if server.asked == (host, port) and not server.board.busy:
            return server
    server = LiveServer(host, port, Board(kind))
    _servers.append(server)
    return server


def stopped_by_viewer() -> bool:
    """Say whether a viewer ended the last run of a page of this process."""
    return any(server.board.stopped for server in _servers)


def announce(server: LiveServer) -> None:
    """Print the address of a page, once; warn where others can reach it."""
    if server.announced:
        return
    server.announced = True
    print(f"live page      {server.url}", file=sys.stderr, flush=True)
    if not loopback(server.asked[0]):
        print(
            "live page      other machines can reach it, unencrypted: give its address to nobody else",
            file=sys.stderr,
            flush=True,
        )


def loopback(host: str) -> bool:
    """Say whether an address is that of this machine to itself."""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def _taken(error: OSError) -> bool:
    import errno

    return error.errno in (errno.EADDRINUSE, errno.EACCES)


class _Refused(Exception):
    """A request that is not answered, with the status and the reason."""

    def __init__(self, status: HTTPStatus, why: str):
        super().__init__(why)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: LiveServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "opty", ""
    timeout = _STALLED
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer(self._got)

    def do_POST(self) -> None:
        self._answer(self._ordered)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the terminal of the run clear."""

    def _answer(self, found: Any) -> None:
        began, self._on_picture = time.thread_time(), 0.0
        where = urlsplit(self.path)
        asked = {name: values[-1] for name, values in parse_qs(where.query).items()}
        try:
            given = asked.get("token", "").encode()
            if not hmac.compare_digest(given, self.server.token.encode()):
                raise _Refused(HTTPStatus.FORBIDDEN, "The token is missing or wrong: use the printed address.")
            found(where.path, asked)
        except _Refused as refused:
            self.close_connection = True
            self._send(str(refused).encode(), "text/plain; charset=utf-8", refused.status)
        finally:
            seconds = time.thread_time() - began
            on_picture = seconds if where.path in PICTURES else self._on_picture
            self.server.board.budget.spend(seconds, on_picture)

    def _got(self, path: str, asked: dict[str, str]) -> None:
        board = self.server.board
        if path == "/":
            page = document()
            self._send(page.html, "text/html; charset=utf-8", policy=page.policy)
        elif path == "/status":
            number, facts, snapshot = board.facts(_whole(asked, "after", -1), _PATIENCE)
            facts |= {"number": number, "kind": board.kind}
            began = time.thread_time()
            facts["picture"] = None if snapshot is None else snapshot.facts()
            self._on_picture = time.thread_time() - began  # the first viewer has the lit area found
            self._send(json.dumps(_finite(facts)).encode(), "application/json")
        elif path in PICTURES:
            if (snapshot := board.snapshot) is None:
                raise _Refused(HTTPStatus.NOT_FOUND, "There is no picture yet.")
            if path == "/positions":
                self._send(snapshot.positions_part(), "application/octet-stream")
            else:
                self._send_part(_part_of(snapshot, path, asked), snapshot.iteration)
        else:
            raise _Refused(HTTPStatus.NOT_FOUND, f"There is no {path} here.")

    def _ordered(self, path: str, asked: dict[str, str]) -> None:
        if (length := self.headers.get("Content-Length", "0")) != "0":
            raise _Refused(HTTPStatus.BAD_REQUEST, f"An order has no content; {length} bytes came with it.")
        if path[1:] not in ORDERS:
            raise _Refused(HTTPStatus.NOT_FOUND, f"There is no order {path[1:]!r}; there are {', '.join(ORDERS)}.")
        if not self.server.board.busy:
            raise _Refused(HTTPStatus.CONFLICT, "No run is under way.")
        self.server.board.order(path[1:])
        self._send(b"{}", "application/json")

    def _send_part(self, part: Part, iteration: int) -> None:
        place = {
            "shape": part.shape,
            "scale": part.scale,
            "rows": part.rows,
            "cols": part.cols,
            "step": part.step,
            "iteration": iteration,
        }
        self._send(part.numbers, "application/octet-stream", place=json.dumps(place))

    def _send(
        self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK, policy: str = "", place: str = ""
    ) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Content-Security-Policy": policy or "default-src 'none'",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        if place:
            self.send_header("X-Opty-Part", place)
        self.end_headers()
        self.wfile.write(content)


def _part_of(snapshot: Snapshot, path: str, asked: dict[str, str]) -> Part:
    most = min(max(_whole(asked, "most", 1024), 16), 4096)
    if path == "/probe":
        return snapshot.probe_part(most)
    height, width = snapshot.obj.shape[-2:]
    rows = _whole(asked, "top", 0), _whole(asked, "bottom", height)
    cols = _whole(asked, "left", 0), _whole(asked, "right", width)
    one = _whole(asked, "slice", -1)
    slices, layer = len(snapshot.obj) if snapshot.obj.ndim == 3 else 0, "state" if snapshot.mixture else "slice"
    if not -1 <= one < max(slices, 1):
        raise _Refused(HTTPStatus.NOT_FOUND, f"There is no {layer} {one}; the object has {slices or 1}.")
    return snapshot.object_part(one if slices and one >= 0 else None, rows, cols, most)


def _whole(asked: dict[str, str], name: str, default: int) -> int:
    text = asked.get(name, "")
    if not text:
        return default
    if not text.lstrip("-").isdecimal() or len(text) > 12:
        raise _Refused(HTTPStatus.BAD_REQUEST, f"{name} is {text[:40]!r}; give a whole number.")
    return int(text)


def _finite(value: Any) -> Any:
    """Return facts with None in place of numbers that JSON does not have."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

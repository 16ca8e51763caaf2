"""The page for a result file: what is in it, and again when another process writes it anew."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opty.live.server import LiveServer, announce, serving
from opty.live.shown import curve
from opty.live.snapshot import Snapshot
from opty.runtime.recipe_edit import without_outputs
from opty.state import BareState

_LOOK = 1.0  # seconds between looks at the file


def show_result(
    path: Path, load: Callable[[], BareState], host: str = "127.0.0.1", port: int | None = None
) -> LiveServer:
    """Put a result file up on a page; return its server.

    ``load`` : reads the file.
    """
    server = serving(host, port, "result")
    put_result(server, path, load())
    announce(server)
    return server


def keep_showing(server: LiveServer, path: Path, load: Callable[[], BareState]) -> None:
    """Put a result up again whenever its file has changed, until Ctrl-C.

    A file that cannot be read is said to be so, and what it held before stays.
    """
    seen = _stamp(path)
    while True:
        time.sleep(_LOOK)
        now = _stamp(path)
        if now == seen:
            continue
        seen = now
        try:
            put_result(server, path, load())
        except (OSError, ValueError, RuntimeError) as error:
            server.board.put(note={"failed": True, "text": " ".join(f"{path}: {error}".split())})


def put_result(server: LiveServer, path: Path, p: BareState) -> None:
    """Put a result up in place of what was there."""
    facts: dict[str, Any] = {"iteration": p.iteration, "views": p.data.views, "recipe": repr(without_outputs(p.recipe))}
    server.board.put(Snapshot.of(p), state="result", file=str(path), curve=curve(p.history), note=None, **facts)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size

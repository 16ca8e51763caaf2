"""Runs in a thread with a page."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from small_scans import scan, state
from viewer import TOKEN, Viewer

from opty.live import server as servers


@pytest.fixture
def token(monkeypatch):
    """The token of all pages; their servers end with the test."""
    monkeypatch.setenv(servers.TOKEN, TOKEN)
    servers._servers.clear()  # of other tests
    yield TOKEN
    for one in servers._servers:
        one.close()
    servers._servers.clear()


@pytest.fixture
def start():
    return state(scan())


@pytest.fixture
def shown(token, start):
    """Function that runs a recipe in a thread; returns a viewer of its page and what the run will return."""
    opened, pool = threading.Event(), ThreadPoolExecutor(1)

    def run(recipe, p=start):
        before = len(servers._servers)
        future = pool.submit(lambda: recipe * p)
        for _ in range(1000):
            if len(servers._servers) > before or future.done():
                break
            opened.wait(0.01)
        return Viewer(servers._servers[-1].url), future

    yield run
    for one in servers._servers:
        one.board.order("stop")
    pool.shutdown()

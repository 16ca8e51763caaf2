"""Prefetching: a thread makes the next item while the last one is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T]) -> Iterator[T]:
    """Yield the items while a separate thread makes the next one; its exceptions are raised here.

    At most two items are alive: the one in use and the next. Closing the generator ends the thread.
    """
    making, end = iter(items), object()
    with ThreadPoolExecutor(1, "opty-ahead") as pool:
        coming = pool.submit(next, making, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, making, end)
            yield item  # type: ignore[misc]  # mypy cannot exclude ``end`` by identity
            del item

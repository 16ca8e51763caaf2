"""Working ahead: the next item is made in a thread while the last one is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T]) -> Iterator[T]:
    """Yield the items, one being made in a thread of its own meanwhile; its exceptions are raised here.

    At most two items are alive: the one in use and the next. When the generator is closed the thread has ended.
    """
    making, end = iter(items), object()
    with ThreadPoolExecutor(1, "opty-ahead") as pool:
        coming = pool.submit(next, making, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, making, end)
            yield item  # type: ignore[misc]  # end is not among them
            del item

"""Background production of training scenes, so that drawing overlaps with optimisation."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


def prefetch(make: Callable[[int], T], depth: int = 3, start: int = 0) -> Iterator[T]:
    """Yield ``make(start), make(start + 1), ...`` computed ahead of time by one daemon thread."""
    results: queue.Queue = queue.Queue(maxsize=depth)

    def work() -> None:
        index = start
        while True:
            try:
                results.put(make(index))
            except Exception as error:  # noqa: BLE001 - re-raised by the consumer
                results.put(error)
                return
            index += 1

    threading.Thread(target=work, daemon=True).start()
    while True:
        item = results.get()
        if isinstance(item, Exception):
            raise item
        yield item

"""Moto answers one request at a time: its own state is not made for threads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chalicelib.store.connection import connection


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let the threads of a function meet moto as they meet the emulated cloud's server."""
    lock = threading.Lock()

    def take(**_: Any) -> None:
        lock.acquire(timeout=30)

    def give(**_: Any) -> None:
        lock.release()

    events = connection().client.meta.events
    # Moto itself is a handler of this event, between the first and the last.
    events.register_first("before-send", take)
    events.register_last("before-send", give)
    try:
        yield
    finally:
        events.unregister("before-send", take)
        events.unregister("before-send", give)

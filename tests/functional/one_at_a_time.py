"""Moto answers one request at a time: its own state is not made for threads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto.core.botocore_stubber import BotocoreStubber

from infra.emulator.patches import Patches


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let the threads of a function meet moto as they meet the emulated cloud's server.

    A request that moto does not answer, because it goes to a real engine, waits for nobody.
    """
    lock = threading.RLock()
    patches = Patches()

    def locked(original: Any) -> Any:
        def process_request(self: Any, request: Any) -> Any:
            with lock:
                return original(self, request)

        return process_request

    patches.wrap(BotocoreStubber, "process_request", locked)
    try:
        yield
    finally:
        patches.undo()

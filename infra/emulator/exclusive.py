"""One user of moto's state at a time.

Moto's backends are global to the process. A second emulated cloud, or moto's in-process mode
beside a running one, would wipe the first one's tables without a word.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_guard = threading.Lock()
_holders: list[str] = []


@contextmanager
def claim(who: str) -> Iterator[None]:
    """Hold moto's state.

    Raises:
        RuntimeError: Somebody else in this process holds it.
    """
    with _guard:
        if _holders:
            raise RuntimeError(f"{who} cannot start: {_holders[0]} holds moto in this process")
        _holders.append(who)
    try:
        yield
    finally:
        with _guard:
            _holders.remove(who)

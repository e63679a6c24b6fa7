"""Runs MiniStack in its own environment, and may change how often it looks for expired rows.

MiniStack looks for rows whose time has come once a minute, in a thread that sleeps between. A
test cannot wait that long, and one whose clock stands in the past would lose its rows in the
middle. Nothing but the length of that sleep is changed; without the variable it is MiniStack's.
"""

import importlib
import os
import sys
import threading
import time
from typing import SupportsIndex

_REAPER = "dynamodb-ttl-reaper"
_sleep = time.sleep


def main() -> None:
    """Start it."""
    pause = os.environ.get("EXPIRY_PAUSE_SECONDS")
    if pause is not None:
        _let_the_reaper_pause(float(pause))
    importlib.import_module("ministack.app").main()


def _let_the_reaper_pause(seconds: float) -> None:
    def sleep(wanted: float | SupportsIndex) -> None:
        _sleep(seconds if threading.current_thread().name == _REAPER else wanted)

    time.sleep = sleep
    importlib.import_module("ministack.services.dynamodb")  # it starts the thread
    if _REAPER not in {thread.name for thread in threading.enumerate()}:
        sys.exit("MiniStack no longer has the thread whose pause is to be changed")


if __name__ == "__main__":
    main()

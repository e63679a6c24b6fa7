"""Moto's clock: asked for each message that waits in a queue, at each request to the queue."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from moto.core import utils

from infra.emulator.patches import MotoObject, Patches, require_parameters


def close(patches: Patches) -> None:
    """Read the system's clock as the number that it is, without two dates in between."""
    require_parameters(utils.unix_time, "dt")
    patches.wrap(utils, "unix_time", _read)


def _read(original: Callable[..., Any]) -> MotoObject:
    def unix_time(dt: datetime | None = None) -> float:
        # To the microsecond, as moto's dates are.
        return int(time.time() * 1e6) / 1e6 if dt is None else original(dt)

    return unix_time

"""The app's own log lines, with all their fields."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from chalicelib.telemetry import logger


@contextmanager
def captured() -> Iterator[io.StringIO]:
    """Collect what is logged meanwhile."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logger.registered_formatter)
    logger.addHandler(handler)
    try:
        yield stream
    finally:
        logging.getLogger("rollcall").removeHandler(handler)

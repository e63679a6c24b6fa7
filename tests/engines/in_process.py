"""The app in this process, on an engine of its own or on a deployed stage's tables."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.backend import backend
from chalicelib import runtime
from infra.local_stack import LocalStack
from tests.functional.api import Api
from tests.functional.clock import FrozenClock
from tests.process_environment import surrounded_by

BUCKET_MS = 300_000
"""The default width of a bucket of the overdue index."""


@contextmanager
def app_on_ministack(folder: Path) -> Iterator[Api]:
    """The app on a MiniStack of its own. Its clock stands at the beginning of a bucket.

    Rows whose time has come are removed there, so it stands near the present.
    """
    clock = FrozenClock()
    clock.now = (time.time_ns() // 1_000_000 // BUCKET_MS + 1) * BUCKET_MS
    with backend(folder) as environ, surrounded_by(environ):
        runtime.use(runtime.Runtime(clock=clock, sleep=clock.slept.append, random=lambda: 0.5))
        with Api(clock) as api:
            yield api


def of_stage(stack: LocalStack) -> dict[str, str]:
    """The variables of a deployed stage's own functions."""
    function = stack.cloud.functions[f"rollcall-{stack.target.stage}"]
    return {**function._spec.environment, **stack.cloud.environ}

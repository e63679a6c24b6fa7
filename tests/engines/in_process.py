"""The app in this process, on an engine of its own or on a deployed stage's tables."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.backend import backend
from chalicelib import runtime, settings
from chalicelib.store.connection import connection
from infra.local_stack import LocalStack
from tests.functional.api import Api
from tests.functional.clock import FrozenClock

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


@contextmanager
def surrounded_by(environ: Mapping[str, str]) -> Iterator[None]:
    """Let this process be one that runs the app with these variables and no others of AWS's."""
    own = [name for name in os.environ if name.startswith(("AWS_", "ROLLCALL_"))]
    before = {name: os.environ.pop(name) for name in own}
    wanted = {name: value for name, value in environ.items() if name != "PATH"}
    others = {name: os.environ[name] for name in wanted if name in os.environ}
    os.environ.update(wanted)
    _forget()
    try:
        yield
    finally:
        for name in wanted:
            os.environ.pop(name, None)
        os.environ.update(others | before)
        _forget()


def _forget() -> None:
    runtime.use(None)
    settings.load.cache_clear()
    connection.cache_clear()


def of_stage(stack: LocalStack) -> dict[str, str]:
    """The variables of a deployed stage's own functions."""
    function = stack.cloud.functions[f"rollcall-{stack.target.stage}"]
    return {**function._spec.environment, **stack.cloud.environ}

"""Which engines stand behind a stage: moto alone, or both of the real ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.engines.engine import EngineError, Engines
from infra.engines.ministack import ministack
from infra.engines.seaweedfs import seaweedfs


def chosen() -> bool:
    """Whether `ENGINES=real` was asked for.

    Raises:
        EngineError: something else was.
    """
    wanted = os.environ.get("ROLLCALL_ENGINES", "")
    if wanted not in {"", "moto", "real"}:
        raise EngineError(f"ENGINES={wanted}: say moto or real")
    return wanted == "real"


@contextmanager
def real_engines(run_dir: Path, *, expiry_pause: float | None = None) -> Iterator[Engines]:
    """MiniStack and SeaweedFS, side by side.

    Args:
        run_dir: a folder for them.
        expiry_pause: seconds between MiniStack's looks for expired rows; its own are 60.

    Raises:
        EngineError: one does not start.
    """
    with seaweedfs(run_dir) as store, ministack(run_dir, expiry_pause=expiry_pause) as database:
        yield Engines(database.url, store.url)

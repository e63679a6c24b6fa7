"""A progress bar where somebody is watching, and nothing where nobody is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rollcall_agent.file_form import Progress


@contextmanager
def progress_bar(total: int) -> Iterator[Progress]:
    """Show how much of a file was sent, on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _sent: None
        return
    # Imported here, because the long-running agent never draws and should not pay for it.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("upload", total=total)
        yield lambda sent: bar.update(task, completed=sent)

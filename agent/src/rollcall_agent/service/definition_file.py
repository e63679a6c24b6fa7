"""Writing what a service manager reads."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.private_files import sync_folder

# A definition holds no secret, and other tools of the host look into it.
MODE: Final = 0o644


def write_definition(path: Path, content: bytes) -> None:
    """Replace the file, so that a crash leaves the old one or the new one."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
        with os.fdopen(descriptor, "wb") as file:
            os.chmod(temporary, MODE)  # noqa: PTH101 - whatever the umask is
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise AgentError(
            f"Cannot write {path} ({error.strerror}). Next: run this as root (sudo).",
            ExitCode.USAGE,
        ) from error

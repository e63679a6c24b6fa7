"""Kills the process that loads it, at a chosen step, with SIGKILL.

Python imports a module of this name at start, so putting this folder on PYTHONPATH arms any Python
program without changing a line of it. A step is something that leaves a trace outside the process:
an operation on a watched folder, a flush to disk, a network operation. The process dies *before*
the step is carried out; what follows one step and precedes the next leaves no trace, so the kill at
the next step also stands for the kill after this one.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

WATCH = "ROLLCALL_FAULT_WATCH"
KILL_AT = "ROLLCALL_FAULT_KILL_AT"
LOG = "ROLLCALL_FAULT_LOG"

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
ON_PATHS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink"}
ON_DESCRIPTORS = {"os.chmod", "os.chown", "os.truncate", "fcntl.flock"}
ANYWHERE = {"socket.getaddrinfo", "socket.connect", "fault.fsync", "fault.send", "fault.recv"}


class KillSwitch:
    """Counts steps, writes them down, and pulls the plug at the chosen one."""

    def __init__(self, watch: str, kill_at: int, log: str | None) -> None:
        self._watch = os.path.realpath(watch)
        self._kill_at = kill_at
        self._log = log
        self._count = 0
        self._is_inside = False

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """Look at one audit event."""
        if self._is_inside or not self._is_step(event, args):
            return
        self._is_inside = True
        self._count += 1
        self._write_down(event)
        if self._count == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._is_inside = False

    def _is_step(self, event: str, args: tuple[Any, ...]) -> bool:
        if event in ANYWHERE:
            return True
        if event == "open":
            return bool((args[2] or 0) & WRITING) and self._is_watched(args[0])
        if event in ON_PATHS:
            return any(self._is_watched(argument) for argument in args)
        return event in ON_DESCRIPTORS and (isinstance(args[0], int) or self._is_watched(args[0]))

    def _is_watched(self, path: object) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        # Not realpath: the file itself may be a link that is about to be replaced.
        full = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - runs before pathlib is loaded
        return full == self._watch or full.startswith(self._watch + os.sep)

    def _write_down(self, event: str) -> None:
        if self._log is None:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        descriptor = os.open(self._log, flags, 0o600)
        os.write(descriptor, f"{self._count} {event}\n".encode())
        os.close(descriptor)


def _announced(event: str, function: Callable[P, R]) -> Callable[P, R]:
    """Make a step of a function that raises no audit event of its own."""

    def announcing(*args: P.args, **kwargs: P.kwargs) -> R:
        sys.audit(event)
        return function(*args, **kwargs)

    return announcing


def _arm() -> None:
    watch = os.environ.get(WATCH)
    if watch is None:
        return
    os.fsync = _announced("fault.fsync", os.fsync)
    socket.socket.send = _announced("fault.send", socket.socket.send)  # type: ignore[method-assign]
    socket.socket.recv = _announced("fault.recv", socket.socket.recv)  # type: ignore[method-assign]
    sys.addaudithook(KillSwitch(watch, int(os.environ.get(KILL_AT, "0")), os.environ.get(LOG)))


_arm()

"""Child processes that never outlive the command that started them."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.console import Say
from infra.errors import DeployError

_GRACE_SECONDS = 10


def run_child(
    argv: Sequence[str], *, cwd: Path, environ: Mapping[str, str], say: Say, what: str
) -> None:
    """Run a program to its end and pass its output on, line by line.

    It gets a process group of its own, which ends with us however we end: pip, for one, starts
    children of its own.

    Args:
        argv: program and arguments.
        cwd: directory to run in.
        environ: its whole environment.
        say: takes each line of output.
        what: the program's name for the error.

    Raises:
        DeployError: it did not exit with 0.
    """
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        for line in process.stdout or ():
            if line.strip():
                say(f"  {line.rstrip()}")
        code = process.wait()
    except BaseException:
        _end(process)
        raise
    finally:
        if process.stdout:
            process.stdout.close()
    if code != 0:
        raise DeployError(f"{what} failed with exit code {code}; its output is above")


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

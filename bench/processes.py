"""Processes of the function: started bare, asked in lines of JSON, and always ended."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HERE = Path(__file__).parent
OURS = "app:app"
Event = dict[str, Any]


@dataclass(frozen=True)
class Served:
    """What some events were answered, and what that took in the function's process."""

    answers: list[dict[str, Any]]
    elapsed_ms: float
    cpu_ms: float

    @property
    def statuses(self) -> list[int]:
        """Their HTTP status codes."""
        return [answer["statusCode"] for answer in self.answers]


class ProcessError(RuntimeError):
    """A measured process ended, or answered what makes its figures worthless."""


class FunctionProcess:
    """One warm process, as Lambda keeps it.

    Args:
        package: the unpacked package.
        environ: its whole environment.
        target: `module:name` of the handler.
        beside: a folder of modules besides the package.
    """

    def __init__(
        self,
        package: Path,
        environ: Mapping[str, str],
        target: str = OURS,
        beside: Path = HERE / "function",
    ) -> None:
        # The base interpreter: a virtual environment's own one would bring its packages along.
        python = getattr(sys, "_base_executable", None) or sys.executable
        program = HERE / "function" / "process.py"
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
            [python, "-I", "-S", "-B", str(program), str(package), str(beside), target],
            cwd=package,
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        try:
            self.imported = self._read()
        except BaseException:
            self.stop()
            raise

    def call(self, events: Sequence[Event]) -> Served:
        """Have events handled one after the other."""
        if self._process.stdin is None:
            raise ProcessError("its input is closed")
        self._process.stdin.write(json.dumps(events) + "\n")
        self._process.stdin.flush()
        return self._read()

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _read(self) -> Served:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise ProcessError("the function's process ended; its last words are above")
        said = json.loads(line)
        return Served(said.get("answers", []), said["elapsed_ns"] / 1e6, said["cpu_ns"] / 1e6)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def require(served: Served, *expected: int) -> Served:
    """Take figures only of calls that did what is measured.

    Raises:
        ProcessError: one was answered otherwise.
    """
    for answer in served.answers:
        if answer["statusCode"] not in expected:
            raise ProcessError(f"answered {answer['statusCode']}: {answer.get('body')}")
    return served

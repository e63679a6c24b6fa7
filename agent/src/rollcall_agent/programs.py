"""Running other programs: the host's own tools, and a new version of the agent."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

SLOWEST: Final = 60.0
NOT_FOUND: Final = 127
TOO_SLOW: Final = 124


@dataclass(frozen=True)
class Ran:
    """How a program ended, and what it printed."""

    code: int
    output: str

    @property
    def succeeded(self) -> bool:
        """Whether it said that all is well."""
        return self.code == 0


class Runner(Protocol):
    """Whatever can run a program."""

    def run(self, command: Sequence[str]) -> Ran:
        """Run a program to its end; one that does not exist has the code 127, as in a shell."""


@dataclass(frozen=True)
class Programs:
    """Runs programs of this host."""

    environment: Mapping[str, str]
    seconds: float = SLOWEST

    @classmethod
    def of_this_host(cls) -> Programs:
        """Return the runner for real."""
        return cls(os.environ)

    def run(self, command: Sequence[str]) -> Ran:
        """Run a program to its end, without a terminal and within bounds of time."""
        try:
            done = subprocess.run(  # noqa: S603 - our own argument vectors, never a shell
                list(command),
                env=clean_environment(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=self.seconds,
                check=False,
            )
        except FileNotFoundError:
            return Ran(NOT_FOUND, f"{command[0]} is not installed")
        except subprocess.TimeoutExpired:
            return Ran(TOO_SLOW, f"{command[0]} did not end within {self.seconds:.0f} s")
        except OSError as error:
            return Ran(NOT_FOUND, f"{command[0]}: {error.strerror}")
        return Ran(done.returncode, done.stdout.decode("utf-8", "replace"))


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment as it was before the one-file build's loader changed it.

    The loader puts its own libraries first, which other programs must not load, and leaves marks
    by which another one-file build would take itself for a part of this process.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if name != "_MEIPASS2" and not name.startswith("_PYI_")
    }
    for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LIBPATH"):
        before = kept.pop(f"{name}_ORIG", None)
        if before is not None:
            kept[name] = before
        elif "_PYI_ARCHIVE_FILE" in environment or "_MEIPASS2" in environment:
            kept.pop(name, None)
    kept["PYINSTALLER_RESET_ENVIRONMENT"] = "1"
    return kept

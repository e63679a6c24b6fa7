"""Runs `rollcall`, the real process, with nothing of the developer's own configuration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SLOWEST_COMMAND = 90


@dataclass(frozen=True)
class Cli:
    """One operator's machine.

    Args:
        folder: the home.
        url: the control plane.
        credential: what `ROLLCALL_CREDENTIAL` holds; none where somebody logs in.
        said: takes everything that the commands print, for whoever looks for secrets in it.
    """

    folder: Path
    url: str
    credential: str | None = field(default=None, repr=False)
    said: list[str] = field(default_factory=list, repr=False)

    @property
    def credentials_file(self) -> Path:
        """Where a session is kept."""
        return self.folder / "config" / "rollcall" / "credentials.json"

    def command(self, *arguments: str) -> list[str]:
        """The command line."""
        return [sys.executable, "-m", "rollcall_cli", *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of the process."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ROLLCALL_", "XDG_"))}
        kept |= {"HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder / "config")}
        if self.credential is not None:
            kept |= {"ROLLCALL_CREDENTIAL": self.credential, "ROLLCALL_API_BASE_URL": self.url}
        return kept | more

    def run(
        self, *arguments: str, stdin: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ended = subprocess.run(
            self.command(*arguments),
            env=self.environment(**environment),
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=SLOWEST_COMMAND,
            check=False,
        )
        self.said.extend((ended.stdout, ended.stderr))
        return ended

    def ok(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a command that must succeed; what it prints."""
        ended = self.run(*arguments, stdin=stdin)
        assert ended.returncode == 0, (arguments, ended.returncode, ended.stderr)
        return ended.stdout

    def json(self, *arguments: str) -> Any:
        """Run a command that must succeed; the one document that it prints."""
        return json.loads(self.ok(*arguments, "--json"))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and return at once; the caller ends it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def json_lines(text: str) -> Iterator[Any]:
    """The values of a stream of JSON lines."""
    return (json.loads(line) for line in text.splitlines())

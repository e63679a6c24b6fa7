"""One host: a prefix that the real script installs into."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.install_script.control_plane import ControlPlane

HERE = Path(__file__).parent
FAKE_AGENT = HERE / "fake_agent.sh"
KILL_AT_STEP = HERE / "kill_at_step.sh"
TOKEN = "rce_canary-of-the-installer-0123456789"
SLOWEST = 60
INSTALLED = ["rollcall-agent", "rollcall-agent.bin"]
PROGRAMS = [
    *(
        "cat",
        "chmod",
        "cp",
        "curl",
        "date",
        "df",
        "env",
        "find",
        "grep",
        "head",
        "mkdir",
        "mktemp",
        "mv",
    ),
    *("openssl", "rm", "sed", "sleep", "tail", "tr", "uname", "wc"),
]


@dataclass(frozen=True)
class Prefix:
    """A folder that a script installs into, and how it looks afterwards."""

    root: Path

    @property
    def binary(self) -> Path:
        """The command that an operator gives."""
        return self.root / "usr/local/bin/rollcall-agent"

    @property
    def program(self) -> Path:
        """The one-file build that the command starts."""
        return self.root / "usr/local/bin/rollcall-agent.bin"

    @property
    def config(self) -> Path:
        """The agent's env file."""
        return self.root / "etc/rollcall/agent.env"

    @property
    def state(self) -> Path:
        """The agent's state folder."""
        return self.root / "var/lib/rollcall"

    @property
    def unpacking(self) -> Path:
        """Where the one-file build unpacks itself."""
        return self.state / "tmp"

    @property
    def unpacking_commands(self) -> Path:
        """Where it does so for a command, out of the service's way."""
        return self.unpacking / "commands"

    def left_in_state(self) -> list[Path]:
        """What is in the state folder besides the empty places to unpack in."""
        usual = {self.unpacking, self.unpacking_commands}
        return [path for path in self.state.rglob("*") if path not in usual]

    def programs(self) -> list[str]:
        """What is where the agent is installed."""
        return sorted(path.name for path in self.binary.parent.iterdir())

    @property
    def temporary(self) -> Path:
        """Where the script puts its temporary folder."""
        return self.root / "tmp"

    def settings(self) -> dict[str, str]:
        """The env file, the last line winning."""
        lines = self.config.read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")

    def write(self, path: str, content: str) -> Path:
        """Put a file into the prefix."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
        return target

    def token_file(self, token: str = TOKEN) -> Path:
        """A file with a token, for its owner only."""
        path = self.write("root.token", f"{token}\n")
        path.chmod(0o600)
        return path

    def environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        """An environment that holds nothing of the developer's own configuration."""
        for folder in (self.temporary, self.root / "home"):
            folder.mkdir(parents=True, exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root / "home"),
            "TMPDIR": str(self.temporary),
            "ROLLCALL_PREFIX": str(self.root),
            "ROLLCALL_WAIT_SECONDS": "1",
            **extra,
        }

    def run_script(
        self, script: str, *arguments: str, token: str | None, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a script as `curl | bash` does: it comes through stdin.

        Args:
            script: its text.
            arguments: its arguments.
            token: goes into a token file; None gives none.
            extra: environment variables.
        """
        if token is not None:
            extra = {"ROLLCALL_TOKEN_FILE": str(self.token_file(token)), **extra}
        return subprocess.run(
            ["bash", "-s", "--", *arguments],
            input=script,
            env=self.environment(extra),
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=SLOWEST,
            check=False,
            # Without a terminal, and with a process group of its own to be killed with.
            start_new_session=True,
        )


@dataclass(frozen=True)
class Host(Prefix):
    """A prefix in which a stand-in for the agent is installed."""

    plane: ControlPlane

    def install(
        self, *arguments: str, token: str | None = TOKEN, script: str | None = None, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the script that the control plane serves, or another one."""
        text = self.plane.script() if script is None else script
        return self.run_script(text, *arguments, token=token, **extra)

    def fake(self, name: str) -> Path:
        """A file that steers the agent's stand-in, or that it left."""
        return self.root / "fake" / name

    def calls(self) -> list[str]:
        """How the agent was called, command first, without its version's check."""
        log = self.fake("calls")
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in lines if line != "version"]

    def commands(self) -> list[str]:
        """The agent's commands, in their order."""
        return [line.split(" --")[0] for line in self.calls()]

    def spent(self) -> list[str]:
        """The tokens that were spent."""
        log = self.fake("spent")
        return log.read_text().split() if log.exists() else []


def altered(script: str, *pairs: tuple[str, str]) -> str:
    """Return a script with each text, which stands in it once, replaced by the other."""
    for here, there in pairs:
        assert script.count(here) == 1, here
        script = script.replace(here, there)
    return script


def killing_path(folder: Path) -> dict[str, str]:
    """What makes each command of a script a step at which it may die (see `kill_at_step.sh`)."""
    folder.mkdir()
    for name in PROGRAMS:
        (folder / name).symlink_to(KILL_AT_STEP)
    real = os.environ["PATH"]
    return {"PATH": f"{folder}:{real}", "REAL_PATH": real, "STEP": str(KILL_AT_STEP)}


def text_of(result: subprocess.CompletedProcess[str]) -> str:
    """All that a run printed."""
    return result.stdout + result.stderr

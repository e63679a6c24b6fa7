"""Where the agent's configuration comes from, in which order.

A command line option goes before the process's environment, and that before the env file. The
identity is the exception: its two halves are taken from one place, the env file first, because
that is what the agent itself writes and an environment may be older.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rollcall_agent.env_file import EnvFile
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.private_files import is_widely_readable
from rollcall_agent.say import Say
from rollcall_agent.secret import Secret, enrollment_token, is_credential
from rollcall_agent.urls import check_base_url

DEFAULT_CONFIG: Final = Path("/etc/rollcall/agent.env")
URL: Final = "ROLLCALL_API_BASE_URL"
TOKEN: Final = "ROLLCALL_TOKEN"  # noqa: S105 - a name, not a secret
AGENT_ID: Final = "ROLLCALL_AGENT_ID"
AGENT_KEY: Final = "ROLLCALL_AGENT_API_KEY"
IDEMPOTENCY_KEY: Final = "ROLLCALL_ENROLLMENT_IDEMPOTENCY_KEY"
TOKEN_FINGERPRINT: Final = "ROLLCALL_ENROLLMENT_TOKEN_SHA256"  # noqa: S105 - a name, not a secret
ALLOW_HTTP: Final = "ROLLCALL_ALLOW_HTTP"
CONFIG: Final = "ROLLCALL_CONFIG"
STATE_FILE: Final = "ROLLCALL_STATE_FILE"


@dataclass(frozen=True)
class Identity:
    """Who this host is to the control plane."""

    agent_id: str
    key: Secret


@dataclass(frozen=True)
class Settings:
    """The configuration as it is at one moment."""

    path: Path
    environment: Mapping[str, str]
    file: EnvFile

    @classmethod
    def load(cls, config: Path | None, environment: Mapping[str, str]) -> Settings:
        """Read the env file that the option, the environment or the default names."""
        path = config or Path(environment.get(CONFIG) or DEFAULT_CONFIG)
        return cls(path, environment, EnvFile.load(path))

    def value(self, name: str) -> str | None:
        """Look a setting up: environment, then env file."""
        return self.environment.get(name) or self.file.get(name)

    @property
    def allow_http(self) -> bool:
        """Whether the operator insists on plain HTTP to other hosts."""
        return self.value(ALLOW_HTTP) == "1"

    def base_url(self, option: str | None = None) -> str:
        """Return the control plane's base URL, checked."""
        raw = option or self.value(URL)
        if not raw:
            raise AgentError(
                f"No control plane is configured. Next: give --url, or set {URL}.", ExitCode.USAGE
            )
        return check_base_url(raw, allow_http=self.allow_http)

    def identity(self) -> Identity | None:
        """Return the identity, or None where this host has none."""
        for source in (self.file.get, self.environment.get):
            agent_id, key = source(AGENT_ID), source(AGENT_KEY)
            if agent_id and key:
                return _identity(agent_id, key)
        return None

    def token(self) -> Secret | None:
        """Return the enrollment token of the environment or the env file."""
        given = self.environment.get(TOKEN)
        if given:
            return enrollment_token(given, f"the environment's {TOKEN}")
        stored = self.file.get(TOKEN)
        return enrollment_token(stored, f"{self.path}") if stored else None

    def state_file(self) -> Path:
        """Return where `run` leaves its last known state for `status`."""
        named = self.value(STATE_FILE)
        return Path(named) if named else self.path.with_suffix(".state.json")

    def warn_if_exposed(self, say: Say) -> None:
        """Warn where others may read the secrets of the env file."""
        if is_widely_readable(self.path):
            say.warn(f"{self.path} can be read by others. Next: chmod 600 {self.path}")


def _identity(agent_id: str, key: str) -> Identity:
    if not is_credential(agent_id) or not is_credential(key):
        raise AgentError(
            f"{AGENT_ID} or {AGENT_KEY} holds characters that no identity has.", ExitCode.USAGE
        )
    return Identity(agent_id, Secret(key))

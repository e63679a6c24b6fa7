"""The sessions of this person on this machine: one a control plane, in one private file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollcall_cli.exits import usage
from rollcall_cli.private_files import make_private_folder, one_writer, write_private
from rollcall_cli.secret import Secret


@dataclass(frozen=True)
class Login:
    """A session at one control plane."""

    url: str
    session: Secret = field(repr=False)
    username: str | None = None
    organization: str | None = None
    expires_at: str | None = None


@dataclass(frozen=True)
class Logins:
    """The file that holds them.

    A session is sent only to the URL that it was made at.
    """

    path: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Logins:
        """The file of this person, by the XDG rules."""
        base = environ.get("XDG_CONFIG_HOME") or ""
        # A relative one is to be ignored, says the XDG specification.
        folder = Path(base) if base.startswith("/") else Path.home() / ".config"
        return cls(folder / "rollcall" / "credentials.json")

    def current_url(self) -> str | None:
        """Where the last login was."""
        current = self._load().get("current")
        return current if isinstance(current, str) else None

    def find(self, url: str) -> Login | None:
        """The session at a control plane."""
        entry = self._sessions(self._load()).get(url)
        if not isinstance(entry, dict) or not isinstance(entry.get("session"), str):
            return None
        rest = {name: entry.get(name) for name in ("username", "organization", "expires_at")}
        return Login(url, Secret(entry["session"]), **rest)

    def keep(self, login: Login) -> None:
        """Keep a session, and speak to its control plane from now on."""
        make_private_folder(self.path.parent)
        with one_writer(self.path.parent):
            content = self._load()
            sessions = self._sessions(content)
            sessions[login.url] = {
                "session": login.session.reveal(),
                "username": login.username,
                "organization": login.organization,
                "expires_at": login.expires_at,
            }
            self._save({"current": login.url, "sessions": sessions})

    def forget(self, url: str) -> None:
        """Throw a session away; the control plane stays the current one."""
        if not self.path.exists():
            return
        with one_writer(self.path.parent):
            content = self._load()
            sessions = self._sessions(content)
            sessions.pop(url, None)
            self._save({"current": content.get("current"), "sessions": sessions})

    def _save(self, content: dict[str, Any]) -> None:
        write_private(self.path, [json.dumps(content, indent=2).encode(), b"\n"])

    def _load(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise usage(
                f"{self.path} cannot be read. Next: remove it and run `rollcall login`."
            ) from error
        return content if isinstance(content, dict) else {}

    @staticmethod
    def _sessions(content: dict[str, Any]) -> dict[str, Any]:
        sessions = content.get("sessions")
        return sessions if isinstance(sessions, dict) else {}

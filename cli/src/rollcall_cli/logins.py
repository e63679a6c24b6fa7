"""The sessions of this person on this machine: one a control plane, in one private file."""

from __future__ import annotations

import json
import os
import pwd
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rollcall_cli.exits import CliError, usage
from rollcall_cli.private_files import make_private_folder, one_writer, write_private
from rollcall_cli.secret import Secret, is_credential

URL: Final = "ROLLCALL_API_BASE_URL"
CREDENTIAL: Final = "ROLLCALL_CREDENTIAL"
# Of the file's form. A file without one is of the first.
_VERSION: Final = 1


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

    path: Path | None

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Logins:
        """The file of this person, by the XDG rules."""
        base = environ.get("XDG_CONFIG_HOME") or ""
        if base.startswith("/"):
            # A relative one is to be ignored, says the XDG specification.
            return cls(Path(base) / "rollcall" / "credentials.json")
        home = _home(environ)
        return cls(home and home / ".config" / "rollcall" / "credentials.json")

    def current_url(self) -> str | None:
        """Where the last login was."""
        current = self._load().get("current")
        return current if isinstance(current, str) else None

    def find(self, url: str) -> Login | None:
        """The session at a control plane."""
        entry = self._sessions(self._load()).get(url)
        session = entry.get("session") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not is_credential(session):
            return None
        rest = {name: entry.get(name) for name in ("username", "organization", "expires_at")}
        return Login(url, Secret(str(session)), **rest)

    def check_writable(self) -> None:
        """See that a session can be kept before there is one.

        Raises:
            CliError: it cannot.
        """
        self._load()
        with self._changing() as path, tempfile.TemporaryFile(dir=path.parent) as probe:
            probe.write(b" " * 4096)
            probe.flush()

    def keep(self, login: Login) -> None:
        """Keep a session, and speak to its control plane from now on.

        Raises:
            CliError: it cannot be kept.
        """
        with self._changing() as path:
            sessions = self._sessions(self._load())
            sessions[login.url] = {
                "session": login.session.reveal(),
                "username": login.username,
                "organization": login.organization,
                "expires_at": login.expires_at,
            }
            _save(path, {"current": login.url, "sessions": sessions})

    def forget(self, url: str) -> None:
        """Throw a session away; the control plane stays the current one."""
        if self.find(url) is None:
            return
        with self._changing() as path:
            content = self._load()
            sessions = self._sessions(content)
            sessions.pop(url, None)
            _save(path, {"current": content.get("current"), "sessions": sessions})

    @contextmanager
    def _changing(self) -> Iterator[Path]:
        """The file, while no other process changes it."""
        if self.path is None:
            raise usage(
                "There is no home folder to keep a session in. Next: set HOME, or XDG_CONFIG_HOME "
                f"to an absolute path; or set {CREDENTIAL} and {URL} instead of logging in."
            )
        try:
            make_private_folder(self.path.parent)
            with one_writer(self.path.parent):
                yield self.path
        except OSError as error:
            raise usage(
                f"A session cannot be kept in {self.path}: {error.strerror}. Next: make that "
                "folder writable, or set XDG_CONFIG_HOME to another one."
            ) from error

    def _load(self) -> dict[str, Any]:
        if self.path is None:
            return {}
        try:
            written = self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise usage(f"{self.path} cannot be read: {error.strerror}.") from error
        if not written.strip():
            return {}
        try:
            content = json.loads(written)
        except (ValueError, RecursionError) as error:
            raise self._damaged() from error
        if not isinstance(content, dict):
            raise self._damaged()
        version = content.get("version", _VERSION)
        if not isinstance(version, int) or version > _VERSION:
            raise usage(
                f"{self.path} is of a newer rollcall. Next: bring this one up to date, or set "
                "XDG_CONFIG_HOME to another folder."
            )
        return content

    def _damaged(self) -> CliError:
        return usage(
            f"{self.path} is damaged. Next: remove it and run `rollcall login`; sessions end by "
            "themselves after 24 hours."
        )

    @staticmethod
    def _sessions(content: dict[str, Any]) -> dict[str, Any]:
        sessions = content.get("sessions")
        return sessions if isinstance(sessions, dict) else {}


def _save(path: Path, content: dict[str, Any]) -> None:
    written = json.dumps({"version": _VERSION, **content}, indent=2)
    write_private(path, [written.encode(), b"\n"])


def _home(environ: Mapping[str, str]) -> Path | None:
    """The home folder: HOME, else what the system knows; None where neither says."""
    named = environ.get("HOME") or ""
    if named.startswith("/"):
        return Path(named)
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None

"""The env file, the URL and the identity, as they lie on this host."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from rollcall_agent.doctor.check import Check, failed, of_error, ok, skipped, warning
from rollcall_agent.env_file import EnvFile
from rollcall_agent.exits import AgentError
from rollcall_agent.last_state import recall
from rollcall_agent.private_files import advice, is_widely_readable
from rollcall_agent.settings import IDEMPOTENCY_KEY, Settings

CONFIGURATION: Final = "configuration"
URL: Final = "url"
IDENTITY: Final = "identity"
_ENDED: Final = "ended"
_WORRIES: Final = {
    "quarantined": "ask an operator to release this agent",
    "refused": "see the service's log; the key is kept",
    "unreachable": "see the lines about the network",
    "throttled": "nothing, if it passes; else check that one agent alone runs on this host",
}


def check_configuration(path: Path) -> tuple[Check, EnvFile]:
    """Look at the env file: that it is there, can be read, and is its owner's alone."""
    try:
        file = EnvFile.load(path)
    except AgentError as error:
        return of_error(CONFIGURATION, error), EnvFile()
    if not path.exists():
        todo = "nothing, if the settings are in the environment; else run enroll, which writes it"
        return warning(CONFIGURATION, f"{path} does not exist", todo), file
    return _judge_file(path, file), file


def _judge_file(path: Path, file: EnvFile) -> Check:
    if not path.is_file():
        return failed(CONFIGURATION, f"{path} is not a file", "name the env file with --config")
    if is_widely_readable(path):
        return failed(CONFIGURATION, f"{path} can be read by others", advice(path))
    owner = _foreign_owner(path)
    if owner is not None:
        return warning(
            CONFIGURATION,
            f"{path} belongs to user {owner}, who is neither root nor whoever runs this",
            f"chown root {path}, or the user that the service runs as",
        )
    junk = _unreadable_line(file)
    if junk is not None:
        return warning(
            CONFIGURATION,
            f"Line {junk} of {path} is neither KEY=VALUE nor a comment, and is not looked at",
            "correct or remove that line",
        )
    return ok(CONFIGURATION, f"{path} can be read, by its owner alone")


def check_url(settings: Settings, option: str | None) -> tuple[Check, str | None]:
    """Look at the control plane's URL."""
    try:
        url = settings.base_url(option)
    except AgentError as error:
        return of_error(URL, error), None
    if url.startswith("http://") and settings.allow_http:
        todo = "use https: keys and tokens can be read on the way"
        return warning(URL, f"{url} is plain http, as ROLLCALL_ALLOW_HTTP allows", todo), url
    return ok(URL, f"The control plane is {url}"), url


def check_identity(settings: Settings) -> Check:
    """Tell who this host is, and how it stood last. No request is made.

    A beat from here would be a second process with this identity: the control plane would take it
    for a restart of the service, or for a copy of the host.
    """
    try:
        identity = settings.identity()
    except AgentError as error:
        return of_error(IDENTITY, error)
    if identity is None:
        if settings.file.get(IDEMPOTENCY_KEY) is not None:
            return warning(
                IDENTITY,
                "An enrollment was interrupted",
                "run enroll again with the same token: it ends with one agent and one use",
            )
        return skipped(IDENTITY, "This host is not enrolled")
    last = recall(settings.state_file(), identity.agent_id)
    if last is None or "state" not in last:
        return ok(
            IDENTITY, f"Enrolled as {identity.agent_id}; it has not beaten yet, or left no word"
        )
    return _judge_state(f"Enrolled as {identity.agent_id}", last)


def _judge_state(who: str, last: dict[str, str]) -> Check:
    state = last["state"]
    what = f"{who}; {state} since {last.get('since', 'an unknown time')}, as the service last wrote"
    if state == _ENDED:
        todo = "ask an operator why; if this host shall live on: enroll --replace with a new token"
        return failed(IDENTITY, f"{what}: the identity was revoked or superseded", todo)
    if state in _WORRIES:
        return warning(IDENTITY, what, _WORRIES[state])
    return ok(IDENTITY, what)


def _foreign_owner(path: Path) -> int | None:
    if sys.platform == "win32":
        return None
    owner = path.stat().st_uid
    return None if owner in {0, os.geteuid()} else owner


def _unreadable_line(file: EnvFile) -> int | None:
    """Return the number of the first line that means nothing; its text may be a secret."""
    for number, line in enumerate(file.text().splitlines(), start=1):
        text = line.strip()
        if text and not text.startswith("#") and "=" not in text:
            return number
    return None

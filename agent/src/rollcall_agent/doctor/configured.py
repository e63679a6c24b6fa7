"""The env file, the URL and the identity, as they lie on this host."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from rollcall_client.setting_lines import LineError

from rollcall_agent import known_names, names
from rollcall_agent.doctor.check import Check, failed, of_error, ok, skipped, warning
from rollcall_agent.env_file import EnvFile
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.last_state import recall
from rollcall_agent.private_files import advice, is_widely_readable
from rollcall_agent.service.reach import (
    ALL_POWERFUL,
    BARE_ROOT,
    ServiceUser,
    to_read,
    to_replace,
)
from rollcall_agent.settings import IDEMPOTENCY_KEY, Settings, require_place
from rollcall_agent.tls import trusting

CONFIGURATION: Final = "configuration"
URL: Final = "url"
IDENTITY: Final = "identity"
PROXY_FILE: Final = "proxy.env"
PROXY_NAMES: Final = frozenset(
    name
    for plain in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    for name in (plain, plain.upper())
)
INSTALLERS_URL: Final = "ROLLCALL_URL"
_ENDED: Final = "ended"
_WORRIES: Final = {
    "quarantined": "ask an operator to release this agent",
    "refused": "see the service's log; the key is kept",
    "unreachable": "see the lines about the network",
    "throttled": "nothing, if it passes; else check that one agent alone runs on this host",
}


def check_configuration(
    path: Path,
    environment: Mapping[str, str] = MappingProxyType({}),
    user: ServiceUser | None = None,
) -> tuple[Check, EnvFile | None]:
    """Look at the env file and at what it names.

    Args:
        path: of the env file.
        environment: of this process, whose settings go before those of the file.
        user: as whom the service runs; by default as whom one would run.

    Returns:
        The check, and the file; None where it cannot be read, or holds a line that cannot be used.
    """
    try:
        require_place(path)
        file = EnvFile.load(path)
    except AgentError as error:
        return of_error(CONFIGURATION, error), None
    settings = Settings(path, environment, file)
    return _failure(settings, user or presumed_user()) or _warnings(settings), file


def presumed_user() -> ServiceUser | None:
    """Return the user that a service would run as; None where it is the user of this process."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    return ALL_POWERFUL if sys.platform == "darwin" else BARE_ROOT


def _failure(settings: Settings, user: ServiceUser | None) -> Check | None:
    path = settings.path
    if is_widely_readable(path):
        return failed(CONFIGURATION, f"{path} can be read by others", advice(path))
    try:
        settings.check_switches()
        trusting(settings.ca_bundle())
        _check_proxy_file(path.with_name(PROXY_FILE))
    except AgentError as error:
        return of_error(CONFIGURATION, error)
    bundle = Settings(path, {}, settings.file).ca_bundle()
    if user is None:
        return None
    obstacle = to_replace(path, user) or (to_read(bundle, user) if bundle else None)
    return failed(CONFIGURATION, obstacle.what, obstacle.todo) if obstacle else None


def _warnings(settings: Settings) -> Check:
    path = settings.path
    found: list[tuple[str, str]] = []
    if not path.exists():
        todo = "nothing, if the settings are in the environment; else run enroll, which writes it"
        found.append((f"{path} does not exist", todo))
    elif (owner := _foreign_owner(path)) is not None:
        what = f"{path} belongs to user {owner}, who is neither root nor whoever runs this"
        found.append((what, f"chown root {path}, or the user that the service runs as"))
    if (junk := settings.file.strange_line()) is not None:
        what = f"Line {junk} of {path} is neither KEY=VALUE nor a comment, and is not looked at"
        found.append((what, "correct or remove that line"))
    if unknown := _unknown_names(settings):
        found.append((f"Not known: {', '.join(unknown)}", "correct or remove what is not known"))
    if misplaced := _misplaced_names(settings):
        found.append((f"Not read from {path}: {', '.join(misplaced)}", "use the agent's own names"))
    if not found:
        return ok(CONFIGURATION, f"{path} can be read, by its owner alone")
    return warning(
        CONFIGURATION, ". ".join(what for what, _ in found), "; ".join(todo for _, todo in found)
    )


def _unknown_names(settings: Settings) -> list[str]:
    """Name what looks like a setting of ours and is none, and what was meant perhaps."""
    places = ((settings.file.names(), str(settings.path)), (settings.environment, "environment"))
    unknown = [
        f"{name} in the {place}" if place == "environment" else f"{name} in {place}"
        for names, place in places
        for name in names
        if known_names.is_unknown(name)
    ]
    return [_with_guess(one) for one in unknown]


def _with_guess(found: str) -> str:
    close = known_names.nearest(found.split(" ", maxsplit=1)[0])
    return f"{found} ({close} is meant?)" if close else found


def _misplaced_names(settings: Settings) -> list[str]:
    """Name the settings of installers and command line, which the agent does not read."""
    others = known_names.OF_INSTALLERS | known_names.OF_COMMAND_LINE
    found = [name for name in settings.file.names() if name in others]
    return [f"{name} ({names.URL} is)" if name == INSTALLERS_URL else name for name in found]


def _check_proxy_file(path: Path) -> None:
    """Look at the file that the install script writes for the service's proxies."""
    if not path.exists():
        return
    file = EnvFile.load(path)
    try:
        file.check(PROXY_NAMES.__contains__)
    except LineError as error:
        raise AgentError(
            f"{error.of(str(path))}. Next: correct that line.", ExitCode.USAGE
        ) from None


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

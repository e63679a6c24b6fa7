"""What evidence is about: `--resource` as people write it."""

from __future__ import annotations

from typing import Final

from rollcall_cli.exits import usage
from rollcall_cli.names import Names

_TYPES: Final = {
    "org": "organization",
    "prj": "project",
    "env": "environment",
    "agt": "agent",
    "tok": "enrollment_token",
    "art": "artifact",
    "job": "job",
    "usr": "user",
    "key": "organization_key",
    "ses": "session",
    "pat": "personal_token",
    "inv": "invitation",
}


def resource(text: str, names: Names) -> tuple[str, str]:
    """The type and id of a resource.

    Args:
        text: an id, whose prefix says the type; or `type/id`; or `agent/name` and the like.
        names: looks names up.

    Raises:
        CliError: it is none of these.
    """
    kind, separator, identifier = text.partition("/")
    if separator and kind and identifier:
        return kind, _by_name(kind, identifier, names)
    prefix, _, body = text.partition("_")
    if prefix in _TYPES and body:
        return _TYPES[prefix], text
    raise usage("--resource must be an id (agt_…), type/id, or agent/NAME.")


def _by_name(kind: str, text: str, names: Names) -> str:
    lookups = {
        "agent": names.agent,
        "environment": names.environment,
        "project": names.project,
        "organization": names.organization,
        "organization_key": names.key,
        "user": names.member,
    }
    look = lookups.get(kind)
    return look(text) if look else text

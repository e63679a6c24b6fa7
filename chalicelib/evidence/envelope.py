"""The published form of an audit record, and its JSON Schema."""

import datetime
from typing import Any

import msgspec

from chalicelib.evidence.catalog import ALL
from chalicelib.evidence.events import Detail
from chalicelib.evidence.record import Outcome

SOURCE = "rollcall"


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who did it: a family of credential and its identifier.

    `credential` is the session or personal API token by which a person did it.
    """

    type: str
    id: str
    credential: str | None = None


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """What it was done to."""

    type: str
    id: str


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What EventBridge carries as `detail`. `id` is stable: consumers may deduplicate by it."""

    id: str
    version: int
    event: str
    time: str
    organization: str
    project: str | None
    environment: str | None
    outcome: Outcome
    reason: str | None
    actor: Actor
    resource: Resource
    request_id: str
    source_address: str | None
    detail: Any


def rfc3339(milliseconds: int) -> str:
    """A time as RFC 3339 in UTC with milliseconds, e.g. `2026-01-02T03:04:05.678Z`."""
    moment = datetime.datetime.fromtimestamp(milliseconds / 1000, tz=datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def schema_of(detail: type[Detail]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of one event as it is published."""
    typed = msgspec.defstruct(
        "Event",
        [
            (field.name, field.type)
            for field in msgspec.structs.fields(Envelope)
            if field.name != "detail"
        ]
        + [("detail", detail)],
        kw_only=True,
        forbid_unknown_fields=True,
    )
    (_,), components = msgspec.json.schema_components([typed], ref_template="#/$defs/{name}")
    event = components.pop("Event")
    event["properties"]["event"] = {"const": detail.NAME}
    event["properties"]["version"] = {"const": detail.VERSION}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": detail.NAME,
        "description": (detail.__doc__ or "").strip(),
        **{key: value for key, value in event.items() if key != "title"},
        "$defs": components,
    }


def schemas() -> dict[str, dict[str, Any]]:
    """Every event's schema by its name."""
    return {name: schema_of(detail) for name, detail in sorted(ALL.items())}

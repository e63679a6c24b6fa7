"""The audit record: who did what to which resource, from where, with which outcome."""

import hashlib
from typing import Literal

import msgspec

from chalicelib import ids
from chalicelib.evidence.events import Detail

Outcome = Literal["success", "refused"]


class Origin(msgspec.Struct, frozen=True):
    """Where a request comes from and in whose name it acts.

    Args:
        organization: the tenant that the request acts for.
        actor_type: `user`, `organization_key`, `enrollment_token`, `agent` or `system`.
        actor_id: the identifier of that actor; never a secret.
        request_id: joins the answer, the log lines and the evidence.
        source_address: the peer that API Gateway saw, or None for the system's own work.
        now: the time of the request, milliseconds since the epoch.
        credential: the session or personal API token that a person used.
    """

    organization: str
    actor_type: str
    actor_id: str
    request_id: str
    source_address: str | None
    now: int
    credential: str | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One audit record, before it is a row.

    `resource_type` and `resource_id` name what the event is about; `detail` is the event's own
    part, whose type names the event.
    """

    id: str
    at: int
    organization: str
    project: str | None
    environment: str | None
    event: str
    outcome: Outcome
    reason: str | None
    actor_type: str
    actor_id: str
    actor_credential: str | None
    resource_type: str
    resource_id: str
    request_id: str
    source_address: str | None
    detail: Detail


def success(
    origin: Origin,
    detail: Detail,
    *,
    resource: tuple[str, str],
    project: str | None = None,
    environment: str | None = None,
) -> Evidence:
    """Evidence of a change of state, to be written in the change's own transaction."""
    return _evidence(
        origin,
        detail,
        identifier=ids.new(ids.AUDIT_RECORD),
        at=origin.now,
        outcome="success",
        reason=None,
        resource=resource,
        project=project,
        environment=environment,
    )


def refusal(
    origin: Origin,
    detail: Detail,
    reason: str,
    *,
    resource: tuple[str, str],
    project: str | None = None,
    environment: str | None = None,
) -> Evidence:
    """Evidence of a refusal: one record at most per resource, reason and minute.

    The identifier and the time follow from these three, so a second put in the same minute
    meets the first one's key and changes nothing.
    """
    minute = origin.now - origin.now % 60_000
    seed = "\n".join((origin.organization, *resource, reason, str(minute)))
    return _evidence(
        origin,
        detail,
        identifier=ids.derived(ids.AUDIT_RECORD, hashlib.sha256(seed.encode()).digest()),
        at=minute,
        outcome="refused",
        reason=reason,
        resource=resource,
        project=project,
        environment=environment,
    )


def _evidence(
    origin: Origin,
    detail: Detail,
    *,
    identifier: str,
    at: int,
    outcome: Outcome,
    reason: str | None,
    resource: tuple[str, str],
    project: str | None,
    environment: str | None,
) -> Evidence:
    return Evidence(
        id=identifier,
        at=at,
        organization=origin.organization,
        project=project,
        environment=environment,
        event=detail.event(),
        outcome=outcome,
        reason=reason,
        actor_type=origin.actor_type,
        actor_id=origin.actor_id,
        actor_credential=origin.credential,
        resource_type=resource[0],
        resource_id=resource[1],
        request_id=origin.request_id,
        source_address=origin.source_address,
        detail=detail,
    )

"""Rotation of a runtime key: the new one is pending until its first use (law 5)."""

import msgspec

from chalicelib.credentials.runtime_key import HEARTBEAT, RuntimeClaims
from chalicelib.credentials.signing import Keyring
from chalicelib.errors import Conflict, NotFound, TooMany
from chalicelib.evidence.agent_events import AgentKeyRotated, AgentKeyRotationRequested
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.record import Origin, success
from chalicelib.fields import Nonce
from chalicelib.flows import agent_access, presence_verdict
from chalicelib.flows.contention import Patience
from chalicelib.flows.enrollment import RUNTIME_KEY_TTL_MS, IssuedKey, issue_key
from chalicelib.store import agent_presence, audit_records, presence_changes
from chalicelib.store.agent_presence import QUARANTINED, REVOKED, AgentPresenceItem
from chalicelib.store.transaction import Transaction

SHORTEST_MS = 60_000


class RotateRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which process asks; needed where a copy of the agent is to take an identity of its own."""

    instance: Nonce | None = None


def rotate(
    keyring: Keyring,
    patience: Patience,
    origin: Origin,
    claims: RuntimeClaims,
    request: RotateRequest,
) -> IssuedKey:
    """Give the agent a new key beside the one that it showed.

    The one that was shown is the agent's until the new one is used; a pending key that nobody used
    is worth nothing from now on, so that an agent whose answer was lost asks again. A quarantined
    agent may rotate, too, or its key could end before the quarantine does.

    Raises:
        DomainError: in the order of a heartbeat's reasons.
        Conflict: the agent has not beaten yet, or the copy is to take an identity of its own.
        TooMany: the last rotation was less than a minute ago.
    """
    key = issue_key(
        keyring,
        origin,
        environment=claims.environment,
        agent=claims.agent,
        collector=claims.collector,
        asset=claims.asset,
    )
    for _ in patience.rounds():
        row = agent_access.authorize(claims, HEARTBEAT, while_quarantined=True)
        if row.status == QUARANTINED and not _may_be_the_last(row, claims, origin.now):
            raise presence_verdict.quarantined(row.quarantine_reason)
        presence_verdict.refuse_what_is_to_split(row, request.instance)
        if row.pending_key is not None and bytes(row.pending_key) == key.digest:
            return key  # Written by a round whose answer was lost.
        _not_too_soon(row, origin.now)
        cancelled = _transaction(origin, claims, row, key).write()
        if cancelled is None:
            return key
    raise AssertionError("unreachable: patience raises")


def _may_be_the_last(row: AgentPresenceItem, claims: RuntimeClaims, now: int) -> bool:
    """Whether a quarantined agent's key may rotate; of two copies neither may end the other's.

    The pending key would become the agent's by that, and the one that the other copy has would be
    worth nothing. Where it is half its time old, the one before has ended anyway. One that never
    beat has law 1's replay for a lost key.
    """
    if row.last_seen is None:
        return False
    return claims.digest == row.key or claims.issued_at + RUNTIME_KEY_TTL_MS // 2 <= now


def _not_too_soon(row: AgentPresenceItem, now: int) -> None:
    wait = int(row.rotated_at or 0) + SHORTEST_MS - now
    if wait > 0:
        raise TooMany(
            "The runtime key was rotated a moment ago.",
            code="rotation_too_soon",
            seconds=wait / 1000,
        )


def _transaction(
    origin: Origin, claims: RuntimeClaims, row: AgentPresenceItem, key: IssuedKey
) -> Transaction:
    transaction = Transaction()
    presence_changes.rotate(
        transaction,
        row,
        shown=claims.digest,
        pending=key.digest,
        now=origin.now,
        last_before=origin.now - SHORTEST_MS,
    )
    audit_records.put(
        transaction,
        success(
            origin,
            AgentKeyRotated(
                agent_id=claims.agent,
                runtime_key_sha256=key.digest.hex(),
                runtime_key_expires_at=rfc3339(key.expires_at),
            ),
            resource=("agent", claims.agent),
            project=row.project,
            environment=row.environment,
        ),
    )
    return transaction


def request(patience: Patience, origin: Origin, agent: str) -> None:
    """Let the agent be told, with its next beat, to rotate its key. Twice is as good as once.

    Raises:
        NotFound: there is no such agent in the organization.
        Conflict: it was revoked.
    """
    for _ in patience.rounds():
        row = agent_presence.find(origin.organization, agent)
        if row is None:
            raise NotFound("There is no such agent.", code="agent_not_found")
        if row.status == REVOKED:
            raise Conflict("The agent was revoked.", code="agent_revoked")
        if row.rotation_requested:
            return
        transaction = Transaction()
        presence_changes.request_rotation(transaction, origin.organization, agent)
        audit_records.put(
            transaction,
            success(
                origin,
                AgentKeyRotationRequested(agent_id=agent),
                resource=("agent", agent),
                project=row.project,
                environment=row.environment,
            ),
        )
        cancelled = transaction.write()
        if cancelled is None:
            return

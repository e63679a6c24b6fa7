"""Rotation of a runtime key: the new one is pending until its first use (law 5)."""

from chalicelib.credentials.runtime_key import RuntimeClaims
from chalicelib.credentials.signing import Keyring
from chalicelib.errors import Conflict, NotFound, TooMany
from chalicelib.evidence.agent_events import AgentKeyRotated, AgentKeyRotationRequested
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.record import Origin, success
from chalicelib.flows import agent_access
from chalicelib.flows.contention import Patience
from chalicelib.flows.enrollment import IssuedKey, issue_key
from chalicelib.store import agent_presence, audit_records, presence_changes
from chalicelib.store.agent_presence import REVOKED, AgentPresenceItem
from chalicelib.store.transaction import Transaction

SCOPE = "agent:heartbeat"
SHORTEST_MS = 60_000


def rotate(
    keyring: Keyring, patience: Patience, origin: Origin, claims: RuntimeClaims
) -> IssuedKey:
    """Give the agent a new key beside the one that it showed.

    The one that was shown is the agent's until the new one is used; a pending key that nobody used
    is worth nothing from now on, so that an agent whose answer was lost asks again.

    Raises:
        DomainError: in the order of a heartbeat's reasons.
        Conflict: the agent has not beaten yet.
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
        row = agent_access.authorize(claims, SCOPE)
        if row.pending_key is not None and bytes(row.pending_key) == key.digest:
            return key  # Written by a round whose answer was lost.
        _not_too_soon(row, origin.now)
        cancelled = _transaction(origin, claims, row, key).write()
        if cancelled is None:
            return key
    raise AssertionError("unreachable: patience raises")


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
        origin.organization,
        claims.agent,
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

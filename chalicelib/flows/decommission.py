"""Decommissioning: a host ends its own agent for good, or an operator does; it leaves the lists."""

import msgspec

from chalicelib import ids
from chalicelib.credentials.runtime_key import HEARTBEAT, RuntimeClaims
from chalicelib.errors import Malformed, NotFound
from chalicelib.evidence.agent_events import AgentDecommissioned
from chalicelib.evidence.record import Origin, success
from chalicelib.fields import Nonce, Note
from chalicelib.flows import presence_verdict, revoke_agent, succession
from chalicelib.flows.contention import Patience
from chalicelib.flows.succession import Successor
from chalicelib.store import agent_identities, agent_presence, audit_records, presence_writes
from chalicelib.store.agent_identities import REVOKED, AgentIdentityItem
from chalicelib.store.agent_presence import AgentPresenceItem
from chalicelib.store.transaction import Transaction


class DecommissionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why; which process asks, where a copy is to take an identity of its own; and who succeeds."""

    note: Note | None = None
    instance: Nonce | None = None
    successor: Successor | None = None


def by_agent(
    patience: Patience, origin: Origin, claims: RuntimeClaims, request: DecommissionRequest
) -> str | None:
    """End the agent that asks; one that has not beaten yet may, too.

    A quarantined one may not: a copy must not end the other. Nor may the copy that is to go.

    Returns:
        What its successor is called from now on, where it named one: like itself, in the same
        environment.

    Raises:
        DomainError: in the order of a heartbeat's reasons.
        Conflict: the copy is to take an identity of its own, or the successor is none.
    """
    for _ in patience.rounds():
        seen = agent_presence.find(origin.organization, claims.agent)
        reason = presence_verdict.refusal(seen, claims.digest, HEARTBEAT)
        if reason is not None or seen is None:
            raise reason or AssertionError("a missing row has a reason")
        presence_verdict.refuse_what_is_to_split(seen, request.instance)
        row = agent_identities.find(origin.organization, claims.agent)
        if row is None:
            raise _unknown()
        successor = (
            succession.find(origin, row, request.successor)
            if request.successor is not None
            else None
        )
        if (
            successor is None
            or request.successor is None
            or request.successor.keeps_own_name
            or successor.environment != row.environment
        ):
            name = str(successor.name) if successor is not None else None
            is_done = _write(origin, row, request.note, seen)
        else:
            name = str(row.name)
            ending = succession.transaction(origin, row, seen, successor, request.note)
            is_done = ending.write() is None
        if is_done or _ended_by_this(origin, claims.agent):
            return name
    raise AssertionError("unreachable: patience raises")


def by_operator(
    patience: Patience, origin: Origin, agent: str, request: DecommissionRequest
) -> None:
    """End an agent and take it out of the lists. Doing it twice changes nothing.

    Raises:
        Malformed: an instance or a successor, which only an agent names.
        NotFound: there is no such agent in the organization.
    """
    for path in ("instance", "successor"):
        if getattr(request, path) is not None:
            raise Malformed(
                "The request is not valid.",
                extra={"errors": [{"path": path, "message": "only with a runtime key"}]},
            )
    for _ in patience.rounds():
        row = (
            agent_identities.find(origin.organization, agent)
            if ids.is_a(ids.AGENT, agent)
            else None
        )
        if row is None:
            raise _unknown()
        if row.deleted_at is not None or _write(origin, row, request.note, None):
            return


def _write(
    origin: Origin, row: AgentIdentityItem, note: str | None, seen: AgentPresenceItem | None
) -> bool:
    transaction = Transaction()
    detail = AgentDecommissioned(agent_id=row.agent_id, note=note)
    if row.status == REVOKED:
        # It has ended before: what is left is that it leaves the lists.
        agent_identities.forget(transaction, origin.organization, row.agent_id, now=origin.now)
        audit_records.put(
            transaction,
            success(
                origin,
                detail,
                resource=("agent", row.agent_id),
                project=row.project,
                environment=row.environment,
            ),
        )
        return transaction.write() is None
    revoke_agent.add_end(transaction, origin, row, detail, note=note, job=None, forget=True)
    revoke_agent.leave_machines(transaction, origin.organization, [row])
    if seen is None:
        presence_writes.revoke(transaction, origin.organization, row.agent_id)
    else:
        presence_writes.revoke_as_seen(transaction, seen, "presence")
    return transaction.write() is None


def _ended_by_this(origin: Origin, agent: str) -> bool:
    # The SDK repeats a request whose answer was lost: what stands in the way is then our own end.
    row = agent_identities.find(origin.organization, agent)
    return row is not None and row.deleted_at == origin.now


def _unknown() -> NotFound:
    return NotFound("There is no such agent.", code="agent_not_found")

"""Ending an agent: refused at its next request (law 3)."""

from collections.abc import Iterable, Sequence

import msgspec

from chalicelib import ids
from chalicelib.errors import NotFound
from chalicelib.evidence.events import AgentRevoked, Detail
from chalicelib.evidence.record import Origin, success
from chalicelib.fields import Note
from chalicelib.flows.contention import Patience
from chalicelib.store import (
    agent_identities,
    agent_revocations,
    audit_records,
    machines,
    presence_writes,
)
from chalicelib.store.agent_identities import REVOKED, AgentIdentityItem
from chalicelib.store.machines import Resident
from chalicelib.store.transaction import Transaction

MOST_TOGETHER = 10
"""Six items each; a transaction takes a hundred, and a smaller one meets less contention."""


class RevokeAgentRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why."""

    note: Note | None = None


def revoke(
    patience: Patience,
    origin: Origin,
    agent: str,
    note: str | None,
    job: str | None = None,
    *,
    forget: bool = False,
) -> bool:
    """End an agent; False where it had ended before.

    Identity, presence, the list of revocations and the evidence change in one transaction. With
    `forget` the agent leaves the lists by it, as the child of a parent that is deleted.

    Raises:
        NotFound: there is no such agent in the organization.
    """
    for _ in patience.rounds():
        row = (
            agent_identities.find(origin.organization, agent)
            if ids.is_a(ids.AGENT, agent)
            else None
        )
        if row is None:
            raise NotFound("There is no such agent.", code="agent_not_found")
        if row.status == REVOKED:
            return False
        transaction = Transaction()
        _end(transaction, origin, row, note, job, forget=forget)
        leave_machines(transaction, origin.organization, [row])
        if transaction.write() is None:
            return True
    return False


def revoke_together(
    patience: Patience,
    origin: Origin,
    rows: Sequence[AgentIdentityItem],
    note: str | None,
    job: str | None,
    *,
    forget: bool = False,
) -> None:
    """End agents whose identities were just read, at most `MOST_TOGETHER` of them.

    They share one transaction, so that a cascade spends a tenth of the requests. Whatever stands
    in the way of one (a heartbeat at that instant, another revoke) must not hold up the others:
    then each has a transaction of its own.

    Raises:
        Unavailable: the database did not answer; each agent has ended in full or not at all.
    """
    transaction = Transaction()
    for row in rows:
        _end(transaction, origin, row, note, job, forget=forget)
    leave_machines(transaction, origin.organization, rows)
    if transaction.write() is not None:
        for row in rows:
            revoke(patience, origin, row.agent_id, note, job, forget=forget)


def _end(
    transaction: Transaction,
    origin: Origin,
    row: AgentIdentityItem,
    note: str | None,
    job: str | None,
    *,
    forget: bool,
) -> None:
    agent = row.agent_id
    detail = AgentRevoked(agent_id=agent, note=note, job_id=job)
    add_end(transaction, origin, row, detail, note=note, job=job, forget=forget)
    presence_writes.revoke(transaction, origin.organization, agent)


def add_end(
    transaction: Transaction,
    origin: Origin,
    row: AgentIdentityItem,
    detail: Detail,
    *,
    note: str | None,
    job: str | None,
    forget: bool,
) -> None:
    """Add an identity's end with its evidence; presence and machine are the caller's to add."""
    organization, agent = origin.organization, row.agent_id
    agent_identities.revoke(transaction, row, now=origin.now, forget=forget)
    # The name is free for the host's next identity. An agent that leaves the lists leaves no trace.
    where = {"environment": str(row.environment), "name": str(row.name)}
    if forget:
        agent_identities.release_name(transaction, organization, agent, **where)
    else:
        agent_identities.free_name(transaction, organization, agent, now=origin.now, **where)
    agent_revocations.put(
        transaction,
        organization,
        agent,
        now=origin.now,
        by=origin.actor_id,
        note=note,
        job=job,
    )
    audit_records.put(
        transaction,
        success(
            origin,
            detail,
            resource=("agent", agent),
            project=row.project,
            environment=row.environment,
        ),
    )


def leave_machines(
    transaction: Transaction, organization: str, rows: Iterable[AgentIdentityItem]
) -> None:
    """Add that agents which end live on their machines no more.

    Agents of one machine leave together: a transaction may touch a row only once.
    """
    leaving: dict[bytes, set[Resident]] = {}
    for row in rows:
        if row.machine_fingerprint is not None:
            leaving.setdefault(bytes(row.machine_fingerprint), set()).add(Resident.of(row))
    for machine, agents in leaving.items():
        machines.leave(transaction, organization, machine, agents, f"machine#{machine.hex()}")

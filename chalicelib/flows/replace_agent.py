"""An operator confirms that an agent is the re-imaged host of a former one."""

from typing import TypeGuard

import msgspec

from chalicelib import ids
from chalicelib.errors import Conflict, NotFound
from chalicelib.evidence.record import Origin
from chalicelib.fields import AgentId, Note
from chalicelib.flows import replacement, revoke_agent
from chalicelib.flows.agents import Sees
from chalicelib.flows.contention import Patience
from chalicelib.store import agent_identities, presence_writes
from chalicelib.store.agent_identities import ACTIVE, AgentIdentityItem, agent_row
from chalicelib.store.table import Table, read_all
from chalicelib.store.transaction import Transaction


class ReplaceAgentRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose place the agent takes, and why."""

    former: AgentId
    note: Note | None = None


def replace(
    patience: Patience, origin: Origin, agent: str, request: ReplaceAgentRequest, sees: Sees
) -> None:
    """End a former identity; its name and labels go to the agent. Twice changes nothing.

    Both are of one machine, as far as that can be claimed. An operator may end a live agent: here
    somebody decided, and not an identifier.

    Raises:
        NotFound: there is no such agent in the organization, or the caller does not see it.
        Conflict: another environment, another machine, or one of the two has ended otherwise.
    """
    for _ in patience.rounds():
        row, former = _both(origin.organization, agent, request.former, sees)
        if former.replaced_by == agent:
            return
        _check(row, former)
        if _transaction(origin, row, former, request.note).write() is None:
            return


def _both(
    organization: str, agent: str, former: str, sees: Sees
) -> tuple[AgentIdentityItem, AgentIdentityItem]:
    if ids.is_a(ids.AGENT, agent):
        one, other = read_all([agent_row(organization, agent), agent_row(organization, former)])
        if _is_there(one) and _is_there(other) and sees(other.project, other.environment):
            return one, other
    raise NotFound("There is no such agent.", code="agent_not_found")


def _is_there(row: Table | None) -> TypeGuard[AgentIdentityItem]:
    return isinstance(row, AgentIdentityItem) and row.deleted_at is None


def _check(row: AgentIdentityItem, former: AgentIdentityItem) -> None:
    if row.environment != former.environment:
        raise Conflict("The two are of different environments.", code="other_environment")
    machine = row.machine_fingerprint
    same = machine is not None and machine == former.machine_fingerprint
    if not same or row.agent_id == former.agent_id:
        raise Conflict("The two are not two agents of one machine.", code="not_same_machine")
    if row.status != ACTIVE or former.status != ACTIVE:
        raise Conflict("One of the two has ended before.", code="agent_revoked")


def _transaction(
    origin: Origin, row: AgentIdentityItem, former: AgentIdentityItem, note: str | None
) -> Transaction:
    transaction, organization = Transaction(), origin.organization
    where = {"environment": str(row.environment)}
    agent_identities.reserve_name(
        transaction,
        organization,
        row.agent_id,
        name=str(former.name),
        created_at=origin.now,
        former=former.agent_id,
        **where,
    )
    agent_identities.release_name(
        transaction, organization, row.agent_id, name=str(row.name), **where
    )
    agent_identities.change(
        transaction, organization, row, name=str(former.name), labels=dict(former.labels or {})
    )
    presence_writes.revoke(transaction, organization, former.agent_id)
    revoke_agent.leave_machines(transaction, organization, [former])
    replacement.end(
        transaction, origin, former, row.agent_id, reason=replacement.BY_OPERATOR, note=note
    )
    return transaction

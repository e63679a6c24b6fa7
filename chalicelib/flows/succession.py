"""An agent that ends itself in favour of its host's next identity, and leaves that its name."""

from typing import Annotated

import msgspec

from chalicelib.credentials import opaque
from chalicelib.credentials.runtime_key import HEARTBEAT
from chalicelib.errors import Conflict
from chalicelib.evidence.agent_events import AgentReplaced
from chalicelib.evidence.record import Origin, success
from chalicelib.fields import AgentId, matching
from chalicelib.flows import presence_verdict, revoke_agent
from chalicelib.store import (
    agent_identities,
    agent_presence,
    agent_revocations,
    audit_records,
    presence_writes,
)
from chalicelib.store.agent_identities import ACTIVE, AgentIdentityItem
from chalicelib.store.agent_presence import AgentPresenceItem
from chalicelib.store.transaction import Transaction

BY_ITSELF = "agent"
_PART = "former_"


class Successor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The host's next identity, and its runtime key, which the host must hold as well.

    It gets the former's name, unless it `keeps_own_name`.
    """

    agent_id: AgentId
    runtime_key: Annotated[
        str,
        matching(r"\A[\x21-\x7e]+\Z", "printable ASCII without blanks", max_length=1024),
    ]
    keeps_own_name: bool = False

    def __repr__(self) -> str:
        """Without the key: a traceback must not show it."""
        return f"{type(self).__name__}(agent_id={self.agent_id!r})"


def find(origin: Origin, former: AgentIdentityItem, wanted: Successor) -> AgentIdentityItem:
    """The successor's identity, as it is now.

    Raises:
        Conflict: there is no such live agent, the key is not its own, it is the former itself, or
            it is of another machine: then the host may be a copy, and the former another's.
    """
    presence = agent_presence.find(origin.organization, wanted.agent_id)
    digest = opaque.digest(wanted.runtime_key)
    row = agent_identities.find(origin.organization, wanted.agent_id)
    if (
        presence_verdict.refusal(presence, digest, HEARTBEAT) is not None
        or row is None
        or row.status != ACTIVE
        or row.agent_id == former.agent_id
    ):
        raise Conflict("The successor is no live agent with this key.", code="successor_refused")
    machine, former_machine = row.machine_fingerprint, former.machine_fingerprint
    if machine is not None and former_machine is not None and machine != former_machine:
        raise Conflict("The two are not two agents of one machine.", code="not_same_machine")
    return row


def transaction(
    origin: Origin,
    former: AgentIdentityItem,
    seen: AgentPresenceItem,
    successor: AgentIdentityItem,
    note: str | None,
) -> Transaction:
    """The former's end, as it was seen, and its name in the hands of its successor.

    Both are of one environment: in another one the name is another name.
    """
    added, organization = Transaction(), origin.organization
    agent_identities.revoke(
        added,
        former,
        now=origin.now,
        forget=True,
        by=successor.agent_id,
        part=f"{_PART}identity",
    )
    presence_writes.revoke_as_seen(added, seen, f"{_PART}presence")
    _hand_name_over(added, origin, former, successor)
    revoke_agent.leave_machines(added, organization, [former])
    agent_revocations.put(
        added,
        organization,
        former.agent_id,
        now=origin.now,
        by=origin.actor_id,
        note=note,
        job=None,
    )
    detail = AgentReplaced(
        agent_id=successor.agent_id,
        former_agent_id=former.agent_id,
        former_name=str(former.name),
        reason=BY_ITSELF,
        note=note,
    )
    audit_records.put(
        added,
        success(
            origin,
            detail,
            resource=("agent", former.agent_id),
            project=former.project,
            environment=former.environment,
        ),
    )
    return added


def _hand_name_over(
    added: Transaction, origin: Origin, former: AgentIdentityItem, successor: AgentIdentityItem
) -> None:
    where = {"environment": str(former.environment)}
    agent_identities.reserve_name(
        added,
        origin.organization,
        successor.agent_id,
        name=str(former.name),
        created_at=origin.now,
        former=former.agent_id,
        **where,
    )
    agent_identities.release_name(
        added, origin.organization, successor.agent_id, name=str(successor.name), **where
    )
    agent_identities.change(
        added,
        origin.organization,
        successor,
        name=str(former.name),
        labels=dict(successor.labels or {}),
    )

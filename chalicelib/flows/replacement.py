"""One identity in the place of another: the same host, after it was made anew.

That it is the same host is only a claim: a machine id can be copied. So an exchange replaces an
identity only where the token allows it and the former agent has been silent for long enough, and
never one that beats meanwhile. Everything else is an operator's to confirm.
"""

import msgspec

from chalicelib import names
from chalicelib.evidence.agent_events import AgentReplaced
from chalicelib.evidence.record import Origin, success
from chalicelib.flows.agent_status import status_of
from chalicelib.store import (
    agent_identities,
    agent_revocations,
    audit_records,
    machines,
    presence_writes,
)
from chalicelib.store.agent_identities import ACTIVE, AgentIdentityItem, agent_row
from chalicelib.store.agent_presence import ENROLLED, OFFLINE, AgentPresenceItem, presence_row
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem
from chalicelib.store.machines import Machine, Resident
from chalicelib.store.table import read_all
from chalicelib.store.transaction import Cancelled, Transaction

BY_MACHINE = "machine"
BY_OPERATOR = "operator"
_PART = "former_"


class Former(msgspec.Struct, frozen=True):
    """An identity that a fresh one is to replace, as it was seen, and its machine."""

    identity: AgentIdentityItem
    presence: AgentPresenceItem
    machine: Machine

    @property
    def name(self) -> str:
        """Its name, as names are compared."""
        return names.folded(str(self.identity.name))


class Place(msgspec.Struct, frozen=True):
    """Where a new agent comes in: its machine, and the identity whose place it takes.

    The row of a machine that is `full` has no room for it.
    """

    machine: bytes | None
    former: Former | None
    full: bool = False

    @property
    def former_agent(self) -> str | None:
        """The agent that ends."""
        return self.former.identity.agent_id if self.former is not None else None


def place_of(origin: Origin, token: EnrollmentTokenItem, machine: bytes | None) -> Place:
    """Where a host comes in that shows this token and claims this machine.

    Raises:
        Unavailable: the database did not answer.
    """
    if machine is None or not token.replace_machine:
        return Place(machine, None)
    return Place(machine, _former(origin, token, machine))


def after(place: Place, cancelled: Cancelled, origin: Origin, token: EnrollmentTokenItem) -> Place:
    """Where the host comes in now that a transaction was refused.

    A former agent that was heard meanwhile stays; a machine that has too many agents is marked as
    crowded, and noted on the identity alone.
    """
    if place.former is not None and any(
        part == "machine" or part.startswith(_PART) for part in cancelled.refused
    ):
        return place_of(origin, token, place.machine)
    return Place(place.machine, None, full=True) if "machine" in cancelled.refused else place


def _former(origin: Origin, token: EnrollmentTokenItem, machine: bytes) -> Former | None:
    found = machines.find(origin.organization, machine)
    near = sorted(one.agent for one in found.residents if one.environment == token.environment)
    # Of a crowded machine's agents some are not known, and may be the host.
    if not near or found.crowded:
        return None
    rows = read_all(
        [row(origin.organization, agent) for agent in near for row in (agent_row, presence_row)]
    )
    here = [
        Former(identity, presence, found)
        for identity, presence in zip(rows[::2], rows[1::2], strict=True)
        if isinstance(identity, AgentIdentityItem)
        and isinstance(presence, AgentPresenceItem)
        and identity.status == ACTIVE
        and identity.environment == token.environment
    ]
    # Of several, nothing says which one the host was.
    if len(here) != 1 or not _is_silent(here[0], origin.now, int(token.replace_offline)):
        return None
    return here[0]


def _is_silent(former: Former, now: int, seconds: int) -> bool:
    presence = former.presence
    if status_of(presence, now) not in {OFFLINE, ENROLLED}:
        return False
    # A quarantined agent beats, and its beats leave no mark: its silence begins with its release.
    marks = (presence.last_seen, presence.released_at, former.identity.created_at)
    return now - max(int(mark) for mark in marks if mark is not None) > seconds * 1000


def succeed(
    transaction: Transaction,
    origin: Origin,
    place: Place,
    agent: str,
    name: str,
    token: EnrollmentTokenItem,
) -> None:
    """Add a new agent's place: on its machine, and in that of the former one, which ends.

    Args:
        transaction: that creates the agent, its name's reservation included.
        origin: who enrolls.
        place: as it was found.
        agent: the new one.
        name: of the new one; a former one's of that name has changed hands already.
        token: by which it comes.
    """
    organization, machine, former = origin.organization, place.machine, place.former
    if machine is None:
        return
    resident = Resident(agent, str(token.environment), str(token.project))
    if former is not None:
        was = Resident.of(former.identity)
        machines.succeed(
            transaction, organization, machine, seen=former.machine, former=was, agent=resident
        )
        _end_former(transaction, origin, former, agent, name, token.token)
    elif place.full:
        machines.crowd(transaction, organization, machine)
    else:
        machines.join(transaction, organization, machine, resident)


def _end_former(
    transaction: Transaction, origin: Origin, former: Former, agent: str, name: str, token: str
) -> None:
    presence_writes.revoke_as_seen(transaction, former.presence, f"{_PART}presence")
    if former.name != names.folded(name):
        agent_identities.free_name(
            transaction,
            origin.organization,
            former.identity.agent_id,
            environment=str(former.identity.environment),
            name=str(former.identity.name),
            now=origin.now,
            part=f"{_PART}name",
        )
    end(transaction, origin, former.identity, agent, reason=BY_MACHINE, token=token)


def end(
    transaction: Transaction,
    origin: Origin,
    former: AgentIdentityItem,
    agent: str,
    *,
    reason: str,
    token: str | None = None,
    note: str | None = None,
) -> None:
    """Add that a former identity ends in favour of an agent, and the evidence that names both."""
    organization = origin.organization
    agent_identities.replace(transaction, former, by=agent, now=origin.now, part=f"{_PART}identity")
    agent_revocations.put(
        transaction,
        organization,
        former.agent_id,
        now=origin.now,
        by=origin.actor_id,
        note=note,
        job=None,
    )
    audit_records.put(
        transaction,
        success(
            origin,
            AgentReplaced(
                agent_id=agent,
                former_agent_id=former.agent_id,
                former_name=str(former.name),
                reason=reason,
                token_id=token,
                note=note,
            ),
            resource=("agent", former.agent_id),
            project=former.project,
            environment=former.environment,
        ),
        f"{_PART}audit",
    )

"""Looking at agents, renaming and labelling them."""

from collections.abc import Callable, Iterator
from itertools import islice

import msgspec

from chalicelib import ids, names
from chalicelib.errors import Conflict, Malformed, NotFound
from chalicelib.evidence.events import AgentUpdated
from chalicelib.evidence.record import Origin, success
from chalicelib.fields import Labels, Name
from chalicelib.flows.agent_status import status_of
from chalicelib.flows.contention import Patience
from chalicelib.flows.environment_lists import Page, Position, over_environments
from chalicelib.store import agent_identities, agent_lists, audit_records, machines
from chalicelib.store.agent_identities import ACTIVE, AgentIdentityItem, agent_row
from chalicelib.store.agent_presence import AgentPresenceItem, presence_row
from chalicelib.store.machines import Machine
from chalicelib.store.paging import Span
from chalicelib.store.table import read_all
from chalicelib.store.transaction import Transaction

Sees = Callable[[str | None, str | None], bool]
"""Whether the caller sees what is of a project and an environment."""

_MOST_SEEN = 1_000
_MOST_AT_ONCE = 100  # the most that one BatchGetItem takes


class Agent(msgspec.Struct, frozen=True):
    """An agent as operators see it: identity, presence, and the status that follows.

    `same_machine` are the other live agents of its machine that the caller may see. A machine that
    is `machine_crowded` has agents that are not known to be on it.
    """

    identity: AgentIdentityItem
    presence: AgentPresenceItem | None
    status: str
    same_machine: tuple[str, ...] = ()
    machine_crowded: bool = False


class AgentFilter(msgspec.Struct, frozen=True):
    """Which agents to list. `label` is a key and its value.

    `name` is the beginning of a name; `exact_name` the whole one, without regard to case. An agent
    that was revoked has its name until another one of its environment takes it.
    """

    environments: list[str]
    status: str | None = None
    label: tuple[str, str] | None = None
    name: str | None = None
    exact_name: str | None = None


class UpdateAgentRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; `labels` replaces all labels."""

    name: Name | None = None
    labels: Labels | None = None


def get(organization: str, agent: str, now: int, sees: Sees) -> Agent:
    """One agent of the organization, as it is now.

    Of its machine only what the caller `sees` is told.

    Raises:
        NotFound: there is none, or it is another organization's.
    """
    if not ids.is_a(ids.AGENT, agent):
        raise _unknown()
    identity, presence = read_all(
        [agent_row(organization, agent), presence_row(organization, agent)]
    )
    if not isinstance(identity, AgentIdentityItem):
        raise _unknown()
    (found,) = _with_machines(organization, [_agent(identity, _as_presence(presence), now)], sees)
    return found


def page(
    organization: str,
    wanted: AgentFilter,
    *,
    start: Position | None,
    limit: int,
    now: int,
    sees: Sees,
) -> Page[Agent]:
    """Agents by name, environment after environment."""
    # A filter may pass over many: a small page must not look at them one by one.
    size = limit if wanted.status is None and wanted.label is None else _MOST_AT_ONCE
    listing = (
        _called(organization, wanted.environments, start, wanted.exact_name)
        if wanted.exact_name is not None
        else over_environments(
            wanted.environments,
            start,
            Span(None, size, newest_first=False),
            lambda name, part: agent_lists.listed(organization, name, part, wanted.name),
        )
    )
    rows: list[Agent] = []
    seen = 0
    while chunk := list(islice(listing, size)):
        for (environment, identity), agent in zip(
            chunk, _with_presence(organization, chunk, now), strict=True
        ):
            seen += 1
            if _is_wanted(agent, wanted):
                rows.append(agent)
            if len(rows) == limit or seen == _MOST_SEEN:
                shown = _with_machines(organization, rows, sees)
                return Page(shown, Position(environment, str(identity.name_key)))
    return Page(_with_machines(organization, rows, sees), None)


def _called(
    organization: str, environments: list[str], start: Position | None, name: str
) -> Iterator[tuple[str, AgentIdentityItem]]:
    """The agents of one name, at most one an environment: two requests for 100 environments.

    The reservations of names say which they are, so that no index is asked environment after
    environment, and an agent is found as soon as it has enrolled.
    """
    left = iter(one for one in environments if start is None or one > start.environment)
    while chunk := list(islice(left, _MOST_AT_ONCE)):
        reserved = read_all(
            [agent_identities.name_row(organization, environment, name) for environment in chunk]
        )
        holders = [
            (environment, row.agent_id)
            for environment, row in zip(chunk, reserved, strict=True)
            if isinstance(row, AgentIdentityItem)
        ]
        if not holders:
            continue
        identities = read_all([agent_row(organization, agent) for _, agent in holders])
        for (environment, _), row in zip(holders, identities, strict=True):
            # It may have been renamed between the two requests, or have left the lists.
            if isinstance(row, AgentIdentityItem) and agent_identities.is_called(
                row, environment, name
            ):
                yield environment, row


def _with_presence(
    organization: str, chunk: list[tuple[str, AgentIdentityItem]], now: int
) -> Iterator[Agent]:
    presences = read_all([presence_row(organization, row.agent_id) for _, row in chunk])
    for (_, identity), presence in zip(chunk, presences, strict=True):
        yield _agent(identity, _as_presence(presence), now)


def _with_machines(organization: str, agents: list[Agent], sees: Sees) -> list[Agent]:
    """The agents with the others of their machines: one more request where any has a machine.

    A list must not show two live records of one host without saying so.
    """
    claimed = {
        agent.identity.agent_id: bytes(agent.identity.machine_fingerprint)
        for agent in agents
        if agent.identity.machine_fingerprint and agent.identity.status == ACTIVE
    }
    if not claimed:
        return agents
    each = sorted(set(claimed.values()))
    rows = read_all([machines.machine_row(organization, machine) for machine in each])
    found = dict(zip(each, map(Machine.of, rows), strict=True))
    return [
        _on(agent, found[machine], sees)
        if (machine := claimed.get(agent.identity.agent_id)) is not None
        else agent
        for agent in agents
    ]


def _on(agent: Agent, machine: Machine, sees: Sees) -> Agent:
    others = sorted(
        one.agent
        for one in machine.residents
        if one.agent != agent.identity.agent_id and sees(one.project, one.environment)
    )
    return msgspec.structs.replace(
        agent, same_machine=tuple(others), machine_crowded=machine.crowded
    )


def _is_wanted(agent: Agent, wanted: AgentFilter) -> bool:
    if wanted.status is not None and agent.status != wanted.status:
        return False
    if wanted.label is None:
        return True
    key, value = wanted.label
    labels = agent.identity.labels or {}
    return key in labels and names.normal(labels[key]) == names.normal(value)


def _agent(identity: AgentIdentityItem, presence: AgentPresenceItem | None, now: int) -> Agent:
    return Agent(identity, presence, status_of(presence, now))


def _as_presence(row: object) -> AgentPresenceItem | None:
    return row if isinstance(row, AgentPresenceItem) else None


def _unknown() -> NotFound:
    return NotFound("There is no such agent.", code="agent_not_found")


def update(
    patience: Patience, origin: Origin, agent: str, request: UpdateAgentRequest, sees: Sees
) -> Agent:
    """Change name or labels.

    Raises:
        Malformed: nothing to change was given.
        NotFound: there is no such agent in the organization.
        Conflict: the name is taken, or the agent was revoked.
    """
    if request.name is None and request.labels is None:
        raise Malformed("Give a name or labels to change.", code="nothing_to_change")
    for _ in patience.rounds():
        row = get(origin.organization, agent, origin.now, sees).identity
        if row.status != ACTIVE:
            raise Conflict("The agent was revoked.", code="agent_revoked")
        cancelled = _change(origin, row, request).write()
        if cancelled is None:
            break
        if "name" in cancelled.refused:
            raise Conflict("Another agent of this environment has this name.", code="name_taken")
    return get(origin.organization, agent, origin.now, sees)


def _change(origin: Origin, row: AgentIdentityItem, request: UpdateAgentRequest) -> Transaction:
    name = request.name if request.name is not None else str(row.name)
    labels = request.labels if request.labels is not None else dict(row.labels or {})
    transaction = Transaction()
    if names.folded(name) != names.folded(str(row.name)):
        where = {"environment": str(row.environment)}
        agent_identities.release_name(
            transaction, origin.organization, row.agent_id, name=str(row.name), **where
        )
        agent_identities.reserve_name(
            transaction,
            origin.organization,
            row.agent_id,
            name=name,
            created_at=origin.now,
            **where,
        )
    agent_identities.change(transaction, origin.organization, row, name=name, labels=labels)
    audit_records.put(
        transaction,
        success(
            origin,
            AgentUpdated(
                agent_id=row.agent_id,
                name=name,
                previous_name=str(row.name),
                labels=labels,
                previous_labels=dict(row.labels or {}),
            ),
            resource=("agent", row.agent_id),
            project=row.project,
            environment=row.environment,
        ),
    )
    return transaction
